"""What is said to a ledger, one class a thing, each with the type of its answer.

Messages are picklable values: a ledger may be in another process. Calls are named by ids that their
clients make (`uid`), and each message may be sent again when its answer was lost: the second one
changes nothing. Each is done as a whole or, when its answer is an error, not at all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, Generic, TypeVar

from orchestra.core.money import dollars, usd

T = TypeVar("T")


class LedgerMessage(Generic[T]):
    """What any ledger answers with a `T`."""

    __slots__ = ()


class RowMessage(Generic[T]):
    """What only the ledger of a batch, which has a file, answers with a `T`."""

    __slots__ = ()


AnyMessage = LedgerMessage[Any] | RowMessage[Any]


@dataclass(frozen=True, slots=True)
class Overrun:
    """What `calls` of a model cost beyond the worst case that was reserved for them."""

    model: str
    calls: int
    cost_micro: int
    tokens: int

    def __str__(self) -> str:
        many = f"{self.calls} call" + "s" * (self.calls != 1)
        return (
            f"The server of model {self.model!r} charged {dollars(self.cost_micro)} and "
            f"{self.tokens} tokens beyond the bounds of {many}: it ignores max_tokens, or its "
            "card's limits.thinking_tokens or limits.image_tokens are too low. Mend the card, or "
            "leave the model out."
        )

    def public(self) -> dict[str, Any]:
        """As it stands in summary.json."""
        return {
            "model": self.model,
            "calls": self.calls,
            "cost_usd": float(usd(self.cost_micro)),
            "tokens": self.tokens,
        }


@dataclass(frozen=True, slots=True)
class Spent:
    """What an account and everything under it has spent and reserved, in micro-dollars, tokens.

    `presumed_*` is the part of `cost_micro` that nobody reported: calls that were on their way
    when a process died, or whose server did not say what they used. `overruns` is the part beyond
    what was reserved, by model. `is_over`: what is spent and reserved is more than a limit of it.
    """

    cost_micro: int
    tokens: int
    open_cost_micro: int
    open_tokens: int
    presumed_micro: int
    presumed_calls: int
    overruns: tuple[Overrun, ...] = ()
    is_over: bool = False

    @property
    def overrun_micro(self) -> int:
        """What of `cost_micro` lies beyond what was reserved."""
        return sum(overrun.cost_micro for overrun in self.overruns)

    @property
    def overrun_tokens(self) -> int:
        """What of `tokens` lies beyond what was reserved."""
        return sum(overrun.tokens for overrun in self.overruns)


@dataclass(frozen=True, slots=True)
class OpenAccount(LedgerMessage[None]):
    """Open the budget `id`; None is no limit. The same values again change nothing.

    `cost_micro` and `tokens` limit what is spent and reserved. `ceiling_*` limit what is reserved,
    as a plan foresaw it: what calls cost beyond their worst case takes nothing from it, but counts
    in the limits here and above. `hold` reserves from `parent` at once what may be spent here, the
    tighter of both. A closed account is opened again with what it
    has spent still counted, so a retry that needs its full limit takes a new id. `label` is of its
    tags.

    Raises `BudgetExceeded` when the hold does not fit, `BookError` for other values than those it
    was opened with, or an unknown or closed parent.
    """

    id: str
    _: KW_ONLY
    parent: str | None = None
    cost_micro: int | None = None
    tokens: int | None = None
    hold: bool = False
    label: str = ""
    ceiling_micro: int | None = None
    ceiling_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class CloseAccount(LedgerMessage[None]):
    """Give back what `id` holds and has not spent, and refuse calls from now on.

    Raises `BookError` while calls or held accounts under it are open, and when it is unknown.
    """

    id: str


@dataclass(frozen=True, slots=True)
class AbandonAccount(LedgerMessage[None]):
    """Close `id` as a crash would have left it, while its book goes on.

    For who ran in another process and died there: calls on their way settle at their worst case,
    presumed, and what its orphans still say of them changes nothing. An account that was never
    opened, or is closed, is left as it is. Raises `BookError` while an account under it is in use.
    """

    id: str


@dataclass(frozen=True, slots=True)
class ReadSpent(LedgerMessage[Spent]):
    """What `account` has spent and reserved. Raises `BookError` when it is unknown."""

    account: str


@dataclass(frozen=True, slots=True)
class ModelTotal:
    """What all calls of a model that ended in a `state` came to, since the ledger began.

    `state` is "settled", "presumed", "released" or, of a shared cache, "cached", where
    `saved_micro` is what the calls would have cost. It only grows: corrections of prices and what
    was folded change nothing of it.
    """

    model: str
    state: str
    calls: int = 0
    cost_micro: int = 0
    tokens: int = 0
    overrun_micro: int = 0
    saved_micro: int = 0


@dataclass(frozen=True, slots=True)
class ReadTotals(LedgerMessage[list[ModelTotal]]):
    """What all calls came to, by model and state."""


@dataclass(frozen=True, slots=True)
class BeginCall(LedgerMessage[str | None]):
    """The reply already paid for under `key`; else None, and the call is on its way.

    On its way means that its worst case in micro-dollars and tokens is reserved in `account`, and
    that it is paid for from now on, until it is settled or released. Two calls with one `key` have
    the same answer. Where calls were charged beyond their worst case so that a limit is passed,
    nothing more begins under it, in what was held before neither, until it fits again.

    Raises `BudgetExceeded`, and `BookError` for a `uid` whose call is over, an unknown or closed
    account or a negative amount.
    """

    uid: str
    account: str
    key: str
    node: str
    model: str
    cost_micro: int
    tokens: int


@dataclass(frozen=True, slots=True)
class BookHit(LedgerMessage[str | None]):
    """Book, at nothing, a call that a shared cache answered with `reply`.

    The reply already paid for under its key, if there is one, is returned to be used instead, and
    nothing is booked. `saved_*` is what the call would have cost.
    """

    uid: str
    account: str
    key: str
    node: str
    model: str
    saved_micro: int
    saved_tokens: int
    reply: str


@dataclass(frozen=True, slots=True)
class SettleCall(LedgerMessage[None]):
    """Book what the call `uid` cost, keep its reply, and refund the rest of its reservation.

    What it cost beyond the reservation is booked all the same, and kept as its overrun: no limit
    refuses what is spent already. `presumed`: nobody reported what it used, so this is its worst
    case. The first `reply` of a key stays. `measured` is how long it took and beside what, as JSON
    values, which the book only keeps. Raises `BookError` for a call that never began or was
    released.
    """

    uid: str
    cost_micro: int
    tokens: int
    cpu_s: float = 0.0
    reply: str | None = None
    measured: Mapping[str, Any] | None = None
    presumed: bool = False


@dataclass(frozen=True, slots=True)
class ReleaseCall(LedgerMessage[None]):
    """Give back what a call reserved that cost nothing; one that never began is fine.

    Raises `BookError` when it was paid for.
    """

    uid: str


@dataclass(frozen=True, slots=True)
class ThreadEntry:
    """A run that waits or was left, in short: `about` is what it asks and the like, its own JSON.

    `status` is "waiting", "left" or, while somebody goes on with it, "running".
    """

    id: str
    status: str
    about: str


@dataclass(frozen=True, slots=True)
class KeptThread(ThreadEntry):
    """All of it: `record` is its own JSON, and another `version` each time that it changed."""

    record: str
    version: int
    photos: Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class KeepThread(LedgerMessage[None]):
    """Keep the record of the thread `id` in place of an earlier one; its photos by their keys.

    `by` names who runs it, and has it from now on where it is `held`; `status`, "waiting" or
    "left", is what it is when nobody has it. Who died has it no longer. What `account` has spent,
    and accounts named after it, stays known for as long as it is kept.

    Raises `ThreadTaken` when somebody else has it.
    """

    id: str
    _: KW_ONLY
    account: str
    status: str
    record: str
    about: str
    photos: Mapping[str, bytes]
    by: str
    held: bool


@dataclass(frozen=True, slots=True)
class TakeThread(LedgerMessage[None]):
    """Have the thread `id`, as it was read in this `version`, for the one who is named `by`.

    Raises `ThreadTaken` when somebody else has it, or it has changed or ended since it was read.
    """

    id: str
    version: int
    by: str


@dataclass(frozen=True, slots=True)
class LeaveThread(LedgerMessage[None]):
    """Have the thread `id` no longer; one that is unknown, or that `by` has not, is fine."""

    id: str
    by: str


@dataclass(frozen=True, slots=True)
class ReadThread(LedgerMessage[KeptThread | None]):
    """The thread `id` as it was kept; None when there is none."""

    id: str


@dataclass(frozen=True, slots=True)
class EndThread(LedgerMessage[None]):
    """Forget the thread `id`, which came to its end; one that `by` has not is fine."""

    id: str
    by: str


@dataclass(frozen=True, slots=True)
class ListThreads(LedgerMessage[list[ThreadEntry]]):
    """The threads that are kept, the first kept first; with `id` that one alone, if it is kept."""

    id: str | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """A row that may be run: its journal key, its place, and the id it names for itself.

    One that is to be run `again` is admitted though it is finished.
    """

    key: str
    ordinal: int
    row_id: str | None = None
    again: bool = False


@dataclass(frozen=True, slots=True)
class AdmitRows(RowMessage[list[int | None]]):
    """Claim the ids of rows: for each None when it is finished or waits, else the id's owner.

    The owner is the ordinal of the first row that claimed the id; the row's own one when the id is
    free, its own already, or not named. So a resumed batch reads its table from the start.
    """

    rows: Sequence[Candidate]


@dataclass(frozen=True, slots=True)
class FinishRow(RowMessage[bool]):
    """Record a row, close its account and note its fields' `names`, all or nothing.

    A row that waits for a person is recorded with that `status`, so that it is not run anew; once
    it was answered it is recorded `again`, and the `thread` that it waited as ends with it. False
    when the row was recorded before, by this message or another: the first record stays, unless
    the row was run `again`, whose record takes its place. What the row has spent stays spent.
    `source` tells what the row's job read. Raises `BookError` for another row's ordinal, and as
    `CloseAccount` does.
    """

    key: str
    ordinal: int
    row_id: str
    status: str
    record_json: str
    account: str | None = None
    names: tuple[str, ...] = ()
    again: bool = False
    thread: str | None = None
    source: str = ""


@dataclass(frozen=True, slots=True)
class CountAttempt(RowMessage[int]):
    """Note a try at a row, under `account`, that failed while others succeeded; how many there are.

    They are forgotten when the row is finished.
    """

    key: str
    account: str
