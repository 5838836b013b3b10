"""What was decided, the last first; decisions that were made together are one entry."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import islice

from orchestra.book.book import Book
from orchestra.book.decisions import Decision
from orchestra.book.groups import DecisionSpan

PAGE_ENTRIES = 50
NAMED = 3  # of a group


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One decision, or a group of them: the last few of it, and how many it has.

    `standing` of them are not taken back; `oldest` is the number of its first.
    """

    first: tuple[Decision, ...]
    count: int
    standing: int
    oldest: int

    @property
    def last(self) -> Decision:
        """The latest decision of it."""
        return self.first[0]

    @property
    def is_undo(self) -> bool:
        """Whether it takes back others."""
        return self.last.undoes is not None


def entries(book: Book, before: int | None = None, most: int = PAGE_ENTRIES) -> list[HistoryEntry]:
    """Up to `most` entries from the latest on, or from the one before the decision `before`."""
    spans = list(islice(book.spans(before), most))
    if not spans:
        return []
    undone = book.undone(replace(spans[0], first=spans[-1].first))
    return [_entry(book, span, undone) for span in spans]


def latest(book: Book) -> DecisionSpan | None:
    """What was last written together, stands and takes back nothing; None where nothing is."""
    for span in book.spans():
        if not span.is_undo and len(book.undone(span)) < span.size:
            return span
    return None


def _entry(book: Book, span: DecisionSpan, undone: set[int]) -> HistoryEntry:
    named = book.decisions(max(span.first - 1, span.last - NAMED), up_to=span.last)
    gone = sum(span.first <= id <= span.last for id in undone)
    return HistoryEntry(tuple(named)[::-1], span.size, span.size - gone, span.first)
