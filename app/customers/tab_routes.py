"""The tabs of a customer's page over HTTP."""

from typing import Annotated

from fastapi import APIRouter, Depends, Response

from app.core.actor import Actor
from app.core.etag import IfMatch, set_etag
from app.core.work import Route, Session
from app.customers import tabs
from app.customers.tabs import TabsIn, TabsOut
from app.identity.access import Requires, SignedIn, SignedInUser

CanChangeSettings = Annotated[Actor, Depends(Requires("settings.crm"))]

router = APIRouter(tags=["customers"], route_class=Route)


@router.get("/me/tabs/customers", summary="Read my tabs of a customer's page")
async def get_my_customer_tabs(actor: SignedInUser, session: Session, response: Response) -> TabsOut:
    """My own choice, else the workspace's, else the guide's order."""
    found = await tabs.read(session, actor.tenant_id, actor.id)
    set_etag(response, found.version)
    return found


@router.put("/me/tabs/customers", summary="Choose my tabs of a customer's page")
async def put_my_customer_tabs(
    actor: SignedInUser, session: Session, response: Response, version: IfMatch, body: TabsIn
) -> TabsOut:
    """For this person alone."""
    found = await tabs.choose(session, actor, actor.id, body.tabs, version=version)
    set_etag(response, found.version)
    return found


@router.get("/tabs/customers", summary="Read the workspace's tabs of a customer's page")
async def get_customer_tabs(actor: SignedIn, session: Session, response: Response) -> TabsOut:
    """What everybody sees who has made no choice of their own."""
    found = await tabs.read(session, actor.tenant_id, None)
    set_etag(response, found.version)
    return found


@router.put("/tabs/customers", summary="Choose the workspace's tabs of a customer's page")
async def put_customer_tabs(
    actor: CanChangeSettings, session: Session, response: Response, version: IfMatch, body: TabsIn
) -> TabsOut:
    """For everybody who has made no choice of their own."""
    found = await tabs.choose(session, actor, None, body.tabs, version=version)
    set_etag(response, found.version)
    return found
