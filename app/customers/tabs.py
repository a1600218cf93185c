"""The tabs of a customer's page (chi tiết khách hàng): the workspace's order, and each person's own."""

from collections.abc import Sequence
from typing import Annotated, Any, Final
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from app.core.actor import Actor
from app.core.clock import now
from app.core.errors import Stale
from app.core.events import record
from app.core.i18n import language
from app.core.orm import TENANT, Base, TenantRow, Versioned, keys
from app.core.schemas import Strict
from app.core.validation import wrong

# In the guide's order, each with its label in both languages.
TABS: Final[dict[str, tuple[str, str]]] = {
    "contacts": ("Liên hệ khách hàng", "Contacts"),
    "tasks": ("Công việc", "Tasks"),
    "feedback": ("Phản hồi", "Feedback"),
    "loyalty": ("Loyalty", "Loyalty"),
    "orders": ("Đơn hàng", "Orders"),
    "marketing": ("Marketing", "Marketing"),
    "vouchers": ("Mã khuyến mãi", "Vouchers"),
    "opportunities": ("Cơ hội KD", "Opportunities"),
    "same_phone_customers": ("Khách hàng trùng SĐT", "Customers with the same phone"),
    "same_phone_orders": ("Đơn hàng trùng SĐT", "Orders with the same phone"),
    "transactions": ("Giao dịch", "Transactions"),
    "contracts": ("Hợp đồng", "Contracts"),
    "timeline": ("Lịch sử tương tác", "Timeline"),
}


class CustomerTabs(TenantRow, Versioned, Base):
    """The chosen tabs of a person, whose id it has, or of the workspace, whose id it has."""

    __tablename__ = "customer_tabs"
    __table_args__ = (*keys("customer_tabs"), {"info": TENANT})

    tabs: Mapped[list[str]] = mapped_column(JSONB, doc="the shown ones, in order")


def _known(keys_: list[str]) -> list[str]:
    for key in keys_:
        if key not in TABS:
            raise wrong("tab_unknown", f"Không có tab “{key}”", f"There is no tab “{key}”")
    if len(set(keys_)) < len(keys_):
        raise wrong("tab_repeated", "Một tab chỉ xuất hiện một lần", "A tab stands there twice")
    return keys_


TabKey = Annotated[str, Field(max_length=40, json_schema_extra={"enum": list(TABS)})]


class TabsIn(Strict):
    """The tabs to show, in order; those left out are hidden."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"tabs": ["timeline", "contacts"]}})

    tabs: Annotated[list[TabKey], Field(min_length=1, max_length=len(TABS)), AfterValidator(_known)]


class TabOut(BaseModel):
    """A tab of the page."""

    key: Annotated[str, Field(examples=["contacts"])]
    label: Annotated[str, Field(description="In the caller's language.", examples=["Liên hệ khách hàng"])]
    shown: bool


class TabsOut(BaseModel):
    """Every tab: the shown ones first, in order, then the hidden ones."""

    items: list[TabOut]
    source: Annotated[str, Field(description="Whose choice this is: mine, workspace or default.")]
    version: Annotated[int, Field(description="For If-Match of the PUT of the same path; 1 where never changed.")]


async def read(session: AsyncSession, tenant_id: UUID, user_id: UUID | None) -> TabsOut:
    """The tabs that a person sees, or with no person the workspace's."""
    wanted = [tenant_id] if user_id is None else [user_id, tenant_id]
    rows = {row.id: row for row in await session.scalars(select(CustomerTabs).where(CustomerTabs.id.in_(wanted)))}
    own, chosen = rows.get(wanted[0]), next((rows[one] for one in wanted if one in rows), None)
    source = "default" if chosen is None else "workspace" if chosen.id == tenant_id else "mine"
    return _out(list(TABS) if chosen is None else chosen.tabs, source, own.version if own else 1)


async def choose(
    session: AsyncSession, actor: Actor, user_id: UUID | None, tabs: Sequence[str], *, version: int
) -> TabsOut:
    """Keeps the shown tabs and their order, a person's or the workspace's.

    Raises:
        Stale: another version than that of the last choice.
    """
    row_id, moment = user_id or actor.tenant_id, now()
    row = await session.scalar(select(CustomerTabs).where(CustomerTabs.id == row_id).with_for_update())
    if (row.version if row else 1) != version:
        raise Stale()
    before: Any = row.tabs if row else None
    chosen = list(tabs)
    if before != chosen:
        values = {"tabs": chosen, "version": version + 1, "updated_at": moment}
        if row is None:
            first = upsert(CustomerTabs).values(tenant_id=actor.tenant_id, id=row_id, created_at=moment, **values)
            if await session.scalar(first.on_conflict_do_nothing().returning(CustomerTabs.id)) is None:
                raise Stale()
        else:
            await session.execute(update(CustomerTabs).where(CustomerTabs.id == row_id).values(**values))
        whose = "user" if user_id else "workspace"
        await record(session, actor, f"{whose}.tabs_changed", row_id, changes={"tabs": (before, chosen)})
    return await read(session, actor.tenant_id, user_id)


def _out(shown: Sequence[str], source: str, version: int) -> TabsOut:
    place = 0 if language.get() == "vi" else 1
    known = [key for key in shown if key in TABS]
    hidden = [key for key in TABS if key not in known]
    items = [TabOut(key=key, label=TABS[key][place], shown=key in known) for key in (*known, *hidden)]
    return TabsOut(items=items, source=source, version=version)
