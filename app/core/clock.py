"""Time and ids. Storage is UTC; "today" is the workspace's (Asia/Ho_Chi_Minh by default)."""

from datetime import UTC, date, datetime
from uuid import UUID
from zoneinfo import ZoneInfo

from uuid_utils.compat import uuid7

VIETNAM = ZoneInfo("Asia/Ho_Chi_Minh")
# Nobody and nothing: the actor of the system's own work, the workspace of what belongs to none, the id before all ids.
NIL = UUID(int=0)


def now() -> datetime:
    """The moment, aware and in UTC: written to rows as a parameter, never by the database's now()."""
    return datetime.now(UTC)


def today(zone: ZoneInfo = VIETNAM) -> date:
    """The calendar day in a workspace's time zone."""
    return datetime.now(zone).date()


def new_id() -> UUID:
    """A UUIDv7: unique, and ordered by the time it was made."""
    return uuid7()
