"""Many fields of which one thing is decided: where they stand, and what the index notes of them.

Whole columns are noted at once; noted one by one, 50,000 fields would take seconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from orchestra.review.findings import WHOLE_ROW
from orchestra.review.index import STATES, Codes, Index
from orchestra.review.load import STATE_OF


@dataclass(frozen=True, slots=True)
class Alike:
    """Fields to approve or to skip: the `places` of those decided of by name, and `rows` whole."""

    action: Literal["approve", "skip"]
    places: Codes
    rows: Codes

    @classmethod
    def of_places(cls, index: Index, action: Literal["approve", "skip"], places: Codes) -> Alike:
        """Those at some places; one that stands for its row is of the row."""
        whole = index.names["field"].codes.get(WHOLE_ROW, -1)
        is_whole = index.columns["field"][places] == whole
        return cls(action, places[~is_whole], index.columns["row"][places[is_whole]])

    @classmethod
    def of_rows(cls, index: Index, places: Codes) -> Alike:
        """The rows that have fields at some places, to approve as a whole."""
        rows = np.unique(index.columns["row"][places])
        return cls("approve", np.zeros(0, np.int32), rows)

    def by_field(self, index: Index) -> Mapping[str | None, Sequence[int]]:
        """Places of rows in the table, by field; under None those of rows as a whole."""
        ordinals = index.ordinals
        fields, names = index.columns["field"][self.places], index.names["field"].words
        numbers = index.columns["row"][self.places]
        found: dict[str | None, Sequence[int]] = {
            names[int(code)]: ordinals[numbers[fields == code]].tolist()
            for code in np.unique(fields)
        }
        return found | {None: ordinals[self.rows].tolist()}

    def note_made(self, index: Index) -> Codes:
        """Note that it was decided; the rows that have to be noted one by one."""
        tally, state = index.tally, index.columns["state"]
        tally.of_field[self.places] += 1
        tally.of_row[self.rows] += 1
        places = np.concatenate([self.places, index.places_in(self.rows)])
        places = places[~tally.is_raising[index.columns["row"][places]]]
        if self.action == "skip":  # what stands stays
            places = places[state[places] == STATES.index("open")]
        state[places] = STATES.index(STATE_OF[self.action])
        rows = np.concatenate([index.columns["row"][self.places], self.rows])
        return np.unique(rows[tally.is_raising[rows]])

    def note_undone(self, index: Index) -> Codes:
        """Note that it was taken back; the rows that have to be noted one by one.

        A field is open again where nothing else stands decided of it.
        """
        tally = index.tally
        tally.of_field[self.places] -= 1
        tally.of_row[self.rows] -= 1
        places = np.concatenate([self.places, index.places_in(self.rows)])
        rows = index.columns["row"][places]
        is_free = (tally.of_field[places] == 0) & (tally.of_row[rows] == 0)
        is_free &= ~tally.is_raising[rows]
        index.columns["state"][places[is_free]] = STATES.index("open")
        return np.unique(rows[~is_free])
