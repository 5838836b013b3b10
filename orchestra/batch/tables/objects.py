"""A table whose rows are objects that each name their own columns; it knows no syntax.

The columns are the names of all objects in the order they first appear, so the file is read once
when it is opened.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator

from orchestra.batch.tables.row import Row, Table, row_error
from orchestra.batch.tables.source import Source
from orchestra.core.errors import InvalidTable

Parsed = tuple[dict[str, str], str | None]


class ObjectTable(Table):
    """A file of objects. Raises InvalidTable when it holds no object at all."""

    KIND = ""
    CURE = ""

    def _open(self, source: Source) -> None:
        """Read what the columns are, and how many rows there are."""
        self.path = source.path
        columns: dict[str, None] = {}
        self._count = 0
        for values, _ in self._parsed():
            self._count += 1
            columns.update(dict.fromkeys(values))
        self.columns = tuple(columns)
        self.written = self.columns
        if not self.columns:
            raise InvalidTable(
                f"Table {str(self.path)!r} is empty: of its {self._count} rows none is a "
                f"{self.KIND}. {self.CURE}"
            )

    @abstractmethod
    def _parsed(self) -> Iterator[Parsed]:
        """Each row's values, or none and what is wrong with it."""

    def rows(self) -> Iterator[Row]:
        """A row an object; a damaged one has an error."""
        for ordinal, (found, problem) in enumerate(self._parsed(), 1):
            values = dict.fromkeys(self.columns, "") | found
            error = f"Row {ordinal} {problem}" if problem else None
            yield Row(ordinal, values, row_error(error) if error else None)

    def count(self) -> int:
        """How many objects there are, damaged ones too."""
        return self._count
