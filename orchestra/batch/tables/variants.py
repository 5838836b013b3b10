"""The rows of one product as one text, so that none is lost: variants, and rows of more photos.

The column `variants` of a grouped table holds a JSON list of the product's rows in their order:
null for the row whose cells are the product's own, else an object of the cells that are not empty.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence

from orchestra.batch.tables.formats import VARIANTS
from orchestra.core.values import compact


def packed(rows: Sequence[Mapping[str, str]], own: int) -> str:
    """The value of `variants` for the rows of a product, of which row `own` is its own; "" for one
    row alone."""
    if len(rows) == 1:
        return ""
    return compact(
        [
            None if at == own else {name: value for name, value in row.items() if value}
            for at, row in enumerate(rows)
        ]
    )


def original_rows(values: Mapping[str, str], header: Sequence[str]) -> list[dict[str, str]]:
    """All rows that a product was made of, as they stood in the table, with all of `header`."""
    own = {name: values.get(name, "") for name in header}
    return [
        own if row is None else {name: row.get(name, "") for name in header}
        for row in _unpacked(values)
    ]


def filled_cells(values: Mapping[str, str], column: str) -> Iterator[str]:
    """The cells of `column` that say something, in the order of the product's rows."""
    return (cell for _, cell in filled_rows(values, column))


def filled_rows(values: Mapping[str, str], column: str) -> Iterator[tuple[bool, str]]:
    """Those cells, each with whether it stands in a row of a variation: one that has a parent."""
    for row in _unpacked(values):
        cell = (values if row is None else row).get(column, "").strip()
        if cell:
            yield row is not None and any(name.casefold() == "parent" for name in row), cell


def _unpacked(values: Mapping[str, str]) -> list[dict[str, str] | None]:
    text = values.get(VARIANTS, "")
    if not text.startswith("["):
        return [None]
    try:
        found = json.loads(text)
    except ValueError:
        return [None]  # a column of the user's own, of that name
    is_ours = found.count(None) == 1 and all(isinstance(one, dict) for one in found if one)
    return found if is_ours else [None]
