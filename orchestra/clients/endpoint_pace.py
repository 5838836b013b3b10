"""Keeps calls within what a server allows in a minute; it knows no HTTP and no model.

Places are given out in the order they are asked for: a caller is told how long to wait, and its
place is counted at once, so callers that wait do not overtake each other.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from orchestra.core.errors import RateLimited

MINUTE_S = 60.0


@dataclass(eq=False, slots=True)
class Place:
    """One call: when it may start (seconds of the clock), and its tokens."""

    at: float
    tokens: int


@dataclass(eq=False)
class Pace:
    """A sliding minute of one model's calls, of all threads. An absent limit does not bind."""

    model: str
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    clock: Callable[[], float] = time.monotonic
    _places: deque[Place] = field(default_factory=deque)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    async def wait(self, tokens: int, left_s: float | None) -> Place:
        """Wait until a call of `tokens` may start; settle its place when the tokens are known.

        Raises `RateLimited` at once when that is later than `left_s`, or never.
        """
        place = self.book(tokens, left_s)
        try:
            await asyncio.sleep(max(0.0, place.at - self.clock()))
        except asyncio.CancelledError:
            self.give_back(place)
            raise
        return place

    def book(self, tokens: int, left_s: float | None = None) -> Place:
        """The next place for `tokens`. Raises as `wait` does; then nothing is booked."""
        with self._lock:  # finding a place and taking it is one step
            return self._book(tokens, left_s)

    def _book(self, tokens: int, left_s: float | None) -> Place:
        now = self.clock()
        while self._places and self._places[0].at <= now - MINUTE_S:
            self._places.popleft()
        if self.requests_per_minute is None and self.tokens_per_minute is None:
            return Place(now, tokens)
        if self.tokens_per_minute is not None and tokens > self.tokens_per_minute:
            raise RateLimited(
                f"A call of at most {tokens} tokens never fits the limit of {self.model!r}: "
                f"tokens_per_minute={self.tokens_per_minute}. Shorten the text, lower max_tokens, "
                "or raise the limit on the card if the server allows more."
            )
        at = self._earliest(now, tokens)
        if left_s is not None and at - now > left_s:
            raise RateLimited(self._too_late(at - now, left_s))
        place = Place(at, tokens)
        self._places.append(place)
        return place

    def wait_ms(self) -> float:
        """How long a small call would have to wait now, up to a tenth second; books nothing."""
        now = self.clock()
        with self._lock:
            return math.ceil((self._earliest(now, 1) - now) * 10) * 100.0

    def settle(self, place: Place, tokens: int) -> None:
        """Count what a call really used, which is less than was booked for it."""
        place.tokens = tokens

    def give_back(self, place: Place) -> None:
        """Forget a call that was never made."""
        with self._lock:
            if place in self._places:
                self._places.remove(place)

    def _earliest(self, now: float, tokens: int) -> float:
        at = max(now, self._places[-1].at) if self._places else now
        calls, used = len(self._places), sum(place.tokens for place in self._places)
        for place in self._places:
            if place.at > at - MINUTE_S:
                if self._has_room(calls, used + tokens):
                    return at
                at = max(at, place.at + MINUTE_S)
            calls, used = calls - 1, used - place.tokens
        return at

    def _has_room(self, calls: int, tokens: int) -> bool:
        most_calls, most_tokens = self.requests_per_minute, self.tokens_per_minute
        return (most_calls is None or calls < most_calls) and (
            most_tokens is None or tokens <= most_tokens
        )

    def _too_late(self, wait_s: float, left_s: float) -> str:
        limits = [
            f"{name}={value}"
            for name in ("requests_per_minute", "tokens_per_minute")
            if (value := getattr(self, name)) is not None
        ]
        return (
            f"The limit of {self.model!r} is used up ({', '.join(limits)}): the next call may "
            f"start in {wait_s:.1f} s, and {left_s:.1f} s are left. Raise latency_ms, send fewer "
            "jobs at once, or raise the limit on the card if the server allows more."
        )
