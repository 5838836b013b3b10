"""Kinds of rows: what a row has and how long its text is; and a table as the shapes of its rows.

A table is read once, without a model; of a row there stay a few numbers, so a table may be
longer than memory.
"""

from __future__ import annotations

import hashlib
import os
import random
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from orchestra.batch.columns import Columns
from orchestra.batch.tables.row import Row
from orchestra.core.job import Word
from orchestra.core.text import sanitise
from orchestra.images.fetch import is_fetched
from orchestra.routing.candidates import JobShape

QUANTILES = 4  # of text length, among the rows that have a text
UNUSABLE = "unusable"
NO_KEY = 0


class RowShape(NamedTuple):
    """What pricing needs of a row. Keys are equal for equal texts and photos, 0 for none."""

    text_bytes: int
    text_key: int
    photo_key: int

    @property
    def job(self) -> JobShape:
        """As the planner sees it."""
        return JobShape(self.text_bytes, int(self.photo_key != NO_KEY))


NOTHING = RowShape(0, NO_KEY, NO_KEY)


class Kinds(Word):
    """Bounds of text length in bytes between the kinds, ascending."""

    edges: tuple[int, ...] = ()

    def of(self, shape: RowShape) -> str:
        """The kind's name, as in `text+photo, 90-140 bytes`; rows with nothing are unusable."""
        if not shape.text_bytes and not shape.photo_key:
            return UNUSABLE
        has = [("text", shape.text_bytes), ("photo", shape.photo_key)]
        name = "+".join(part for part, there in has if there)
        if not shape.text_bytes or not self.edges:
            return name
        place = bisect_right(self.edges, shape.text_bytes)
        if place == 0:
            return f"{name}, under {self.edges[0]} bytes"
        if place == len(self.edges):
            return f"{name}, {self.edges[-1]} bytes or more"
        return f"{name}, {self.edges[place - 1]}-{self.edges[place] - 1} bytes"


def row_shape(row: Row, columns: Columns, base: Path) -> RowShape:
    """The shape of a row; a photo file that is not there is none."""
    if row.error is not None:
        return NOTHING
    job = columns.job(row, "auto")
    text = sanitise(job.text or "").strip()
    photo = job.images[0] if job.images else ""
    if photo and not is_fetched(photo) and not photo.startswith("data:"):
        photo = os.path.join(base, photo)
        photo = photo if os.path.isfile(photo) else ""
    return RowShape(len(text.encode()), _key(text), _key(photo))


def _key(text: str) -> int:
    if not text:
        return NO_KEY
    digest = hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest) >> 1 or 1


@dataclass(slots=True)
class TableShape:
    """Every row of a table as numbers, in the table's order; some are labelled, some finished."""

    kinds: Kinds = field(default_factory=Kinds)
    labelled: set[int] = field(default_factory=set)
    finished: set[int] = field(default_factory=set)
    _numbers: array[int] = field(default_factory=lambda: array("q"))  # three a row, as in its shape

    @classmethod
    def of(
        cls,
        rows: Iterable[Row],
        columns: Columns,
        base: Path,
        labels: Mapping[str, str] | None = None,
    ) -> TableShape:
        """Read all `rows`; one is labelled when a column of `labels` (by field) is filled."""
        table = cls()
        for row in rows:
            table.add(row_shape(row, columns, base))
            if any(row.values.get(column, "").strip() for column in (labels or {}).values()):
                table.labelled.add(row.ordinal)
        table.kinds = Kinds(edges=_edges(sorted(filter(None, table._numbers[:: len(NOTHING)]))))
        return table

    def add(self, shape: RowShape) -> None:
        """Note the next row."""
        self._numbers.extend(shape)

    def __len__(self) -> int:
        return len(self._numbers) // len(NOTHING)

    def __iter__(self) -> Iterator[RowShape]:
        return map(self.shape, range(1, len(self) + 1))

    def shape(self, ordinal: int) -> RowShape:
        """The shape of the row at `ordinal` (from 1)."""
        end = ordinal * len(NOTHING)
        return RowShape(*self._numbers[end - len(NOTHING) : end])

    def by_kind(self) -> dict[str, list[int]]:
        """Ordinals of usable rows still to run, the kinds in the order of their names."""
        found: dict[str, list[int]] = {}
        for ordinal, shape in enumerate(self, start=1):
            kind = self.kinds.of(shape)
            if kind != UNUSABLE and ordinal not in self.finished:
                found.setdefault(kind, []).append(ordinal)
        return dict(sorted(found.items()))

    def draw(self, rows: int, seed: int) -> dict[str, list[int]]:
        """About `rows` ordinals, drawn from each kind in proportion, two at least.

        Labelled rows are drawn first, as only they tell of quality.
        """
        kinds = self.by_kind()
        usable = sum(len(ordinals) for ordinals in kinds.values())
        drawn: dict[str, list[int]] = {}
        draw = random.Random(seed)
        for kind, ordinals in kinds.items():
            count = min(len(ordinals), max(2, round(rows * len(ordinals) / usable)))
            shuffled = draw.sample(ordinals, len(ordinals))
            shuffled.sort(key=lambda ordinal: ordinal not in self.labelled)
            drawn[kind] = shuffled[:count]
        return drawn


def _edges(lengths: Sequence[int]) -> tuple[int, ...]:
    """Quantiles of sorted text lengths, where they differ."""
    if not lengths:
        return ()
    cuts = {lengths[len(lengths) * part // QUANTILES] for part in range(1, QUANTILES)}
    return tuple(sorted(cuts - {lengths[0]}))
