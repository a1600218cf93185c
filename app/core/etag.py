"""ETag and If-Match: a record's ETag is its version in quotes."""

from typing import Annotated

from fastapi import Depends, Header, Response

from app.core.errors import PreconditionRequired, Stale


async def _version(
    if_match: Annotated[str | None, Header(description='The ETag of the version you changed, as `"3"`.')] = None,
) -> int:
    if if_match is None:
        raise PreconditionRequired()
    quoted = if_match.strip()
    if len(quoted) > 2 and quoted[0] == quoted[-1] == '"' and quoted[1:-1].isascii() and quoted[1:-1].isdigit():
        return min(int(quoted[1:-1][:19]), 2**62)
    # A weak or foreign tag names no version of ours, so nothing matches it.
    raise Stale()


IfMatch = Annotated[int, Depends(_version)]


def set_etag(response: Response, version: int) -> None:
    """Puts the version of the record that the reply shows into its ETag."""
    response.headers["ETag"] = f'"{version}"'
