"""One bad row never costs another: a table of good rows with poisoned ones of twenty kinds.

    python -m benchmarks.catalogs.poison [--rows 10000] [--poisoned 100]

Every good row has to end complete, and every poisoned one with a typed error of its own; what was
spent is set against the same table without the poison.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import csv
import io
import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from PIL import Image

from graphs.listing import build
from orchestra import Fleet
from workers.synthetic.drawn import RESERVED_SEED, draw_product

SEED = 7
KINDS = ("apple", "banana", "lemon", "tomato", "cucumber", "pear", "mango", "kiwi", "plum", "onion")
COLOURS = ("Red", "Green", "Yellow", "Fresh")
PLACES = ("Italy", "Spain", "Sweden", "France", "Chile", "Kenya", "Peru")
TYPES = ("Image", "InvalidTable", "DuplicateId", "EmptyJob")
Poison = Callable[[Path, list[str]], list[str]]


def _photo(content: bytes, name: str) -> Poison:
    def poisoned(folder: Path, row: list[str]) -> list[str]:
        (folder / name).write_bytes(content)
        return [*row[:3], name]

    return poisoned


def _address(address: str) -> Poison:
    return lambda folder, row: [*row[:3], address]


def poisons() -> tuple[Poison, ...]:
    """Twenty ways in which a row is bad."""
    whole = io.BytesIO()
    draw_product("Apple", "red", seed=RESERVED_SEED).save(whole, "JPEG")
    wide = io.BytesIO()
    Image.new("1", (20_000, 12_000)).save(wide, "PNG")
    blank = io.BytesIO()
    Image.new("RGB", (200, 200), "white").save(blank, "PNG")
    jpeg = whole.getvalue()
    return (
        _address("nowhere.jpg"),
        _photo(jpeg[: len(jpeg) // 3], "cut.jpg"),
        _photo(b"", "nothing.jpg"),
        _photo(b"<!doctype html><title>Not found</title>", "page.jpg"),
        _photo(b'{"error": "no such file"}', "answer.jpg"),
        _photo(b"<svg xmlns='http://www.w3.org/2000/svg'/>", "drawing.svg"),
        _photo(b"<Error><Code>AccessDenied</Code></Error>", "bucket.jpg"),
        _photo(wide.getvalue(), "wide.png"),
        _photo(blank.getvalue(), "blank.png"),
        _photo(b"8BPS" + bytes(64), "layers.psd"),
        _photo(b"\x00" * 400, "zeros.jpg"),
        _photo(b"%PDF-1.7 ...", "sheet.pdf"),
        _address("http://127.0.0.1:9/p.jpg"),
        _address("http://169.254.169.254/latest/meta-data/p.jpg"),
        _address("data:image/png;base64," + base64.b64encode(b"no photo").decode()),
        _address("ftp://shop.example/p.jpg"),
        lambda folder, row: [row[0], "", "", ""],
        lambda folder, row: row[:2],
        lambda folder, row: [*row, "a cell", "too many"],
        lambda folder, row: ["P000001", *row[1:]],
    )


def table(folder: Path, count: int, poisoned: int) -> tuple[Path, set[int]]:
    """The table, and the places of its poisoned rows."""
    draw = random.Random(SEED)
    bad = set(draw.sample(range(10, count), poisoned))
    kinds = poisons()
    path = folder / "products.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "name", "description", "image"])
        for at in range(count):
            kind, place = draw.choice(KINDS), draw.choice(PLACES)
            name = f"{draw.choice(COLOURS)} {kind}"
            told = f"Sweet {kind} from {place}, {draw.randint(100, 900)} g."
            row = [f"P{at:06d}", name, told, ""]
            if at in bad:
                row = kinds[len(bad & set(range(at))) % len(kinds)](folder, row)
            writer.writerow(row)
    return path, bad


async def run(path: Path, out: Path) -> dict[str, object]:
    """The batch's summary."""
    async with Fleet.open("mini") as fleet:
        return (await fleet.batch(build, path, out=out)).public()


def main(argv: Sequence[str] | None = None) -> int:
    """Run it with and without the poison, and print what became of it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--poisoned", type=int, default=100)
    asked = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path, bad = table(folder, asked.rows, asked.poisoned)
        began = time.perf_counter()
        told = asyncio.run(run(path, folder / "out"))
        seconds = time.perf_counter() - began
        with (folder / "out" / "products.csv").open(encoding="utf-8-sig", newline="") as file:
            statuses = [row["status"] for row in csv.DictReader(file)]
        lines = (folder / "out" / "errors.jsonl").read_text(encoding="utf-8").splitlines()
        errors = {one["row"] - 1: one["type"] for one in map(json.loads, lines)}
        good = Counter(status for at, status in enumerate(statuses) if at not in bad)
        clean = folder / "clean"
        clean.mkdir()
        whole, _ = table(clean, asked.rows, 0)
        spent = asyncio.run(run(whole, clean / "out"))
    typed = sum(at in errors and errors[at].startswith(TYPES) for at in bad)
    print(f"{asked.rows - len(bad)} good rows: {dict(good)}")
    print(f"{len(bad)} poisoned rows: {typed} with a typed error, {dict(Counter(errors.values()))}")
    print(f"good rows with an error: {len(set(errors) - bad)}; {asked.rows / seconds:.1f} rows/s")
    print(f"spent {told['cost_usd']} against {spent['cost_usd']} without poison")
    is_held = good == Counter(complete=asked.rows - len(bad)) and typed == len(bad)
    return 0 if is_held and not set(errors) - bad else 1


if __name__ == "__main__":
    sys.exit(main())
