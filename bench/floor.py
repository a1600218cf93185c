"""The floor: bare Starlette and asyncpg running the best SQL that is known for the same pages, tenant wall included."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import asyncpg
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

COLUMNS = """c.id, c.code, c.name, c.phone, c.phone_typed, c.email, c.birthday, c.province, c.gender, c.address,
 c.source_id, c.customer_type_id, c.company_name, c.tax_code, c.position, c.note, c.relationship_id, c.owner_id,
 c.attributes, c.created_at, c.updated_at, c.version"""
NEWEST = f"""SELECT coalesce(json_agg(x), '[]')::text FROM (SELECT {COLUMNS} FROM crm.customer c
 WHERE c.tenant_id = $1 AND c.deleted_at IS NULL ORDER BY c.created_at DESC, c.id DESC LIMIT 50) x"""
DEEP = f"""SELECT coalesce(json_agg(x), '[]')::text FROM (SELECT {COLUMNS} FROM crm.customer c
 WHERE c.tenant_id = $1 AND c.deleted_at IS NULL AND (c.created_at, c.id) < ($2::text::timestamptz, $3::text::uuid)
 ORDER BY c.created_at DESC, c.id DESC LIMIT 50) x"""
WORDS = f"""SELECT coalesce(json_agg(x), '[]')::text FROM (SELECT {COLUMNS} FROM crm.customer c
 JOIN crm.customer_search s ON s.tenant_id = c.tenant_id AND s.id = c.id
 WHERE c.tenant_id = $1 AND c.deleted_at IS NULL AND s.words @@ $2::text::tsquery
 ORDER BY c.created_at DESC, c.id DESC LIMIT 50) x"""
TAIL = f"""WITH m AS MATERIALIZED (SELECT s.id FROM crm.customer_search s
 WHERE s.tenant_id = $1 AND s.phone_tail LIKE $2)
 SELECT coalesce(json_agg(x), '[]')::text FROM (SELECT {COLUMNS} FROM m JOIN crm.customer c
 ON c.tenant_id = $1 AND c.id = m.id WHERE c.deleted_at IS NULL ORDER BY c.created_at DESC, c.id DESC LIMIT 50) x"""


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    """Opens the pool: as the application's role for pages, through the search role for searches."""
    app.state.pool = await asyncpg.create_pool(os.environ["FLOOR_URL"], min_size=16, max_size=16)
    app.state.tenant = UUID(os.environ["FLOOR_TENANT"])
    yield
    await app.state.pool.close()


async def _answer(request: Request, sql: str, *args: str, search: bool = False) -> Response:
    state = request.app.state
    async with state.pool.acquire() as connection, connection.transaction():
        await connection.execute("SELECT crm.use_tenant($1)", state.tenant)
        if search:
            await connection.execute("SET LOCAL ROLE crm_search")
        body = await connection.fetchval(sql, state.tenant, *args)
    return Response('{"items":' + body + "}", media_type="application/json")


async def newest(request: Request) -> Response:
    """The first page."""
    return await _answer(request, NEWEST)


async def deep(request: Request) -> Response:
    """A page far down."""
    return await _answer(request, DEEP, request.query_params["at"], request.query_params["id"])


async def words(request: Request) -> Response:
    """By words of the name."""
    return await _answer(request, WORDS, request.query_params["q"], search=True)


async def tail(request: Request) -> Response:
    """By the last digits of the phone."""
    return await _answer(request, TAIL, request.query_params["q"], search=True)


async def page(request: Request) -> Response:
    """A page of whom a hand-written condition finds, by the search role."""
    where = (await request.body()).decode()
    return await _answer(request, NEWEST.replace("IS NULL", f"IS NULL AND ({where})"), search=True)


async def count(request: Request) -> Response:
    """How many a hand-written condition finds; no more than `cap` when one is given."""
    where, cap = (await request.body()).decode(), request.query_params.get("cap")
    found = f"SELECT 1 FROM crm.customer c WHERE c.tenant_id = $1 AND c.deleted_at IS NULL AND ({where})"
    limit = f"LIMIT {int(cap)}" if cap else ""
    return await _answer(request, f"SELECT count(*)::text FROM ({found} {limit}) AS found", search=True)


app = Starlette(
    routes=[
        Route("/newest", newest),
        Route("/deep", deep),
        Route("/words", words),
        Route("/tail", tail),
        Route("/page", page, methods=["POST"]),
        Route("/count", count, methods=["POST"]),
    ],
    lifespan=lifespan,
)
