"""Tables of identity: workspaces, their roles, users and teams, sessions, API keys and the login throttle."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Boolean, Index, LargeBinary, PrimaryKeyConstraint, Text, UniqueConstraint
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.core.orm import REFERENCE, TENANT, Base, TenantRow, Versioned, keys, reference


class Workspace(Base):
    """A company that uses the product: the tenant. Only the owner of the database writes here."""

    __tablename__ = "workspace"
    __table_args__ = (
        PrimaryKeyConstraint("id", name="workspace_pk"),
        UniqueConstraint("slug", name="workspace_slug_uq"),
        {"info": REFERENCE},
    )

    id: Mapped[UUID]
    slug: Mapped[str] = mapped_column(Text, doc="what people type at the login: [a-z0-9-]{2,40}")
    name: Mapped[str]
    timezone: Mapped[str] = mapped_column(Text, doc="IANA name; where days begin, until the parameters say so")
    created_at: Mapped[datetime]


class WorkspaceSetting(TenantRow, Versioned, Base):
    """System parameters (Thông số hệ thống): one row, whose id is the workspace's."""

    __tablename__ = "workspace_setting"
    __table_args__ = (*keys("workspace_setting"), {"info": TENANT})

    values: Mapped[dict[str, Any]] = mapped_column(JSONB, doc="only what differs from the defaults")


class Role(TenantRow, Versioned, Base):
    """A named set of permissions; a workspace is born with administrator, manager and sale."""

    __tablename__ = "role"
    __table_args__ = (
        *keys("role"),
        UniqueConstraint("tenant_id", "key", name="role_key_uq"),
        {"info": TENANT},
    )

    key: Mapped[str]
    name: Mapped[str]
    permissions: Mapped[list[str]] = mapped_column(ARRAY(Text))


class User(TenantRow, Versioned, Base):
    """A person who signs in (Tài khoản)."""

    __tablename__ = "app_user"
    __table_args__ = (
        *keys("app_user", ("role_id", "role")),
        UniqueConstraint("tenant_id", "username", name="app_user_username_uq"),
        {"info": TENANT},
    )

    username: Mapped[str] = mapped_column(Text, doc="lower case, never changes")
    full_name: Mapped[str]
    email: Mapped[str | None]
    phone: Mapped[str | None]
    search_text: Mapped[str] = mapped_column(Text, doc="the four above, folded: no accents, lower case")
    password_hash: Mapped[str]
    role_id: Mapped[UUID]
    permissions: Mapped[list[str] | None] = mapped_column(ARRAY(Text), doc="stand in for the role's when set")
    active: Mapped[bool] = mapped_column(Boolean)
    token_version: Mapped[int] = mapped_column(doc="raised to end every access token at once")
    last_login_at: Mapped[datetime | None]


class Team(TenantRow, Versioned, Base):
    """A team of staff (nhóm nhân viên); others may stand below it."""

    __tablename__ = "team"
    __table_args__ = (
        *keys("team", ("parent_id", "team")),
        UniqueConstraint("tenant_id", "name_key", name="team_name_uq"),
        {"info": TENANT},
    )

    name: Mapped[str]
    name_key: Mapped[str]
    parent_id: Mapped[UUID | None]


class TeamMember(Base):
    """Who is in a team; a person may be in several."""

    __tablename__ = "team_member"
    __table_args__ = (
        PrimaryKeyConstraint("tenant_id", "team_id", "user_id", name="team_member_pk"),
        reference("team_member", "team_id", "team", cascade=True),
        reference("team_member", "user_id", "app_user"),
        Index("team_member_user_ix", "tenant_id", "user_id"),
        {"info": TENANT},
    )

    tenant_id: Mapped[UUID]
    team_id: Mapped[UUID]
    user_id: Mapped[UUID]


class LoginSession(TenantRow, Base):
    """One sign-in on one device: the family of its refresh tokens."""

    __tablename__ = "login_session"
    __table_args__ = (
        *keys("login_session", ("user_id", "app_user")),
        Index("login_session_user_ix", "tenant_id", "user_id"),
        {"info": TENANT},
    )

    user_id: Mapped[UUID]
    created_at: Mapped[datetime]
    last_used_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]
    revoked_reason: Mapped[str | None]
    user_agent: Mapped[str]


class RefreshToken(TenantRow, Base):
    """One refresh token, of which only the hash is kept; a used one stays, so that its reuse is noticed."""

    __tablename__ = "refresh_token"
    __table_args__ = (
        *keys("refresh_token", ("session_id", "login_session"), cascade=True),
        Index("refresh_token_session_ix", "tenant_id", "session_id"),
        {"info": TENANT},
    )

    session_id: Mapped[UUID]
    token_hash: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime]
    used_at: Mapped[datetime | None]
    expires_at: Mapped[datetime]


class LoginThrottle(TenantRow, Base):
    """Failed sign-ins of an account, an address, or both together. All rows stand under the nil tenant:
    an account that does not exist must be counted like one that does, and an address belongs to no workspace."""

    __tablename__ = "login_throttle"
    __table_args__ = (*keys("login_throttle"), {"info": TENANT})

    failures: Mapped[int]
    locked_until: Mapped[datetime | None]
    updated_at: Mapped[datetime]


class ApiKey(TenantRow, Versioned, Base):
    """A key of a program; only a hash of its secret is kept."""

    __tablename__ = "api_key"
    __table_args__ = (*keys("api_key", ("created_by", "app_user")), {"info": TENANT})

    name: Mapped[str]
    secret_hash: Mapped[bytes] = mapped_column(LargeBinary)
    scopes: Mapped[list[str]] = mapped_column(ARRAY(Text))
    created_by: Mapped[UUID]
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None] = mapped_column(doc="exact to a minute")
