"""How the worker and the normalising process talk."""

from __future__ import annotations

from struct import Struct

HEAD = Struct(">cI")
"""Before what the worker sends: its kind and length."""
PLAN, SEEN, CHUNK = b"P", b"S", b"C"
REPLY = Struct(">III")
"""Before an answer: the lengths of the batch, of what the chunk adds to the memory of the file, and of the COPY."""
