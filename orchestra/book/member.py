"""A ledger that other processes use as well, as one of them has it; it knows no Ray.

What this member has open it knows by itself, so that a ledger whose process died learns it again
from those that live, and takes only the others' calls to be lost. A call that ends while the book
cannot be used is settled once it can: its answer is not lost for that.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Protocol, TypeVar

from orchestra.book.health import is_of_the_book
from orchestra.book.messages import (
    AnyMessage,
    CloseAccount,
    EndThread,
    LeaveThread,
    LedgerMessage,
    ReleaseCall,
    RowMessage,
    SettleCall,
)
from orchestra.book.remote import RemoteLedger
from orchestra.book.shared import BEAT_S, Answered, Bundle, Collected, Live
from orchestra.core.errors import BookError, BookUnavailable

T = TypeVar("T")
READY_S = 5.0
ENDINGS = (SettleCall, ReleaseCall, CloseAccount, LeaveThread, EndThread)


class Reach(Protocol):
    """How the ledger's process is reached; each may be sent again when its answer was lost."""

    async def apply(self, bundle: Bundle) -> Answered:
        """What it answers. Raises `BookUnavailable` when it does not."""
        ...

    async def collect(self, member: str, samples: bytes) -> Collected:
        """The totals and everybody's metrics, given this member's."""
        ...

    async def leave(self, member: str, samples: bytes) -> None:
        """Tell it that the member has ended."""
        ...


class LedgerMember(RemoteLedger):
    """The ledger that `reach` reaches, for this process; `samples` are its metrics of now."""

    def __init__(
        self, reach: Reach, samples: Callable[[], bytes] = bytes, *, beat_s: float = BEAT_S
    ) -> None:
        super().__init__(self._bring)
        self._reach = reach
        self._samples = samples
        self._beat_s = beat_s
        self._name = uuid.uuid4().hex
        self._term = ""
        self._live = Live()
        self._in_turn = asyncio.Lock()
        self._beating: asyncio.Task[None] | None = None
        self._owed: list[AnyMessage] = []

    async def send(self, message: LedgerMessage[T] | RowMessage[T]) -> T:
        """Have the ledger do what `message` says. Raises as `Ledger.send` does."""
        self._begin_beating()
        return await super().send(message)

    async def trouble(self, within_s: float = READY_S) -> str:
        """Why the ledger begins nothing at the moment; empty where it does."""
        self._begin_beating()
        try:
            async with asyncio.timeout(within_s):
                return await self._sign()
        except TimeoutError:
            return f"{BookUnavailable.__name__}: the ledger gave no answer in {within_s:g} s"
        except BookError as error:
            return f"{error.kind}: {error}"

    async def collect(self) -> Collected:
        """What all calls came to, and the metrics of everybody. Raises `BookError`."""
        self._begin_beating()
        return await self._reach.collect(self._name, self._samples())

    async def leave(self) -> None:
        """Say that this process ends. What it still has open is taken to be lost."""
        if self._beating is not None:
            self._beating.cancel()
        with suppress(BookError):
            await self._reach.leave(self._name, self._samples())

    def _begin_beating(self) -> None:
        if self._beating is None:
            self._beating = asyncio.create_task(self._beat())

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(self._beat_s)
            with suppress(BookError):
                await self._sign(self._samples())

    async def _sign(self, samples: bytes | None = None) -> str:
        """Say that this member lives, and what it owes; what troubles the ledger."""
        async with self._in_turn:
            owed, self._owed = self._owed, []
            try:
                said = await self._say(tuple(owed), samples)
            except BaseException:
                self._owed = owed
                raise
            self._owed = _refused(owed, said.answers)
            return said.trouble

    async def _bring(self, messages: list[AnyMessage]) -> list[Any]:
        """The answers. What ends something is done later where the book cannot be used now."""
        async with self._in_turn:
            owed, self._owed = self._owed, []
            try:
                answers = list((await self._say((*owed, *messages))).answers)
            except BookError as error:
                answers = [error] * (len(owed) + len(messages))
            said = answers[len(owed) :]
            self._owed = _refused([*owed, *messages], answers)
        later = {id(message) for message in self._owed}
        return [
            None if id(message) in later else answer
            for message, answer in zip(messages, said, strict=True)
        ]

    async def _say(
        self, messages: tuple[AnyMessage, ...], samples: bytes | None = None
    ) -> Answered:
        """What the ledger answers; one in another term is told first what is live."""
        while True:
            said = await self._reach.apply(
                Bundle(self._name, self._term, messages, samples=samples)
            )
            if not said.stale:
                break
            self._term = said.term
            # What it refuses of these was lost meanwhile, and later messages about it are told.
            await self._reach.apply(
                Bundle(self._name, self._term, self._live.messages(), joins=True)
            )
        for message, answer in zip(messages, said.answers, strict=True):
            self._live.note(message, answer)
        return said


def _refused(messages: list[AnyMessage], answers: Sequence[Any]) -> list[AnyMessage]:
    """Those that end something, and that a book in trouble did not take."""
    return [
        message
        for message, answer in zip(messages, answers, strict=True)
        if isinstance(message, ENDINGS) and is_of_the_book(answer)
    ]
