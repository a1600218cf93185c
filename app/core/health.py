"""Whether the process lives, whether it can serve, and what it counts."""

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel
from redis.exceptions import RedisError
from sqlalchemy import text

from app.core.errors import Problem
from app.core.log import logger

router = APIRouter(tags=["health"])


class Health(BaseModel):
    """`ok`, and each part that was asked."""

    status: str
    parts: dict[str, str] = {}


@router.get("/health/live", summary="The process runs")
async def health_live() -> Health:
    """Answers while the process can answer; asks nothing of others."""
    return Health(status="ok")


@router.get("/health/ready", summary="The API can serve", responses={503: {"model": Problem}})
async def health_ready(request: Request) -> Health:
    """Asks the database, without which nothing can be served, and names the state of Valkey, without which all can."""
    resources = request.app.state.resources
    async with resources.db.shared() as connection:
        await connection.execute(text("SELECT 1 FROM crm.workspace LIMIT 1"))
    try:
        await resources.redis.ping()
        valkey = "ok"
    except (RedisError, OSError) as error:
        logger.info("valkey_away", error=type(error).__name__)
        valkey = "away"
    return Health(status="ok", parts={"database": "ok", "valkey": valkey})


@router.get("/metrics", summary="Counters in Prometheus form", response_class=Response)
async def metrics() -> Response:
    """For the operator's scraper; holds no customer data."""
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)
