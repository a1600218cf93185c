"""A real worker with handlers for the fault tests: `python -m tests.faults.worker`.

CLOCK_MINUTES sets its clock wrong.
"""

import asyncio
import os
from collections.abc import MutableMapping
from datetime import UTC, datetime, timedelta, tzinfo
from typing import cast

from app.core import clock
from app.core.events import record
from app.core.run import Done, Outcome, Run
from app.core.runner import Handler
from app.core.settings import settings_or_exit
from workers import main
from workers.handlers import HANDLERS

WRONG = timedelta(minutes=float(os.environ.get("CLOCK_MINUTES", "0")))


class WrongClock(datetime):
    """A clock that somebody set by hand."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
        return datetime.now(tz or UTC) + WRONG


async def steps(run: Run) -> Outcome:
    """Does `steps` steps of `pause` seconds; each leaves an event, which only its commit makes real."""
    while (step := run.progress.get("next", 0)) < run.args["steps"]:
        async with run.transaction() as session:
            await record(session, run.actor, "test.stepped", run.id, data={"step": step})
            await asyncio.sleep(run.args.get("pause", 0))
            run.progress["next"] = step + 1
        if stop := run.interrupted():
            return stop
    return Done(result={"pid": os.getpid()})


if __name__ == "__main__":
    if WRONG:
        vars(clock)["datetime"] = WrongClock
    cast("MutableMapping[str, Handler]", HANDLERS)["test.steps"] = Handler(steps)
    asyncio.run(main.serve(settings_or_exit()))
