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
from functools import partial
from typing import Any, Protocol, TypeVar, cast

from orchestra.book.messages import (
    AbandonAccount,
    AnyMessage,
    BeginCall,
    BookHit,
    CloseAccount,
    EndThread,
    LeaveThread,
    LedgerMessage,
    OpenAccount,
    ReadSpent,
    ReleaseCall,
    RowMessage,
    SettleCall,
)
from orchestra.book.shared.health import is_of_the_book
from orchestra.book.shared.remote import RemoteLedger
from orchestra.book.shared.words import BEAT_S, Answered, Bundle, Collected, Live
from orchestra.core.errors import BookError, BookUnavailable
from orchestra.observe.log import log_bug

T = TypeVar("T")
READY_S = 5.0
POST_S = 0.02  # what nobody waits for goes alone after so long
MOST_NOT_OPENED = 1024
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
        self._not_opened: dict[str, BaseException] = {}

    async def send(self, message: LedgerMessage[T] | RowMessage[T]) -> T:
        """Have the ledger do what `message` says. Raises as `Ledger.send` does.

        To open an account that holds nothing, and to close one, nobody waits: it goes with what
        comes next, and what is wrong with it is told to the first call in the account.
        """
        self._begin_beating()
        said: AnyMessage = message
        if isinstance(said, CloseAccount) or (isinstance(said, OpenAccount) and not said.hold):
            self._post(said)
            return cast(T, None)
        try:
            return await super().send(message)
        except BookError as error:
            account = said.account if isinstance(said, BeginCall | BookHit | ReadSpent) else ""
            raise self._not_opened.get(account, error) from None

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
        self._go()
        if self._sender is not None:
            await self._sender
        with suppress(BookError):
            await self._reach.leave(self._name, self._samples())

    def _post(self, message: OpenAccount | CloseAccount | AbandonAccount) -> None:
        """Send a message with the others of the next moments."""
        self._not_opened.pop(message.id, None)
        self._put(message).add_done_callback(partial(self._posted, message))
        asyncio.get_running_loop().call_later(POST_S, self._go)

    def _posted(
        self, message: OpenAccount | CloseAccount | AbandonAccount, answer: asyncio.Future[None]
    ) -> None:
        error = None if answer.cancelled() else answer.exception()
        if error is None or isinstance(message, AbandonAccount):
            return
        if isinstance(message, CloseAccount):
            # Calls in it that nobody waits for any more, as of a client that hung up.
            self._post(AbandonAccount(message.id))
        elif len(self._not_opened) < MOST_NOT_OPENED:
            self._not_opened[message.id] = error

    def _begin_beating(self) -> None:
        if self._beating is None:
            self._beating = asyncio.create_task(self._beat())

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(self._beat_s)
            try:
                await self._sign(self._samples())
            except BookError:
                """Whoever needs the book is told so."""
            except Exception as error:  # a member that says nothing more is taken for dead
                log_bug(error)

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
            answers: list[Any]
            try:
                answers = list((await self._say((*owed, *messages))).answers)
                self._owed = _refused([*owed, *messages], answers)
            except Exception as error:  # also a defect: who waits must hear of it
                answers = [error] * (len(owed) + len(messages))
                self._owed = [each for each in (*owed, *messages) if isinstance(each, ENDINGS)]
        later = {id(message) for message in self._owed}
        return [
            None if id(message) in later else answer
            for message, answer in zip(messages, answers[len(owed) :], strict=True)
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
