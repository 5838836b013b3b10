"""A small HTTP/1.1 client, so that making load takes little of the machine that is measured."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, headers (lower case) and body of an answer."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass(eq=False)
class Connections:
    """Connections to one server that are kept open between requests."""

    host: str
    port: int
    _idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = field(default_factory=list)

    async def post(self, path: str, asked: Any, headers: dict[str, str] | None = None) -> Answer:
        """Send a body as JSON. Raises `OSError` where the connection breaks."""
        body = json.dumps(asked).encode()
        own = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
        head = (
            f"POST {path} HTTP/1.1\r\nHost: {self.host}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n{own}\r\n"
        )
        is_reused = bool(self._idle)
        reader, writer = self._idle.pop() if self._idle else await self.open()
        try:
            writer.write(head.encode() + body)
            answer = await read_answer(reader)
        except ConnectionResetError:
            writer.close()
            if not is_reused:
                raise
            self.close()  # the server closes what was idle for some seconds
            return await self.post(path, asked, headers)
        except BaseException:
            writer.close()
            raise
        if answer.headers.get("connection") == "close":
            writer.close()
        else:
            self._idle.append((reader, writer))
        return answer

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A new connection."""
        return await asyncio.open_connection(self.host, self.port)

    def close(self) -> None:
        """Close those that nobody uses."""
        for _, writer in self._idle:
            writer.close()
        self._idle.clear()


async def read_answer(reader: asyncio.StreamReader) -> Answer:
    """One answer. Raises `OSError` where the server closes before its end."""
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {
            name.lower(): value.strip()
            for name, _, value in (line.partition(":") for line in head[1:] if line)
        }
        if headers.get("transfer-encoding") == "chunked":
            body = await _chunks(reader)
        else:
            body = await reader.readexactly(int(headers.get("content-length", 0)))
    except asyncio.IncompleteReadError as cause:
        raise ConnectionResetError("the server closed before the end of its answer") from cause
    return Answer(int(head[0].split(" ", 2)[1]), headers, body)


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    parts: list[bytes] = []
    while size := int((await reader.readuntil(b"\r\n")).strip(), 16):
        parts.append((await reader.readexactly(size + 2))[:-2])
    await reader.readuntil(b"\r\n")
    return b"".join(parts)
