"""Time and ids. Storage is UTC; days are the workspace's (Asia/Ho_Chi_Minh by default)."""

import re
from datetime import UTC, date, datetime
from uuid import UUID
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from uuid_utils.compat import uuid7

VIETNAM = ZoneInfo("Asia/Ho_Chi_Minh")
# Nobody and nothing: the actor of the system's own work, the workspace of what belongs to none, the id before all ids.
NIL = UUID(int=0)
# A place, or UTC: what PostgreSQL knows by the same name, which stands in its statements as it is.
_ZONE = re.compile(r"[A-Z][A-Za-z]+(?:/[A-Z][A-Za-z0-9_+-]*){1,2}|UTC")


def now() -> datetime:
    """The moment, aware and in UTC: written to rows as a parameter, never by the database's now()."""
    return datetime.now(UTC)


def today(zone: ZoneInfo = VIETNAM) -> date:
    """The calendar day in a workspace's time zone."""
    return datetime.now(zone).date()


def time_zone(name: str) -> ZoneInfo:
    """The time zone of an IANA name such as Asia/Ho_Chi_Minh; ValueError if there is none."""
    try:
        if _ZONE.fullmatch(name):
            return ZoneInfo(name)
    except (ZoneInfoNotFoundError, OSError):
        pass
    raise ValueError(name)


def new_id() -> UUID:
    """A UUIDv7: unique, and ordered by the time it was made."""
    return uuid7()


def id_at(moment: datetime) -> UUID:
    """What comes before every id that was made at this moment or later, and behind those made before."""
    return UUID(int=int(moment.timestamp() * 1000) << 80)
