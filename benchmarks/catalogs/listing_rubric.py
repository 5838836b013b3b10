"""Whether listings are better than the texts they are made of, by a rubric of this file alone.

    python -m benchmarks.catalogs.listing_rubric DATA [--titles 200] [--language zh] [--show 20]

The products of `DATA/grocery/products.csv` and titles of `DATA/extraction` go through the graph
`listing` as a table. A title or description is worse than none where it loses a number or more than
a fifth of the words of the title it came with, breaks off, mixes scripts, repeats itself, or claims
what no listing may. Shares no code or words with what writes and checks listings in the library.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import html
import json
import random
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from graphs.listing import build, default_recipe
from orchestra import Fleet
from orchestra.batch.output.rows import results_of
from orchestra.core.job import Result

SEED = 3
HAN = re.compile(r"[\u3400-\u9fff]")
TOKEN = re.compile(r"\d+(?:[.,]\d+)?|[^\W\d_\u3400-\u9fff]{2,}")
SENTENCE = re.compile(r"[.!?。！？]\s*")
DANGLING = re.compile(
    r"(?:^|\s)(?:an?|the|of|with|and|or|though it|is|are|this is an?|these are)$", re.I
)
NOT_SAID = re.compile(
    r"\bcures?\b|\bheals?\b|\bmiracle\b|\bfree shipping\b|最佳|国家级|全网第一|治愈|治疗", re.I
)
DROPPED = frozenset(("free", "shipping", "best", "miracle", "cures"))
MOST_LOST = 0.2


@dataclass(frozen=True, slots=True)
class Source:
    """A row of the table: what a shop wrote."""

    id: str
    title: str
    description: str = ""


def sources(data: Path, titles: int) -> list[Source]:
    """Every grocery, and so many titles of other shops."""
    rows = []
    with (data / "grocery" / "products.csv").open(encoding="utf-8-sig", newline="") as file:
        for row in csv.DictReader(file):
            told = row["description_en"] or row["information"]
            rows.append(Source(row["sku"], row["name"], told))
    lines = [
        json.loads(line)["input"]
        for name in ("oamine_train", "ae110k_train")
        for line in (data / "extraction" / f"{name}.jsonl").read_text("utf-8").splitlines()
    ]
    drawn = random.Random(SEED).sample(lines, titles)
    return rows + [Source(f"T{at:04d}", title) for at, title in enumerate(drawn)]


def faults(title: str, description: str, source: Source, language: str) -> Iterator[str]:
    """What is wrong with a listing."""
    if not title:
        yield "no title"
    if language == "en":
        yield from _lost(title, description, source)
    if HAN.search(title + description) if language == "en" else _lacks_han(description):
        yield "mixes languages"
    ends = [part.strip() for part in SENTENCE.split(description) if part.strip()]
    if any(DANGLING.search(part) for part in ends[-1:]):
        yield "breaks off"
    if NOT_SAID.search(f"{title} {description}"):
        yield "claims"
    words = Counter(word.casefold() for word in TOKEN.findall(title) if len(word) > 3)
    if max(words.values(), default=0) > 3:
        yield "repeats"
    known = set(TOKEN.findall(f"{title} this is these are it".casefold()))
    if description and not set(TOKEN.findall(description.casefold())) - known:
        yield "description says nothing"


def _lost(title: str, description: str, source: Source) -> Iterator[str]:
    """What of an English source a listing leaves out."""
    held = set(map(str.casefold, TOKEN.findall(title)))
    told = html.unescape(source.title)  # its entities are no words
    wanted = list(dict.fromkeys(map(str.casefold, TOKEN.findall(told))))
    lost = [word for word in wanted if word not in held and word not in DROPPED]
    has_number = any(word[0].isdigit() for word in lost)
    if title and (has_number or len(lost) > MOST_LOST * len(wanted)):
        yield "title says less"
    said, had = (len(set(TOKEN.findall(text))) for text in (description, source.description))
    if description and source.description and said < 0.8 * min(had, 60):
        yield "description says less"


def _lacks_han(text: str) -> bool:
    return bool(text) and len(HAN.findall(text)) < 2


async def written(rows: Sequence[Source], language: str) -> dict[str, Result]:
    """Results by id."""
    recipe = default_recipe().model_copy(update={"languages": (language,)})
    with tempfile.TemporaryDirectory() as folder:
        table, out = Path(folder) / "shop.csv", Path(folder) / "out"
        with table.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["id", "title", "description"])
            writer.writerows([row.id, row.title, row.description] for row in rows)
        async with Fleet.open("mini") as fleet:
            await fleet.batch(build, table, out=out, recipe=recipe)
        return dict(results_of(out)[0])


def main(argv: Sequence[str] | None = None) -> int:
    """Run it, and print what is wrong with how many."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("data", type=Path, help="folder with grocery/ and extraction/")
    parser.add_argument("--titles", type=int, default=200)
    parser.add_argument("--language", choices=("en", "zh"), default="en")
    parser.add_argument("--show", type=int, default=0, help="print so many listings")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args(argv)
    rows = sources(asked.data, asked.titles)
    results = asyncio.run(written(rows, asked.language))
    found: dict[str, Any] = {"listings": len(rows), "with faults": 0, "no description": 0}
    kinds: Counter[str] = Counter()
    for row in rows:
        title, description = (_said(results[row.id], part) for part in ("title", "description"))
        wrong = set(faults(title, description, row, asked.language))
        kinds.update(wrong)
        found["with faults"] += bool(wrong)
        found["no description"] += not description
    found["faults"] = dict(kinds.most_common())
    for row in random.Random(SEED).sample(rows, min(asked.show, len(rows))):
        title, description = (_said(results[row.id], part) for part in ("title", "description"))
        print(f"{row.id} | {row.title}\n    {title or '(none)'}\n    {description or '(none)'}")
    print(json.dumps(found) if asked.json else "\n".join(f"{k}: {v}" for k, v in found.items()))
    return 0


def _said(result: Result, part: str) -> str:
    field = result.fields.get(part)
    return str(field.value) if field is not None and field.answered else ""


if __name__ == "__main__":
    sys.exit(main())
