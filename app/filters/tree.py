"""The door of this package for those who filter: parse a tree, compile it to a predicate, say it in words."""

from app.filters.compiling import compile_node
from app.filters.describing import describe
from app.filters.nodes import Node, everybody, fields_of, is_everybody, parse

__all__ = ["Node", "compile_node", "describe", "everybody", "fields_of", "is_everybody", "parse"]
