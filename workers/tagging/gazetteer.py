"""What values each field had in the labelled rows, and how often a string in a text was one.

Asked about a labelled row, it leaves that row's own values out, so that what learns from it does
not trust it more than it deserves on new rows.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from workers.tagging.rows import TaggedRow

LONGEST = 8  # tokens of a value that is looked up


class Gazetteer:
    """Values of labelled rows by field, counted as folded token runs and as exact strings."""

    def __init__(self, rows: Sequence[TaggedRow]) -> None:
        self.runs: dict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
        self.words: dict[str, Counter[str]] = defaultdict(Counter)
        self.seen: Counter[str] = Counter()
        for row in rows:
            for field, run in _runs(row):
                self.runs[run][field] += 1
                for word in set(run):
                    self.words[word][field] += 1
            self.seen.update({token.text.lower() for token in row.tokens})

    def features(self, row: TaggedRow, *, known: bool) -> list[list[str]]:
        """For each token, what the values say of it; `known` leaves the row's own ones out."""
        own: Counter[tuple[str, tuple[str, ...]]] = Counter(_runs(row)) if known else Counter()
        own_words = Counter((field, word) for field, run in own for word in set(run))
        words = [token.text.lower() for token in row.tokens]
        found: list[list[str]] = [[] for _ in words]
        taken: dict[str, int] = {}
        for first in range(len(words)):
            for last in range(min(len(words), first + LONGEST), first, -1):
                run = tuple(words[first:last])
                for field, count in self.runs.get(run, {}).items():
                    left = count - own[field, run]
                    if left <= 0 or taken.get(field, 0) >= last:
                        continue
                    taken[field] = last
                    much = "+" if left > 2 else ""
                    for at in range(first, last):
                        part = "B" if at == first else "I"
                        ends = "E" if at == last - 1 else ""
                        found[at].append(f"gz:{field}:{part}{ends}{much}")
        for at, word in enumerate(words):
            fields = self.words.get(word, {})
            counts = {f: left for f, n in fields.items() if (left := n - own_words[f, word]) > 0}
            seen = max(1, self.seen[word] - known)
            for field, count in counts.items():
                share = count / seen
                level = 3 if share > 0.8 else 2 if share > 0.4 else 1 if share > 0.1 else 0
                found[at].append(f"gw:{field}:{level}")
            if seen < 2 and not counts:
                found[at].append("gw:new")
        return found


def _runs(row: TaggedRow) -> Iterable[tuple[str, tuple[str, ...]]]:
    words = [token.text.lower() for token in row.tokens]
    for field, spans in row.spans.items():
        for first, last in spans:
            yield field, tuple(words[first : last + 1])
