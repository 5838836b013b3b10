"""Ctrl-C and SIGTERM end a service in order: while its models load, at once."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

INTERRUPTED = 130


class _Interrupted(BaseException):
    """A stop while the models load."""


class Stop:
    """Whether the service was asked to stop; made and used in the main thread."""

    def __init__(self) -> None:
        self.requested = threading.Event()
        self._is_loading = False

    def on_signals(self) -> None:
        """From now on. `ray.init` puts its own handler for SIGTERM: call this after it again."""
        signal.signal(signal.SIGINT, self._ask)
        signal.signal(signal.SIGTERM, self._ask)

    def finishes(self, load: Callable[[], None]) -> bool:
        """Run `load`, which a signal ends; whether it came to its own end."""
        try:
            self._is_loading = True
            if not self.requested.is_set():
                load()
            self._is_loading = False
        except _Interrupted:
            return False
        return not self.requested.is_set()

    def _ask(self, number: int, frame: Any) -> None:
        if self.requested.is_set():
            sys.exit(INTERRUPTED)  # a second time
        self.requested.set()
        if self._is_loading:
            self._is_loading = False
            raise _Interrupted
