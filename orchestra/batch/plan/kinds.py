"""Kinds of rows: what a row has, how long its text is, and what a better model is expected to gain
on it; and a table as the shapes of its rows.

A table is read once, without a model; of a row there stay a few numbers, so a table may be
longer than memory.
"""

from __future__ import annotations

import hashlib
import random
from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

from orchestra.batch.columns import Columns
from orchestra.batch.tables.row import Row
from orchestra.core.job import Word
from orchestra.core.text import sanitise
from orchestra.images.fetch import name_of_photo
from orchestra.quality.learned.expected import Expectations
from orchestra.routing.candidates import JobShape

QUANTILES = 4  # of text length, among the rows that have a text
BESIDE, GAINS = 2, 3  # of text length, and of the gain, where a policy expects one
UNUSABLE = "unusable"
NO_KEY = 0
NO_GAIN = -1  # nothing is expected of the row's text
AT_ONCE = 256  # texts that are read together
Expect = Callable[[Sequence[str]], list[Expectations]]


class RowShape(NamedTuple):
    """What pricing needs of a row. Keys are equal for equal texts and photos, 0 for none. `gain` is
    what the best model at each node is expected to add to the cheapest, in thousandths;
    the key of several photos is that of the first, `photos` how many there are."""

    text_bytes: int
    text_key: int
    photo_key: int
    gain: int = NO_GAIN
    photos: int = 0

    @property
    def job(self) -> JobShape:
        """As the planner sees it."""
        return JobShape(self.text_bytes, max(self.photos, 1) if self.photo_key else 0)


NOTHING = RowShape(0, NO_KEY, NO_KEY)


class Kinds(Word):
    """Bounds between the kinds, ascending: of text length in bytes, of the gain in thousandths."""

    edges: tuple[int, ...] = ()
    gains: tuple[int, ...] = ()

    def of(self, shape: RowShape) -> str:
        """The kind's name, as in `text+photo, 90-140 bytes`; rows with nothing are unusable."""
        if not shape.text_bytes and not shape.photo_key:
            return UNUSABLE
        has = [("text", shape.text_bytes), ("photo", shape.photo_key)]
        name = "+".join(part for part, there in has if there)
        if not shape.text_bytes:
            return name
        if self.edges:
            name = f"{name}, {_between(shape.text_bytes, self.edges, 'bytes')}"
        if self.gains and shape.gain != NO_GAIN:
            name = f"{name}, gain {_between(shape.gain, self.gains, 'per mille')}"
        return name


def _between(value: int, edges: Sequence[int], unit: str) -> str:
    """Where a value lies among ascending bounds."""
    place = bisect_right(edges, value)
    if place == 0:
        return f"under {edges[0]} {unit}"
    if place == len(edges):
        return f"{edges[-1]} {unit} or more"
    return f"{edges[place - 1]}-{edges[place] - 1} {unit}"


def row_shape(row: Row, columns: Columns, base: Path) -> RowShape:
    """The shape of a row; a photo file that is not there is none."""
    if row.error is not None:
        return NOTHING
    job = columns.job(row, "auto")
    text = sanitise(job.text or "").strip()
    photos = [name for photo in job.images if (name := name_of_photo(photo, base))]
    main = photos[0] if photos else ""
    return RowShape(len(text.encode()), _key(text), _key(main), photos=len(photos))


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
    _numbers: array[int] = field(default_factory=lambda: array("q"))  # five a row, as in its shape
    _forms: list[Expectations] = field(default_factory=list)  # of which each expectation is one
    _expected: list[tuple[int, array[float]] | None] = field(default_factory=list)

    @classmethod
    def of(
        cls,
        rows: Iterable[Row],
        columns: Columns,
        base: Path,
        labels: Mapping[str, str] | None = None,
        expect: Expect | None = None,
    ) -> TableShape:
        """Read all `rows`; one is labelled when a column of `labels` (by field) is filled.

        `expect` says what is expected of texts, where a policy learnt that.
        """
        table, reading = cls(), iter(rows)
        while some := list(islice(reading, AT_ONCE)):
            expected = _expected_of(some, columns, expect)
            for row, own in zip(some, expected, strict=True):
                table.add(row_shape(row, columns, base), own)
                if any(row.values.get(column, "").strip() for column in (labels or {}).values()):
                    table.labelled.add(row.ordinal)
        lengths = sorted(filter(None, table._numbers[:: len(NOTHING)]))
        gains = sorted(gain for gain in table._numbers[3 :: len(NOTHING)] if gain != NO_GAIN)
        parts = BESIDE if gains else QUANTILES
        table.kinds = Kinds(edges=_edges(lengths, parts), gains=_edges(gains, GAINS))
        return table

    def add(self, shape: RowShape, expected: Expectations = ()) -> None:
        """Note the next row."""
        if expected:
            shape = shape._replace(gain=_gain(expected))
        self._numbers.extend(shape)
        self._expected.append(self._kept(expected) if expected else None)

    def expected(self, ordinals: Iterable[int]) -> Expectations:
        """What is expected of these rows on average; nothing where most of them say nothing."""
        known = [self._expected[ordinal - 1] for ordinal in ordinals]
        found = [one for one in known if one is not None]
        if len(found) * 2 <= len(known) or len({form for form, _ in found}) > 1:
            return ()
        shares = [fmean(each) for each in zip(*(numbers for _, numbers in found), strict=True)]
        form = self._forms[found[0][0]]
        return tuple(
            replace(one, share=share, low=low, high=high)
            for one, share, low, high in zip(
                form, shares[::3], shares[1::3], shares[2::3], strict=True
            )
        )

    def _kept(self, expected: Expectations) -> tuple[int, array[float]]:
        """The numbers of an expectation, and its form: of which models at which nodes they are."""
        form = tuple(replace(one, share=0.0, low=0.0, high=0.0) for one in expected)
        if form not in self._forms:
            self._forms.append(form)
        numbers = array("f", [n for one in expected for n in (one.share, one.low, one.high)])
        return self._forms.index(form), numbers

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


def fresh_of(shapes: Sequence[RowShape]) -> float:
    """The share of the rows' texts and photos that no row before them has: others cost nothing."""
    texts = [shape.text_key for shape in shapes if shape.text_key != NO_KEY]
    photos = [shape.photo_key for shape in shapes if shape.photo_key != NO_KEY]
    shares = [len(set(keys)) / len(keys) for keys in (texts, photos) if keys]
    return fmean(shares) if shares else 1.0


def _edges(values: Sequence[int], parts: int) -> tuple[int, ...]:
    """Quantiles of sorted values, where they differ."""
    if not values:
        return ()
    cuts = {values[len(values) * part // parts] for part in range(1, parts)}
    return tuple(sorted(cuts - {values[0]}))


def _expected_of(
    rows: Sequence[Row], columns: Columns, expect: Expect | None
) -> list[Expectations]:
    """What is expected of each row's text; nothing of a row without one."""
    found: list[Expectations] = [()] * len(rows)
    if expect is None:
        return found
    texts = [
        "" if row.error is not None else sanitise(columns.job(row, "auto").text or "").strip()
        for row in rows
    ]
    there = [at for at, text in enumerate(texts) if text]
    for at, own in zip(there, expect([texts[at] for at in there]), strict=True):
        found[at] = own
    return found


def _gain(expected: Expectations) -> int:
    """What the best model adds to the first of its node, the cheapest, over all nodes."""
    by_node: dict[str, list[float]] = {}
    for one in expected:
        by_node.setdefault(one.node, []).append(one.share)
    gain = sum(max(shares) - shares[0] for shares in by_node.values()) / len(by_node)
    return round(1000 * gain)
