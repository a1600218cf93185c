"""From what a caller sends to what the table stores, field by field, through the registry."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from app.core.errors import FieldError, Invalid
from app.core.fields import BadValue, Field
from app.core.i18n import language
from app.core.vietnam import provinces
from app.customers.models import SLOTS
from app.customers.registry import Group, Registry
from app.customers.words import slot_text

__all__ = ["Values", "check", "required_error", "slot_value", "store"]


# A customer or an employee, never both: to name the one takes the other away.
REFERRERS = {"referrer": "referrer_user", "referrer_user": "referrer"}


@dataclass
class Values:
    """Checked values of one customer: table columns, attributes, groups, tags, and what only events show."""

    columns: dict[str, Any] = field(default_factory=dict)
    attributes: dict[str, Any] = field(default_factory=dict)
    groups: list[Group] | None = None
    tags: list[Group] | None = None
    shown: dict[str, Any] = field(default_factory=dict)

    @property
    def touches_search(self) -> bool:
        """Whether what the search box finds a customer by is among the values."""
        return not {"name", "phone", "email", "tax_code"}.isdisjoint(self.columns)


def check(registry: Registry, given: Mapping[str, Any], *, creating: bool) -> Values:
    """Parses and checks what was sent. A field that is absent stays absent; null clears.

    Raises:
        Invalid: with every field that is wrong, not only the first.
    """
    values, errors = Values(), list[FieldError]()
    flat = {key: value for key, value in given.items() if key != "attributes"}
    flat |= {f"attributes.{key}": value for key, value in (given.get("attributes") or {}).items()}
    for key, raw in flat.items():
        found = registry.fields.get(key)
        if found is None or not found.writable:
            errors.append(_error(key, "field_unknown", "Không có trường này", "There is no such field"))
            continue
        try:
            parsed = found.parse(raw)
        except BadValue as bad:
            errors.append(FieldError(field=key, code=bad.code, message=bad.message))
            continue
        if parsed is None and found.required:
            errors.append(required_error(found))
            continue
        store(registry, values, found, parsed, raw)
    if creating:
        missing = (f for f in registry.fields.values() if f.writable and f.required and f.key not in flat)
        errors.extend(required_error(f) for f in missing)
    if errors:
        raise Invalid(errors=errors)
    return values


def store(registry: Registry, values: Values, found: Field, parsed: Any, raw: Any) -> None:
    """Puts a parsed value where the table keeps it."""
    values.shown[found.key] = parsed
    if found.is_attribute:
        values.attributes[found.name] = parsed
        if found.slot:
            values.columns[found.slot] = slot_value(found.slot, parsed)
    elif found.key == "groups":
        values.groups = [registry.groups[name] for name in parsed or []]
    elif found.key == "tags":
        values.tags = [registry.tags[name] for name in parsed or []]
    elif found.key == "tier":
        # Chosen by hand it stays; without one it is the rules' to give (D017, D018).
        values.columns["tier_id"] = registry.ids["tier"][parsed] if parsed else None
        values.columns["tier_fixed"] = parsed is not None
    elif found.type in ("person", "record"):
        values.columns[str(found.column)] = UUID(parsed) if parsed else None
        if parsed and found.key == "owner":
            values.columns["in_pool"] = False
        if parsed and found.key in REFERRERS:
            other = REFERRERS[found.key]
            values.columns[f"{other}_id"] = values.shown[other] = None
    elif found.key == "kind":
        # Without one a customer is a person.
        values.columns["kind"] = values.shown["kind"] = parsed or "individual"
    elif found.key in registry.ids:
        values.columns[str(found.column)] = registry.ids[found.key][parsed] if parsed else None
    else:
        values.columns[str(found.column)] = date.fromisoformat(parsed) if found.type == "date" and parsed else parsed
        _keep_spelling(values, found, parsed, raw)


def slot_value(slot: str, parsed: Any) -> Any:
    """A canonical value as its slot column stores it."""
    assert slot in SLOTS
    if parsed is None:
        return None
    if slot[0] == "n":
        return Decimal(str(parsed))
    if slot[0] == "d":
        return datetime.fromisoformat(parsed if "T" in parsed else parsed + "T00:00:00+00:00")
    return ("true" if parsed else "false") if isinstance(parsed, bool) else slot_text(parsed)


def required_error(found: Field) -> FieldError:
    """A required field is missing or empty."""
    vi = f"{found.vi} là bắt buộc"
    return FieldError(
        field=found.key, code="required", message=vi if language.get() == "vi" else f"{found.en} is required"
    )


def _keep_spelling(values: Values, found: Field, parsed: Any, raw: Any) -> None:
    if found.key == "phone":
        typed = str(raw).strip()[:50] if isinstance(raw, str) and parsed else None
        values.columns["phone_typed"] = typed if typed != parsed else None
    if found.key == "province":
        match = provinces.find(str(raw)) if parsed else None
        values.columns["province_typed"] = match.old_name if match else None


def _error(key: str, code: str, vi: str, en: str) -> FieldError:
    return FieldError(field=key[:200], code=code, message=vi if language.get() == "vi" else en)
