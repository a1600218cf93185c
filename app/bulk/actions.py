"""What each action does: whom it is for, its permission, its parameters, and the change that it makes."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.bulk.schemas import Params
from app.core.actor import Actor
from app.core.clock import now
from app.core.errors import Invalid, invalid
from app.core.vietnam import text as vn
from app.customers import tags
from app.customers.assigning import Assign, How, loaded, of_groups, of_people, of_tags, of_values, stored
from app.customers.changing import Change, Outcome, Where, change_many, deletion, preview_many, restoration
from app.customers.purging import Losses, preview_purge, purge_many
from app.customers.registry import Group, Registry
from app.customers.sharing import KINDS as SHARED
from app.customers.sharing import people
from app.customers.stages import told_as
from app.customers.trash import confirmed
from app.customers.values import check

__all__ = ["ACTIONS", "Asked", "Decided", "Kind", "Looked", "decide"]

# One value for many customers would make them duplicates of each other; each may still be cleared.
PERSONAL: Final = ("name", "phone", "email", "tax_code", "fax", "referrer")
# Its change has its own verb, which looks at the phone of each (E002).
CONVERTED: Final = "kind"
# What nobody has: the number of a tag that a preview must not make.
NOT_YET: Final = -1


@dataclass(frozen=True)
class Asked:
    """An action's parameters, and for whom they are read. A preview makes no tag and needs no confirmation."""

    session: AsyncSession
    actor: Actor
    registry: Registry
    params: Params
    preview: bool = False


@dataclass(frozen=True)
class Decided:
    """An action with its parameters checked."""

    action: str
    assigns: Sequence[Assign] = ()

    @property
    def kept(self) -> dict[str, Any]:
        """The decision as JSON, in ids, for the job."""
        return {"assigns": [stored(one) for one in self.assigns]}

    @classmethod
    def of(cls, registry: Registry, action: str, kept: Mapping[str, Any], *, back: bool = False) -> "Decided":
        """What was kept, with the names of now; `back` when it is to be taken back.

        Raises:
            Gone: what it sets is no more.
        """
        return cls(action, [loaded(registry, one, back=back) for one in kept["assigns"]])

    def change(self, registry: Registry, actor: Actor) -> Change:
        """What it does with each customer."""
        return ACTIONS[self.action].change(registry, actor, self.assigns)


@dataclass(frozen=True)
class Looked:
    """What an action would do, and what would go with who is purged."""

    outcome: Outcome = field(default_factory=Outcome)
    losses: Losses = field(default_factory=Losses)


Decide = Callable[[Asked], Awaitable[list[Assign]]]
Make = Callable[[Registry, Actor, Sequence[Assign]], Change]
Do = Callable[[AsyncSession, Actor, UUID, Sequence[UUID], Change], Awaitable[Outcome]]
Look = Callable[[AsyncSession, Actor, Sequence[UUID], Change], Awaitable[Looked]]


async def decide(asked: Asked, action: str) -> Decided:
    """Checks the parameters. `tag` adds tags that are not there, for who may.

    Raises:
        Invalid
    """
    return Decided(action, await ACTIONS[action].decide(asked))


def _setting(registry: Registry, _actor: Actor, assigns: Sequence[Assign]) -> Change:
    """Sets something, told as the same change of one customer would be."""
    changes = {one.key: (None, (one.names or {}).get(_id(one.value))) for one in assigns if one.key}
    return Change(assigns, told_as(registry.categories, changes))


async def _changing(
    session: AsyncSession, actor: Actor, batch_id: UUID, ids: Sequence[UUID], change: Change
) -> Outcome:
    return await change_many(session, actor, batch_id, ids, change)


async def _looking(session: AsyncSession, actor: Actor, ids: Sequence[UUID], change: Change) -> Looked:
    return Looked(await preview_many(session, actor, ids, change))


async def _purging(session: AsyncSession, actor: Actor, batch_id: UUID, ids: Sequence[UUID], _: Change) -> Outcome:
    return await purge_many(session, actor, batch_id, ids)


async def _looking_at_purged(session: AsyncSession, actor: Actor, ids: Sequence[UUID], _: Change) -> Looked:
    return Looked(*await preview_purge(session, actor, ids))


async def _looking_at_nothing(_session: AsyncSession, _actor: Actor, _ids: Sequence[UUID], _: Change) -> Looked:
    return Looked()


async def _nothing(_asked: Asked) -> list[Assign]:
    return []


async def _confirmation(asked: Asked) -> list[Assign]:
    if not asked.preview:
        confirmed(asked.params.confirm, "params.confirm")
    return []


async def _field(asked: Asked) -> list[Assign]:
    registry, value = asked.registry, asked.params.value
    found = registry.get(asked.params.field or "")
    if found is None or not found.writable:
        raise invalid("params.field", "field_unknown", "Không có trường này", "There is no such field")
    alone = {key.fields[0] for key in registry.duplicate_keys if len(key.fields) == 1}
    personal = found.key in PERSONAL or found.key in alone or found.unique
    if found.key == CONVERTED or (personal and value not in (None, "")):
        raise invalid("params.field", "field_not_bulk", f"Không thể đặt {found.vi} giống nhau cho nhiều khách hàng",
                      f"{found.en} cannot be the same for many customers")  # fmt: skip
    return _values(registry, found.key, value, "params.value")


def _value_of(key: str) -> Decide:
    async def read(asked: Asked) -> list[Assign]:
        return _values(asked.registry, key, asked.params.value, "params.value")

    return read


async def _owner(asked: Asked) -> list[Assign]:
    return _values(asked.registry, "owner", asked.params.owner, "params.owner")


def _people(how: How) -> Decide:
    async def read(asked: Asked) -> list[Assign]:
        given = _required(asked.params.users, "users")
        found = people(asked.registry, given, "params.users", gone=how == "remove")
        return [of_people(asked.registry, found, how)]

    return read


def _sharing(how: How) -> Make:
    return lambda _registry, _actor, assigns: Change(assigns, SHARED[how])


async def _pool(_asked: Asked) -> list[Assign]:
    return [Assign("in_pool", "true", "in_pool")]


def _groups(how: How) -> Decide:
    async def read(asked: Asked) -> list[Assign]:
        by_id = {str(group.id): group for group in asked.registry.groups.values()}
        found = [_named(asked.registry, "groups", one, by_id) for one in _required(asked.params.groups, "groups")]
        return [of_groups(asked.registry, [one.no for one in found], how)]

    return read


def _tags(how: How) -> Decide:
    async def read(asked: Asked) -> list[Assign]:
        registry, names = asked.registry, _required(asked.params.tags, "tags")
        by_id = {str(tag.id): tag for tag in registry.tags.values()}
        if how == "add" and not asked.preview:
            # Who names a tag by its id does not mean a new one of that name.
            new = [one for one in names if one not in by_id]
            registry = await tags.make_missing(asked.session, asked.actor, registry, {"tags": new})
        if how == "add" and asked.preview and asked.actor.may("tags.create"):
            for one in names:
                if not _known(registry, "tags", one, by_id):
                    by_id[one] = Group(UUID(int=0), NOT_YET, one)
        return [of_tags(registry, [_named(registry, "tags", one, by_id).no for one in names], how)]

    return read


def _values(registry: Registry, key: str, value: Any, place: str) -> list[Assign]:
    try:
        return of_values(registry, check(registry, {key: value}, creating=False))
    except Invalid as error:
        raise Invalid(errors=[one.model_copy(update={"field": place}) for one in error.errors]) from None


def _required(given: list[str] | None, name: str) -> list[str]:
    if not given:
        raise invalid(f"params.{name}", "required", "Chưa chọn giá trị nào", "Nothing is chosen")
    return given


def _named(registry: Registry, key: str, given: str, by_id: Mapping[str, Group]) -> Group:
    found = _known(registry, key, given, by_id)
    if found is None:
        shown = given[:80]
        raise invalid(f"params.{key}", "choice_unknown", f"Không có giá trị “{shown}” trong hệ thống",
                      f"The value “{shown}” does not exist")  # fmt: skip
    return found


def _known(registry: Registry, key: str, given: str, by_id: Mapping[str, Group]) -> Group | None:
    of = registry.groups if key == "groups" else registry.tags
    return of.get(registry.fields[key].chosen(vn.clean(given)) or "") or by_id.get(given)


def _id(value: Any) -> Any:
    """The key that the names of a list know a value by."""
    try:
        return UUID(value)
    except (TypeError, ValueError, AttributeError):
        return None


@dataclass(frozen=True)
class Kind:
    """One action: `where` the customers are that it is for, how its parameters are read, and what it does."""

    permission: str = "customers.edit"
    where: Where = "live"
    decide: Decide = _nothing
    change: Make = _setting
    do: Do = _changing
    look: Look = _looking
    undoable: bool = True


DELETION: Final = Kind("customers.delete", change=lambda _registry, actor, _assigns: deletion(actor, now()))
ACTIONS: Final[Mapping[str, Kind]] = {
    "set_field": Kind(decide=_field),
    "relationship": Kind(decide=_value_of("relationship")),
    "source": Kind(decide=_value_of("source")),
    "customer_type": Kind(decide=_value_of("customer_type")),
    "tier": Kind(decide=_value_of("tier")),
    "owner": Kind(decide=_owner),
    "groups_move": Kind(decide=_groups("move")),
    "groups_add": Kind(decide=_groups("add")),
    "groups_remove": Kind(decide=_groups("remove")),
    "tag": Kind(decide=_tags("add")),
    "untag": Kind(decide=_tags("remove")),
    "to_pool": Kind(decide=_pool),
    "share": Kind(decide=_people("add"), change=_sharing("add")),
    "unshare": Kind(decide=_people("remove"), change=_sharing("remove")),
    "delete": DELETION,
    "restore": replace(DELETION, where="trash", change=lambda _registry, _actor, _assigns: restoration()),
    "purge": Kind(
        "customers.purge", "trash", _confirmation, do=_purging, look=_looking_at_purged, undoable=False
    ),
    # A job of its own (exports).
    "export": Kind("customers.export", look=_looking_at_nothing, undoable=False),
}  # fmt: skip
