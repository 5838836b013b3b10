"""Keeps calls within what a card allows in a minute.

Starts are booked in the order they are asked for, and counted at once, so callers that wait do
not overtake each other. The limits are those of one process: replicas of an ingress each keep
their own.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from orchestra.core.card import Card
from orchestra.core.errors import RateLimited

MINUTE_S = 60.0


@dataclass(eq=False, slots=True)
class Booking:
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
    _bookings: deque[Booking] = field(default_factory=deque)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def of(cls, card: Card) -> Pace:
        """The minute of the model of `card`."""
        return cls(card.name, card.limits.requests_per_minute, card.limits.tokens_per_minute)

    async def wait(self, tokens: int, left_s: float | None) -> Booking:
        """Wait until a call of `tokens` may start; settle its booking when the tokens are known.

        Raises `RateLimited` at once when that is later than `left_s`, or never.
        """
        booking = self.book(tokens, left_s)
        try:
            await asyncio.sleep(max(0.0, booking.at - self.clock()))
        except asyncio.CancelledError:
            self.give_back(booking)
            raise
        return booking

    def book(self, tokens: int, left_s: float | None = None) -> Booking:
        """The next booking for `tokens`. Raises as `wait` does; then nothing is booked."""
        with self._lock:  # finding a booking and taking it is one step
            return self._book(tokens, left_s)

    def _book(self, tokens: int, left_s: float | None) -> Booking:
        now = self.clock()
        while self._bookings and self._bookings[0].at <= now - MINUTE_S:
            self._bookings.popleft()
        if self.requests_per_minute is None and self.tokens_per_minute is None:
            return Booking(now, tokens)
        if self.tokens_per_minute is not None and tokens > self.tokens_per_minute:
            raise RateLimited(
                f"A call of at most {tokens} tokens never fits the limit of {self.model!r}: "
                f"tokens_per_minute={self.tokens_per_minute}. Shorten the text, lower max_tokens, "
                "or raise the limit on the card if the server allows more."
            )
        at = self._earliest(now, tokens)
        if left_s is not None and at - now > left_s:
            raise RateLimited(self._too_late(at - now, left_s))
        booking = Booking(at, tokens)
        self._bookings.append(booking)
        return booking

    def wait_ms(self) -> float:
        """How long a small call would have to wait now, up to a tenth second; books nothing."""
        now = self.clock()
        with self._lock:
            return math.ceil((self._earliest(now, 1) - now) * 10) * 100.0

    def settle(self, booking: Booking, tokens: int) -> None:
        """Count what a call really used, which is less than was booked for it."""
        booking.tokens = tokens

    def give_back(self, booking: Booking) -> None:
        """Forget a call that was never made."""
        with self._lock:
            if booking in self._bookings:
                self._bookings.remove(booking)

    def _earliest(self, now: float, tokens: int) -> float:
        at = max(now, self._bookings[-1].at) if self._bookings else now
        calls, used = len(self._bookings), sum(booking.tokens for booking in self._bookings)
        for booking in self._bookings:
            if booking.at > at - MINUTE_S:
                if self._has_room(calls, used + tokens):
                    return at
                at = max(at, booking.at + MINUTE_S)
            calls, used = calls - 1, used - booking.tokens
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


@dataclass(eq=False, slots=True)
class Paces:
    """The pace of each model whose card bounds the calls or tokens of a minute."""

    _paces: dict[str, Pace] = field(default_factory=dict)

    def of(self, card: Card) -> Pace | None:
        """The pace of `card`'s calls; None where nothing bounds them here."""
        if not card.limits.is_paced or card.hosting.endpoint is not None:
            return None
        pace = self._paces.get(card.name)
        if pace is None:
            # One minute, whichever thread is first.
            pace = self._paces.setdefault(card.name, Pace.of(card))
        return pace

    def waits_ms(self) -> Mapping[str, float]:
        """How long each model's next call would have to wait now, up to a tenth second."""
        return {name: pace.wait_ms() for name, pace in list(self._paces.items())}
