"""Groups of rows that say or show the same, as they are told; it knows not how they were found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

# One product twice; one in sizes or colours; one photo of different products; twice in one product.
KINDS = ("duplicate", "variant", "photo", "repeat")


@dataclass(frozen=True, slots=True)
class Kin:
    """A row's place in a group: its number and kind, why, and how alike (0 to 1).

    `like` is the ordinal of the row that it is like; its own where it is the first.
    """

    group: int
    kind: str
    ordinal: int
    row_id: str
    like: int
    like_id: str
    why: str
    alike: float


@dataclass(frozen=True, slots=True)
class Groups:
    """All groups of a table, in the order of their first rows. `looked_at` rows were compared."""

    members: Sequence[Kin] = ()
    looked_at: int = 0
    left_out: int = 0
    _by_row: dict[int, tuple[Kin, ...]] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        for kin in self.members:
            self._by_row[kin.ordinal] = (*self._by_row.get(kin.ordinal, ()), kin)

    def of(self, ordinal: int) -> tuple[Kin, ...]:
        """The groups that a row is in."""
        return self._by_row.get(ordinal, ())

    def count(self, kind: str) -> tuple[int, int]:
        """How many groups of a kind there are, and rows in them."""
        numbers = [kin.group for kin in self.members if kin.kind == kind]
        return len(set(numbers)), len(numbers)

    def __iter__(self) -> Iterator[Kin]:
        return iter(self.members)

    def public(self) -> Mapping[str, Any] | None:
        """As in summary.json; None where no row is in a group."""
        if not self.members:
            return None
        counts = {kind: self.count(kind) for kind in KINDS}
        found = {kind: {"groups": n, "rows": rows} for kind, (n, rows) in counts.items() if n}
        return {**found, "looked_at": self.looked_at, "left_out": self.left_out}


NONE_FOUND = Groups()


def duplicate_lines(found: Mapping[str, Any]) -> Iterator[str]:
    """What was found, for a person; `found` as in summary.json."""
    told = {
        "duplicate": "{rows} rows say the same products more than once (groups: {groups})",
        "variant": "{rows} rows differ from others only in size or colour (groups: {groups})",
        "photo": "{rows} rows share photos though their texts differ (groups: {groups})",
        "repeat": "rows that show one photo twice: {rows}",
    }
    for kind, words in told.items():
        if kind in found:
            yield words.format(**found[kind])
    if found["left_out"]:
        yield f"the last {found['left_out']} rows were not looked at for duplicates"
