"""The jobs of imports."""

from collections.abc import Mapping

from app.core.runner import Handler
from app.imports import reading_job, running, undoing
from app.imports.report import job as reporting

HANDLERS: Mapping[str, Handler] = {
    "imports.read": Handler(reading_job.read, reading_job.dead, reading_job.cancelled),
    "imports.run": Handler(running.run_import, running.dead, running.cancelled),
    "imports.undo": Handler(undoing.undo_import, undoing.dead, running.cancelled),
    "imports.report": Handler(reporting.report),
}
