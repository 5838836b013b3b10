"""What the members of a shared ledger and its server say to each other; it knows no Ray.

A member is a process that sends messages, such as an ingress. A term is one life of the ledger: a
member that speaks in an earlier one is told so, and says first what it has open.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from orchestra.book.messages import (
    AbandonAccount,
    AnyMessage,
    BeginCall,
    CloseAccount,
    EndThread,
    KeepThread,
    LeaveThread,
    ModelTotal,
    OpenAccount,
    ReleaseCall,
    SettleCall,
    TakeThread,
)

BEAT_S = 2.0  # a member that says nothing else says so often that it is alive
LEASE_S = 20.0  # one that was silent for so long is dead; a busy event loop may be late
GRACE_S = 12.0  # after its own restart the ledger waits so long for members to say what they have


@dataclass(frozen=True, slots=True)
class Bundle:
    """Messages of `member`, which takes the ledger to be in `term`; none is a sign of life.

    One that `joins` says again what the member has open, for a ledger that may not know.
    `samples` are its metrics as Prometheus reads them, in place of those that it sent before.
    """

    member: str
    term: str
    messages: tuple[AnyMessage, ...] = ()
    joins: bool = False
    samples: bytes | None = None


@dataclass(frozen=True, slots=True)
class Answered:
    """The answer of each message, an error too, and the `term` that the ledger is in.

    One that is `stale` did nothing: the member has to join first. `trouble` says why the ledger
    begins nothing at the moment; empty where it does.
    """

    term: str
    answers: tuple[Any, ...] = ()
    stale: bool = False
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Collected:
    """What all calls came to, and the metrics of every member, those that are gone as one."""

    totals: tuple[ModelTotal, ...] = ()
    samples: tuple[bytes, ...] = ()
    trouble: str = ""


@dataclass(eq=False, slots=True)
class Live:
    """What a member has open, in the order that it was opened: as messages that say it again."""

    accounts: dict[str, OpenAccount] = field(default_factory=dict)
    calls: dict[str, BeginCall] = field(default_factory=dict)
    threads: dict[str, TakeThread] = field(default_factory=dict)

    def note(self, message: AnyMessage, answer: Any) -> None:
        """What `message` opened or ended, given its answer."""
        if isinstance(answer, Exception):
            return
        match message:
            case OpenAccount():
                self.accounts[message.id] = message
            case CloseAccount() | AbandonAccount():
                self.accounts.pop(message.id, None)
            case BeginCall() if answer is None:
                self.calls[message.uid] = message
            case SettleCall() | ReleaseCall():
                self.calls.pop(message.uid, None)
            case KeepThread() if message.held:
                self.threads[message.id] = TakeThread(message.id, 0, message.by)
            case TakeThread():
                self.threads[message.id] = message
            case KeepThread() | LeaveThread() | EndThread():
                self.threads.pop(message.id, None)
            case _:
                pass

    def messages(self) -> tuple[AnyMessage, ...]:
        """Them all."""
        return (*self.accounts.values(), *self.calls.values(), *self.threads.values())
