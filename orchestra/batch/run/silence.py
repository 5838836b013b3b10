"""Tells a row that a model fails on from a model that answers nobody; it runs and asks nothing.

A row that found a model silent is in doubt until the model has answered somebody else: then the
failure is the row's own. Where the model answers nobody, it is no row's. Either way the row is to
be run again.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from orchestra.batch.row_run import Ran
from orchestra.batch.tables.row import Row

MOST_ASIDE = 64


@dataclass(frozen=True, slots=True)
class Unanswered:
    """A row that found a model silent; it was run alone or beside others, first or again."""

    row: Row
    ran: Ran
    is_alone: bool = False
    is_again: bool = False

    @property
    def counts(self) -> bool:
        """Whether the failure is held against the row, if it is its own.

        One that turned up beside others and was not billed may be for want of room.
        """
        return self.is_alone or self.ran.is_billed


@dataclass(eq=False, slots=True)
class Silence:
    """Rows that found a model silent: in doubt, or to be run again.

    `own` are rows that failed by themselves, `unclear` those that have to be run alone to tell.
    """

    in_doubt: list[Unanswered] = field(default_factory=list)
    own: list[Row] = field(default_factory=list)
    unclear: list[Row] = field(default_factory=list)
    _answered: dict[int, set[str]] = field(default_factory=dict)  # since a row in doubt asked

    @property
    def models(self) -> frozenset[str]:
        """The models in doubt."""
        return frozenset().union(*(one.ran.silent for one in self.in_doubt))

    @property
    def is_full(self) -> bool:
        """Whether those to be run again are to be run now: rows may hold photos."""
        return len(self.own) + len(self.unclear) >= MOST_ASIDE

    def fell(self, one: Unanswered) -> None:
        """A row found a model silent."""
        self.in_doubt.append(one)
        self._answered[one.row.ordinal] = set()

    def vouch(self, models: Collection[str], *, when_alone: bool) -> list[Unanswered]:
        """`models` answered: the rows whose failures are their own by that, and count.

        A row that may have failed for want of room is told of by answers `when_alone` only: until
        then no other is to be started.
        """
        for answered in self._answered.values():
            answered |= set(models)
        told = [one for one in self.in_doubt if self._is_told(one, when_alone)]
        own = [one for one in told if one.counts]
        self._move(own, self.own)
        self._move([one for one in told if not one.counts], self.unclear)
        return own

    def outage(self) -> list[Unanswered]:
        """The models in doubt answer nobody; the rows that may have brought them down."""
        suspects = [one for one in self.in_doubt if one.is_alone and one.is_again]
        self._move(list(self.in_doubt), self.unclear)
        return suspects

    def take(self) -> tuple[list[Row], list[Row]]:
        """The rows that are run again now: beside others, and alone."""
        own, unclear = self.own, self.unclear
        self.own, self.unclear = [], []
        return own, unclear

    def drop(self, row: Row) -> None:
        """A row is over, and is not run again."""
        self.own = [one for one in self.own if one is not row]
        self.unclear = [one for one in self.unclear if one is not row]

    def _is_told(self, one: Unanswered, when_alone: bool) -> bool:
        answered = self._answered[one.row.ordinal]
        return bool(answered) and one.ran.silent <= answered and (one.counts or when_alone)

    def _move(self, some: list[Unanswered], to: list[Row]) -> None:
        for one in some:
            self.in_doubt.remove(one)
            del self._answered[one.row.ordinal]
        to += [one.row for one in some]
