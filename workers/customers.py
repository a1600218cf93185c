"""The jobs of customers' configuration: what a change must do to every customer, in chunks by id."""

from collections.abc import Awaitable, Callable, Mapping
from uuid import UUID

from sqlalchemy import select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.run import Again, Done, Outcome, Run
from app.core.runner import Handler
from app.customers import attribute_values, attributes, groups, scoring, tags, trash
from app.customers.models import Attribute
from app.customers.purging import purge_old as purge_old_customers
from app.identity.parameters import parameters

# Whoever wants to change one of these customers waits for the chunk: about a second.
CHUNK = 5_000
PART = 2_000
NOBODY = UUID(int=0)
PURGED = 500

Apply = Callable[[AsyncSession, UUID, UUID], Awaitable[None]]


async def free_slot(run: Run) -> Outcome:
    """Empties the slot of a deleted attribute, twice: who wrote while it was deleted may have filled it again."""
    async with run.transaction() as session:
        attribute = await _attribute(session, run)
    slot = attribute.slot
    if slot is None:
        return Done(effect=lambda session: _free(session, attribute.id))

    async def clear(session: AsyncSession, after: UUID, last: UUID) -> None:
        await attribute_values.clear_slot(session, slot, after, last)

    stopped = await _for_everybody(run, clear)
    if stopped:
        return stopped
    if not run.progress.get("settled"):
        run.progress = {"settled": True}
        return Again(seconds=attribute_values.SETTLE.total_seconds())
    return Done(effect=lambda session: _free(session, attribute.id))


async def rename_choices(run: Run) -> Outcome:
    """Gives customers the new names of an attribute's choices."""
    async with run.transaction() as session:
        attribute = await _attribute(session, run)

    async def rename(session: AsyncSession, after: UUID, last: UUID) -> None:
        await attribute_values.rename_choices(session, attribute, run.args["renamed"], after, last)

    return await _for_everybody(run, rename) or Done()


async def claim_rest(run: Run) -> Outcome:
    """Takes the values of an attribute that became unique which were written in that moment."""
    async with run.transaction() as session:
        attribute = await _attribute(session, run)
        if attribute.is_unique and attribute.deleted_at is None:
            await attribute_values.claim_rest(session, attribute)
    return Done()


async def forget_group(run: Run) -> Outcome:
    """Takes the number of a deleted group out of its customers."""

    async def forget(session: AsyncSession, after: UUID, last: UUID) -> None:
        left = await groups.forget(session, run.args["no"], after, last)
        if run.args.get("points"):
            await scoring.recompute(session, run.actor, left)

    return await _for_everybody(run, forget) or Done()


async def purge_old(run: Run) -> Outcome:
    """Deletes for good who has been in the trash for longer than the workspace keeps them."""
    while True:
        stopped = run.interrupted()
        if stopped:
            return stopped
        async with run.transaction() as session:
            days = (await parameters(session)).trash_retention_days
            limit = PURGED if days else 0
            gone = await purge_old_customers(session, run.actor, run.id, days=days, limit=limit) if limit else 0
            done = run.progress.get("done", 0) + gone
            run.progress = {**run.progress, "done": done}
        if not limit or gone < limit:
            return Done(result={"purged": done})


async def forget_tag(run: Run) -> Outcome:
    """Takes the number of a deleted tag out of its customers."""

    async def forget(session: AsyncSession, after: UUID, last: UUID) -> None:
        await tags.forget(session, run.args["no"], after, last)

    return await _for_everybody(run, forget) or Done()


async def rescore(run: Run) -> Outcome:
    """Brings the scores, stars and tiers that a changed rule touches up to date."""
    if "total" not in run.progress:
        async with run.transaction() as session:
            total = await scoring.size_of_scope(session, run.args)
            run.progress = {"done": 0, "total": total}
    while True:
        stopped = run.interrupted()
        if stopped:
            return stopped
        before = run.progress
        async with run.transaction() as session:
            ids = await scoring.part_of_scope(session, run.args, UUID(before.get("after", str(NOBODY))), PART)
            await scoring.recompute(session, run.actor, ids)
            if ids:
                run.progress = {**before, "after": str(ids[-1]), "done": before["done"] + len(ids)}
        if len(ids) < PART:
            return Done(result={"done": run.progress["done"]})


HANDLERS: Mapping[str, Handler] = {
    trash.PURGE_OLD: Handler(purge_old),
    attributes.FREE_SLOT: Handler(free_slot),
    attributes.RENAME_CHOICES: Handler(rename_choices),
    attributes.CLAIM_REST: Handler(claim_rest),
    groups.FORGET: Handler(forget_group),
    tags.FORGET: Handler(forget_tag),
    scoring.RESCORE: Handler(rescore),
}


async def _for_everybody(run: Run, apply: Apply) -> Outcome | None:
    """Applies to all customers, those in the trash too, chunk after chunk; None when the last one is done."""
    while True:
        stopped = run.interrupted()
        if stopped:
            return stopped
        before = run.progress
        async with run.transaction() as session:
            after = UUID(before.get("after", str(attribute_values.FIRST)))
            last = await _end_of_chunk(session, run.tenant_id, after)
            if last is None:
                return None
            await apply(session, after, last)
            run.progress = {**before, "after": str(last)}


async def _end_of_chunk(session: AsyncSession, tenant_id: UUID, after: UUID) -> UUID | None:
    last: UUID | None = await session.scalar(
        text("""
        SELECT chunk.id FROM (
            SELECT id FROM crm.customer WHERE tenant_id = :tenant_id AND id > :after ORDER BY id LIMIT :size) AS chunk
        ORDER BY chunk.id DESC LIMIT 1
        """),
        {"tenant_id": tenant_id, "after": after, "size": CHUNK},
    )
    return last


async def _attribute(session: AsyncSession, run: Run) -> Attribute:
    return (await session.scalars(select(Attribute).where(Attribute.id == run.subject_id))).one()


async def _free(session: AsyncSession, attribute_id: UUID) -> None:
    await attribute_values.release(session, attribute_id)
    await session.execute(update(Attribute).where(Attribute.id == attribute_id).values(slot=None))
