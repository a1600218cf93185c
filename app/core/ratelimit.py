"""Rate limits, shared by all processes at no cost per request.

A request is counted in this process only. Once a second the process adds what it counted to Valkey and reads
what all have counted, so a limit may be passed by about a second's worth of the other processes' requests. Without
Valkey each process holds the limit by itself: requests are never refused because Valkey is away.
"""

import asyncio
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

from redis.asyncio import Redis
from redis.exceptions import RedisError

from app.core.errors import TooManyRequests
from app.core.log import logger
from app.core.tasks import end

WINDOW = 60
SYNC_SECONDS = 1.0
MAX_COUNTERS = 100_000
BATCH = 1_000


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `quota` requests a minute of one `subject`; a quota of 0 is no limit."""

    name: str
    subject: str
    quota: int


@dataclass(slots=True)
class _Counter:
    """Requests of one subject. `shared` is what Valkey knew at the last exchange, `fresh` what it does not know yet."""

    window: int
    before: int = 0
    shared: int = 0
    fresh: int = 0

    def roll(self, window: int) -> None:
        if window != self.window:
            self.before = self.shared + self.fresh if window == self.window + 1 else 0
            self.window, self.shared, self.fresh = window, 0, 0

    def used(self, elapsed: float) -> float:
        """Requests in the last minute, the part of it before this window taken in proportion."""
        return self.before * (1 - elapsed / WINDOW) + self.shared + self.fresh


class RateLimiter:
    """Counts requests by subject over a sliding minute."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._counters: dict[str, _Counter] = {}
        self._task: asyncio.Task[None] | None = None

    def hit(self, limits: Sequence[Limit], moment: float | None = None) -> dict[str, str]:
        """Counts one request against each limit and returns the reply's headers.

        Raises:
            TooManyRequests: a limit is used up; then nothing is counted.
        """
        at = time.time() if moment is None else moment
        window, elapsed = int(at // WINDOW), at % WINDOW
        counted = [(limit, self._counter(limit.subject, window)) for limit in limits if limit.quota]
        if not counted:
            return {}
        left = [(limit.quota - counter.used(elapsed), limit, counter) for limit, counter in counted]
        policy = ", ".join(f'"{limit.name}";q={limit.quota};w={WINDOW}' for limit, _ in counted)
        lowest, limit, counter = min(left, key=lambda item: item[0])
        if lowest < 1:
            seconds = _wait(limit, counter, elapsed)
            raise TooManyRequests(
                seconds=seconds,
                headers={
                    "Retry-After": str(seconds),
                    "RateLimit-Policy": policy,
                    "RateLimit": f'"{limit.name}";r=0;t={seconds}',
                },
                extra={"limit": limit.name},
            )
        for _, counter in counted:
            counter.fresh += 1
        self._start()
        reset = math.ceil(WINDOW - elapsed)
        return {
            "RateLimit-Policy": policy,
            "RateLimit": ", ".join(f'"{limit.name}";r={int(room) - 1};t={reset}' for room, limit, _ in left),
        }

    async def synchronise(self, moment: float | None = None) -> None:
        """Adds this process's new requests to Valkey's counts and takes over the sums."""
        window = int((time.time() if moment is None else moment) // WINDOW)
        for subject in [key for key, counter in self._counters.items() if counter.window < window - 1]:
            del self._counters[subject]
        due = [(subject, counter) for subject, counter in self._counters.items() if counter.fresh]
        for start in range(0, len(due), BATCH):
            await self._exchange(due[start : start + BATCH])

    async def close(self) -> None:
        """Ends the exchange with Valkey."""
        if self._task:
            await end(self._task)
            self._task = None

    def _counter(self, subject: str, window: int) -> _Counter:
        counter = self._counters.get(subject)
        if counter is None:
            if len(self._counters) >= MAX_COUNTERS:
                del self._counters[next(iter(self._counters))]
            counter = self._counters[subject] = _Counter(window)
        counter.roll(window)
        return counter

    def _start(self) -> None:
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._forever())

    async def _forever(self) -> None:
        while True:
            await asyncio.sleep(SYNC_SECONDS)
            try:
                await self.synchronise()
            except (RedisError, OSError) as error:
                logger.info("rate_limits_not_shared", error=type(error).__name__)

    async def _exchange(self, due: list[tuple[str, _Counter]]) -> None:
        sent = [(counter, counter.window, counter.fresh) for _, counter in due]
        async with self._redis.pipeline(transaction=False) as pipe:
            for (subject, _), (_, window, fresh) in zip(due, sent, strict=True):
                name = f"chot:rate:{subject}:{window}"
                pipe.incrby(name, fresh)
                pipe.expire(name, 2 * WINDOW + 10)
            sums = (await pipe.execute())[::2]
        for (counter, window, fresh), total in zip(sent, sums, strict=True):
            if counter.window == window:
                counter.shared = int(total)
                counter.fresh -= fresh
            elif counter.window == window + 1:
                counter.before = int(total)


def _wait(limit: Limit, counter: _Counter, elapsed: float) -> int:
    """Seconds until one more request fits: as the old window slides out, or in the next one."""
    here = counter.shared + counter.fresh
    if here < limit.quota:
        fits = (1 - (limit.quota - 1 - here) / counter.before) * WINDOW - elapsed
    else:
        fits = WINDOW - elapsed + (1 - (limit.quota - 1) / here) * WINDOW
    return max(1, math.ceil(fits))
