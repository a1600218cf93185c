"""What a customer is found by. Light to import: the processes that normalise files use it too."""

from typing import Any

from app.core.vietnam import phone
from app.core.vietnam import text as vn

SLOT_LENGTH = 650
# How long a text may be that is unique: the whole of it is in an index.
UNIQUE_LENGTH = 500


def search_words(name: str | None, email: str | None, tax_code: str | None) -> list[str]:
    """The words that a search box finds a customer by, folded.

    Few, because each word that only one customer has costs the index a key of its own: a code is found by its unique
    index, and the part of an address before its @ is the beginning of the address.
    """
    found = dict.fromkeys(vn.words(name or "")[:40])
    if email:
        found[email] = None
    if tax_code:
        found[tax_code] = None
    return [word[:200] for word in found]


def slot_text(value: Any) -> str:
    """A text as its slot column keeps it: no longer than an index takes (2,700 bytes), of the longest characters."""
    return str(value)[:SLOT_LENGTH]


def slot_text_sql(value: str) -> str:
    """`slot_text` as an SQL expression over one that gives a text."""
    return f"left({value}, {SLOT_LENGTH:d})"


def phone_tail(e164: str | None) -> str | None:
    """The digits of a phone backwards, as the index on last digits stores them."""
    return phone.national(e164)[::-1] if e164 else None
