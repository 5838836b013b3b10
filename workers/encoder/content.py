"""Keeps what was encoded last, by content, within a number of bytes; threads may share it."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Encoded:
    """A text as the encoder read it; arrays are read-only, since others share them.

    `vector` (W,) has the length 1. `states` (N, W) are the tokens' own, without those of prefix
    and special tokens, and `offsets` (N, 2) the characters of `text` that each stands for (an
    empty span for a space alone). `unknown` counts the tokens that no piece has, as of a script
    that the vocabulary lacks: their states say little.
    """

    text: str
    vector: NDArray[np.float32]
    states: NDArray[np.float32]
    offsets: NDArray[np.int32]
    unknown: int = 0

    @property
    def nbytes(self) -> int:
        """About the memory that it takes."""
        arrays = self.vector.nbytes + self.states.nbytes + self.offsets.nbytes
        return arrays + 4 * len(self.text)


def content_key(*parts: str) -> bytes:
    """A key of texts: 16 bytes that no other texts have."""
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        encoded = part.encode("utf-8", "surrogatepass")
        digest.update(len(encoded).to_bytes(8, "little") + encoded)
    return digest.digest()


class ContentCache(Generic[T]):
    """The most recently used values of at most `limit_bytes` in all."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.nbytes = 0
        self._kept: OrderedDict[bytes, tuple[T, int]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: bytes) -> T | None:
        """The value, now the last used."""
        with self._lock:
            if key not in self._kept:
                return None
            self._kept.move_to_end(key)
            return self._kept[key][0]

    def put(self, key: bytes, value: T, nbytes: int) -> None:
        """Keep a value, and drop the longest unused ones beyond the limit."""
        with self._lock:
            _, freed = self._kept.pop(key, (None, 0))
            self._kept[key] = (value, nbytes)
            self.nbytes += nbytes - freed
            while self.nbytes > self.limit_bytes and self._kept:
                _, (_, freed) = self._kept.popitem(last=False)
                self.nbytes -= freed
