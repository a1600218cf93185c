"""Structured logs: one JSON object a line, with workspace, request and job ids and no personal data."""

import logging
import sys
import traceback
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import structlog

logger: structlog.stdlib.BoundLogger = structlog.get_logger("chot")


def configure(level: str = "INFO") -> None:
    """Sets up logging of the whole process. Values are ours (ids, codes, counts), never a body or a query."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _without_values,
                structlog.processors.JSONRenderer(ensure_ascii=False),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    # The access log is ours (app.core.asgi): uvicorn's prints query strings, which hold names and phones.
    logging.getLogger("uvicorn.access").disabled = True
    logging.getLogger("arq").setLevel("WARNING")
    logging.getLogger("httpx").setLevel("WARNING")


def fault(error: BaseException) -> dict[str, str]:
    """What may be logged of an exception: its type and place. Its text can hold a customer's data."""
    frames = traceback.extract_tb(error.__traceback__)[-6:]
    where = " < ".join(f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in reversed(frames))
    cause = error.__cause__ or error.__context__
    return {
        "error": type(error).__qualname__,
        "where": where,
        "cause": type(cause).__qualname__ if cause else "",
    }


def _without_values(_logger: object, _name: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Drops traceback text: database errors quote row values in it."""
    info = event.pop("exc_info", None)
    if info and not isinstance(info, bool):
        error = info[1] if isinstance(info, tuple) else info
        if isinstance(error, BaseException):
            event.update(fault(error))
    return event


def access(**fields: object) -> None:
    """One line for one finished request. Written directly: the general logger costs as much as a query."""
    if logging.getLogger().isEnabledFor(logging.INFO):
        line = {"event": "request", "level": "info", "timestamp": datetime.now(UTC), **fields}
        sys.stderr.write(msgspec.json.encode(line).decode() + "\n")
