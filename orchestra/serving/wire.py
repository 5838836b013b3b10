"""How requests come off the wire: headers whole within seconds and bytes, refusals that say why.

Uvicorn bounds neither how slowly headers come nor, with httptools, how long they are, and Ray
Serve, whose proxy it runs in, has no option for either. Nor does it wait for the rest of a body
that it has refused: the client, which still sends, is told of a broken connection and not of why.
So its parser is wrapped here, and put in the place where uvicorn looks for it (`bound_headers`), in
the process of the proxy.
"""

from __future__ import annotations

import asyncio
import json
import sys
from http import HTTPStatus
from typing import Any

from orchestra.serving.guards.bodies import MOST_HEADER_BYTES
from orchestra.serving.problems import body

try:
    from uvicorn.config import HTTP_PROTOCOLS
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
except ImportError:  # comes with the `ray` extra
    HTTP_PROTOCOLS: dict[str, str] = {}
    HttpToolsProtocol: Any = object

HEADERS_S = 20.0
LINGER_S = 5.0  # a client that was refused may go on sending so long, and is not read
MOST_HEAD_BYTES = 2 * MOST_HEADER_BYTES  # with the first line; less than that a guard refuses
PLACE = "orchestra.serving.wire:BoundedProtocol"


def bound_headers() -> None:
    """Have servers that begin in this process from now on read requests so."""
    if HttpToolsProtocol is not object and "auto" in HTTP_PROTOCOLS:
        HTTP_PROTOCOLS["auto"] = PLACE


class BoundedProtocol(HttpToolsProtocol):
    """Reads requests of one connection, whose headers have bounds."""

    _head_bytes = 0  # of headers that are not whole yet
    _has_begun = False
    is_lingering = False
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Someone connected, and has to ask something."""
        super().connection_made(transport)
        self.transport: Any = _Lingering(transport, self)
        self._set_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Its end."""
        self._drop_timer()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        self._has_begun, self._head_bytes = True, 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Its headers are whole."""
        self._has_begun = False
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        """What came, which may be any part of a request."""
        if self.is_lingering:
            return
        super().data_received(data)
        if not self._has_begun or self.transport.is_closing():
            self._drop_timer()
            return
        self._head_bytes += len(data)
        if self._head_bytes > MOST_HEAD_BYTES:
            self._refuse(
                HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
                "HeadersTooLarge",
                f"The request's first line and headers have more than {MOST_HEAD_BYTES:,} bytes. "
                "Leave out those that nobody reads.",
            )
        elif self._timer is None:
            self._set_timer()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP, with what the parser says of it."""
        why = sys.exc_info()[1]
        self._refuse(
            HTTPStatus.BAD_REQUEST,
            "InvalidRequest",
            f"This is no HTTP request: {why or msg}. Send one that an HTTP client makes.",
        )

    def _set_timer(self) -> None:
        self._timer = self.loop.call_later(HEADERS_S, self._late)

    def _drop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _late(self) -> None:
        if self.transport.is_closing():
            return
        if not self._has_begun:  # it asked nothing
            self.transport.close()
            return
        if self.cycle is not None and not self.cycle.response_complete:
            self._set_timer()  # what it asked before is answered first
            return
        self._refuse(
            HTTPStatus.REQUEST_TIMEOUT,
            "HeadersTooSlow",
            f"The request's headers were not whole after {HEADERS_S:g} s. Send it again over a "
            "faster connection.",
        )

    def _refuse(self, status: HTTPStatus, code: str, message: str) -> None:
        said = json.dumps(body(status, code, message)).encode()
        head = (
            f"HTTP/1.1 {status.value} {status.phrase}\r\ncontent-type: application/json\r\n"
            f"content-length: {len(said)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + said)
        self._has_begun = True  # and what comes of it is not read
        self.transport.close()

    def close(self, transport: Any) -> None:
        """Close the connection; where a request is not whole, only once its client has read."""
        is_whole = not self._has_begun and (self.cycle is None or not self.cycle.more_body)
        if is_whole or self.is_lingering or transport.is_closing() or not transport.can_write_eof():
            transport.close()
            return
        self.is_lingering = True
        self._drop_timer()
        transport.write_eof()
        transport.resume_reading()
        self.loop.call_later(LINGER_S, transport.close)


class _Lingering:
    """A transport whose connection is closed as its protocol says."""

    def __init__(self, transport: Any, protocol: BoundedProtocol) -> None:
        self._transport, self._protocol = transport, protocol

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def is_closing(self) -> bool:
        """Whether nothing is written any more."""
        return self._protocol.is_lingering or self._transport.is_closing()

    def close(self) -> None:
        """Close it, now or soon."""
        self._protocol.close(self._transport)
