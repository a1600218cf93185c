"""Which handler runs which kind of job: the only place where all domains meet."""

from collections.abc import Mapping

from app.core.runner import Handler
from workers import customers, imports

HANDLERS: Mapping[str, Handler] = {**customers.HANDLERS, **imports.HANDLERS}
