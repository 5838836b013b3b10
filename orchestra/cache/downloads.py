"""Photos as they were fetched, in files that runs share: bounded, oldest-used out.

A cache is never worth a photo: what is damaged, or cannot be read or written, gives a warning,
once, and misses. Several processes may use the folder at once.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from orchestra.core.errors import DiskFull
from orchestra.core.files.atomic import atomic_file
from orchestra.images.download import Kept
from orchestra.observe.metrics import count_reuse

LOG = logging.getLogger(__name__)
FOLDER = "photos"
TOUCH_S = 60  # how stale the time of last use may be, so that a hit is seldom a write
KEPT_SHARE = 0.9  # what is left after an eviction, so that not every new photo makes one


class DownloadStore:
    """The photos in `folder`, at most `most_bytes` of them; made when the first is kept."""

    def __init__(self, folder: Path, most_bytes: int) -> None:
        self.folder = folder / FOLDER
        self._most = most_bytes
        self._held: int | None = None  # bytes, once they were counted
        self._mutex = threading.Lock()
        self._warned = False

    def get(self, address: str) -> Kept | None:
        """What is kept of `address`; None where there is nothing, or it is damaged."""
        found = self._get(address)
        count_reuse("photos", is_hit=found is not None)
        return found

    def _get(self, address: str) -> Kept | None:
        path = self._path(address)
        try:
            head, _, body = path.read_bytes().partition(b"\n")
            if time.time() - path.stat().st_mtime > TOUCH_S:
                os.utime(path)
            told = json.loads(head)
            if told.pop("address") != address or told.pop("sha256") != _sha256(body):
                return None
            return Kept(body=body, **told)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            self._warn("read", error)
            return None

    def put(self, address: str, kept: Kept) -> None:
        """Keep what `address` gave; the oldest-used go where room is short."""
        told = asdict(kept)
        body: bytes = told.pop("body")
        told |= {"address": address, "sha256": _sha256(body)}
        data = json.dumps(told).encode() + b"\n" + body
        if len(data) > self._most:
            return
        path = self._path(address)
        try:
            with self._mutex:
                path.parent.mkdir(parents=True, exist_ok=True)
                with atomic_file(path, durable=False) as file:
                    file.write(data)
                if self._held is None:
                    self._held = sum(size for _, size, _ in self._files())
                else:
                    self._held += len(data)
                if self._held > self._most:
                    self._evict()
        except (OSError, DiskFull) as error:
            self._warn("written", error)

    def _path(self, address: str) -> Path:
        name = _sha256(address.encode(errors="surrogatepass"))
        return self.folder / name[:2] / name

    def _files(self) -> Iterator[tuple[float, int, Path]]:
        """Time of last use, bytes and place of each photo."""
        for path in self.folder.glob("??/*"):
            try:
                seen = path.stat()
            except OSError:  # another process took it away
                continue
            yield seen.st_mtime, seen.st_size, path

    def _evict(self) -> None:
        files = sorted(self._files())
        held = sum(size for _, size, _ in files)
        for _, size, path in files:
            if held <= self._most * KEPT_SHARE:
                break
            path.unlink(missing_ok=True)
            held -= size
        self._held = held

    def _warn(self, what: str, error: Exception) -> None:
        if self._warned:
            return
        self._warned = True
        LOG.warning(
            "The photos kept in %r could not be %s: %s. They are fetched as without a cache. Check "
            "the disk and who may write there.",
            str(self.folder),
            what,
            error,
        )


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
