"""Each test calls from an address of its own: failed sign-ins are counted by address too."""

import itertools
from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI

_addresses = itertools.count(1)


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """HTTP without a caller, from an address that no other test uses."""
    n = next(_addresses)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=(f"192.0.{n // 256}.{n % 256}", 50_000))
    async with httpx.AsyncClient(transport=transport, base_url="http://chot.test") as made:
        yield made
