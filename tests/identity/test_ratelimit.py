"""Rate limits: a sliding minute, shared through Valkey, never failing because Valkey is away."""

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis
from redis.exceptions import RedisError

from app.core.errors import TooManyRequests
from app.core.ratelimit import MAX_COUNTERS, WINDOW, Limit, RateLimiter
from app.core.settings import Settings

START = 1_700_000_040.0  # the first second of a window
NOWHERE = "redis://127.0.0.1:1/0"


@pytest.fixture
async def redis(settings: Settings) -> AsyncIterator[Redis]:
    """A connection of its own."""
    assert settings.redis_url
    made = Redis.from_url(settings.redis_url)
    yield made
    await made.aclose()


def allowed(limiter: RateLimiter, limit: Limit, at: float) -> bool:
    try:
        limiter.hit([limit], at)
    except TooManyRequests:
        return False
    return True


@given(st.integers(1, 30), st.lists(st.floats(0, 20), min_size=1, max_size=200))
@settings(max_examples=100, deadline=None)
async def test_no_minute_holds_more_than_twice_and_no_window_more_than_the_quota(quota: int, gaps: list[float]) -> None:
    """The sliding count is an estimate: never over the quota in a clock minute, never refusing when idle before."""
    limiter, limit, at = RateLimiter(Redis.from_url(NOWHERE)), Limit("user", "somebody", quota), START
    passed: list[float] = []
    for gap in gaps:
        at += gap
        before = [moment for moment in passed if moment > at - 2 * WINDOW]
        if allowed(limiter, limit, at):
            passed.append(at)
        else:
            assert len(before) >= quota, "refused although the last two minutes hold fewer than the quota"
    for window in {moment // WINDOW for moment in passed}:
        assert sum(moment // WINDOW == window for moment in passed) <= quota
    await limiter.close()


async def test_retry_after_is_the_moment_when_one_more_fits() -> None:
    limiter, limit = RateLimiter(Redis.from_url(NOWHERE)), Limit("user", "somebody", 10)
    for n in range(10):
        assert allowed(limiter, limit, START + n)
    with pytest.raises(TooManyRequests) as refused:
        limiter.hit([limit], START + 30)
    seconds = int(refused.value.headers["Retry-After"])
    assert not allowed(limiter, limit, START + 30 + seconds - 1.1)
    assert allowed(limiter, limit, START + 30 + seconds)
    with pytest.raises(TooManyRequests) as again:
        limiter.hit([limit], START + 30 + seconds)
    assert 1 <= int(again.value.headers["Retry-After"]) <= 7
    await limiter.close()


async def test_a_quota_of_nought_is_no_limit() -> None:
    limiter = RateLimiter(Redis.from_url(NOWHERE))
    assert limiter.hit([Limit("user", "a", 0), Limit("workspace", "b", 0)]) == {}
    await limiter.close()


async def test_a_refused_request_counts_nowhere() -> None:
    limiter = RateLimiter(Redis.from_url(NOWHERE))
    small, large = Limit("user", "a", 1), Limit("workspace", "b", 3)
    limiter.hit([small, large], START)
    for _ in range(5):
        with pytest.raises(TooManyRequests):
            limiter.hit([small, large], START)
    other = Limit("user", "c", 5)
    assert allowed(limiter, Limit("workspace", "b", 3), START)
    assert "r=0;" in limiter.hit([other, large], START)["RateLimit"]
    await limiter.close()


async def test_processes_share_their_counts(redis: Redis) -> None:
    here, there = RateLimiter(redis), RateLimiter(redis)
    limit = Limit("user", uuid4().hex, 10)
    for _ in range(5):
        here.hit([limit], START)
        there.hit([limit], START)
    await here.synchronise(START)
    await there.synchronise(START)
    assert not allowed(there, limit, START), "ten requests are ten, whoever served them"
    for limiter in (here, there):
        await limiter.close()


async def test_the_minute_before_is_shared_too(redis: Redis) -> None:
    here, there = RateLimiter(redis), RateLimiter(redis)
    limit = Limit("user", uuid4().hex, 10)
    for limiter in (here, there):
        for _ in range(5):
            limiter.hit([limit], START)
        await limiter.synchronise(START)
    assert not allowed(there, limit, START + WINDOW), "the new minute has just begun"
    assert allowed(there, limit, START + WINDOW + 45)
    for limiter in (here, there):
        await limiter.close()


async def test_without_valkey_each_process_holds_the_limit_itself() -> None:
    limiter = RateLimiter(Redis.from_url(NOWHERE, socket_connect_timeout=0.2))
    limit = Limit("user", "somebody", 3)
    for _ in range(3):
        assert allowed(limiter, limit, START)
    with pytest.raises(RedisError):
        await limiter.synchronise(START)
    assert not allowed(limiter, limit, START)
    assert allowed(limiter, limit, START + 2 * WINDOW)
    await limiter.close()


async def test_memory_is_bounded() -> None:
    limiter = RateLimiter(Redis.from_url(NOWHERE, socket_connect_timeout=0.2))
    for n in range(MAX_COUNTERS + 500):
        limiter.hit([Limit("user", f"u{n}", 5)], START)
    assert len(limiter._counters) == MAX_COUNTERS
    with pytest.raises(RedisError):
        await limiter.synchronise(START + WINDOW)
    assert limiter._counters, "the minute before still counts"
    await limiter.synchronise(START + 2 * WINDOW)
    assert not limiter._counters
    await limiter.close()
