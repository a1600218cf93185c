"""What a new workspace starts with, domain by domain."""

from collections.abc import Awaitable, Callable
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.customers import classifications
from app.transactions import types as transaction_types

Seeder = Callable[[AsyncSession, UUID], Awaitable[None]]

SEEDERS: list[Seeder] = [classifications.seed, transaction_types.seed]
