"""The related facts that customers can be filtered by: a table that domains above fill (app/related.py)."""

from app.filters.fields import Related

RELATED: dict[str, Related] = {}
