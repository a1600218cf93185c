"""Watches every statement that the application's role sends during the tests (tests/conftest.py imports its fixtures).

A statement without its tenant, or of a form that Citus refuses, fails the test during which it was sent.
"""

import re
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import asyncpg
import pytest
from sqlalchemy import Connection, Engine, event

from tests.laws.statements import faults, names_tenant_table, writes

APPLICATION = "crm_app"
# A connection with this application_name belongs to a law that breaks the rules on purpose.
LAWLESS = "a law's own"
RAW_METHODS = ("execute", "_execute", "_executemany")


@dataclass
class Transaction:
    """What a connection's transaction has done so far."""

    tenant: bool = False
    role: str = "NONE"
    wrote: bool = False
    savepoints: int = 0


class Sent(NamedTuple):
    """A statement that the bare driver was given, in the role of its transaction."""

    statement: str
    args: tuple[Any, ...]
    role: str


class Guard:
    """Follows the transactions of every connection and keeps what was wrong."""

    def __init__(self) -> None:
        self.wrong: list[str] = []
        self.seen = 0
        self._transactions: WeakKeyDictionary[Any, Transaction] = WeakKeyDictionary()
        self._suspended = 0
        self._records: list[list[Sent]] = []

    @contextmanager
    def suspended(self) -> Iterator[None]:
        """While a law takes a wall down on purpose."""
        self._suspended += 1
        try:
            yield
        finally:
            self._suspended -= 1

    @contextmanager
    def recording(self) -> Iterator[list[Sent]]:
        """The statements that the bare driver is given meanwhile, on any connection."""
        record: list[Sent] = []
        self._records.append(record)
        try:
            yield record
        finally:
            # By identity: two lists that heard the same are equal.
            self._records = [one for one in self._records if one is not record]

    def record(self, connection: Any, statement: str, args: tuple[Any, ...]) -> None:
        """One statement, just after it was seen, for those who listen."""
        for record in self._records:
            record.append(Sent(statement, args, self._transactions[connection].role))

    def see(self, connection: Any, statement: str) -> None:
        """One statement, just before it is sent."""
        self.seen += 1
        transaction = self._transactions.setdefault(connection, Transaction())
        found = [*self._follow(connection, transaction, statement)]
        if transaction.role != "crm_dispatch":
            found += faults(statement)
        if found and not self._suspended:
            self.wrong.append(f"{'; '.join(found)}:\n{statement.strip()}")

    def _follow(self, connection: Any, transaction: Transaction, statement: str) -> Iterator[str]:
        """The order of a transaction: its tenant first, the door before any write."""
        word = statement.split(maxsplit=1)[0].rstrip(";").upper() if statement.strip() else ""
        # Not at BEGIN: SQLAlchemy announces the first statement before it begins.
        if word == "COMMIT" or (word == "ROLLBACK" and " TO " not in statement.upper()):
            self._transactions[connection] = Transaction()
        elif word == "SAVEPOINT":
            transaction.savepoints += 1
        elif word == "RELEASE":
            transaction.savepoints -= 1
        elif "crm.use_tenant" in statement:
            if transaction.savepoints:
                yield "the tenant is named inside a savepoint, whose end it would outlive"
            transaction.tenant = True
        elif role := re.match(r"\s*SET\s+LOCAL\s+ROLE\s+(\w+)", statement, re.I):
            transaction.role = role[1]
            if role[1] == "crm_search" and transaction.wrote:
                yield "the search door after a write of the same transaction: Citus refuses it"
        elif names_tenant_table(statement) and transaction.role != "crm_dispatch":
            if not transaction.tenant:
                yield "the transaction has not named its tenant yet"
            transaction.wrote |= writes(statement)


GUARD = Guard()


@pytest.fixture(scope="session", autouse=True)
def watch_statements() -> Iterator[Guard]:
    """Listens to SQLAlchemy, and to the driver where it is used bare."""
    originals = {name: getattr(asyncpg.Connection, name) for name in RAW_METHODS}
    for name, original in originals.items():
        setattr(asyncpg.Connection, name, _watched(original))
    event.listen(Engine, "before_cursor_execute", _before_execute)
    yield GUARD
    event.remove(Engine, "before_cursor_execute", _before_execute)
    for name, original in originals.items():
        setattr(asyncpg.Connection, name, original)
    assert not GUARD.wrong, "\n\n".join(GUARD.wrong)


@pytest.fixture(autouse=True)
def statements_name_their_tenant(watch_statements: Guard) -> Iterator[None]:
    """Fails the test during which a bad statement was sent."""
    yield
    wrong, watch_statements.wrong[:] = list(dict.fromkeys(watch_statements.wrong)), []
    assert not wrong, "\n\n".join(wrong)


def _before_execute(connection: Connection, _cursor: Any, statement: str, *_: Any) -> None:
    if connection.engine.url.username == APPLICATION:
        GUARD.see(connection.connection.driver_connection, statement)


def _watched(original: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    @wraps(original)
    async def method(self: asyncpg.Connection, query: str, *args: Any, **options: Any) -> Any:
        if self._params.user == APPLICATION and self.get_settings().application_name != LAWLESS:
            GUARD.see(self, query)
            # What execute() is given with arguments comes again as _execute().
            if original.__name__ == "_execute":
                GUARD.record(self, query, args[0])
        return await original(self, query, *args, **options)

    return method
