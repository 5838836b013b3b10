"""All fields of a batch in memory, as columns of numbers: filters and counts take milliseconds.

It knows no page and no book. What it holds of a field is some 25 bytes; texts are kept once each.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orchestra.review.findings import FLAGGED, KINDS, Finding
from orchestra.review.texts import Texts

STATES = ("open", "approved", "edited", "rejected", "skipped")
BANDS = ("none", "0-50", "50-80", "80-95", "95-100")
BAND_EDGES = (0.5, 0.8, 0.95)
LONGEST_VALUE = 60  # characters; longer ones are not told apart where values are grouped
LONG = "…"
NONE_GIVEN = "(none)"  # in a choice: the empty word, since "" means the usual
DIMENSIONS = ("kind", "state", "field", "status", "sure", "reason", "value")
FLAGGED_KINDS = tuple(KINDS.index(kind) for kind in FLAGGED)

Codes = NDArray[np.int32]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Choice:
    """Which fields are looked at: a value of each dimension, "" for the usual, "all" for any.

    Usual is what needs a person (`kind`) and is open (`state`); of other dimensions it is any.
    `text` is searched in ids, texts and values. `order` is "worst" first, or that of the "table".
    """

    kind: str = ""
    state: str = ""
    field: str = ""
    status: str = ""
    sure: str = ""
    reason: str = ""
    value: str = ""
    text: str = ""
    order: str = "worst"

    def given(self) -> dict[str, str]:
        """What differs from the usual, by name."""
        usual = Choice()
        return {
            name: told
            for name in (*DIMENSIONS, "text", "order")
            if (told := getattr(self, name)) != getattr(usual, name)
        }


@dataclass(frozen=True, slots=True)
class DecidedCounts:
    """How many decisions stand: of each field by its name, and of each row as a whole.

    `is_raising` are rows of which decisions may leave something for review.
    """

    of_field: Codes
    of_row: Codes
    is_raising: Mask


@dataclass(slots=True)
class Codebook:
    """Codes of the words of one dimension, in the order in which they were met."""

    words: list[str] = field(default_factory=list)
    codes: dict[str, int] = field(default_factory=dict)

    def code(self, word: str) -> int:
        """The code of a word, a new one where it was not met."""
        code = self.codes.get(word)
        if code is None:
            code = self.codes[word] = len(self.words)
            self.words.append(word)
        return code


@dataclass(frozen=True, slots=True)
class RowOf:
    """A row as it is added: its place in the table, id, status, and what is searched.

    `version` is that of its record.
    """

    ordinal: int
    row_id: str
    status: str
    text: str
    version: int = 0


class Index:
    """The fields of a batch. Filled by `add` row by row, then closed by `ready`."""

    def __init__(self) -> None:
        self.rows: list[RowKey] = []
        self.texts = Texts()
        self.names = {name: Codebook() for name in DIMENSIONS}
        for name, words in (("kind", KINDS), ("state", STATES), ("sure", BANDS)):
            for word in words:
                self.names[name].code(word)
        self.columns: dict[str, Codes] = {}
        self._row_of: dict[str, int] = {}
        self._filling = {name: array("i") for name in (*DIMENSIONS, "row", "other")}
        self._ranks = array("d")
        self._starts = array("i", [0])
        self._orders: dict[str, Codes] = {}
        self._said: dict[str, Codes] = {}
        self.tally: DecidedCounts
        self.ordinals: NDArray[np.int64]

    def add(self, row: RowOf, found: Iterable[Finding]) -> None:
        """Add a row and its fields."""
        number, rank, into = len(self.rows), float(len(KINDS)), self._filling
        self.rows.append(RowKey(row.ordinal, row.row_id, row.version))
        self._row_of.setdefault(row.row_id, number)
        said: list[str] = []
        status = self.names["status"].code(row.status)
        for finding in found:
            kind = KINDS.index(finding.kind)
            rank = min(rank, kind + min(max(1 - finding.fault, 0.0), 0.999))
            into["row"].append(number)
            into["kind"].append(kind)
            into["state"].append(0)
            into["field"].append(self.names["field"].code(finding.field))
            into["status"].append(status)
            into["sure"].append(_band(finding.confidence))
            into["reason"].append(self.names["reason"].code(finding.reason))
            into["value"].append(self.names["value"].code(_pair(finding)))
            into["other"].append(_side(finding))
            said.append(finding.value)
        self._starts.append(len(into["row"]))
        self._ranks.append(rank)
        self.texts.add("\n".join((row.row_id, row.text, *said)))

    def ready(self) -> None:
        """Close the index: from here on only states change."""
        self.columns = {name: np.array(codes, np.int32) for name, codes in self._filling.items()}
        self._filling = {}
        self._said = {name: self.columns[name].copy() for name in ("kind", "reason")}
        self.ordinals = np.array([row.ordinal for row in self.rows], np.int64)
        self.tally = DecidedCounts(
            np.zeros(len(self), np.int32),
            np.zeros(len(self.rows), np.int32),
            np.zeros(len(self.rows), np.bool_),
        )
        self.texts.ready()
        worst = np.argsort(np.array(self._ranks, np.float64), kind="stable").astype(np.int32)
        self._orders = {"worst": worst, "table": np.arange(len(self.rows), dtype=np.int32)}

    def __len__(self) -> int:
        return len(self.columns["row"])

    def place(self, row_id: str, name: str) -> int | None:
        """Where the field of a row stands in the columns; None where there is no such field."""
        row, code = self._row_of.get(row_id), self.names["field"].codes.get(name)
        if row is None or code is None:
            return None
        fields = self.columns["field"]
        return next((place for place in self.fields_of(row) if fields[place] == code), None)

    def places_in(self, rows: Codes) -> Codes:
        """Where all fields of some rows stand."""
        starts = np.frombuffer(self._starts, np.int32)
        counts = starts[rows + 1] - starts[rows]
        ends = np.cumsum(counts)
        steps = np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - counts, counts)
        return (np.repeat(starts[rows], counts) + steps).astype(np.int32)

    def row(self, row_id: str) -> int | None:
        """The number of the row with this id, of several the first; None where there is none."""
        return self._row_of.get(row_id)

    def key(self, place: int) -> tuple[str, str]:
        """The row id and the field that stand there."""
        row = self.rows[int(self.columns["row"][place])]
        return row.row_id, self.names["field"].words[int(self.columns["field"][place])]

    def set_states(self, places: Sequence[int] | Codes, state: str) -> None:
        """Note what was decided of some fields."""
        self.columns["state"][places] = STATES.index(state)

    def flag(self, place: int, found: Finding | None) -> None:
        """Note why a field needs a person since something was decided; None: as models said."""
        for name, codes in self._said.items():
            word = None if found is None else getattr(found, name)
            code = codes[place] if word is None else self.names[name].code(word)
            self.columns[name][place] = code

    def state(self, place: int) -> str:
        """What was decided of a field."""
        return STATES[int(self.columns["state"][place])]

    def mask(self, choice: Choice, without: str = "") -> Mask:
        """Which fields a choice means; of the dimension `without` any."""
        mask = np.ones(len(self), np.bool_)
        for name in DIMENSIONS:
            told = getattr(choice, name)
            if name == without or told == "all" or (not told and name not in ("kind", "state")):
                continue
            column = self.columns[name]
            if told:
                word = "" if told == NONE_GIVEN else told
                mask &= column == self.names[name].codes.get(word, -1)
            elif name == "kind":
                mask &= self._flagged()
            else:
                mask &= column == 0
        if choice.text.strip():
            mask &= self.texts.holding(choice.text)[self.columns["row"]]
        return mask

    def _flagged(self) -> Mask:
        return self.columns["kind"] < len(FLAGGED_KINDS)

    def counts(self, choice: Choice, name: str) -> list[tuple[str, int]]:
        """How many fields there are of each word of a dimension, the other choices held."""
        counted = np.bincount(
            self.columns[name][self.mask(choice, without=name)],
            minlength=len(self.names[name].words),
        )
        return [
            (word, int(count))
            for word, count in zip(self.names[name].words, counted, strict=True)
            if count
        ]

    def places(self, choice: Choice) -> Codes:
        """Where the fields of a choice stand."""
        return np.flatnonzero(self.mask(choice)).astype(np.int32)

    def row_count(self, places: Codes | Mask) -> int:
        """In how many rows these fields stand."""
        return int(self._hit(places).sum())

    def _hit(self, places: Codes | Mask) -> Mask:
        """Which rows have one of these fields."""
        hit = np.zeros(len(self.rows), np.bool_)
        hit[self.columns["row"][places]] = True
        return hit

    def page(self, choice: Choice, mask: Mask, start: int, size: int) -> list[int]:
        """Up to `size` row numbers with a field of `mask`, in order, from the `start`-th place of
        that order on. `position` says where to go on."""
        order, hit = self._order(choice), self._hit(mask)
        found = np.flatnonzero(hit[order[start:]])[:size]
        return [int(row) for row in order[start:][found]]

    def before(self, choice: Choice, mask: Mask, start: int, size: int) -> int:
        """The place from which a page of `size` rows ends before `start`."""
        order, hit = self._order(choice), self._hit(mask)
        found = np.flatnonzero(hit[order[:start]])[-size:]
        return int(found[0]) if found.size else 0

    def position(self, choice: Choice, row: int) -> int:
        """The place of a row in the order of a choice."""
        return int(np.flatnonzero(self._order(choice) == row)[0])

    def _order(self, choice: Choice) -> Codes:
        return self._orders.get(choice.order, self._orders["worst"])

    def fields_of(self, row: int) -> range:
        """Where the fields of a row stand."""
        return range(self._starts[row], self._starts[row + 1])

    def progress(self) -> Mapping[str, int]:
        """Of the fields that need a person: how many there are and are left, and decided at all."""
        flagged, state = self._flagged(), self.columns["state"]
        is_open = (state == 0) | (state == STATES.index("skipped"))
        return {
            "flagged": int(flagged.sum()),
            "left": int((flagged & is_open).sum()),
            "rows_left": int(self._hit(flagged & is_open).sum()),
            "decided": int((~is_open).sum()),
        }


@dataclass(frozen=True, slots=True)
class RowKey:
    """A row's place in the table, its id, and the version of its record."""

    ordinal: int
    row_id: str
    version: int


def _band(confidence: float | None) -> int:
    if confidence is None:
        return 0
    return 1 + sum(confidence >= edge for edge in BAND_EDGES)


def _short(value: str) -> str:
    return value if len(value) <= LONGEST_VALUE else LONG


def _pair(finding: Finding) -> str:
    """How a value is grouped: with what the other side says, where that is another value."""
    own = _short(finding.value)
    return f"{own} | {_short(finding.other)}" if finding.other else own


def _side(finding: Finding) -> int:
    """1 where the photo's reading is the other one, 2 where the text's is, 0 without."""
    return {"photo": 1, "text": 2}.get(finding.other_source, 0) if finding.other else 0


def as_choice(query: Mapping[str, Any]) -> Choice:
    """A choice as an address has it; what it does not know is left out."""
    names = (*DIMENSIONS, "text", "order")
    return Choice(**{name: str(query[name]) for name in names if query.get(name)})
