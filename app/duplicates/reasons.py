"""Why two customers may be one: the workspace's keys, and what the duplicate centre looks for in every workspace."""

from collections.abc import Sequence
from typing import Final

from app.customers.duplicate_keys import DuplicateKey, values_sql

# Their values are found by a scan and not kept up to date; negative, so that no workspace's key has their number.
PHONE: Final = DuplicateKey(-1, ("phone",), plain=False)
EMAIL: Final = DuplicateKey(-2, ("email",))
NAME_AND_BIRTHDAY: Final = DuplicateKey(-3, ("name", "birthday"))
TAX_CODE: Final = DuplicateKey(-4, ("tax_code",))
STANDING: Final = (PHONE, EMAIL, NAME_AND_BIRTHDAY, TAX_CODE)


def all_reasons(keys: Sequence[DuplicateKey]) -> tuple[DuplicateKey, ...]:
    """The reasons of a workspace with these keys, in the order of the centre: its own come first."""
    own = sorted((key for key in keys if key.stored and key.ready), key=lambda key: -key.no)
    named = {key.fields for key in own}
    return (*own, *(key for key in STANDING if key.fields not in named))


def values(reasons: Sequence[DuplicateKey], customers: str, points: str) -> str:
    """(customer_id, key_no, value) of live customers, through their contacts too. `customers` is a predicate on `c`,
    `points` the same on contact points `p`."""
    return f"{values_sql(reasons, customers)} {through_contacts(customers, points)}"


def through_contacts(customers: str, points: str) -> str:
    """The further phones and addresses of customers and their contacts, as an addition to `values_sql`; and the own
    phones of customers that a contact of another has too: among themselves their phones cannot repeat."""
    return f"""
    UNION SELECT p.customer_id, CASE p.kind WHEN 'phone' THEN {PHONE.no} ELSE {EMAIL.no} END, p.value
    FROM crm.contact_point p JOIN crm.customer o ON o.tenant_id = $1 AND o.id = p.customer_id
    WHERE p.tenant_id = $1 AND {points} AND p.kind IN ('phone', 'email') AND o.deleted_at IS NULL
    UNION SELECT c.id, {PHONE.no}, c.phone
    FROM crm.customer c JOIN crm.customer_search s ON s.tenant_id = $1 AND s.id = c.id
    WHERE c.tenant_id = $1 AND {customers} AND c.deleted_at IS NULL AND EXISTS (
        SELECT FROM crm.contact_point p
        WHERE p.tenant_id = $1 AND p.tail = s.phone_tail AND p.value = c.phone AND p.customer_id <> c.id)
    """


def holds(reasons: Sequence[DuplicateKey]) -> str:
    """Whether a customer `c` still has the value of its row `d` in crm.duplicate_key, as a predicate."""
    return f"CASE d.key_no {' '.join(f'WHEN {one.no:d} THEN {_same(one)}' for one in reasons)} END"


def _same(reason: DuplicateKey) -> str:
    own = f"hashtextextended({reason.value()}, 0) = d.value_hash"
    if reason not in (PHONE, EMAIL):
        return own
    return f"""({own} OR EXISTS (
        SELECT FROM crm.contact_point p WHERE p.tenant_id = $1 AND p.customer_id = c.id
          AND p.kind = '{reason.fields[0]}' AND hashtextextended(p.value, 0) = d.value_hash))"""
