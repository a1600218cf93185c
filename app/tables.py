"""Every table of the product, for Alembic and for the laws that walk the catalog."""

from app.bulk import models as bulk
from app.contacts import models as contacts
from app.contracts import models as contracts
from app.core import counters, events, idempotency, jobs
from app.core.orm import Base
from app.customers import batches, tabs
from app.customers import models as customers
from app.duplicates import models as duplicates
from app.exports import models as exports
from app.identity import models as identity
from app.imports import models as imports
from app.notifications import models as notifications
from app.transactions import models as transactions
from app.views import models as views

__all__ = [
    "batches",
    "bulk",
    "contacts",
    "contracts",
    "counters",
    "customers",
    "duplicates",
    "events",
    "exports",
    "idempotency",
    "identity",
    "imports",
    "jobs",
    "metadata",
    "notifications",
    "tabs",
    "transactions",
    "views",
]

metadata = Base.metadata
