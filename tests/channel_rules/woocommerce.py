"""WooCommerce's product CSV, after its wiki's page "Product CSV Import Schema".

As read: UTF-8; Name is required; Type is one or several of seven words; Published is 1, 0 or -1;
Visibility one of four; booleans are 1 or 0; several values have commas; a variation's Parent is a
SKU of the file or `id:NUMBER`; an attribute is a name with its value(s), and the parent of a
variation lists the values that its variations have.
"""

from __future__ import annotations

import csv
import re
from pathlib import Path

from tests.channel_rules.barcodes import is_gtin

KINDS = {"simple", "variable", "grouped", "external", "variation", "virtual", "downloadable"}
SEEN = {"visible", "catalog", "search", "hidden", ""}


def problems(path: Path) -> list[str]:
    """What WooCommerce's importer would refuse."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    wrong: list[str] = []
    skus = [row.get("SKU", "") for row in rows if row.get("SKU")]
    wrong += [f"SKU {sku!r} twice" for sku in sorted({sku for sku in skus if skus.count(sku) > 1})]
    parents = {row.get("SKU", ""): row for row in rows} | {
        f"id:{row['ID']}": row for row in rows if row.get("ID")
    }
    for number, row in enumerate(rows, 2):
        told = [*_row(row), *_parent(row, parents)]
        wrong += [f"line {number}: {one}" for one in told]
    return wrong


def _row(row: dict[str, str]) -> list[str]:
    wrong: list[str] = []
    if not row.get("Name", "").strip():
        wrong.append("no name")
    kinds = {kind.strip() for kind in row.get("Type", "simple").split(",")}
    if not kinds <= KINDS:
        wrong.append(f"the type {row['Type']!r}")
    if row.get("Published", "1") not in ("1", "0", "-1", ""):
        wrong.append(f"published is {row['Published']!r}")
    if row.get("Visibility in catalog", "") not in SEEN:
        wrong.append(f"visibility is {row['Visibility in catalog']!r}")
    for name in ("Regular price", "Sale price"):
        if row.get(name) and not re.fullmatch(r"\d+(\.\d+)?", row[name]):
            wrong.append(f"{name} is {row[name]!r}")
    if row.get("In stock?", "") not in ("", "0", "1", "backorder"):
        wrong.append(f"in stock is {row['In stock?']!r}")
    gtin = row.get("GTIN, UPC, EAN, or ISBN", "")
    if gtin and not is_gtin(gtin):
        wrong.append(f"the GTIN {gtin!r}")
    if any(cell.startswith(("=", "@")) for cell in row.values() if cell):
        wrong.append("a cell that a spreadsheet runs")
    return wrong


def _parent(row: dict[str, str], parents: dict[str, dict[str, str]]) -> list[str]:
    if row.get("Type") != "variation":
        return []
    parent = parents.get(row.get("Parent", ""))
    if parent is None:
        return [f"the parent {row.get('Parent')!r} is not in the file"]
    wrong = [] if "variable" in parent["Type"] else ["the parent is no variable product"]
    for n in range(1, 10):
        name, value = row.get(f"Attribute {n} name"), row.get(f"Attribute {n} value(s)")
        if name and value:
            listed = _listed(parent, name)
            if value.replace("\\,", ",") not in listed:
                wrong.append(f"{name} {value!r} is none of the parent's {listed}")
    return wrong


def _listed(parent: dict[str, str], name: str) -> list[str]:
    for n in range(1, 10):
        if parent.get(f"Attribute {n} name") == name:
            cell = parent.get(f"Attribute {n} value(s)", "")
            return [one.strip().replace("\\,", ",") for one in re.split(r"(?<!\\),", cell)]
    return []
