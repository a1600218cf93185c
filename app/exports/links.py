"""Links to a file that work for a while without a sign-in, so that a browser can follow them.

A link says its workspace, its export and its end, signed; whoever has it may take that one file.
"""

import base64
import hmac
import time
from hashlib import sha256
from struct import Struct
from uuid import UUID

from app.core.errors import NotFound

LIFETIME = 15 * 60
BODY = Struct(">16sQ")
SIGNATURE = 16


def link(secret: bytes, tenant_id: UUID, export_id: UUID) -> str:
    """A path with a token that works from now on for LIFETIME seconds."""
    body = BODY.pack(tenant_id.bytes, int(time.time()) + LIFETIME)
    token = base64.urlsafe_b64encode(body + _sign(secret, export_id, body)).decode().rstrip("=")
    return f"/api/v1/exports/{export_id}/file?token={token}"


def tenant_of_link(secret: bytes, export_id: UUID, token: str) -> UUID:
    """The workspace that a link's token leads to.

    Raises:
        NotFound: forged, of another export, or its time is over.
    """
    try:
        raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    except ValueError:
        raise NotFound() from None
    body = raw[:-SIGNATURE]
    if len(body) != BODY.size or not hmac.compare_digest(raw[-SIGNATURE:], _sign(secret, export_id, body)):
        raise NotFound()
    tenant, until = BODY.unpack(body)
    if until < time.time():
        raise NotFound()
    return UUID(bytes=tenant)


def _sign(secret: bytes, export_id: UUID, body: bytes) -> bytes:
    return hmac.digest(sha256(b"export link" + secret).digest(), export_id.bytes + body, "sha256")[:SIGNATURE]
