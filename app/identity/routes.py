"""Identity over HTTP."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response

from app.core.actor import Actor
from app.core.errors import Problem
from app.core.etag import IfMatch, set_etag
from app.core.i18n import language
from app.core.paging import Count, Cursor, Limit
from app.core.work import CurrentWork, Route, Session
from app.identity import api_keys, parameters, profile, roles, sessions, users
from app.identity.access import Requires, SignedIn, SignedInUser
from app.identity.permissions import PERMISSIONS, RoleKey
from app.identity.schemas import (
    ApiKeyIn,
    ApiKeyOut,
    ApiKeyPage,
    LoginIn,
    MeOut,
    NewApiKeyOut,
    PasswordIn,
    PermissionOut,
    PermissionPage,
    ProfilePatch,
    RefreshIn,
    RoleOut,
    RolePage,
    RolePatch,
    SettingsOut,
    SettingsPatch,
    TokensOut,
    UserIn,
    UserOut,
    UserPage,
    UserPatch,
)

CanManageUsers = Annotated[Actor, Depends(Requires("users.manage"))]
CanManageRoles = Annotated[Actor, Depends(Requires("roles.manage"))]
CanManageKeys = Annotated[Actor, Depends(Requires("api_keys.manage", people_only=True))]
CanChangeSettings = Annotated[Actor, Depends(Requires("settings.crm"))]

router = APIRouter(route_class=Route)
UNKEYED = " Idempotency-Key is ignored here: nobody is known yet whom it could belong to."

REFUSED: dict[int | str, dict[str, Any]] = {401: {"model": Problem}}


@router.post("/auth/login", tags=["auth"], summary="Sign in", description=(
    "Every failure answers alike, whether the workspace, the user or the password was wrong. After 5 failures the "
    "account waits: 429 with `Retry-After`." + UNKEYED
), responses=REFUSED)  # fmt: skip
async def login(work: CurrentWork, request: Request, body: LoginIn) -> TokensOut:
    """Opens a session."""
    client = request.scope.get("client")
    grant = await sessions.sign_in(
        work.db,
        work.resources.settings,
        workspace=body.workspace,
        username=body.username,
        password=body.password.get_secret_value(),
        ip=client[0] if client else "",
        user_agent=request.headers.get("user-agent", ""),
    )
    return _tokens(grant)


@router.post("/auth/refresh", tags=["auth"], summary="Trade a refresh token for a new pair", description=(
    "Each refresh token works once. A second use ends the session: somebody has a copy." + UNKEYED
), responses=REFUSED)  # fmt: skip
async def refresh_tokens(work: CurrentWork, body: RefreshIn) -> TokensOut:
    """Trades a refresh token."""
    return _tokens(await sessions.refresh(work.db, work.resources.settings, body.refresh_token))


@router.post("/auth/logout", tags=["auth"], summary="Sign out", status_code=204)
async def logout(actor: SignedInUser, session: Session) -> None:
    """Ends this session: its access and refresh tokens are refused from the next request on."""
    await sessions.sign_out(session, actor)


@router.post("/auth/logout-all", tags=["auth"], summary="Sign out on every device", status_code=204)
async def logout_everywhere(actor: SignedInUser, session: Session) -> None:
    """Ends all sessions of the caller."""
    await sessions.sign_out_everywhere(session, actor)


@router.get("/me", tags=["me"], summary="Read one's own account")
async def get_me(actor: SignedInUser, session: Session, response: Response) -> MeOut:
    """The account, what it may do, and the workspace."""
    found = await users.get_user(session, actor.id)
    set_etag(response, found.version)
    return await profile.me(session, actor, found)


@router.patch("/me", tags=["me"], summary="Change one's own account")
async def update_me(
    actor: SignedInUser, session: Session, response: Response, version: IfMatch, body: ProfilePatch
) -> MeOut:
    """Name, e-mail and phone; absent stays, null clears."""
    changed = await users.change_profile(session, actor, actor.id, version, body.given())
    set_etag(response, changed.version)
    return await profile.me(session, actor, changed)


@router.post("/me/password", tags=["me"], summary="Change one's own password", status_code=204)
async def change_my_password(actor: SignedInUser, work: CurrentWork, body: PasswordIn) -> None:
    """Ends the caller's other sessions; this one goes on."""
    await profile.change_password(work, actor, current=body.current_password, new=body.new_password)


@router.get("/users", tags=["users"], summary="List accounts")
async def list_users(
    _actor: CanManageUsers,
    session: Session,
    work: CurrentWork,
    q: Annotated[str | None, Query(max_length=100, description="In names, e-mail, phone; accents aside.")] = None,
    active: Annotated[bool | None, Query(description="Only accounts that may sign in, or only the others.")] = None,
    role: Annotated[RoleKey | None, Query(description="Only accounts with this role.")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
    count: Count = "none",
) -> UserPage:
    """In the order of user names."""
    secret = work.resources.settings.secret
    return await users.list_users(
        session, secret, q=q, active=active, role=role, limit=limit, cursor=cursor, count=count
    )  # fmt: skip


@router.post("/users", tags=["users"], summary="Add an account", status_code=201)
async def create_user(actor: CanManageUsers, work: CurrentWork, response: Response, body: UserIn) -> UserOut:
    """Others than sales can only be added by who holds `roles.manage`, and nobody grants what they do not have."""
    made = await users.create_user(work, actor, body)
    set_etag(response, made.version)
    response.headers["Location"] = f"/api/v1/users/{made.id}"
    return made


@router.get("/users/{user_id}", tags=["users"], summary="Read an account")
async def get_user(_actor: CanManageUsers, session: Session, response: Response, user_id: UUID) -> UserOut:
    """One account."""
    found = await users.get_user(session, user_id)
    set_etag(response, found.version)
    return found


@router.patch("/users/{user_id}", tags=["users"], summary="Change an account")
async def update_user(
    actor: CanManageUsers, work: CurrentWork, response: Response, user_id: UUID, version: IfMatch, body: UserPatch
) -> UserOut:
    """Absent stays, null clears. Deactivating, or setting a password, ends the account's sessions at once.
    The last active administrator stays."""
    changed = await users.change_user(work, actor, user_id, version, body.given())
    set_etag(response, changed.version)
    return changed


@router.get("/roles", tags=["users"], summary="List roles")
async def list_roles(_actor: CanManageUsers, session: Session) -> RolePage:
    """All roles, the most powerful first."""
    found = await roles.list_roles(session)
    return RolePage(items=found, count=len(found))


@router.get("/roles/{role_id}", tags=["users"], summary="Read a role")
async def get_role(_actor: CanManageUsers, session: Session, response: Response, role_id: UUID) -> RoleOut:
    """One role."""
    found = await roles.get_role(session, role_id)
    set_etag(response, found.version)
    return found


@router.patch("/roles/{role_id}", tags=["users"], summary="Change what a role may do")
async def update_role(
    actor: CanManageRoles, session: Session, response: Response, role_id: UUID, version: IfMatch, body: RolePatch
) -> RoleOut:
    """Binds everybody who has the role with their next request. The administrator's permissions stay."""
    changed = await roles.change_role(session, actor, role_id, version, body.given())
    set_etag(response, changed.version)
    return changed


@router.get("/permissions", tags=["users"], summary="List the named permissions")
async def list_permissions(_actor: SignedIn) -> PermissionPage:
    """What roles, accounts and API keys may be allowed."""
    vi = language.get() == "vi"
    items = [
        PermissionOut(
            key=one.key, label=one.vi if vi else one.en, label_vi=one.vi, label_en=one.en, grantable=one.grantable
        )
        for one in PERMISSIONS
    ]
    return PermissionPage(items=items, count=len(items))


@router.get("/api-keys", tags=["api-keys"], summary="List API keys")
async def list_api_keys(
    _actor: CanManageKeys,
    session: Session,
    work: CurrentWork,
    limit: Limit = 50,
    cursor: Cursor = None,
    count: Count = "none",
) -> ApiKeyPage:
    """The newest first, revoked ones included; secrets are shown nowhere."""
    secret = work.resources.settings.secret
    return await api_keys.list_keys(session, secret, limit=limit, cursor=cursor, count=count)


@router.post("/api-keys", tags=["api-keys"], summary="Make an API key", status_code=201)
async def create_api_key(
    actor: CanManageKeys, session: Session, work: CurrentWork, response: Response, body: ApiKeyIn
) -> NewApiKeyOut:
    """The reply is the only place where `key` is ever shown. A key may do what its scopes name and its maker may
    do, and ends when its maker's account does."""
    made = await api_keys.create_key(session, actor, work.resources.settings.secret, body)
    set_etag(response, made.version)
    response.headers["Location"] = f"/api/v1/api-keys/{made.id}"
    return made


@router.get("/api-keys/{key_id}", tags=["api-keys"], summary="Read an API key")
async def get_api_key(_actor: CanManageKeys, session: Session, response: Response, key_id: UUID) -> ApiKeyOut:
    """One key, without its secret."""
    found = await api_keys.get_key(session, key_id)
    set_etag(response, found.version)
    return found


@router.delete("/api-keys/{key_id}", tags=["api-keys"], summary="Revoke an API key", status_code=204)
async def revoke_api_key(actor: CanManageKeys, session: Session, key_id: UUID, version: IfMatch) -> None:
    """For good: its next request is refused."""
    await api_keys.revoke_key(session, actor, key_id, version)


@router.get("/settings", tags=["settings"], summary="Read the system parameters")
async def get_settings(_actor: SignedIn, session: Session, response: Response) -> SettingsOut:
    """Thông số hệ thống."""
    found = await parameters.read_settings(session)
    set_etag(response, found.version)
    return found


@router.patch("/settings", tags=["settings"], summary="Change the system parameters")
async def update_settings(
    actor: CanChangeSettings, session: Session, response: Response, version: IfMatch, body: SettingsPatch
) -> SettingsOut:
    """Absent stays."""
    changed = await parameters.change_settings(session, actor, version, body.given())
    set_etag(response, changed.version)
    return changed


def _tokens(grant: sessions.Grant) -> TokensOut:
    return TokensOut(access_token=grant.access_token, refresh_token=grant.refresh_token, expires_in=grant.expires_in)
