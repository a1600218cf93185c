"""The related facts that customers can be filtered by: a table that domains above fill (app/related.py).

Each is made for a workspace, whose lists name some of its values, and in whose time zone days begin.
"""

from collections.abc import Callable
from zoneinfo import ZoneInfo

from app.filters.fields import Lists, Related

RELATED: dict[str, Callable[[Lists, ZoneInfo], Related]] = {}
