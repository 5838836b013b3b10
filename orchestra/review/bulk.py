"""One decision for all fields of a choice: what it will change, and that change."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from orchestra.book.decisions import NewDecision
from orchestra.core.errors import InvalidDecision
from orchestra.core.job import Field
from orchestra.core.values import agree, shown
from orchestra.review.alike import Alike
from orchestra.review.desk import OPEN_STATES, Desk
from orchestra.review.index import STATES, Choice, Codes
from orchestra.review.load import STATE_OF

Deed = Literal["approve", "reject", "skip", "edit", "photo", "text", "products"]
DEEDS: tuple[Deed, ...] = get_args(Deed)
SIDES = {"photo": 1, "text": 2}  # which reading is the one that lost, as the index has it
SAMPLED = 10


@dataclass(frozen=True, slots=True)
class BulkChange:
    """One field of the preview: its value now and then, and what will be decided of it."""

    row_id: str
    name: str
    now: str
    then: str
    state: str


@dataclass(frozen=True, slots=True)
class Preview:
    """What a bulk action would do: to `fields` of `rows`, and which it passes over."""

    deed: Deed
    fields: int
    rows: int
    decided: int
    without: int
    sample: tuple[BulkChange, ...]


@dataclass(frozen=True, slots=True)
class Aim:
    """The fields that a bulk action means: those to change, and how many it passes over."""

    places: Codes
    decided: int
    without: int


def aim(desk: Desk, choice: Choice, deed: Deed) -> Aim:
    """Find them: what is decided already is passed over, and what lacks the reading."""
    index = desk.index
    places = index.places(choice)
    is_open = np.isin(index.columns["state"][places], [STATES.index(one) for one in OPEN_STATES])
    decided, places = int((~is_open).sum()), places[is_open]
    without = 0
    if deed in SIDES:
        has_both = index.columns["other"][places] > 0
        without, places = int((~has_both).sum()), places[has_both]
    return Aim(places, decided, without)


def preview(desk: Desk, choice: Choice, deed: Deed, value: str = "") -> Preview:
    """What the action would change; nothing is written. Raises `InvalidDecision`."""
    with desk.lock:
        _check(desk, choice, deed)
        meant = aim(desk, choice, deed)
        sample = tuple(
            _change(desk, place, deed, value) for place in map(int, meant.places[:SAMPLED])
        )
        return Preview(
            deed=deed,
            fields=len(meant.places),
            rows=desk.index.row_count(meant.places),
            decided=meant.decided,
            without=meant.without,
            sample=sample,
        )


def decide_all(
    desk: Desk, choice: Choice, deed: Deed, value: str, why: str, group: str, expected: int
) -> int | None:
    """Do what a preview said: of how many fields or products it was decided.

    None where it would not be of `expected` fields any more. A `group` that was written before is
    not written again. Raises `InvalidDecision`, `BookError`.
    """
    with desk.lock:
        _check(desk, choice, deed)
        if known := desk.folder.book.group_size(group):
            return known
        meant = aim(desk, choice, deed)
        if len(meant.places) != expected:
            return None
        if deed == "approve" or deed == "skip":
            return desk.decide_alike(Alike.of_places(desk.index, deed, meant.places), group, why)
        if deed == "products":
            return desk.decide_alike(Alike.of_rows(desk.index, meant.places), group, why)
        return len(desk.write(list(_decisions(desk, meant.places, deed, value)), group, why))


def _decisions(desk: Desk, places: Codes, deed: Deed, value: str) -> Iterator[NewDecision]:
    for place in map(int, places):
        row_id, name = desk.index.key(place)
        if deed == "reject":
            yield NewDecision(row_id, deed, field=name or None)
        elif deed == "edit":
            told = desk.read_value(row_id, name, value)
            yield NewDecision(row_id, "edit", field=name, value=told)
        else:
            yield _taking(desk, place, row_id, name, deed)


def _taking(desk: Desk, place: int, row_id: str, name: str, side: str) -> NewDecision:
    """The decision for one side's reading: an approval where that stands already."""
    if int(desk.index.columns["other"][place]) != SIDES[side]:
        return NewDecision(row_id, "approve", field=name)
    field = _field(desk, place, name)
    return NewDecision(row_id, "edit", field=name, value=other_of(field))


def other_of(field: Field) -> object:
    """The value of the first reading that says something else."""
    return next(
        one.value
        for one in field.alternatives
        if one.value is not None and not agree(one.value, field.value)
    )


def _field(desk: Desk, place: int, name: str) -> Field:
    _, _, now = desk.results(int(desk.index.columns["row"][place]))
    return now.fields.get(name, Field())


def _change(desk: Desk, place: int, deed: Deed, value: str) -> BulkChange:
    row_id, name = desk.index.key(place)
    field = _field(desk, place, name)
    now, state = shown(field.value), STATE_OF.get(deed, "approved")
    then = "" if deed == "reject" else now
    if deed == "edit":
        then = shown(desk.read_value(row_id, name, value))
    elif deed in SIDES and int(desk.index.columns["other"][place]) == SIDES[deed]:
        then, state = shown(other_of(field)), "edited"
    return BulkChange(row_id, name, now, then, state)


def _check(desk: Desk, choice: Choice, deed: str) -> None:
    if deed not in DEEDS:
        raise InvalidDecision(
            f"There is no bulk action {deed!r}. Choose one of: {', '.join(DEEDS)}."
        )
    if deed == "edit" and choice.field in ("", "all"):
        raise InvalidDecision(
            "One value for fields of several names makes no sense. Choose one field first."
        )
