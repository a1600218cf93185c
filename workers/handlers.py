"""Which handler runs which kind of job: the only place where all domains meet."""

from collections.abc import Mapping

from app.core.runner import Handler
from workers import bulk, customers, duplicates, imports

HANDLERS: Mapping[str, Handler] = {**bulk.HANDLERS, **customers.HANDLERS, **duplicates.HANDLERS, **imports.HANDLERS}
