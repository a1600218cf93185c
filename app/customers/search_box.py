"""The search box: one text that may be a name, a phone or its last digits, an e-mail address, a code, a tax code."""

import re
from collections.abc import Sequence

from app.core.db import escape_like
from app.core.vietnam import phone
from app.core.vietnam import text as vn
from app.filters.folding import lexeme
from app.filters.search import Sql

CODE = re.compile(r"[A-Za-z]{1,10}[0-9][A-Za-z0-9._/-]{0,40}")
# The tone mark on the first vowel, as it is taught now, and on the second, as many type it.
TONES = dict(
    zip(
        ["òa", "óa", "ỏa", "õa", "ọa", "òe", "óe", "ỏe", "õe", "ọe", "ùy", "úy", "ủy", "ũy", "ụy"],
        ["oà", "oá", "oả", "oã", "oạ", "oè", "oé", "oẻ", "oẽ", "oẹ", "uỳ", "uý", "uỷ", "uỹ", "uỵ"],
        strict=True,
    )
)


def search_box(sql: Sql, q: str, words: Sequence[str], *, partly: bool) -> tuple[str, str]:
    """What was typed as a predicate on customers or as one on their words: a phone in any spelling or its last
    digits, else words, the last one by its beginning.

    Phones are found `partly`, by their last or first digits, only for who may see them: for others these find nobody,
    or digit by digit they would give the number away. A whole number is found for everybody.
    """
    whole = vn.fold(q)
    if not whole:
        # Nothing but characters that nobody sees.
        return "false", ""
    match = " & ".join([*map(lexeme, words[:-1][:20]), *(lexeme(word, prefix=True) for word in words[-1:])])
    if " " not in whole and words != [whole]:
        # An e-mail address or a tax code is one word in the index, though it holds several.
        match = f"{lexeme(whole, prefix=True)} | {match}" if match else lexeme(whole, prefix=True)
    parts = [*_by_phone(sql, q, partly), *_by_code(sql, q)]
    if not parts:
        return ("", f"s.words @@ {sql.arg(match)}::text::tsquery") if match else ("false", "")
    if match:
        parts.append(
            "SELECT s.id FROM crm.customer_search s "
            f"WHERE s.tenant_id = $1 AND s.words @@ {sql.arg(match)}::text::tsquery"
        )
    # Found first, as an array: the planner would walk the newest customers and test each one (360 ms for 0.2).
    return f"c.id = ANY(ARRAY({' UNION '.join(parts)}))", ""


def as_written(sql: Sql, q: str) -> str:
    """Whether a name holds the words with the accents that were typed."""
    words = vn.accented_words(q)
    return " AND ".join(f"lower(c.name) ~ {sql.arg(_spelling(word))}" for word in words) or "true"


def _by_phone(sql: Sql, q: str, partly: bool) -> list[str]:
    """A phone in any spelling, and `partly` its last digits or its first."""
    forms = phone.search_forms(q)
    if forms is None:
        return []
    parts = []
    if forms.e164:
        parts += _by_tail(f"= {sql.arg(phone.national(forms.e164)[::-1])}")
    if forms.tail and partly:
        parts += _by_tail(f"LIKE {sql.arg(escape_like(forms.tail[::-1]) + '%')}")
    if forms.prefix and partly:
        after = forms.prefix[:-1] + chr(ord(forms.prefix[-1]) + 1)
        parts.append(
            "SELECT p.id FROM crm.customer p WHERE p.tenant_id = $1 AND p.deleted_at IS NULL "
            f"AND p.phone >= {sql.arg(forms.prefix)} AND p.phone < {sql.arg(after)}"
        )
    return parts


def _by_code(sql: Sql, q: str) -> list[str]:
    """A code or its beginning, as far as the first digit at least: every code begins with the same letters."""
    if not CODE.fullmatch(q):
        return []
    beginning = sql.arg(escape_like(q.upper()) + "%")
    return [f"SELECT c.id FROM crm.customer c WHERE c.tenant_id = $1 AND c.code LIKE {beginning}"]


def _by_tail(comparison: str) -> list[str]:
    """By the customer's own phone, and by its further ones and its contacts'."""
    return [
        f"SELECT s.id FROM crm.customer_search s WHERE s.tenant_id = $1 AND s.phone_tail {comparison}",
        f"SELECT p.customer_id FROM crm.contact_point p WHERE p.tenant_id = $1 AND p.tail {comparison}",
    ]


def _spelling(word: str) -> str:
    """A pattern for a word in both places of its tone mark (hòa, hoà), from its beginning."""
    both = "|".join(re.escape(one) for one in dict.fromkeys((word, _tone_on_last(word))))
    return rf"(^|\s)({both})"


def _tone_on_last(word: str) -> str:
    for new, old in TONES.items():
        if word.endswith(new):
            return word.removesuffix(new) + old
    return word
