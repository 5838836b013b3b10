"""Times a long CSV through the table reader and the exports; it runs no model.

    python benchmarks/tables.py [--rows 200000] [--folder build/bench]

Prints a JSON line with rows a second and the peak resident memory of each step, each in a
process of its own, so that one step's memory does not hide another's.
"""

from __future__ import annotations

import argparse
import csv
import json
import multiprocessing
import resource
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from orchestra.batch.output.exports import write_exports
from orchestra.batch.output.rows import OutputRow
from orchestra.batch.tables.table import Row, open_table
from orchestra.core.job import ErrorRecord, Field, Result

DESCRIPTION = (
    "A cotton shirt with long sleeves, softly washed and cut straight. 红色纯棉衬衫。 " * 6
)
FIELDS = ("category", "colour", "name", "brand", "origin", "quantity", "material", "summary")


def write_table(path: Path, rows: int) -> None:
    """A catalog with an id that starts with zeros and a description of two lines."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["sku", "name", "description", "image"])
        for number in range(rows):
            text = f"{DESCRIPTION}\nItem {number}"
            writer.writerow([f"{number:08d}", f"Shirt {number}", text, f"photos/{number}.jpg"])


def write_shopify(path: Path, rows: int) -> None:
    """A Shopify export of products of four rows; the last row of each tenth stands at the end."""
    header = ["Handle", "Title", "Body (HTML)", "Option1 Name", "Option1 Value", "Image Src"]
    apart: list[list[str]] = []
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        for number in range(rows // 4):
            handle = f"shirt-{number}"
            writer.writerow(
                [handle, f"Shirt {number}", f"<p>{DESCRIPTION}</p>", "Size", "S", f"{number}.jpg"]
            )
            others = [[handle, "", "", "", size, f"{number}-{size}.jpg"] for size in "MLX"]
            if number % 10 == 0:
                apart.append(others.pop())
            writer.writerows(others)
        writer.writerows(apart)


# Made once: building eight fields a row would cost more than writing them.
ANSWERS = [
    {name: Field(value=f"{name} {n}", source="text", confidence=n / 97) for name in FIELDS}
    for n in range(97)
]
NO_PHOTO = ErrorRecord(stage="images", type="ImageNotFound", message="no such photo")
RESULTS = [Result(status="complete", fields=fields) for fields in ANSWERS]
WITHOUT_PHOTO = [result.model_copy(update={"errors": (NO_PHOTO,)}) for result in RESULTS]


def export_row(row: Row) -> OutputRow:
    """A row with eight fields and, once in a hundred, an error."""
    results = WITHOUT_PHOTO if row.ordinal % 100 == 0 else RESULTS
    return OutputRow(row, row.values["sku"], results[row.ordinal % 97])


def read(path: Path) -> int:
    """Open the table and read each row."""
    return sum(1 for _ in open_table(path).rows())


def read_and_export(path: Path) -> int:
    """Open the table, read each row and write the three files beside it."""
    table = open_table(path)
    rows: Iterator[OutputRow] = map(export_row, table.rows())
    write_exports(path.parent, table.columns, FIELDS, rows)
    return table.count()


def measured(step: Callable[[Path], int], path: Path) -> dict[str, Any]:
    """Run `step` in this process and say what it took."""
    before_mib = _peak_mib()
    start = time.perf_counter()
    rows = step(path)
    seconds = time.perf_counter() - start
    return {
        "step": step.__name__,
        "rows": rows,
        "seconds": round(seconds, 2),
        "rows_per_s": round(rows / seconds),
        "peak_rss_mib": round(_peak_mib()),
        "rss_mib_before": round(before_mib),
    }


def _peak_mib() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


def main() -> None:
    """Write the table, run each step in a fresh process, print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--folder", type=Path, default=Path("build/bench"))
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    long, shopify = options.folder / "long.csv", options.folder / "shopify.csv"
    write_table(long, options.rows)
    write_shopify(shopify, options.rows)
    context = multiprocessing.get_context("spawn")
    for step, path in ((read, long), (read, shopify), (read_and_export, long)):
        with context.Pool(1) as pool:
            size_mib = round(path.stat().st_size / 2**20)
            found = {"table": path.name, "mib": size_mib}
            print(json.dumps(found | pool.apply(measured, (step, path))))


if __name__ == "__main__":
    main()
