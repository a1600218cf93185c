"""Customers' phones in replies: whole for callers who may see them, masked for others (docs/adr/0011).

A member of a reply that holds a phone has one of the types below. Whether its number goes out is decided when the reply
is written as JSON, by who calls; where nobody does, it is masked.
"""

import re
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Annotated, Any, Final

from pydantic import PlainSerializer

from app.core.actor import Actor
from app.core.vietnam import phone

__all__ = [
    "REVEAL",
    "Phone",
    "PhoneTyped",
    "WithPhones",
    "WithPhonesByField",
    "WithPhonesByName",
    "answer_to",
    "masked",
    "sees_phones",
]

REVEAL: Final = "customers.reveal_phone"
# Phones are stored in E.164 and nothing else is, so that a stored one is known wherever it stands.
STORED: Final = re.compile(r"(?<![\w+])\+[1-9][0-9]{6,14}(?![0-9])")

_seen: ContextVar[bool] = ContextVar("phones_seen", default=False)


def sees_phones(actor: Actor) -> bool:
    """Whether the caller sees customers' phones whole."""
    return actor.may(REVEAL)


def answer_to(actor: Actor) -> None:
    """Lets the replies of this request show phones as the caller may see them."""
    _seen.set(sees_phones(actor))


def masked(value: Any) -> Any:
    """JSON-like data with every stored phone in it masked."""
    if isinstance(value, str):
        return STORED.sub(lambda found: phone.mask(found[0]), value) if "+" in value else value
    if isinstance(value, Mapping):
        return {key: masked(one) for key, one in value.items()}
    return [masked(one) for one in value] if isinstance(value, list | tuple) else value


def _shown(value: Any) -> Any:
    return value if _seen.get() else masked(value)


def _typed(value: str | None) -> str | None:
    return value if _seen.get() else None


# A stored phone, or a text that may hold one.
Phone = Annotated[str, PlainSerializer(_shown, return_type=str, when_used="json")]
# A phone as somebody typed it, in whatever form; null for whom it is hidden from.
PhoneTyped = Annotated[str | None, PlainSerializer(_typed, return_type=str | None, when_used="json")]
# Any JSON, phones among it; the same by name; and the values of fields, by field.
WithPhones = Annotated[Any, PlainSerializer(_shown, when_used="json")]
WithPhonesByName = Annotated[dict[str, Any], PlainSerializer(_shown, return_type=dict[str, Any], when_used="json")]
WithPhonesByField = Annotated[
    dict[str, list[Any]], PlainSerializer(_shown, return_type=dict[str, list[Any]], when_used="json")
]
