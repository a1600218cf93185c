"""What each action does: its permission, its parameters, and the change that it makes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.bulk.schemas import Action, Params
from app.core.actor import Actor
from app.core.clock import now
from app.core.errors import Invalid, invalid
from app.core.vietnam import text as vn
from app.customers import tags
from app.customers.assigning import Assign, How, loaded, of_groups, of_tags, of_values, stored
from app.customers.changing import Change, Where, deletion, restoration
from app.customers.configuring import name_key
from app.customers.registry import Group, Registry
from app.customers.trash import confirmed
from app.customers.values import check

__all__ = ["Decided", "change_of", "decide", "permission_of", "where_of"]

PERMISSIONS: Final[Mapping[str, str]] = {
    "delete": "customers.delete",
    "restore": "customers.delete",
    "purge": "customers.purge",
    "export": "customers.export",
}
EDIT: Final = "customers.edit"
LISTS: Final = ("relationship", "source", "customer_type", "tier")
GROUPS: Final[Mapping[str, How]] = {"groups_move": "move", "groups_add": "add", "groups_remove": "remove"}
TAGS: Final[Mapping[str, How]] = {"tag": "add", "untag": "remove"}
# One value for many customers would make them duplicates of each other; each may still be cleared.
PERSONAL: Final = ("name", "phone", "email", "tax_code", "fax", "referrer")
# What nobody has: the number of a tag that a preview must not make.
NOT_YET: Final = -1


@dataclass(frozen=True)
class Decided:
    """An action with its parameters checked, as it is kept for the job."""

    action: Action
    assigns: list[Assign] = field(default_factory=list)

    @property
    def kept(self) -> dict[str, Any]:
        """The decision as JSON, in ids."""
        return {"assigns": [stored(one) for one in self.assigns]}


def permission_of(action: str) -> str:
    """What the caller must hold."""
    return PERMISSIONS.get(action, EDIT)


def where_of(action: str) -> Where:
    """Whom the action is for: customers of the lists, or of the trash."""
    return "trash" if action in ("restore", "purge") else "live"


async def decide(
    session: AsyncSession, actor: Actor, registry: Registry, action: Action, params: Params, *, preview: bool = False
) -> Decided:
    """Checks the parameters. `tag` adds tags that are not there, for who may; a preview adds none and needs no
    confirmation.

    Raises:
        Invalid
    """
    if action == "set_field":
        return Decided(action, _field(registry, params.field, params.value))
    if action in LISTS:
        return Decided(action, _values(registry, action, params.value, "params.value"))
    if action == "owner":
        assigns = _values(registry, "owner", params.owner, "params.owner")
        return Decided(action, [*assigns, *([Assign("in_pool", "false")] if params.owner is not None else [])])
    if action in GROUPS:
        return Decided(action, [of_groups(registry, _groups(registry, params.groups), GROUPS[action])])
    if action in TAGS:
        numbers, known = await _tags(session, actor, registry, params.tags, adding=action == "tag", preview=preview)
        return Decided(action, [of_tags(known, numbers, TAGS[action])])
    if action == "purge" and not preview:
        confirmed(params.confirm, "params.confirm")
    if action == "to_pool":
        return Decided(action, [Assign("in_pool", "true", "in_pool")])
    return Decided(action)


def change_of(registry: Registry, actor: Actor, action: str, kept: Mapping[str, Any], *, back: bool = False) -> Change:
    """The change that a decision means now; `back` when it is to be taken back.

    Raises:
        LookupError: what it sets is no more.
    """
    if action == "delete":
        return deletion(actor, now())
    if action == "restore":
        return restoration()
    if action == "purge":
        return Change([Assign("deleted_reason", "purge")], "customer.purged", where="trash")
    return Change([loaded(registry, one, back=back) for one in kept["assigns"]])


def _field(registry: Registry, key: str | None, value: Any) -> list[Assign]:
    found = registry.get(key or "")
    if found is None or not found.writable:
        raise invalid("params.field", "field_unknown", "Không có trường này", "There is no such field")
    if (found.key in PERSONAL or found.unique) and value not in (None, ""):
        raise invalid("params.field", "field_not_bulk", f"Không thể đặt {found.vi} giống nhau cho nhiều khách hàng",
                      f"{found.en} cannot be the same for many customers")  # fmt: skip
    if found.key == "owner":
        value = None if value is None else str(value)
    return _values(registry, found.key, value, "params.value")


def _values(registry: Registry, key: str, value: Any, place: str) -> list[Assign]:
    if key not in registry.fields:
        raise invalid("params.field", "field_unknown", "Không có trường này", "There is no such field")
    try:
        return of_values(registry, check(registry, {key: value}, creating=False))
    except Invalid as error:
        raise Invalid(errors=[one.model_copy(update={"field": place}) for one in error.errors]) from None


def _groups(registry: Registry, given: list[str] | None) -> list[int]:
    by_id = {str(group.id): group for group in registry.groups.values()}
    return [_named(registry, "groups", one, by_id).no for one in _required(given, "groups")]


async def _tags(
    session: AsyncSession, actor: Actor, registry: Registry, given: list[str] | None, *, adding: bool, preview: bool
) -> tuple[list[int], Registry]:
    names = _required(given, "tags")
    if adding and not preview:
        registry = await tags.make_missing(session, actor, registry, {"tags": names})
    by_id = {str(tag.id): tag for tag in registry.tags.values()}
    if adding and preview and actor.may("tags.create"):
        for one in names:
            if not _known(registry, "tags", one, by_id):
                by_id[one] = Group(UUID(int=0), NOT_YET, one)
    return [_named(registry, "tags", one, by_id).no for one in names], registry


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
    keys = registry.fields[key].choice_keys
    name = keys.get(name_key(given)) or keys.get(vn.fold(given))
    return of.get(name or "") or by_id.get(given)
