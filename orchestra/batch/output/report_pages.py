"""Writes the rows of a large report beside its page: pages of ready cards, and an index of all.

A page that is opened from a disk may not fetch, but may load scripts: each file is one that hands
its content on. The content is JSON, compressed, so that 50,000 rows are some 100 MB less.

Cards lie in a temporary file until all are known, and only their places in memory.
"""

from __future__ import annotations

import base64
import heapq
import json
import shutil
import tempfile
import zlib
from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from orchestra.batch.output.fault import order_of
from orchestra.batch.output.report_view import RowView
from orchestra.batch.output.rows import OutputRow
from orchestra.core.errors import DiskFull
from orchestra.core.files.atomic import NO_SPACE, atomic_file
from orchestra.core.values import lower, shown

FOLDER = "report_files"
PAGE_ROWS = 50
WORDS_CHARS = 320  # of a row that are searched
VALUE_CHARS = 60


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """A row as the index has it. `reasons` are numbers of reasons, `groups` of duplicates."""

    ordinal: int
    row_id: str
    name: str
    status: str
    clashes: int
    fault: float
    sure: float
    cost: float
    reasons: Sequence[int]
    groups: Sequence[str]
    words: str

    def public(self) -> list[Any]:
        """As it stands in the index: a list, as keys of 50,000 rows are long."""
        return [
            self.ordinal, self.row_id, self.name, self.status, self.clashes,
            round(self.fault, 3), round(self.sure, 3), self.cost,
            list(self.reasons), list(self.groups), self.words,
        ]  # fmt: skip


def entry_of(view: RowView, reasons: Sequence[int]) -> IndexEntry:
    """The index's entry of a row that is shown."""
    row, fields = view.row, view.row.outcome.fields.values()
    values = [text for one in fields if len(text := shown(one.value)) <= VALUE_CHARS]
    errors = [error.type for error in row.outcome.errors]
    inputs = [value for _, value in view.inputs]
    words = " ".join(dict.fromkeys([view.name, *errors, *values, *inputs]))
    return IndexEntry(
        ordinal=row.row.ordinal,
        row_id=row.row_id,
        name=view.name[:VALUE_CHARS],
        status=row.status,
        clashes=len(view.contradictions),
        fault=view.fault,
        sure=view.lowest_confidence,
        cost=float(row.outcome.cost_usd),
        reasons=reasons,
        groups=[f"{one.kind}:{one.group}" for one in view.kin],
        words=lower(" ".join(words.split()))[:WORDS_CHARS],
    )


class Pages:
    """Cards of rows, at most `most` of them: those that need a person stay."""

    def __init__(self, spool: IO[bytes], most: int) -> None:
        self._spool = spool
        self._most = most
        self._starts = array("q", [0])
        self._kept: list[tuple[tuple[float, ...], int, IndexEntry]] = []  # the least urgent on top

    def takes(self, row: OutputRow) -> bool:
        """Whether there is room for a row, or it is more urgent than one that is kept."""
        return len(self._kept) < self._most or _worst_first(row) > self._kept[0][0]

    def add(self, row: OutputRow, entry: IndexEntry, card: str) -> None:
        """Keep the card of a row that is taken."""
        packed = zlib.compress(card.encode("utf-8", "replace"), 1)
        self._starts.append(self._starts[-1] + self._spool.write(packed))
        kept = (_worst_first(row), len(self._starts) - 2, entry)
        if len(self._kept) < self._most:
            heapq.heappush(self._kept, kept)
        else:
            heapq.heapreplace(self._kept, kept)

    def __len__(self) -> int:
        return len(self._kept)

    def write(self, folder: Path, reasons: Sequence[str]) -> None:
        """Write the pages and the index into `folder`. Raises `DiskFull`."""
        folder.mkdir(parents=True, exist_ok=True)
        ordered = sorted(self._kept, key=lambda one: one[0], reverse=True)
        for page, first in enumerate(range(0, len(ordered), PAGE_ROWS)):
            cards = [self._card(place) for _, place, _ in ordered[first : first + PAGE_ROWS]]
            _write(folder / f"rows-{page}.js", f"rows-{page}", cards)
        rows = [entry.public() for _, _, entry in ordered]
        _write(folder / "index.js", "index", {"reasons": list(reasons), "rows": rows})

    def _card(self, place: int) -> str:
        start, end = self._starts[place], self._starts[place + 1]
        self._spool.seek(start)
        return zlib.decompress(self._spool.read(end - start)).decode("utf-8")


@contextmanager
def pages(folder: Path, most: int) -> Iterator[Pages]:
    """Pages whose cards lie in a temporary file of `folder` meanwhile. Raises `DiskFull`."""
    try:
        with tempfile.TemporaryFile(dir=folder) as spool:
            yield Pages(spool, most)
    except OSError as error:
        if error.errno not in NO_SPACE:
            raise
        raise DiskFull(
            f"No space left in {str(folder)!r} for the report's rows ({error.strerror}). "
            "Free some and run the same command again; what was finished is kept."
        ) from error


def drop_sets(folder: Path, *, but: str = "", only: str = "*") -> None:
    """Remove the rows of earlier reports, which no page shows any more."""
    for path in folder.glob(f"set-{only}"):
        if path.name != f"set-{but}":
            shutil.rmtree(path, ignore_errors=True)


def _worst_first(row: OutputRow) -> tuple[float, ...]:
    """Greater for rows that are to be seen first."""
    return tuple(-part for part in order_of(row))


def _write(path: Path, name: str, content: Any) -> None:
    """One file of the report: a script that hands over its name and content."""
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    packer = zlib.compressobj(6, zlib.DEFLATED, -15)
    packed = base64.b64encode(packer.compress(text) + packer.flush()).decode("ascii")
    with atomic_file(path, durable=False) as file:
        file.write(f'orchestraReport("{name}","{packed}")\n'.encode())
