"""Brings a table from an address onto this disk, where it can be read as often as it is needed."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, cast
from urllib.parse import unquote, urlsplit

import httpx

from orchestra.core.errors import InvalidTable, MissingExtra
from orchestra.core.files.atomic import atomic_file

# A path loses one of the two slashes of an address that was made a Path.
ADDRESS = re.compile(r"([a-z][a-z0-9+.-]+):/{1,2}(?=[^/])", re.IGNORECASE)
BLOCK_BYTES = 1 << 20
TIMEOUT_S = 60.0


def address_of(path: str | Path) -> str | None:
    """The address that `path` is, or None for a path of this disk."""
    text = str(path)
    found = ADDRESS.match(text)
    if found is None or found[1].lower() == "file":
        return None
    return f"{found[1]}://{text[found.end() :]}"


def local_copy(address: str) -> Path:
    """A copy of what `address` has now, in the user's cache; the last one takes its place.

    http and https are read as they are, others (s3, gs, sftp, ...) by fsspec. Raises InvalidTable
    when it cannot be read, and MissingExtra where fsspec is not installed.
    """
    target = _folder() / hashlib.sha256(address.encode()).hexdigest()[:16] / _name(address)
    target.parent.mkdir(parents=True, exist_ok=True)
    is_web = address.lower().startswith(("http://", "https://"))
    with _failing(address), atomic_file(target) as file:
        (_from_web if is_web else _from_elsewhere)(address, file)
    return target


def _folder() -> Path:
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "orchestra" / "tables"


def _name(address: str) -> str:
    """The file's name; of an address without a suffix it is a CSV until its content says more."""
    name = PurePosixPath(unquote(urlsplit(address).path)).name or "table"
    name = re.sub(r"[^\w.() -]", "_", name)[-100:]
    return name if "." in name else f"{name}.csv"


def _from_web(address: str, file: IO[bytes]) -> None:
    with httpx.stream("GET", address, follow_redirects=True, timeout=TIMEOUT_S) as reply:
        reply.raise_for_status()
        for block in reply.iter_bytes(BLOCK_BYTES):
            file.write(block)


def _from_elsewhere(address: str, file: IO[bytes]) -> None:
    try:
        import fsspec
    except ModuleNotFoundError as error:
        raise MissingExtra(
            f"Table {address!r} is read by 'fsspec', which is not installed: "
            "pip install 'orchestra-fleet[remote]'. Or download the table and give its path."
        ) from error
    with fsspec.open(address, "rb") as source:
        shutil.copyfileobj(cast(IO[bytes], source), file, BLOCK_BYTES)


@contextmanager
def _failing(address: str) -> Iterator[None]:
    """Failures of the network, and of who reads it, as InvalidTable."""
    try:
        yield
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError, ImportError) as error:
        if isinstance(error, MissingExtra):
            raise
        shown = re.sub(r"(?<=://)[^/@\s]*@", "", address)
        raise InvalidTable(
            f"Table {shown!r} cannot be read: {error}. Check the address, or download the table "
            "and give its path."
        ) from error
