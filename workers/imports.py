"""The jobs of imports."""

from collections.abc import Mapping

from app.core.runner import Handler
from app.imports import reading_job, running

HANDLERS: Mapping[str, Handler] = {
    "imports.read": Handler(reading_job.read, reading_job.dead),
    "imports.run": Handler(running.run_import, running.dead),
}
