"""The worker process: listens for the bell on each queue, sweeps, and keeps house."""

import asyncio
import signal
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, cast
from uuid import UUID

from arq.connections import ArqRedis
from arq.typing import WorkerCoroutine
from arq.worker import Worker, func
from redis.asyncio import ConnectionPool

from app import related
from app.core import log
from app.core.jobs import QUEUES, Queue, deserialize, queue_name, serialize
from app.core.log import logger
from app.core.resources import Resources, open_resources
from app.core.runner import Handler, Runner
from app.core.settings import Settings
from app.core.tasks import end
from workers.handlers import HANDLERS
from workers.housekeeping import keep_house

SILENCE_SECONDS = 10.0


class WorkerProcess:
    """Everything that one worker runs, as tasks of one event loop."""

    def __init__(self, resources: Resources, handlers: Mapping[str, Handler] = HANDLERS) -> None:
        related.register()
        self.resources = resources
        self.runner = Runner(resources, handlers)
        self._tasks: list[asyncio.Task[None]] = []
        self._bells: list[Worker] = []

    async def start(self) -> None:
        """Starts listening, sweeping and housekeeping."""
        self._tasks = [
            asyncio.create_task(self.runner.sweep_forever(), name="sweep"),
            asyncio.create_task(keep_house(self.resources), name="housekeeping"),
            *(asyncio.create_task(self._listen(queue), name=f"bell {queue}") for queue in QUEUES),
        ]

    async def stop(self) -> None:
        """Stops listening, lets running jobs reach their next checkpoint, then ends."""
        for bell in self._bells:
            bell.allow_pick_jobs = False
        await self.runner.stop()
        await end(*self._tasks)
        await asyncio.gather(*(_close(bell) for bell in self._bells))

    async def _listen(self, queue: Queue) -> None:
        """One arq worker a queue, started again whenever Valkey has gone and come back."""
        told = False
        while True:
            bell, began = self._bell(queue), time.monotonic()
            self._bells.append(bell)
            try:
                await bell.async_run()
            except Exception as error:  # noqa: BLE001 -- the sweeper works meanwhile
                if not told or time.monotonic() - began > SILENCE_SECONDS:
                    logger.warning("bell_lost", queue=queue, error=type(error).__name__)
                told = True
            self._bells.remove(bell)
            await _close(bell)
            await asyncio.sleep(1)

    def _bell(self, queue: Queue) -> Worker:
        redis_url = self.resources.settings.redis_url
        assert redis_url
        # Without a timeout, a Valkey that vanished without a word would leave us deaf for a quarter of an hour.
        pool = ConnectionPool.from_url(redis_url, socket_connect_timeout=1, socket_timeout=5)

        async def wake(_context: dict[str, Any], tenant_id: str, job_id: str) -> None:
            self.runner.wake(queue, UUID(tenant_id), UUID(job_id))

        return Worker(
            functions=[func(cast("WorkerCoroutine", wake), name="wake", keep_result=0, timeout=60, max_tries=1)],
            queue_name=queue_name(queue),
            redis_pool=ArqRedis(connection_pool=pool, job_serializer=serialize, job_deserializer=deserialize),
            job_serializer=serialize,
            job_deserializer=deserialize,
            poll_delay=0.05,
            handle_signals=False,
            keep_result=0,
            max_jobs=50,
            job_timeout=60,
            retry_jobs=False,
        )


async def _close(bell: Worker) -> None:
    """Ends an arq worker. Its own close() waits for Valkey, and raises CancelledError when a ring was in hand."""
    await end(*bell.tasks.values(), *([bell.main_task] if bell.main_task else []))
    with suppress(Exception):
        await asyncio.wait_for(bell.pool.aclose(close_connection_pool=True), 1)


async def serve(settings: Settings) -> None:
    """Runs a worker until SIGTERM or SIGINT."""
    log.configure(settings.log_level)
    resources = open_resources(settings, name="chot worker")
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    process = WorkerProcess(resources)
    await process.start()
    logger.info("worker_ready")
    await stop.wait()
    await process.stop()
    await resources.close()
