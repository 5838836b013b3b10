"""Keys as their owners have them: `orc_ID_SECRET`, with a checksum by which a slip is told.

The id is public and names the key in reports and errors. The secret has 256 random bits: nobody
tries them all, so that its SHA-256 may be kept as it is, and checking one costs microseconds. A
slow hash (bcrypt, argon2) is for passwords, which people choose among few; here it would only let
strangers spend the server's time.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import zlib
from typing import NamedTuple

from orchestra.core.errors import UsageError

MARK = "orc"
ID_CHARS, SECRET_BYTES, CHECK_CHARS = 12, 32, 6
_KEY = re.compile(r"orc_([0-9a-f]{12})_([A-Za-z0-9_-]{43})([0-9a-f]{6})")
MOST_CHARS = 256  # what is longer is no key, and not worth reading


class Secret(NamedTuple):
    """A new key: its id, all of it, and what is kept of it."""

    id: str
    key: str
    digest: bytes


def new_secret(id: str | None = None) -> Secret:
    """A key that nobody has; with an `id` another secret of that one."""
    id = id or secrets.token_hex(ID_CHARS // 2)
    begun = f"{MARK}_{id}_{secrets.token_urlsafe(SECRET_BYTES)}"
    key = begun + _check(begun)
    return Secret(id, key, digest_of(key))


def id_of(key: str) -> str:
    """The id on a key as it was sent; empty where it has none."""
    parts = key[:MOST_CHARS].split("_", 2)
    return parts[1] if len(parts) == 3 and parts[0] == MARK and len(parts[1]) <= 64 else ""


def digest_of(key: str) -> bytes:
    """What is kept of a key, and compared."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()


def read_key(key: str) -> str:
    """The id of a key that somebody typed. Raises `UsageError` where it is none, or has a slip."""
    found = _KEY.fullmatch(key.strip())
    if found is None:
        raise UsageError(
            f"That is no key: one is {MARK}_, {ID_CHARS} hexadecimal digits, _, and 49 more "
            f"characters; {len(key.strip())} characters were given. Copy it whole."
        )
    id, secret, check = found.groups()
    if _check(f"{MARK}_{id}_{secret}") != check:
        raise UsageError(
            f"The key with the id {id!r} has a slip: its last {CHECK_CHARS} characters do not fit "
            "the others. Copy it again from where it was shown."
        )
    return id


def _check(begun: str) -> str:
    return f"{zlib.crc32(begun.encode()) & 0xFFFFFF:06x}"
