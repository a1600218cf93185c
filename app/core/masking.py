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
    "masked_typed",
    "sees_phones",
]

REVEAL: Final = "customers.reveal_phone"
# Phones are stored in E.164 and nothing else is, so that a stored one is known wherever it stands.
STORED: Final = re.compile(r"(?<![\w+])\+[1-9][0-9]{6,14}(?![0-9])")
# What may be a phone in what people typed: digits, with at most one separator between two of them.
TYPED: Final = re.compile(r"(?<![\w+])[+(]?[0-9](?:[\s.()-]?[0-9]){7,}(?![0-9])")

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


def masked_typed(value: str) -> str:
    """What somebody typed, with whatever in it may be a phone masked."""
    return TYPED.sub(_masked_digits, value)


def _masked_digits(found: re.Match[str]) -> str:
    stored = phone.normalise(found[0])
    if stored is not None:
        return phone.mask(stored)
    digits = re.sub("[^0-9]", "", found[0])
    # Two numbers that were written as one are no phone, and hold two.
    written_as_one = len(digits) > 9 and found[0].startswith(("0", "+", "(", "84"))
    return f"{digits[:4]}***{digits[-3:]}" if written_as_one else found[0]


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
