"""The two languages of messages: Vietnamese, the default, and English."""

from contextvars import ContextVar
from typing import Literal

Language = Literal["vi", "en"]

language: ContextVar[Language] = ContextVar("language", default="vi")


def choose(accept_language: str | None) -> Language:
    """The language that an Accept-Language header prefers; Vietnamese unless English is asked for."""
    best: tuple[float, Language] = (0.0, "vi")
    for part in (accept_language or "").split(",")[:20]:
        tag, _, parameters = part.strip().partition(";")
        primary = tag.strip().lower().partition("-")[0]
        try:
            quality = float(parameters.strip().removeprefix("q=") or 1)
        except ValueError:
            quality = 0.0
        if primary in ("vi", "en") and quality > best[0]:
            best = (quality, "vi" if primary == "vi" else "en")
    return best[1]
