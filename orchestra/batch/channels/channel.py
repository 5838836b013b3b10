"""What a channel is to the exporter: lines made of a listing, what is wrong with them, a writer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import IO, Any, ClassVar

from orchestra.batch.channels.listing import Listing
from orchestra.batch.channels.rules import Fault
from orchestra.batch.output.exports import input_names
from orchestra.batch.tables.row import STATUS
from orchestra.batch.tables.table import Table

Line = Mapping[str, Any]  # an attribute's value, or several


class Writer(ABC):
    """Writes lines to a file that is open; what is held back is written when it is left."""

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.end()
        else:
            self.abandon()

    @abstractmethod
    def add(self, lines: Sequence[Line]) -> None:
        """Write the lines of one product."""

    def label(self, text: str) -> None:  # noqa: B027 - most files have no metadata
        """Keep `text` among the file's own metadata, as the implicit label `AIGC`."""

    def end(self) -> None:  # noqa: B027 - most writers hold nothing back
        """Write what ends the file."""

    def abandon(self) -> None:  # noqa: B027 - the same
        """Let go of a file that is thrown away."""


class Channel(ABC):
    """One channel. `key` is the attribute that no two products may share; None without one."""

    name: ClassVar[str]
    suffixes: ClassVar[tuple[str, ...]]  # of files that it writes; the first is the usual one
    key: ClassVar[str | None] = None

    def __init__(self, table: Table) -> None:
        """`table` is the one that the batch was made of."""
        self.table = table

    @abstractmethod
    def lines(self, listing: Listing) -> list[Line]:
        """What is written of a product."""

    @abstractmethod
    def faults(self, listing: Listing, lines: Sequence[Line]) -> list[Fault]:
        """Why the channel would not take these lines."""

    @abstractmethod
    def writer(self, file: IO[bytes], suffix: str) -> Writer:
        """What writes lines to a file whose name ends with `suffix`."""

    def keys(self, lines: Sequence[Line]) -> tuple[str, ...]:
        """The names that these lines take, which no other product may have."""
        if self.key is None:
            return ()
        return tuple(dict.fromkeys(str(line.get(self.key, "")) for line in lines))


class WholeTable(Channel):
    """A channel of every column: the table's, then each field's in its `parts`, then the status.

    `fields` are the batch's.
    """

    parts: ClassVar[tuple[str, ...]]
    fields: Sequence[str] = ()

    @property
    def outputs(self) -> list[str]:
        """The columns that the fields come to."""
        return [*(column_of(name, part) for name in self.fields for part in self.parts), STATUS]

    @property
    def inputs(self) -> list[str]:
        """The table's columns, by other names where an output takes one."""
        return input_names(self.table.columns, self.outputs)


def column_of(name: str, part: str) -> str:
    """What the column of a part of the field `name` is called; "" is its value."""
    return f"{name}_{part}" if part else name
