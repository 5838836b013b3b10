"""What was decided, the last first; decisions that were made together are one entry."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from orchestra.book.book import Book
from orchestra.book.decisions import Decision

WINDOW = 4096  # decisions read at once
PAGE_ENTRIES = 50
NAMED = 3  # of a group


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One decision, or a group of them: the first few of it, and how many it has.

    `ids` are those of it that stand, `oldest` the number of its first.
    """

    first: tuple[Decision, ...]
    count: int
    ids: tuple[int, ...]
    oldest: int

    @property
    def last(self) -> Decision:
        """The latest decision of it."""
        return self.first[0]

    @property
    def is_undo(self) -> bool:
        """Whether it takes back others."""
        return self.last.undoes is not None


def entries(book: Book, before: int | None = None) -> Iterator[HistoryEntry]:
    """Entries from the latest on, or from the one before the decision `before`."""
    group: list[Decision] = []
    undone: set[int] = set()
    taken: set[int] = set()
    for one in _backwards(book):
        if one.id in undone:
            taken.add(one.id)
        elif one.undoes is not None:
            undone.add(one.undoes)
        if before is not None and one.id >= before:
            continue
        if group and (one.group is None or one.group != group[-1].group):
            yield _entry(group, taken)
            group = []
        group.append(one)
    if group:
        yield _entry(group, taken)


def latest(book: Book) -> HistoryEntry | None:
    """The latest entry that stands and takes back nothing; None where there is none."""
    return next((one for one in entries(book) if one.ids and not one.is_undo), None)


def _entry(group: list[Decision], taken: set[int]) -> HistoryEntry:
    standing = tuple(one.id for one in group if one.id not in taken)
    return HistoryEntry(tuple(group[:NAMED]), len(group), standing, group[-1].id)


def _backwards(book: Book) -> Iterator[Decision]:
    end = book.state
    while end > 0:
        start = max(0, end - WINDOW)
        yield from reversed(list(book.decisions(start, up_to=end)))
        end = start
