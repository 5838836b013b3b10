"""What the variants of a product differ in, as text: `Size: S, M, L`. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from orchestra.batch.tables.formats import FormatName

MOST_VALUES, MOST_CHARS = 30, 60
SHOPIFY = re.compile(r"option(\d+) (name|value)", re.IGNORECASE)
WOO = re.compile(r"attribute (\d+) (name|value\(s\))", re.IGNORECASE)
NO_VALUES = frozenset(("default title", "title"))


def options_of(rows: Sequence[Mapping[str, str]], format: FormatName) -> str:
    """The options of all rows of a product with their values, as `Size: S, M; Colour: red`."""
    pattern = SHOPIFY if format == "shopify" else WOO
    columns = [(name, found) for name in rows[0] if (found := pattern.fullmatch(name.strip()))]
    names: dict[str, str] = {}
    values: dict[str, dict[str, None]] = {}
    for row in rows:
        for column, found in columns:
            number, cell = found[1], row.get(column, "").strip()
            if not cell:
                continue
            if found[2].lower() == "name":
                names.setdefault(number, cell)
            else:
                parts = cell.split(", ") if format == "woocommerce" else [cell]
                values.setdefault(number, {}).update(dict.fromkeys(map(str.strip, parts)))
    shown = [
        f"{names.get(number, 'Option')}: {', '.join(found)}"
        for number in sorted(values, key=int)
        if (found := [one[:MOST_CHARS] for one in values[number] if _says(one)][:MOST_VALUES])
    ]
    return "; ".join(shown)


def _says(value: str) -> bool:
    return bool(value) and value.casefold() not in NO_VALUES
