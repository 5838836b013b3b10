"""The ledger of several processes: it has the book, and knows who is alive; it knows no Ray.

Its members send bundles, each done in one transaction. A member that is silent for its lease is
dead: what it had on its way is presumed to be spent, and its accounts close. When the ledger's own
process dies, the next one begins a term, and the book another epoch: members that live tell what
they have open, and after a grace the rest is presumed. While the book cannot be used nothing
begins, and what was begun may still end.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestra.book.book import Book
from orchestra.book.ledger import Ledger, LocalLedger
from orchestra.book.memory import MemoryLedger
from orchestra.book.messages import (
    AbandonAccount,
    AnyMessage,
    BeginCall,
    BookHit,
    KeepThread,
    OpenAccount,
    ReadTotals,
    TakeThread,
)
from orchestra.book.shared.health import FileHealth, check_header, check_whole, is_of_the_book
from orchestra.book.shared.words import GRACE_S, LEASE_S, Answered, Bundle, Collected, Live
from orchestra.core.errors import BookError, BookUnavailable, OrchestraError
from orchestra.observe.together import Together

BEGINNINGS = (OpenAccount, BeginCall, BookHit, TakeThread, KeepThread)
COUNTS = "metrics"  # the note of what members counted
CHECK_S = 1.0
IDLE_S = 5.0  # nobody's book is closed then, so that other programs may have it
PROBE_BYTES = 65_536  # what a disk that was full has to take before it counts as mended


@dataclass(eq=False, slots=True)
class Member:
    """Who sends messages: when it was heard last, and what it has open."""

    heard: float
    live: Live = field(default_factory=Live)


class LedgerServer:
    """Has the book at `path`, or in the Postgres at that address, or a ledger in memory.

    The book is opened at the first word of a member, and closed when there are none. `clock` is in
    seconds. `tick` has to be called about every `CHECK_S`.
    """

    def __init__(
        self, path: Path | str | None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._path = path
        self._clock = clock
        self._ledger: Ledger | None = None
        self._book: Book | None = None
        self._health: FileHealth | None = None
        self._term = ""
        self._trouble: BookError | None = None
        self._was_damaged = False
        self._grace_ends: float | None = None
        self._members: dict[str, Member] = {}
        self._last_left = clock()
        self._together = Together()
        self._awaited: list[str] | None = None  # members of the process before
        self._notes: dict[str, str] = {}

    async def apply(self, bundle: Bundle) -> Answered:
        """Do what a member says, or say that it has to join this term first."""
        self._have_ledger()
        ledger = self._ledger
        if ledger is None:
            said = self._trouble or BookUnavailable("The book is not open. Try again.")
            return Answered(bundle.term, (said,) * len(bundle.messages), trouble=_told(said))
        member = self._members.get(bundle.member)
        if bundle.term != self._term or (member is None and not bundle.joins):
            return Answered(self._term, stale=True)
        if member is None:
            member = self._members[bundle.member] = Member(self._clock())
        member.heard = self._clock()
        if bundle.samples is not None:
            self._together.heard(bundle.member, bundle.samples)
        answers = await asyncio.gather(
            *(self._answer(ledger, message, bundle.joins) for message in bundle.messages)
        )
        for message, answer in zip(bundle.messages, answers, strict=True):
            member.live.note(message, answer)
            if is_of_the_book(answer) and self._trouble is None:
                self._trouble = answer
        return Answered(self._term, tuple(answers), trouble=_told(self._trouble))

    async def collect(self, member: str, samples: bytes) -> Collected:
        """What all calls came to, and the metrics of all members, which are added up.

        What is told is kept first, so that the next process does not tell less.
        """
        self._have_ledger()
        if samples:
            self._together.heard(member, samples)
        self._note_counts()
        totals: Sequence[Any] = ()
        trouble = self._trouble
        if self._ledger is not None:
            try:
                totals = await self._ledger.send(ReadTotals())
            except OrchestraError as error:
                trouble = trouble or BookUnavailable(str(error))
        return Collected(tuple(totals), self._together.samples(), _told(trouble))

    async def leave(self, member: str, samples: bytes) -> None:
        """A member ends in order. After the last one the book's log is put into its file."""
        if samples:
            self._together.heard(member, samples)
        if member in self._members:
            await self._bury(member)
        if not self._members and self._book is not None:
            self._book.checkpoint()

    def note(self, name: str) -> str | None:
        """A short text that was kept in the book, or in memory where there is none.

        Raises `BookError`, as `keep_note` does.
        """
        book = self._noting()
        return self._notes.get(name) if book is None else book.meta(name)

    def keep_note(self, name: str, text: str) -> None:
        """Keep a short text in place of one that was kept under its name."""
        book = self._noting()
        if book is None:
            self._notes[name] = text
        else:
            book.set_meta(name, text)

    async def tick(self) -> None:
        """Presume the dead, look after the book's file, and close it when nobody needs it."""
        now = self._clock()
        for name in [n for n, m in self._members.items() if now - m.heard > LEASE_S]:
            await self._bury(name)
        if self._grace_ends is not None and now >= self._grace_ends and self._book is not None:
            with suppress(BookError):  # it is done with the next tick
                self._book.recover()
                self._book.close_unused()
                self._grace_ends = None
                self._end_awaited()
        if self._book is not None and not self._members and now - self._last_left > IDLE_S:
            self._let_go()
        elif self._book is not None:
            self._trouble = await self._found_wrong(self._book)
            if self._trouble is not None and self._is_lost():
                self._was_damaged = True
                self._let_go()
        elif self._members:
            self._have_ledger()

    def close(self) -> None:
        """Close the book, whoever needs it."""
        self._let_go()

    async def _answer(self, ledger: Ledger, message: AnyMessage, joins: bool) -> Any:
        if self._trouble is not None and not joins and isinstance(message, BEGINNINGS):
            return self._trouble
        try:
            return await ledger.send(message)  # type: ignore[arg-type]  # a member sends what it may
        except Exception as error:  # an answer, too
            return error

    def _have_ledger(self) -> None:
        """Open the book, unless it is open; why it cannot be is the trouble then."""
        if self._ledger is not None:
            return
        try:
            if self._path is None:
                self._ledger, epoch = MemoryLedger(), 0
            else:
                self._book = self._opened(self._path)
                self._ledger, epoch = LocalLedger(self._book), self._book.epoch
                self._health = FileHealth(self._path) if isinstance(self._path, Path) else None
                self._grace_ends = self._clock() + GRACE_S
        except BookError as error:
            self._let_go()
            self._trouble = error
            return
        # A copy that was put back may be in an epoch that there was.
        self._term = f"{epoch}.{uuid.uuid4().hex[:8]}"
        self._trouble, self._was_damaged = None, False
        self._last_left = self._clock()
        if self._awaited is None:
            self._read_counts()

    def _read_counts(self) -> None:
        """What the process before told of counters; who was a member then may be heard again."""
        self._awaited = []
        with suppress(BookError):
            kept = self.note(COUNTS)
            if kept is not None:
                self._awaited = self._together.restore(kept)

    def _note_counts(self) -> None:
        with suppress(BookError):  # without, counters would begin anew with the next process
            self.keep_note(COUNTS, self._together.kept())

    def _end_awaited(self) -> None:
        """Take those for ended that the process before knew, and that did not come."""
        for name in self._awaited or ():
            if name not in self._members:
                self._together.gone(name)
        self._awaited = []

    def _noting(self) -> Book | None:
        self._have_ledger()
        if self._ledger is None:
            raise self._trouble or BookUnavailable("The book is not open. Try again.")
        return self._book

    def _opened(self, path: Path | str) -> Book:
        if isinstance(path, str):
            book = Book.reach(path)
            book.spare_the_living()
            return book
        if self._was_damaged:
            if not path.exists():
                raise BookUnavailable(
                    f"The book {str(path)!r} was deleted. Put it back, or a copy of it (orchestra "
                    "book backup); it is opened by itself. For a new book start the server anew."
                )
            check_header(path)
            check_whole(path)
        book = Book.open(path)
        book.checkpoint()  # a new book's first page stood in its log alone
        book.spare_the_living()
        return book

    async def _found_wrong(self, book: Book) -> BookError | None:
        """What is wrong with the book now."""
        health = self._health
        try:
            if health is not None:
                health.check()
                if health.is_due():
                    await asyncio.to_thread(health.check_whole)
            book.probe(PROBE_BYTES if self._trouble is not None else 1)
        except BookError as error:
            return error
        return None

    def _is_lost(self) -> bool:
        """Whether the book has to be opened anew: its file is not the one that it was."""
        return isinstance(self._trouble, BookUnavailable)

    def _let_go(self) -> None:
        if self._book is not None:
            self._book.close()
        if self._health is not None:
            self._health.close()
        self._book = self._ledger = self._health = None

    async def _bury(self, name: str) -> None:
        """Presume what a member had on its way, and close what nobody else has open."""
        gone = self._members.pop(name)
        self._last_left = self._clock()
        self._together.gone(name)
        self._note_counts()
        if self._ledger is None:
            return
        others = {id for member in self._members.values() for id in member.live.accounts}
        for id in reversed(gone.live.accounts):
            if id not in others:
                with suppress(BookError):  # one that is in use stays
                    await self._ledger.send(AbandonAccount(id))


def _told(trouble: BookError | None) -> str:
    return "" if trouble is None else f"{trouble.kind}: {trouble}"
