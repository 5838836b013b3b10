"""Shows how a batch gets on: rate, spend and time left, on stderr; it decides nothing."""

from __future__ import annotations

import sys

from tqdm import tqdm

from orchestra.core.money import dollars


class Progress:
    """What a run tells of its progress; this one shows nothing."""

    def start(self, total: int | None, done: int) -> None:
        """Rows begin, at `done` of `total`."""

    def row(self, spent_micro: int) -> None:
        """One more row is finished."""

    def say(self, message: str) -> None:
        """Something that whoever waits should know."""

    def stop(self) -> None:
        """No row is under way any more."""


class Bar(Progress):
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
