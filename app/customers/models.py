"""The tables of customers: the record, its search words, groups, lists of choices, attributes."""

from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Boolean,
    Date,
    DateTime,
    Index,
    Integer,
    Numeric,
    PrimaryKeyConstraint,
    SmallInteger,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy import Uuid as UuidType
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, TSVECTOR
from sqlalchemy.orm import Mapped, mapped_column

from app.core.orm import TENANT, Base, TenantRow, Versioned, keys, reference

TEXT_SLOTS = tuple(f"t{n}" for n in range(1, 9))
NUMBER_SLOTS = tuple(f"n{n}" for n in range(1, 7))
DATE_SLOTS = tuple(f"d{n}" for n in range(1, 5))
SLOTS = TEXT_SLOTS + NUMBER_SLOTS + DATE_SLOTS
# Of a name, what lists are sorted by: no case, no accents, đ as d, then by the bytes, as every database does. A cheap
# expression: its index is paid by every import.
_PLAIN = {"a": "àáảãạăằắẳẵặâầấẩẫậ", "d": "đ", "e": "èéẻẽẹêềếểễệ", "i": "ìíỉĩị", "o": "òóỏõọôồốổỗộơờớởỡợ",
          "u": "ùúủũụưừứửữự", "y": "ỳýỷỹỵ"}  # fmt: skip
FOLDED_NAME = (
    f"translate(lower({{}} COLLATE pg_c_utf8), '{''.join(_PLAIN.values())}', "
    f"'{''.join(plain * len(marked) for plain, marked in _PLAIN.items())}')"
)
# Of a birthday, month * 100 + day. Not a generated column: PostgreSQL parses the expression of one anew for each row of
# an update of other columns, which doubles what that costs.
MONTH_DAY = "((EXTRACT(month FROM {0}) * 100::numeric + EXTRACT(day FROM {0}))::smallint)"
LIVE = text("deleted_at IS NULL")


def _slot_index(slot: str) -> Index:
    return Index(
        f"customer_{slot}_ix",
        "tenant_id",
        slot,
        text("created_at DESC"),
        postgresql_where=text(f"{slot} IS NOT NULL AND deleted_at IS NULL"),
    )


class Customer(TenantRow, Versioned, Base):
    """A customer: the 13 built-in fields, the system fields, and the workspace's own attributes."""

    __tablename__ = "customer"
    __table_args__ = (
        *keys("customer", ("owner_id", "app_user")),
        UniqueConstraint("tenant_id", "code", name="customer_code_uq"),
        Index(
            "customer_phone_uq",
            "tenant_id",
            "phone",
            unique=True,
            postgresql_where=text("phone IS NOT NULL AND deleted_at IS NULL"),
        ),
        Index("customer_name_ix", "tenant_id", text(FOLDED_NAME.format("name")), "id", postgresql_where=LIVE),
        Index("customer_created_ix", "tenant_id", text("created_at DESC"), text("id DESC"), postgresql_where=LIVE),
        Index(
            "customer_owner_ix",
            "tenant_id",
            "owner_id",
            text("created_at DESC"),
            text("id DESC"),
            postgresql_where=LIVE,
        ),
        Index(
            "customer_relationship_ix",
            "tenant_id",
            "relationship_id",
            text("created_at DESC"),
            text("id DESC"),
            postgresql_where=LIVE,
        ),
        Index(
            "customer_trash_ix",
            "tenant_id",
            text("deleted_at DESC"),
            text("id DESC"),
            postgresql_where=text("deleted_at IS NOT NULL"),
        ),
        *(
            Index(
                f"customer_{name}_ix",
                "tenant_id",
                column,
                postgresql_where=text(f"{column} IS NOT NULL AND deleted_at IS NULL"),
            )
            for name, column in (("source", "source_id"), ("type", "customer_type_id"), ("province", "province"))
        ),
        # With the day itself, so that counting does not need the rows.
        Index(
            "customer_birthday_ix",
            "tenant_id",
            text(MONTH_DAY.format("birthday")),
            postgresql_include=["birthday"],
            postgresql_where=text("birthday IS NOT NULL AND deleted_at IS NULL"),
        ),
        Index(
            "customer_tier_ix",
            "tenant_id",
            "tier_id",
            text("created_at DESC"),
            postgresql_where=text("tier_id IS NOT NULL AND deleted_at IS NULL"),
        ),
        Index(
            "customer_stars_ix",
            "tenant_id",
            "stars",
            text("created_at DESC"),
            postgresql_where=text("stars > 0 AND deleted_at IS NULL"),
        ),
        Index(
            "customer_email_ix",
            "tenant_id",
            "email",
            postgresql_where=text("email IS NOT NULL AND deleted_at IS NULL"),
        ),
        Index(
            "customer_shared_ix",
            "tenant_id",
            "shared_with",
            postgresql_using="gin",
            postgresql_where=text("shared_with <> '{}'"),
        ),
        Index(
            "customer_pool_ix",
            "tenant_id",
            text("created_at DESC"),
            text("id DESC"),
            postgresql_where=text("in_pool AND deleted_at IS NULL"),
        ),
        Index("customer_merged_ix", "tenant_id", "merged_into", postgresql_where=text("merged_into IS NOT NULL")),
        *(_slot_index(slot) for slot in SLOTS),
        # Room for the next version of a row in the page of the last: what no index holds is then changed without them.
        {"info": TENANT | {"searchable": True}, "postgresql_with": {"fillfactor": 85}},
    )

    # By its bytes, so that an index on it also finds how a code begins.
    code: Mapped[str] = mapped_column(Text(collation="C"))
    name: Mapped[str]
    phone: Mapped[str | None] = mapped_column(Text, doc="E.164")
    phone_typed: Mapped[str | None] = mapped_column(Text, doc="as it was typed, where that differs")
    email: Mapped[str | None]
    birthday: Mapped[date | None] = mapped_column(Date)
    province: Mapped[str | None] = mapped_column(Text, doc="code of the province, after the merger of 2025")
    province_typed: Mapped[str | None] = mapped_column(Text, doc="the old province's name, where that was given")
    gender: Mapped[str | None]
    address: Mapped[str | None]
    source_id: Mapped[UUID | None]
    customer_type_id: Mapped[UUID | None]
    company_name: Mapped[str | None]
    tax_code: Mapped[str | None]
    position: Mapped[str | None]
    note: Mapped[str | None]
    relationship_id: Mapped[UUID | None]
    owner_id: Mapped[UUID | None]
    group_nos: Mapped[list[int]] = mapped_column(ARRAY(Integer), doc="numbers of its groups, beside group_member")
    tag_nos: Mapped[list[int]] = mapped_column(ARRAY(Integer), server_default="{}", doc="numbers of its tags")
    attributes: Mapped[dict[str, Any]] = mapped_column(JSONB)
    created_by: Mapped[UUID | None]
    deleted_at: Mapped[datetime | None]
    deleted_by: Mapped[UUID | None]
    deleted_reason: Mapped[str | None] = mapped_column(Text, doc="trash; merge: it lives on in merged_into")
    merged_into: Mapped[UUID | None]

    kind: Mapped[str] = mapped_column(Text, server_default="individual", doc="lead, individual, company")
    referrer_id: Mapped[UUID | None] = mapped_column(doc="the customer who referred it")
    referrer_user_id: Mapped[UUID | None] = mapped_column(doc="the employee who referred it")
    fax: Mapped[str | None]
    registered_address: Mapped[str | None]
    office_address: Mapped[str | None]
    country: Mapped[str | None]
    district: Mapped[str | None] = mapped_column(Text, doc="as typed: districts ended in 2025")
    ward: Mapped[str | None]
    website: Mapped[str | None]
    founded_on: Mapped[date | None] = mapped_column(Date)
    tier_id: Mapped[UUID | None] = mapped_column(doc="a classification of the kind tier")
    tier_fixed: Mapped[bool] = mapped_column(Boolean, server_default="false", doc="set by hand: no rule moves it")
    score: Mapped[int] = mapped_column(Integer, server_default="0")
    stars: Mapped[int] = mapped_column(SmallInteger, server_default="0", doc="0 to 5, from the score")
    in_pool: Mapped[bool] = mapped_column(Boolean, server_default="false", doc="whether anybody may take it")
    shared_with: Mapped[list[UUID]] = mapped_column(
        ARRAY(UuidType()), server_default="{}", doc="colleagues who see it beside its owner"
    )

    t1: Mapped[str | None]
    t2: Mapped[str | None]
    t3: Mapped[str | None]
    t4: Mapped[str | None]
    t5: Mapped[str | None]
    t6: Mapped[str | None]
    t7: Mapped[str | None]
    t8: Mapped[str | None]
    n1: Mapped[Decimal | None] = mapped_column(Numeric)
    n2: Mapped[Decimal | None] = mapped_column(Numeric)
    n3: Mapped[Decimal | None] = mapped_column(Numeric)
    n4: Mapped[Decimal | None] = mapped_column(Numeric)
    n5: Mapped[Decimal | None] = mapped_column(Numeric)
    n6: Mapped[Decimal | None] = mapped_column(Numeric)
    d1: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    d2: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    d3: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    d4: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


class CustomerSearch(TenantRow, Base):
    """What a search box can find a customer by. Beside the record, so that other changes never pay for it.

    Derived, and written in the transaction that writes the customer; so no foreign key, which would cost an import a
    look-up for each row. `chot doctor` compares the two.
    """

    __tablename__ = "customer_search"
    __table_args__ = (
        PrimaryKeyConstraint("tenant_id", "id", name="customer_search_pk"),
        Index("customer_search_words_ix", "tenant_id", "words", postgresql_using="gin"),
        Index(
            "customer_search_phone_ix",
            "tenant_id",
            "phone_tail",
            postgresql_ops={"phone_tail": "text_pattern_ops"},
            postgresql_where=text("phone_tail IS NOT NULL"),
        ),
        {"info": TENANT | {"searchable": True}},
    )

    words: Mapped[Any] = mapped_column(TSVECTOR, doc="folded words of the name, e-mail, tax code")
    phone_tail: Mapped[str | None] = mapped_column(Text, doc="the phone's digits backwards, to find last digits")


class CustomerGroup(TenantRow, Versioned, Base):
    """A set of customers (nhóm khách hàng)."""

    __tablename__ = "customer_group"
    __table_args__ = (
        *keys("customer_group"),
        UniqueConstraint("tenant_id", "no", name="customer_group_no_uq"),
        UniqueConstraint("tenant_id", "name_key", name="customer_group_name_uq"),
        {"info": TENANT},
    )

    no: Mapped[int] = mapped_column(Integer, doc="its number in customer.group_nos")
    name: Mapped[str]
    name_key: Mapped[str] = mapped_column(Text, doc="the name in lower case, for uniqueness and imports")
    description: Mapped[str]
    dimension: Mapped[str | None] = mapped_column(Text, doc="what its groups divide customers by: Độ tuổi, Vùng miền")
    points: Mapped[int] = mapped_column(Integer, server_default="0", doc="what a member's score gets for it")


class GroupMember(Base):
    """Who belongs to a group: the truth behind customer.group_nos."""

    __tablename__ = "group_member"
    __table_args__ = (
        PrimaryKeyConstraint("tenant_id", "group_id", "customer_id", name="group_member_pk"),
        reference("group_member", "group_id", "customer_group", cascade=True),
        reference("group_member", "customer_id", "customer", cascade=True),
        Index("group_member_customer_ix", "tenant_id", "customer_id"),
        {"info": TENANT | {"searchable": True}},
    )

    tenant_id: Mapped[UUID]
    group_id: Mapped[UUID]
    customer_id: Mapped[UUID]
    added_at: Mapped[datetime]
    batch_id: Mapped[UUID | None] = mapped_column(doc="the import or bulk change that added it")


class Tag(TenantRow, Versioned, Base):
    """A tag of customers (nhãn)."""

    __tablename__ = "tag"
    __table_args__ = (
        *keys("tag"),
        UniqueConstraint("tenant_id", "no", name="tag_no_uq"),
        UniqueConstraint("tenant_id", "name_key", name="tag_name_uq"),
        {"info": TENANT},
    )

    no: Mapped[int] = mapped_column(Integer, doc="its number in customer.tag_nos")
    name: Mapped[str]
    name_key: Mapped[str]
    color: Mapped[str] = mapped_column(Text, doc="#rrggbb")


class TagMember(Base):
    """Who has a tag: the truth behind customer.tag_nos."""

    __tablename__ = "tag_member"
    __table_args__ = (
        PrimaryKeyConstraint("tenant_id", "tag_id", "customer_id", name="tag_member_pk"),
        reference("tag_member", "tag_id", "tag", cascade=True),
        reference("tag_member", "customer_id", "customer", cascade=True),
        Index("tag_member_customer_ix", "tenant_id", "customer_id"),
        {"info": TENANT | {"searchable": True}},
    )

    tenant_id: Mapped[UUID]
    tag_id: Mapped[UUID]
    customer_id: Mapped[UUID]
    added_at: Mapped[datetime]
    batch_id: Mapped[UUID | None] = mapped_column(doc="the import or bulk change that added it")


class ScoreRule(TenantRow, Versioned, Base):
    """What a workspace changed about scores; its id is the workspace's."""

    __tablename__ = "score_rule"
    __table_args__ = (*keys("score_rule"), {"info": TENANT})

    thresholds: Mapped[list[int]] = mapped_column(ARRAY(Integer), doc="the least score of each of the five stars")


class ScoreEntry(Base):
    """Why a customer has points: the ledger whose sum is customer.score."""

    __tablename__ = "score_entry"
    __table_args__ = (
        PrimaryKeyConstraint("tenant_id", "customer_id", "source_kind", "source_id", name="score_entry_pk"),
        reference("score_entry", "customer_id", "customer", cascade=True),
        {"info": TENANT},
    )

    tenant_id: Mapped[UUID]
    customer_id: Mapped[UUID]
    source_kind: Mapped[str] = mapped_column(Text, doc="group or transaction")
    source_id: Mapped[UUID] = mapped_column(doc="the group, or the transaction")
    points: Mapped[int] = mapped_column(Integer)
    at: Mapped[datetime] = mapped_column(doc="since when it counts so much")


class Classification(TenantRow, Versioned, Base):
    """A value of one of the workspace's ordered lists: source, customer type, relationship, tier."""

    __tablename__ = "classification"
    __table_args__ = (
        *keys("classification"),
        UniqueConstraint("tenant_id", "kind", "name_key", name="classification_name_uq"),
        {"info": TENANT},
    )

    kind: Mapped[str] = mapped_column(Text, doc="source, customer_type, relationship or tier")
    name: Mapped[str]
    name_key: Mapped[str]
    position: Mapped[int] = mapped_column(Integer)
    category: Mapped[str | None] = mapped_column(Text, doc="what automation knows a relationship by: new, won, lost …")
    active: Mapped[bool] = mapped_column(Boolean)
    # Of tiers only.
    # As callers send it: a Decimal would differ from the same percentage.
    discount_percent: Mapped[float | None] = mapped_column(Numeric(5, 2, asdecimal=False))
    benefits: Mapped[str | None]
    automatic: Mapped[bool] = mapped_column(Boolean, server_default="false", doc="customers get it by its conditions")
    conditions: Mapped[list[dict[str, Any]]] = mapped_column(
        JSONB, server_default="[]", doc="[{metric, at_least}]: each must hold"
    )


class Attribute(TenantRow, Versioned, Base):
    """A field that the workspace added (thuộc tính)."""

    __tablename__ = "attribute"
    __table_args__ = (
        *keys("attribute"),
        UniqueConstraint("tenant_id", "key", name="attribute_key_uq"),
        Index("attribute_name_uq", "tenant_id", "name_key", unique=True, postgresql_where=LIVE),
        Index(
            "attribute_slot_uq",
            "tenant_id",
            "slot",
            unique=True,
            postgresql_where=text("slot IS NOT NULL AND deleted_at IS NULL"),
        ),
        {"info": TENANT},
    )

    key: Mapped[str] = mapped_column(Text, doc="its key in customer.attributes; never changes")
    name: Mapped[str]
    name_key: Mapped[str]
    type: Mapped[str]
    position: Mapped[int] = mapped_column(Integer)
    required: Mapped[bool] = mapped_column(Boolean)
    is_unique: Mapped[bool] = mapped_column(Boolean)
    choices: Mapped[list[str]] = mapped_column(ARRAY(Text))
    slot: Mapped[str | None] = mapped_column(Text, doc="the typed column of customer that filters and sorts read")
    deleted_at: Mapped[datetime | None]


class UniqueValue(Base):
    """A value of a unique attribute, so that a constraint decides and not a look beforehand."""

    __tablename__ = "unique_value"
    __table_args__ = (
        PrimaryKeyConstraint("tenant_id", "attribute_id", "value", name="unique_value_pk"),
        reference("unique_value", "attribute_id", "attribute", cascade=True),
        reference("unique_value", "customer_id", "customer", cascade=True),
        Index("unique_value_customer_ix", "tenant_id", "customer_id"),
        {"info": TENANT},
    )

    tenant_id: Mapped[UUID]
    attribute_id: Mapped[UUID]
    value: Mapped[str]
    customer_id: Mapped[UUID]


class FieldSetting(TenantRow, Versioned, Base):
    """What a workspace changed about a built-in field."""

    __tablename__ = "field_setting"
    __table_args__ = (
        *keys("field_setting"),
        UniqueConstraint("tenant_id", "key", name="field_setting_key_uq"),
        {"info": TENANT},
    )

    key: Mapped[str]
    required: Mapped[bool] = mapped_column(Boolean)
    position: Mapped[int] = mapped_column(Integer)
