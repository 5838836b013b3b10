"""Sums what a book's calls cost by row, graph, node, model, tag, tenant or time; re-prices a model.

It knows no table and no graph; the name of a batch's graph and the cards are given to it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from orchestra.book.keys.budget_names import budget_parts
from orchestra.book.spending import FOLDED, Correction, Expense, Spending, SpendingAccount
from orchestra.core.card import Card
from orchestra.core.errors import BookError
from orchestra.core.money import usd
from orchestra.core.pricing import SECONDS_AN_HOUR, Work, cost_micro
from orchestra.core.tags import tags_of

By = Literal["row", "graph", "node", "model", "tag", "day", "month", "tenant", "key"]
ROW_ACCOUNT = "row:"
NO_ROW, NO_GRAPH, NO_TAG = "(no row)", "(no graph)", "(no tag)"
NO_PAYER = {"tenant": "(no tenant)", "key": "(no key)"}
OF_GRAPH = re.compile(r"job:[0-9a-f]{32}@([^:]+)")  # the account of a run that a server began


@dataclass(frozen=True, slots=True)
class CostLine:
    """What one thing cost: as booked, by corrections more or less, and the part presumed.

    `overrun_micro` is the part that servers charged beyond the worst case of their calls.
    `hits` of its `calls` were answered by a shared cache, which saved `saved_micro`.
    """

    name: str
    calls: int
    tokens: int
    booked_micro: int
    more_micro: int
    presumed_micro: int
    hits: int = 0
    saved_micro: int = 0
    overrun_micro: int = 0

    @property
    def cost_micro(self) -> int:
        """What it cost by the prices as they are known now."""
        return self.booked_micro + self.more_micro

    def public(self) -> dict[str, Any]:
        """As it stands in `costs --json`."""
        return {
            "name": self.name,
            "calls": self.calls,
            "tokens": self.tokens,
            "cost_usd": float(usd(self.cost_micro)),
            "booked_usd": float(usd(self.booked_micro)),
            "corrected_usd": float(usd(self.more_micro)),
            "presumed_usd": float(usd(self.presumed_micro)),
            "overrun_usd": float(usd(self.overrun_micro)),
            "hits": self.hits,
            "saved_usd": float(usd(self.saved_micro)),
        }


@dataclass(frozen=True, slots=True)
class Idle:
    """What the replicas of a model cost while they waited, for the time the batch ran."""

    model: str
    replicas: int
    seconds: float
    hosted_micro: int
    idle_micro: int

    def public(self) -> dict[str, Any]:
        """As it stands in `costs --json`."""
        return {
            "model": self.model,
            "replicas": self.replicas,
            "seconds": round(self.seconds, 3),
            "hosted_usd": float(usd(self.hosted_micro)),
            "idle_usd": float(usd(self.idle_micro)),
        }


@dataclass(frozen=True, slots=True)
class Costs:
    """The bill of a book, dearest line first; lines of tags overlap where a call has several.

    `idle` lists only models whose hosting is priced."""

    by: By
    lines: tuple[CostLine, ...]
    total: CostLine
    corrections: tuple[Correction, ...]
    idle: tuple[Idle, ...] = ()

    def public(self) -> dict[str, Any]:
        """As printed by `costs --json`."""
        return {
            "by": self.by,
            "lines": [line.public() for line in self.lines],
            "total": self.total.public(),
            "corrections": [
                asdict(entry) | {"corrected_usd": float(usd(entry.more_micro))}
                for entry in self.corrections
            ],
            "idle": [entry.public() for entry in self.idle],
        }


def costs(
    book: Spending,
    by: By,
    *,
    graph: str | None = None,
    cards: Iterable[Card] = (),
    seconds: float | None = None,
) -> Costs:
    """Sum the calls of `book`; `graph` is what ran in it, for `seconds`, on models of `cards`.

    Raises `BookError` for an unknown `by`.
    """
    if by not in get_args(By):
        raise BookError(f"Costs are not kept by {by!r}. Use one of {get_args(By)!r}.")
    expenses = list(book.expenses())
    headings = Headings.of(book, graph)
    sums: dict[str, list[Expense]] = {}
    for expense in expenses:
        for name in headings.names(by, expense):
            sums.setdefault(name, []).append(expense)
    lines = sorted(
        (sum_line(name, group) for name, group in sums.items()),
        key=lambda line: (-line.cost_micro, line.name),
    )
    return Costs(
        by,
        tuple(lines),
        sum_line("total", expenses),
        tuple(book.corrections()),
        tuple(_idle(expenses, cards, seconds)),
    )


def sum_line(name: str, group: Sequence[Expense]) -> CostLine:
    """What a group of calls came to."""
    return CostLine(
        name=name,
        calls=sum(one.calls for one in group),
        tokens=sum(one.tokens for one in group),
        booked_micro=sum(one.booked_micro for one in group),
        more_micro=sum(one.more_micro for one in group),
        presumed_micro=sum(one.presumed_micro for one in group),
        hits=sum(one.hits for one in group),
        saved_micro=sum(one.saved_micro or 0 for one in group),
        overrun_micro=sum(one.overrun_micro for one in group),
    )


@dataclass(frozen=True, slots=True)
class Headings:
    """What the expenses of a book are summed under; `graph` is of those that do not say it."""

    places: Mapping[int, SpendingAccount]
    rows: Mapping[str, str]
    graph: str

    @classmethod
    def of(cls, book: Spending, graph: str | None = None) -> Headings:
        """Those of `book`."""
        places = book.places()
        rows = {_number(one.id): one.row_id for one in places.values() if one.row_id is not None}
        return cls(places, rows, graph or NO_GRAPH)

    def names(self, by: By, expense: Expense) -> Sequence[str]:
        """Its heading; with several tags it stands under each of them."""
        if by == "tag":
            return self._tags(expense)
        if by == "row":
            return [self._row(expense.account)]
        if by == "graph":
            return [expense.graph or self._graph(expense.account)]
        if by in NO_PAYER:
            return [self._payer(by, expense.account)]
        if by in ("day", "month"):
            return [expense.day if by == "day" else expense.day[:7]]
        return [expense.node if by == "node" else expense.model]

    def _graph(self, account: int) -> str:
        """The graph of the run that this is the account of, or is under."""
        for place in self._chain(account):
            found = OF_GRAPH.search(place.id)
            if found is not None:
                return found[1]
        return self.graph

    def _payer(self, kind: str, account: int) -> str:
        """The tenant, or the key, that paid."""
        for place in self._chain(account):
            parts = budget_parts(place.id)
            if parts is not None and parts[0] == kind:
                return parts[1]
        return NO_PAYER[kind]

    def _row(self, account: int) -> str:
        """The row whose account this is or pays for; one without a record has its number.

        So each try at a row counts, and what its nodes spend beside its plan.
        """
        for place in self._chain(account):
            if place.row_id is not None:
                return place.row_id
            if place.id.startswith(ROW_ACCOUNT):
                return self.rows.get(_number(place.id)) or f"row {_number(place.id)}"
        return NO_ROW

    def _tags(self, expense: Expense) -> list[str]:
        """As `key=value`, of the nearest account that has tags."""
        above = (place.label for place in self._chain(expense.account))
        for label in (expense.label, *above):
            tags = tags_of(label)
            if tags:
                return [f"{key}={value}" for key, value in tags.items()]
        return [NO_TAG]

    def _chain(self, account: int) -> Iterable[SpendingAccount]:
        place = self.places.get(account)
        while place is not None:
            yield place
            place = None if place.parent is None else self.places.get(place.parent)


def _number(account: str) -> str:
    """The row's number in the id of its account, `row:NUMBER:TRY`."""
    return account.split(":")[1] if account.startswith(ROW_ACCOUNT) else ""


def _idle(expenses: list[Expense], cards: Iterable[Card], seconds: float | None) -> Iterable[Idle]:
    """Hosting by the hour, less what calls were charged for; replicas at their fixed number."""
    for card in cards:
        rate, busy = card.price.usd_per_hour, [e for e in expenses if e.model == card.name]
        if not rate or not busy or seconds is None:
            continue
        replicas = card.hosting.scaling.replicas
        hosted = int(rate * 1_000_000 * replicas * int(seconds * 1000) / 1000 / SECONDS_AN_HOUR)
        charged = sum(expense.cost_micro for expense in busy)
        yield Idle(card.name, replicas, seconds, hosted, max(0, hosted - charged))


def correct(book: Spending, card: Card, *, reason: str) -> Correction:
    """Re-price the calls of `card`'s model in `book` by its price, which was wrong before.

    A call whose reply is not kept (it failed, or was presumed) changes in the proportion of the
    others. Raises `BookError` without a reason, without calls, or where no call kept its work.
    """
    calls = [
        expense
        for expense in book.expenses()
        # A hit has no price, and of what was folded nobody knows the work any more.
        if expense.model == card.name and expense.saved_micro is None and expense.state != FOLDED
    ]
    if not calls:
        raise BookError(f"The book has no paid call of {card.name!r}. Name a model it paid for.")
    known = {one.entry: cost_micro(card, Work(*one.work)) for one in calls if one.work is not None}
    booked = sum(one.booked_micro for one in calls if one.entry in known)
    unknown = [one for one in calls if one.entry not in known and one.booked_micro]
    if unknown and not booked:
        raise BookError(
            f"No call of {card.name!r} kept its reply at a price, so that its cost cannot be "
            "worked out again. Correct the sum outside the book."
        )
    right = sum(known.values())
    scaled = {one.entry: one.booked_micro * right // booked for one in unknown}
    book.correct(
        card.name,
        reason=reason,
        price=card.price.model_dump(mode="json"),
        costs=known | scaled,
        scaled=len(scaled),
    )
    return book.corrections()[-1]
