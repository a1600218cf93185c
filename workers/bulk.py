"""The jobs of bulk work and exports."""

from collections.abc import Mapping

from app.bulk import running, service
from app.core.runner import Handler
from app.exports import writing
from app.exports.service import WRITE

HANDLERS: Mapping[str, Handler] = {
    service.RUN: Handler(running.run_bulk, running.ended, running.ended),
    service.UNDO: Handler(running.undo_bulk),
    WRITE: Handler(writing.write_export, writing.ended, writing.ended),
}
