"""Joins the rows of one product: a Shopify export by handle, a WooCommerce export by parent.

The rows of a product need not stand together: it takes the place of the first of them, and those
that come after other products are kept in a temporary file meanwhile. Memory holds a number for
each product that has several rows or might have.
"""

from __future__ import annotations

import json
import tempfile
import weakref
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import IO

from orchestra.batch.tables.formats import OPTIONS, VARIANTS
from orchestra.batch.tables.options import options_of
from orchestra.batch.tables.row import Row, Table, row_error
from orchestra.batch.tables.variants import packed
from orchestra.core.errors import InvalidTable
from orchestra.core.job import ErrorRecord

MOST_ROWS = 5000  # of one product; Shopify allows 2,048 variants
Values = Mapping[str, str]


class GroupedTable(Table):
    """A table whose rows are products: those of another table, joined."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self.path, self.fingerprint = table.path, table.fingerprint
        self.written, self.format = table.written, table.format
        self.delimiter, self.encoding = table.delimiter, table.encoding
        self.columns = (*table.columns, *(n for n in (OPTIONS, VARIANTS) if n not in table.columns))
        self._keys = _keys_of(table)
        self._apart = _Apart()
        self._rows = self._products = 0
        self._survey()
        self.told = (*table.told, f"products: {self._products:,}, rows: {self._rows:,}")

    @classmethod
    def is_for(cls, table: Table) -> bool:
        """Whether rows of `table` are to be joined; one that was joined before is as it is."""
        return table.format.is_grouped and VARIANTS not in table.columns

    @property
    def header(self) -> tuple[str, ...]:
        """The columns of the file itself."""
        return self._table.columns

    def rows(self) -> Iterator[Row]:
        """A row a product, in the order of their first rows."""
        keys, group = self._keys.anew(), _Group()
        ordinal = 0
        for row in self._table.rows():
            key, is_new = keys.of(row.values)
            if key is not None and key == group.key:
                group.rows.append(row)
            elif is_new:
                if group.rows:
                    ordinal += 1
                    yield self._product(ordinal, group)
                group = _Group(key, [row])
        if group.rows:
            yield self._product(ordinal + 1, group)

    def count(self) -> int:
        """How many products there are."""
        return self._products

    def _survey(self) -> None:
        """Count products, and put rows aside that come after other products."""
        keys, last = self._keys.anew(), None
        for row in self._table.rows():
            self._rows += 1
            key, is_new = keys.of(row.values)
            if is_new:
                self._products += 1
            elif key != last:
                self._apart.add(key, row)
                continue
            last = key

    def _product(self, ordinal: int, group: _Group) -> Row:
        rows = [*group.rows, *self._apart.of(group.key)]
        own = next((at for at, row in enumerate(rows) if self._keys.is_own(row.values)), 0)
        values = dict(rows[own].values)
        values[VARIANTS] = packed([row.values for row in rows[:MOST_ROWS]], own)
        if OPTIONS not in self._table.columns:
            values[OPTIONS] = options_of([row.values for row in rows], self.format.name)
        return Row(ordinal, values, _error_of(rows, self._keys.wanting(rows[own].values)))


def _error_of(rows: list[Row], wanting: str) -> ErrorRecord | None:
    """What is wrong with a product: a damaged row of its own, or too many rows."""
    found = next((row.error for row in rows if row.error is not None), None)
    if found is not None or not (wanting or len(rows) > MOST_ROWS):
        return found
    if len(rows) > MOST_ROWS:
        wanting = (
            f"A product has {len(rows):,} rows, more than {MOST_ROWS:,}. Give each product its own "
            "handle."
        )
    return row_error(wanting)


@dataclass(slots=True)
class _Group:
    """Rows of one product that stand together."""

    key: int | None = None
    rows: list[Row] = field(default_factory=list)


class _Apart:
    """Rows that stand apart from their product, in a temporary file."""

    def __init__(self) -> None:
        self._file: IO[bytes] | None = None
        self._places: dict[int | None, list[int]] = {}

    def add(self, key: int | None, row: Row) -> None:
        """Keep a row until its product is read."""
        if self._file is None:
            self._file = tempfile.TemporaryFile("w+b")  # noqa: SIM115 - as long as the table
            weakref.finalize(self, self._file.close)
        self._places.setdefault(key, []).append(self._file.tell())
        error = row.error and row.error.model_dump()
        self._file.write(json.dumps([row.ordinal, dict(row.values), error]).encode() + b"\n")

    def of(self, key: int | None) -> Iterator[Row]:
        """The rows of a product that were kept, in their order."""
        for place in self._places.get(key, ()):
            assert self._file is not None  # nosec B101 # a type, no input
            self._file.seek(place)
            ordinal, values, error = json.loads(self._file.readline())
            yield Row(ordinal, values, ErrorRecord(**error) if error else None)


class _Keys:
    """Tells which product a row is of, as rows come: by one column that its rows share."""

    def __init__(self, column: str) -> None:
        self._column = column
        self._seen: set[int] = set()

    def anew(self) -> _Keys:
        return _Keys(self._column)

    def of(self, values: Values) -> tuple[int | None, bool]:
        """The product's number, and whether this is its first row. None: it has no other row."""
        name = values.get(self._column, "").strip()
        if not name:
            return None, True
        key = _number(name)
        is_new = key not in self._seen
        self._seen.add(key)
        return key, is_new

    def is_own(self, values: Values) -> bool:
        """Whether a row tells of the product itself, and not of a variant."""
        return True

    def wanting(self, values: Values) -> str:
        """What a product lacks to be one."""
        if values.get(self._column, "").strip():
            return ""
        return (
            f"The row has no {self._column!r}, so the product that it belongs to is unknown. "
            "Fill it in."
        )


class _ShopifyKeys(_Keys):
    """By handle; the product's own row is the one with the title."""

    def __init__(self, column: str, title: str) -> None:
        super().__init__(column)
        self._title = title

    def anew(self) -> _ShopifyKeys:
        return _ShopifyKeys(self._column, self._title)

    def is_own(self, values: Values) -> bool:
        return bool(values.get(self._title, "").strip())


class _WooKeys(_Keys):
    """By parent: `id:12` or the SKU of the product that a variation belongs to.

    Only products of several rows are kept in mind: all others are rows of their own.
    """

    def __init__(self, names: Mapping[str, str]) -> None:
        super().__init__(names.get("parent", ""))
        self._names = names
        self._known: dict[int, int] = {}

    def anew(self) -> _WooKeys:
        return _WooKeys(self._names)

    def of(self, values: Values) -> tuple[int | None, bool]:
        parent = self._cell(values, "parent")
        if self._is_variation(values) and parent:
            return self._joined([_number(parent.casefold())])
        if self._cell(values, "type").casefold().startswith("variable") or (
            not self._cell(values, "type") and not parent
        ):
            number, sku = self._cell(values, "id"), self._cell(values, "sku")
            called = [_number(f"id:{number}")] if number else []
            called += [_number(sku.casefold())] if sku else []
            return self._joined(called) if called else (None, True)
        return None, True

    def _joined(self, called: list[int]) -> tuple[int, bool]:
        """The product that goes by one of these names; from now on it goes by all of them."""
        known = next((self._known[name] for name in called if name in self._known), None)
        key = called[0] if known is None else known
        self._known.update(dict.fromkeys(called, key))
        return key, known is None

    def is_own(self, values: Values) -> bool:
        return not self._is_variation(values)

    def wanting(self, values: Values) -> str:
        return ""

    def _is_variation(self, values: Values) -> bool:
        kind = self._cell(values, "type").casefold()
        return kind.startswith("variation") or (not kind and bool(self._cell(values, "parent")))

    def _cell(self, values: Values, name: str) -> str:
        return values.get(self._names.get(name, ""), "").strip()


def _keys_of(table: Table) -> _Keys:
    names = {name.casefold(): name for name in reversed(table.columns)}
    if table.format.name == "woocommerce":
        return _WooKeys(names)
    column = next((names[name] for name in table.format.key if name in names), None)
    if column is None:
        raise InvalidTable(f"Table {str(table.path)!r} has no column to join its rows by.")
    return _ShopifyKeys(column, names.get("title", ""))


def _number(name: str) -> int:
    return int.from_bytes(blake2b(name.encode("utf-8", "replace"), digest_size=8).digest())
