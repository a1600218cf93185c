"""Every table of the product, for Alembic and for the laws that walk the catalog."""

from app.core import counters, events, idempotency, jobs
from app.core.orm import Base
from app.customers import models as customers
from app.identity import models as identity
from app.imports import models as imports
from app.notifications import models as notifications

__all__ = [
    "counters",
    "customers",
    "events",
    "idempotency",
    "identity",
    "imports",
    "jobs",
    "metadata",
    "notifications",
]

metadata = Base.metadata
