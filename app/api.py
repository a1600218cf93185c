"""The product's table of contents: every domain's router, each under /api/v1. The busiest come first: the path is
matched in this order."""

from fastapi import APIRouter

from app.customers.attribute_routes import router as attributes
from app.customers.classification_routes import router as classifications
from app.customers.field_routes import router as fields
from app.customers.group_routes import router as groups
from app.customers.routes import router as customers
from app.identity.routes import router as identity
from app.imports.routes import router as imports
from app.jobs.routes import router as jobs
from app.notifications.routes import router as notifications

PREFIX = "/api/v1"
ROUTERS: tuple[APIRouter, ...] = (
    customers,
    identity,
    groups,
    fields,
    attributes,
    classifications,
    imports,
    jobs,
    notifications,
)
