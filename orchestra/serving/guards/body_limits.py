"""How large a body may be, route by route, how fast it has to come, and what the document says."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI

MIB = 2**20
PHOTO_BYTES = 48 * MIB  # a photo of 32 MiB, the most that is read, as a data URI
PATIENCE_S = 20.0  # for a body's first bytes, and all of a small one
LEAST_BYTES_A_S = 16 * 1024  # of a body that is larger
JOB_ROUTES = ("/", "/v1/jobs", "/v1/plan", "/v1/console/plan")
PHOTO_ROUTES = frozenset({*JOB_ROUTES, "/v1/chat/completions", "/v1/responses"})
LONG_ROUTES = frozenset({"/v1/embeddings", "/v1/console/result"})  # many texts; a result


@dataclass(frozen=True, slots=True)
class BodyBound:
    """Bytes that a body may have in all, and beside its photos (which are data URIs in strings)."""

    all_bytes: int
    plain_bytes: int

    @property
    def about(self) -> str:
        """What a document says of it."""
        most = f"At most {self.all_bytes:,} bytes"
        if self.plain_bytes == self.all_bytes:
            return f"{most}."
        return f"{most}, and {self.plain_bytes:,} beside photos that are data URIs."


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """The bound of each route. `plain_bytes` is what the fleet's models could read at most.

    `own` are further routes by a pattern of their path, which is asked first: uploads, for one.
    """

    plain_bytes: int = MIB
    own: tuple[tuple[re.Pattern[str], BodyBound], ...] = ()

    def of(self, path: str) -> BodyBound:
        """The bound of a body that is sent to `path`."""
        for pattern, bound in self.own:
            if pattern.fullmatch(path):
                return bound
        if path in PHOTO_ROUTES:
            return BodyBound(PHOTO_BYTES, self.plain_bytes)
        if path in LONG_ROUTES:
            return BodyBound(8 * MIB, 8 * MIB)
        return BodyBound(MIB, MIB)


class PlainBytes:
    """Counts the bytes of a body that stand beside its photos, as its blocks come in."""

    OPEN = b'"data:image/'

    def __init__(self) -> None:
        self.count = 0
        self._in_photo = False
        self._tail = b""

    def add(self, block: bytes) -> None:
        """Count one more block; a photo may begin in one and end in another."""
        block, kept = self._tail + block, len(self._tail)
        self._tail = b""
        at, self.count = 0, self.count - kept
        while at < len(block):
            if self._in_photo:
                end = block.find(b'"', at)
                if end < 0:
                    return
                at, self._in_photo = end, False
                self.count += 1
                at += 1
                continue
            begin = block.find(self.OPEN, at)
            if begin < 0:
                self.count += len(block) - at
                self._tail = _overlap(block[at:], self.OPEN)
                return
            self.count += begin - at + len(self.OPEN)
            at, self._in_photo = begin + len(self.OPEN), True


def _overlap(block: bytes, opening: bytes) -> bytes:
    """The end of `block` that may be the beginning of `opening`."""
    for size in range(min(len(block), len(opening) - 1), 0, -1):
        if block.endswith(opening[:size]):
            return block[-size:]
    return b""


def allowed_s(received: int) -> float:
    """The seconds in which a body of which so many bytes have come must be going on."""
    return PATIENCE_S + received / LEAST_BYTES_A_S


def tell_limits(app: FastAPI, limits: BodyLimits) -> None:
    """Have the OpenAPI document say the bound of each body."""
    made: Callable[[], dict[str, Any]] = app.openapi

    def with_limits() -> dict[str, Any]:
        document = made()
        for path, methods in document["paths"].items():
            for operation in methods.values():
                wanted = operation.get("requestBody")
                if wanted is None:
                    continue
                bound = limits.of(re.sub(r"\{[^}]*\}", "x", path))
                wanted["description"] = bound.about
                wanted["x-max-bytes"] = bound.all_bytes
                wanted["x-max-bytes-beside-photos"] = bound.plain_bytes
        return document

    app.openapi = with_limits  # type: ignore[method-assign]
