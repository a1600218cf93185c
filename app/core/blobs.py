"""Files that people bring or take: a local folder by default, S3 or another store by CHOT_BLOB_URL."""

import asyncio
import errno
import os
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import BinaryIO

import obstore
from obstore.exceptions import BaseError, NotFoundError
from obstore.store import LocalStore, from_url

from app.core.settings import Settings

PART = 1 << 20
NUMBER = re.compile(r"\(os error (\d+)\)")


class Blobs:
    """Named byte strings. Names are made by us from ids, never from what a person typed."""

    def __init__(self, store: obstore.store.ObjectStore) -> None:
        self._store = store

    async def put(self, name: str, content: bytes | Path | BinaryIO) -> None:
        """Stores bytes or a file, by its path or open, under a name, replacing what stood there.

        Raises:
            OSError: the disk is full or the store is away.
        """
        try:
            await obstore.put_async(self._store, name, content)
        except BaseError as error:
            raise _os_error(error) from error

    async def get(self, name: str) -> bytes:
        """The whole content.

        Raises:
            FileNotFoundError: nothing stands under that name.
        """
        try:
            return bytes(await (await obstore.get_async(self._store, name)).bytes_async())
        except NotFoundError as error:
            raise FileNotFoundError(name) from error

    async def exists(self, name: str) -> bool:
        """Whether something stands under that name."""
        try:
            await obstore.head_async(self._store, name)
        except (NotFoundError, FileNotFoundError):
            return False
        return True

    async def stream(self, name: str) -> AsyncIterator[bytes]:
        """The content in parts of about a megabyte."""
        try:
            reply = await obstore.get_async(self._store, name)
        except NotFoundError as error:
            raise FileNotFoundError(name) from error
        async for part in reply.stream(min_chunk_size=PART):
            yield bytes(part)

    async def fetch(self, name: str, target: Path) -> None:
        """Copies a blob to a local file, in parts."""
        with target.open("wb") as file:
            async for part in self.stream(name):
                await asyncio.to_thread(file.write, part)

    async def copy(self, name: str, to: str) -> None:
        """Stores a blob under a second name, without bringing it here.

        Raises:
            FileNotFoundError: nothing stands under the first name.
        """
        try:
            await obstore.copy_async(self._store, name, to)
        except NotFoundError as error:
            raise FileNotFoundError(name) from error

    async def folders(self, prefix: str) -> list[str]:
        """The names of the folders right under a folder-like prefix, without it."""
        found = await obstore.list_with_delimiter_async(self._store, prefix)
        return [str(path).rstrip("/").rpartition("/")[2] for path in found["common_prefixes"]]

    async def delete_all(self, prefix: str) -> int:
        """Deletes every blob under a folder-like prefix; answers how many."""
        deleted = 0
        async for page in obstore.list(self._store, prefix):
            await obstore.delete_async(self._store, [item["path"] for item in page])
            deleted += len(page)
        return deleted


def open_blobs(settings: Settings) -> Blobs:
    """The store that the settings name."""
    if settings.blob_url:
        return Blobs(from_url(settings.blob_url))
    folder = settings.data_dir.resolve() / "blobs"
    return Blobs(LocalStore(folder, mkdir=True, automatic_cleanup=True))


def _os_error(error: BaseError) -> OSError:
    """What the store's own errors say in words."""
    found = NUMBER.search(str(error))
    number = int(found[1]) if found else errno.EIO
    return OSError(number, os.strerror(number))
