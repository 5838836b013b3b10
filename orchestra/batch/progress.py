"""Shows how a batch gets on: rate, spend and time left, on stderr; it decides nothing."""

from __future__ import annotations

import sys
from typing import Protocol

from tqdm import tqdm

from orchestra.core.money import dollars


class Progress(Protocol):
    """What the runner tells of its progress."""

    def start(self, total: int | None, done: int) -> None: ...

    def row(self, spent_micro: int) -> None: ...

    def say(self, message: str) -> None: ...

    def stop(self) -> None: ...


class Silent:
    """Shows nothing."""

    def start(self, total: int | None, done: int) -> None:
        """Ignore the start."""

    def row(self, spent_micro: int) -> None:
        """Ignore a row."""

    def say(self, message: str) -> None:
        """Ignore a message."""

    def stop(self) -> None:
        """Ignore the end."""


class Bar:
    """A progress bar on a terminal; a line every ten seconds in a log."""

    def __init__(self) -> None:
        self._bar: tqdm | None = None

    def start(self, total: int | None, done: int) -> None:
        """Begin at `done` of `total` rows."""
        interval = 0.2 if sys.stderr.isatty() else 10.0
        self._bar = tqdm(
            total=total, initial=done, unit="row", file=sys.stderr, mininterval=interval, ncols=88
        )

    def row(self, spent_micro: int) -> None:
        """Count one finished row."""
        if self._bar is not None:
            self._bar.set_postfix_str(dollars(spent_micro), refresh=False)
            self._bar.update()

    def say(self, message: str) -> None:
        """Print a line above the bar."""
        tqdm.write(message, file=sys.stderr)

    def stop(self) -> None:
        """Take the bar down."""
        if self._bar is not None:
            self._bar.close()
