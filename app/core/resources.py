"""What a process holds while it runs: database, Valkey, blobs, settings. Made once, closed once."""

from dataclasses import dataclass

from redis.asyncio import Redis

from app.core.blobs import Blobs, open_blobs
from app.core.db import Database
from app.core.jobs import Bell
from app.core.migrate import app_url
from app.core.ratelimit import RateLimiter
from app.core.settings import Settings


@dataclass(frozen=True)
class Resources:
    """The process's connections to the outside."""

    settings: Settings
    db: Database
    bell: Bell
    redis: Redis
    blobs: Blobs
    limits: RateLimiter

    async def close(self) -> None:
        """Closes every connection."""
        await self.limits.close()
        await self.bell.close()
        await self.db.close()
        await self.redis.aclose()


def open_resources(settings: Settings, *, name: str) -> Resources:
    """Opens (lazily: nothing connects yet) what the settings name. `name` shows in pg_stat_activity."""
    assert settings.database_url, "no database is configured"
    assert settings.redis_url, "no Valkey is configured"
    db = Database(settings, app_url(settings), name=name)
    bell = db.bell = Bell(settings.redis_url)
    redis = Redis.from_url(settings.redis_url, socket_timeout=2, socket_connect_timeout=1, health_check_interval=30)
    return Resources(
        settings=settings,
        db=db,
        bell=bell,
        redis=redis,
        blobs=open_blobs(settings),
        limits=RateLimiter(redis),
    )
