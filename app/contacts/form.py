"""A customer and its contacts, added as one: the form whose second column is the people of the company (B002)."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.contacts import owners, service
from app.contacts.points import Point
from app.contacts.schemas import PointKind
from app.core.actor import Actor
from app.core.errors import AppError, FieldError, Invalid, invalid
from app.customers import phones
from app.customers.service import create

Checked = tuple[dict[str, Any], dict[PointKind, list[Point]]]


async def add_customer(
    session: AsyncSession, actor: Actor, given: Mapping[str, Any], contacts: Sequence[Mapping[str, Any]]
) -> UUID:
    """Adds a customer with its contacts, all or nothing. A company's first contact is whom to ask for, unless another
    one is said to be.

    Raises:
        Invalid: with everything that is wrong with any of them.
        PhoneTaken, PhoneInContact, ValueTaken
    """
    people, errors = _checked(contacts)
    if any(lists.get("phone") for _, lists in people):
        # Before the customer's own phone is locked: in the order of everybody who gives contacts phones.
        await phones.lock_out_imports(session)
    try:
        customer_id = await create(session, actor, given)
    except Invalid as wrong:
        raise Invalid(errors=[*wrong.errors, *errors]) from None
    if errors:
        raise Invalid(errors=errors)
    if not people:
        return customer_id
    customer = await owners.just_made(session, customer_id)
    primary = next((place for place, one in enumerate(contacts) if one.get("is_primary")), None)
    if primary is None and customer["kind"] == "company":
        primary = 0
    for place, (values, lists) in enumerate(people):
        try:
            await service.add(session, actor, customer, values, lists, primary=place == primary)
        except AppError as refused:
            refused.errors = _placed(refused.errors, place)
            if "field" in refused.extra:
                refused.extra["field"] = f"contacts.{place}.{refused.extra['field']}"
            raise
    return customer_id


def _checked(contacts: Sequence[Mapping[str, Any]]) -> tuple[list[Checked], list[FieldError]]:
    people, errors = list[Checked](), list[FieldError]()
    for place, one in enumerate(contacts):
        try:
            people.append(service.checked(one))
        except Invalid as wrong:
            errors += _placed(wrong.errors, place)
    if sum(bool(one.get("is_primary")) for one in contacts) > 1:
        errors += invalid("contacts", "too_many", "Chỉ một người liên hệ chính", "Only one primary contact").errors
    return people, errors


def _placed(errors: Sequence[FieldError], place: int) -> list[FieldError]:
    return [error.model_copy(update={"field": f"contacts.{place}.{error.field}"}) for error in errors]
