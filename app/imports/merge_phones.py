"""Phones that contacts have, in an import: a chunk's rows that would give a customer the phone of another's contact.

Hardly anything is paid where the workspace's contacts have no phones. Rows of leads are left alone until they are leads
no more (E002). No phone is locked, for the server has no room for ten thousand locks: the chunk holds the lock of
`phones.share_with_imports` by then.
"""

from collections.abc import Sequence
from typing import Any, Final

import asyncpg
import msgspec

from app.core.actor import Actor
from app.core.errors import AppError
from app.core.masking import sees_phones
from app.core.vietnam import phone as vn_phone
from app.customers import phones
from app.customers.errors import PhoneTaken
from app.customers.referrers import LOOKUP
from app.customers.visibility import owners, reach
from app.imports.merge_sql import BY_PHONE, STAGED, WRITTEN
from app.imports.plan import Plan, problem_of

ANY_PHONE: Final = "SELECT EXISTS (SELECT FROM crm.contact_point p WHERE p.tenant_id = $1 AND p.tail IS NOT NULL)"
# Plain joins, no LATERAL: what cannot be hashed compares each with each in a workspace that the planner has not met.
# $5 whether the caller sees everybody, $6 and $7 whose customers they see at least and who they are. Of a lead that
# becomes more, all phones count; of who is added, the row's. `inside` says that a contact has it.
HELD: Final = f"""
WITH given AS MATERIALIZED (
    SELECT s.n, s.phone, reverse({vn_phone.national_sql("s.phone")}) AS tail, c.id
    FROM crm.import_staging s LEFT {BY_PHONE}
    WHERE {WRITTEN} AND s.phone IS NOT NULL AND coalesce(c.kind, 'lead') = 'lead' AND {{kind}} <> 'lead'
), numbers AS MATERIALIZED (
    SELECT g.n, g.id, g.phone AS value, g.tail FROM given g
    UNION ALL
    SELECT g.n, g.id, p.value, p.tail FROM given g
    JOIN crm.contact_point p ON p.tenant_id = $1 AND p.customer_id = g.id AND p.kind = 'phone'
), held AS (
    SELECT w.n, w.value, o.id, o.name, o.owner_id, o.in_pool, o.shared_with, true AS inside
    FROM numbers w JOIN crm.contact_point p ON p.tenant_id = $1 AND p.tail = w.tail
    JOIN crm.customer o ON o.tenant_id = $1 AND o.id = p.customer_id
    WHERE o.deleted_at IS NULL AND o.kind <> 'lead' AND o.id IS DISTINCT FROM w.id
    UNION ALL
    SELECT w.n, w.value, o.id, o.name, o.owner_id, o.in_pool, o.shared_with, false
    FROM numbers w JOIN crm.customer o ON o.tenant_id = $1 AND o.phone = w.value
    WHERE o.deleted_at IS NULL AND o.kind <> 'lead' AND o.id IS DISTINCT FROM w.id
)
SELECT DISTINCT ON (held.n) held.n, held.value, held.value IS NOT DISTINCT FROM g.phone AS typed, held.inside, held.id,
       held.name, held.owner_id, u.full_name AS owner, ($5::boolean OR {{seen}}) IS TRUE AS seen
FROM held JOIN given g ON g.n = held.n LEFT JOIN crm.app_user u ON u.tenant_id = $1 AND u.id = held.owner_id
ORDER BY held.n, typed DESC, seen DESC, held.id
"""
# $5 the action, $6 the rows, $7 the problems of each.
REFUSE: Final = f"""
UPDATE crm.import_staging s SET action = $5::text, errors = one.errors::jsonb
FROM unnest($6::int[], $7::text[]) AS one (n, errors) WHERE {STAGED} AND s.n = one.n
"""


async def refuse_held(
    connection: asyncpg.Connection,
    base: Sequence[Any],
    plan: Plan,
    actor: Actor,
    *,
    sees_all: bool,
    action: str,
) -> int:
    """Refuses the chunk's rows, $1 to $4 of whose statements are `base`, that would break it; answers how many."""
    if not await connection.fetchval(ANY_PHONE, base[0]):
        return 0
    mapped = any(target.field.key == "kind" for target in plan.targets)
    own = "s.kind" if mapped and plan.clear else "coalesce(s.kind, c.kind)" if mapped else "c.kind"
    statement = HELD.format(kind=f"coalesce({own}, 'individual')", seen=reach("held", "$6", "$7"))
    rows = await connection.fetch(statement, *base, sees_all, owners(actor), actor.person)
    if rows:
        problems = [msgspec.json.encode([_problem(plan, actor, row)]).decode() for row in rows]
        await connection.execute(REFUSE, *base, action, [row["n"] for row in rows], problems)
    return len(rows)


def _problem(plan: Plan, actor: Actor, row: asyncpg.Record) -> dict[str, Any]:
    """Why the row is refused, as far as the caller may know whose phone it is."""
    whole = row["typed"] or sees_phones(actor)
    known = row["inside"] and (row["seen"] or actor.may(LOOKUP))
    refusal: AppError = phones.in_contact(row, whole=whole) if known else PhoneTaken()
    target = next(target for target in plan.targets if target.field.key == "phone")
    value = (vn_phone.national if whole else vn_phone.mask)(row["value"])
    return problem_of(plan.vietnamese, target, refusal.code, refusal.message("vi"), refusal.message("en"), value)
