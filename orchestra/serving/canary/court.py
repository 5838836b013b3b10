"""Judges canaries by what all ingresses saw, in the one process that all of them reach.

What it hears it holds in memory: where that process dies, ingresses tell the next one again what
they saw. A verdict is kept in the book, so that a canary that lost its share has none after a
restart either, until another version is put on trial.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field

from orchestra.serving.canary.seen import Ended, VersionOutcomes, Worse

NOTE = "canary."  # and the name of the version on trial


@dataclass(frozen=True, slots=True)
class AgedOutcome:
    """A request that ended `age_s` seconds ago."""

    version: str
    age_s: float
    seconds: float
    is_failed: bool


@dataclass(frozen=True, slots=True)
class CanaryReport:
    """Outcomes that `member` saw of a trial, the `first` of them by its number.

    `is_all` says that it keeps none before those. `worse` is what it found by itself.
    """

    trial: str
    member: str
    first: int
    seen: tuple[AgedOutcome, ...]
    is_all: bool
    worse: Worse | None = None


@dataclass(frozen=True, slots=True)
class CanaryVerdict:
    """How many outcomes of a member are `known`, and in what the canary is worse, if it is.

    `is_first` is told to the member whose report led to it; one that `is_old` was come to before
    this court's process began.
    """

    known: int
    worse: Worse | None = None
    is_first: bool = False
    is_old: bool = False


@dataclass(eq=False, slots=True)
class _Case:
    """One version on trial."""

    seen: VersionOutcomes = field(default_factory=VersionOutcomes)
    known: dict[str, int] = field(default_factory=dict)
    worse: Worse | None = None
    first: str = ""
    is_kept: bool = False


class CanaryCourt:
    """Hears reports. `read` and `keep` are of notes that outlive it; they may raise `BookError`."""

    def __init__(
        self,
        read: Callable[[str], str | None],
        keep: Callable[[str, str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read, self._keep, self._clock = read, keep, clock
        self._cases: dict[str, _Case] = {}

    def hear(self, report: CanaryReport) -> CanaryVerdict:
        """What a report leads to. Raises `BookError`; the same report is heard again then."""
        case = self._cases.get(report.trial)
        if case is None:
            case = _Case()
            kept = self._read(NOTE + report.trial)
            if kept is not None:
                case.worse, case.is_kept = Worse(**json.loads(kept)), True
            self._cases[report.trial] = case
        known = self._note(case, report)
        if case.worse is None:
            case.worse = report.worse or case.seen.worse(self._clock())
            case.first = "" if case.worse is None else report.member
        if case.worse is not None and not case.is_kept:
            self._keep(NOTE + report.trial, json.dumps(asdict(case.worse)))
            case.is_kept = True
        is_first = case.worse is not None and case.first == report.member
        return CanaryVerdict(known, case.worse, is_first, case.worse is not None and not case.first)

    def _note(self, case: _Case, report: CanaryReport) -> int:
        """Add what was not heard yet; how many of the member's are known now."""
        known = case.known.get(report.member)
        if known is None and not report.is_all:
            return 0  # this process is new: have it tell all that it keeps
        known = report.first if known is None else known
        now = self._clock()
        for one in report.seen[max(0, known - report.first) :]:
            case.seen.note(one.version, Ended(now - one.age_s, one.seconds, one.is_failed))
        case.known[report.member] = max(known, report.first + len(report.seen))
        return case.known[report.member]
