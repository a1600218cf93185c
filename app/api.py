"""The product's table of contents: every domain's router, each under /api/v1.

A path is matched in this order, and the order decides: `/customers/{customer_id}` would take `/customers/trash`,
`/customers/search` and the other words for an id, so the routers that own them stand before `customers`.
"""

from fastapi import APIRouter

from app.bulk.routes import router as bulk
from app.contacts.form_routes import router as forms
from app.contacts.routes import router as contacts
from app.contracts.routes import router as contracts
from app.customers.attribute_routes import router as attributes
from app.customers.classification_routes import router as classifications
from app.customers.field_routes import router as fields
from app.customers.group_routes import router as groups
from app.customers.routes import router as customers
from app.customers.score_routes import router as scores
from app.customers.search_routes import router as searches
from app.customers.sharing_routes import router as sharing
from app.customers.tab_routes import router as tabs
from app.customers.tag_routes import router as tags
from app.customers.trash_routes import router as trash
from app.duplicates.convert_routes import router as conversions
from app.duplicates.merge_routes import router as merges
from app.duplicates.routes import router as duplicates
from app.exports.routes import router as exports
from app.identity.routes import router as identity
from app.identity.team_routes import router as teams
from app.imports.routes import router as imports
from app.jobs.routes import router as jobs
from app.notifications.routes import router as notifications
from app.transactions.routes import router as transactions
from app.views.routes import router as views

PREFIX = "/api/v1"
ROUTERS: tuple[APIRouter, ...] = (
    scores,
    trash,
    searches,
    forms,
    customers,
    sharing,
    identity,
    teams,
    groups,
    tags,
    fields,
    attributes,
    classifications,
    contacts,
    conversions,
    tabs,
    duplicates,
    merges,
    transactions,
    views,
    contracts,
    imports,
    bulk,
    exports,
    jobs,
    notifications,
)
