"""Log lines of every process of a service, one JSON object each, brought to one place.

A replica's standard error goes to a file of Ray's, so its lines are sent as datagrams to the
process that serves, which writes them to its own standard error or to a file.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import threading
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

LOG_SOCKET = "ORCHESTRA_LOG_SOCKET"  # environment variables, the same in every process
LOG_LEVEL = "ORCHESTRA_LOG_LEVEL"
SERVICE_NAME = "OTEL_SERVICE_NAME"  # OpenTelemetry's, so that spans carry the same
OURS = "orchestra_"  # prefix of the fields of our own lines
MAX_BYTES = 60_000  # of a line; a datagram of a Unix socket holds more than three times that


class JsonLines(logging.Formatter):
    """One object a record: time, level, type, service, trace and what else our lines say.

    What an exception says may quote a text or a key: its type and its lines are told, no more.
    """

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        """The record as a line, without its end."""
        given = {
            name.removeprefix(OURS): value
            for name, value in vars(record).items()
            if name.startswith(OURS)
        }
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "type": given.pop("type", record.name),
            "message": record.getMessage(),
            "service": self._service,
            "trace": given.pop("trace", ""),
            "pid": record.process,
            **given,
        }
        if record.exc_info and record.exc_info[0] is not None:
            frames = traceback.extract_tb(record.exc_info[2])
            line["type"] = record.exc_info[0].__name__
            line["lines"] = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
        return json.dumps(line, ensure_ascii=False, default=str)


class Datagrams(logging.Handler):
    """Sends lines to a Unix socket and waits for nobody: what was not taken is counted and told."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._lost = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Send one record."""
        try:
            if self._lost:
                setattr(record, f"{OURS}lines_lost_before", self._lost)
            line = self.format(record).encode("utf-8", "backslashreplace")
            self._socket.sendto(line if len(line) <= MAX_BYTES else _shortened(line), self._path)
            self._lost = 0
        except OSError:
            self._lost += 1  # its reader is slow, or gone
        except Exception:
            self.handleError(record)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()
        super().close()


class Gathered:
    """Receives what `Datagrams` send at `path` and passes each line on, in a thread of its own."""

    def __init__(self, path: Path, write: Callable[[str], None]) -> None:
        self._write = write
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._thread = threading.Thread(target=self._receive, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Write what has arrived, and end."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last:
            last.sendto(b"", str(self._path))
        self._thread.join()
        self._socket.close()
        self._path.unlink(missing_ok=True)

    def _receive(self) -> None:
        while line := self._socket.recv(MAX_BYTES + 1):
            self._write(line.decode("utf-8", "replace") + "\n")


def send_lines() -> None:
    """Send this process's lines of `orchestra` to where the environment says; else nothing."""
    path = os.environ.get(LOG_SOCKET)
    if not path:
        return
    log = logging.getLogger("orchestra")
    handler = Datagrams(path)
    handler.setFormatter(JsonLines(os.environ.get(SERVICE_NAME, "orchestra")))
    log.addHandler(handler)
    log.setLevel(os.environ.get(LOG_LEVEL, "INFO").upper())


def _shortened(line: bytes) -> bytes:
    said: dict[str, Any] = json.loads(line)
    kept = {
        name: value
        for name, value in said.items()
        if name in ("time", "level", "type", "service", "trace", "pid")
    }
    return json.dumps({**kept, "message": f"a line of {len(line):,} bytes was left out"}).encode()
