"""What a search box finds a customer by. Light to import: the processes that normalise files use it too."""

from app.core.vietnam import phone
from app.core.vietnam import text as vn


def search_words(name: str | None, email: str | None, code: str | None, tax_code: str | None) -> list[str]:
    """The words that a search box finds a customer by, folded."""
    found = dict.fromkeys(vn.words(name or "")[:40])
    if email:
        found[email] = None
        found[email.partition("@")[0]] = None
    if code:
        found[vn.fold(code)] = None
    if tax_code:
        found[tax_code] = None
    return [word[:200] for word in found]


def phone_tail(e164: str | None) -> str | None:
    """The digits of a phone backwards, as the index on last digits stores them."""
    return phone.national(e164)[::-1] if e164 else None
