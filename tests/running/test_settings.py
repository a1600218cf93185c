"""Settings that guard something: the kept secret, TLS to the database, and the commands' last word."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from app.cli import base_url
from app.core.db import Database, server_away
from app.core.migrate import app_url, prepare_database
from app.core.resources import Resources
from app.core.settings import Settings, SettingsError, kept_secret, load_settings
from app.doctor import examine
from app.embedded import TLS_QUESTION

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("content", ["", "\n", "half a sec"])
def test_an_empty_secret_is_no_secret(tmp_path: Path, content: str) -> None:
    """With it, anybody could sign an administrator's token."""
    (tmp_path / "secret").write_text(content)
    with pytest.raises(SettingsError, match="secret holds no secret of 32 bytes"):
        _ = Settings(data_dir=tmp_path).secret


def test_of_many_who_make_the_secret_all_get_the_same(tmp_path: Path) -> None:
    path = tmp_path / "data" / "secret"
    with ThreadPoolExecutor(16) as pool:
        found = set(pool.map(kept_secret, [path] * 64))
    assert found == {path.read_text()}
    assert len(path.read_text()) == 64
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("query", ["ssl=require", "sslmode=require&channel_binding=require", "application_name=x"])
def test_what_a_database_url_cannot_say_is_named(query: str) -> None:
    with pytest.raises(SettingsError, match=r"CHOT_DATABASE_URL: .*is not understood here"):
        load_settings(database_url=f"postgresql://chot:x@db.example/chot?{query}")


@pytest.mark.parametrize("proxies", ["*", "10.1.0.0/33", "proxy.example", "10.1.0.1,*"])
def test_a_proxy_is_an_address_or_a_network(proxies: str) -> None:
    with pytest.raises(SettingsError, match=r"CHOT_TRUSTED_PROXIES: .* is neither an address nor a network"):
        load_settings(trusted_proxies=proxies)


def test_the_url_of_an_ipv6_host_is_a_url(tmp_path: Path) -> None:
    assert base_url(Settings(data_dir=tmp_path, host="::1", port=8123)) == "http://[::1]:8123"
    assert base_url(Settings(data_dir=tmp_path)) == "http://127.0.0.1:8000"


@pytest.fixture
async def plain_server() -> AsyncIterator[tuple[int, list[bytes]]]:
    """A port that has no TLS, and the first eight bytes of everybody who came."""
    asked: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readexactly(8))
        writer.write(b"N")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], asked


async def through_the_engine(settings: Settings) -> None:
    db = Database(settings, app_url(settings))
    async with db.transaction(uuid4()) as session:
        await session.execute(text("SELECT 1"))


async def through_the_readers(settings: Settings) -> None:
    async with Database(settings, app_url(settings)).reading(uuid4()):
        pass


async def through_the_doctor(settings: Settings) -> None:
    await examine(str(settings.database_url))


@pytest.mark.parametrize("enter", [through_the_engine, through_the_readers, through_the_doctor, prepare_database])
async def test_nobody_talks_in_the_clear_where_the_url_asks_for_tls(
    plain_server: tuple[int, list[bytes]],
    settings: Settings,
    enter: Callable[[Settings], Coroutine[Any, Any, object]],
) -> None:
    port, asked = plain_server
    url = f"postgresql://chot:x@127.0.0.1:{port}/chot?sslmode=require"
    with pytest.raises(Exception, match=r"(?i)ssl"):
        await enter(settings.model_copy(update={"database_url": url}))
    assert asked == [TLS_QUESTION]


async def test_a_value_that_the_driver_cannot_send_is_no_outage(resources: Resources) -> None:
    late = datetime.max.replace(tzinfo=timezone(timedelta(hours=-12)))
    async with resources.db.transaction(uuid4()) as session:
        with pytest.raises(DBAPIError) as caught:
            await session.execute(text("SELECT CAST(:moment AS timestamptz)"), {"moment": late})
    assert not server_away(caught.value)


def chot(data: Path, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("CHOT_")}
    return subprocess.run(
        [sys.executable, "-m", "app.cli", *words],
        cwd=ROOT,
        env={**clean, "CHOT_DATA_DIR": str(data), **env},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_a_command_without_private_servers_ends_in_one_line(tmp_path: Path) -> None:
    """As on a machine without their wheels, or here with a folder that is a file."""
    (tmp_path / "pg").write_text("not a cluster")
    for command in ("doctor", "migrate"):
        ended = chot(tmp_path, command)
        assert (ended.returncode, ended.stdout) == (2, ""), ended.stderr
        assert ended.stderr.startswith("chot: ")
        assert "Traceback" not in ended.stderr


def test_a_command_refuses_in_one_language(tmp_path: Path, settings: Settings) -> None:
    ended = chot(
        tmp_path,
        *("workspace", "create", "A B", "--name", "x", "--admin-password", "đủ dài để nhận 1"),
        CHOT_DATABASE_URL=str(settings.database_url),
        CHOT_REDIS_URL=str(settings.redis_url),
        CHOT_SECRET_KEY=str(settings.secret_key),
    )
    assert ended.returncode == 2
    assert ended.stderr == "chot: Some values are not valid; slug: 2 to 40 of a-z, 0-9 and -\n"
