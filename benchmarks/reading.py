"""What is read of packs, of labels, and of photos on which nothing is printed.

    python -m benchmarks.reading DIR [--split val] [--packs N] [--labels N] [--plain N]
        [--titles FILE [--rows N]] [--print-alone | --unlisted] [--json F]

DIR holds `grocery/` and `clothing/` (shared/data/README.md). Shares, each with Wilson's 95%
interval, and the CPU seconds a photo of one thread:

- packs: photos of packaged groceries, of a shelf at 256 px and of the shop's page at 198. `brand`
  is right where the field is the first words of the product's name, and `marked` of those that are
  told as a guess by looks; `printed` where these words are among what was read at all. The brands
  are on the reader's list, and their packs among what `vl` knows by sight: `--print-alone` looks at
  none, `--unlisted` takes the brands off the list as well.
- labels: our own drawings, flat and photographed, English and Chinese, 1,000 px: words found.
- titles: of an attribute set (benchmarks/extraction.py), drawn and photographed: fields that no
  rule of packs knows, asked off the photo and, beside it, off the title itself.
- plain: photos of fruit and garments. A false read is a believed line; garments have real prints,
  so each that reads something is listed, to be looked at, and so is each that gets a brand.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from PIL import Image

from benchmarks.extraction import Title, read_titles, schema_of
from orchestra.core.call import Call, Reply
from orchestra.core.stats import wilson
from orchestra.images.intake import normalise
from workers.reading.brands import GUESS
from workers.reading.engine import ReadingEngine
from workers.reading.fields import PackReader
from workers.reading.match import folded
from workers.reading.wanted import wanted_of
from workers.synthetic.labels import Label, drawn_label, drawn_text, photographed
from workers.understanding.engine import UnderstandingEngine

CHECKPOINT = Path(__file__).parents[1] / "workers" / "checkpoints" / "ocr"
READER = CHECKPOINT.parent / "reader"
BRANDS = ("Alpro", "Arla", "Bravo", "Garant", "God Morgon", "Oatly", "Tropicana", "Valio", "Yoggi")
PACK = {
    "type": "object",
    "properties": {
        name: {"type": ["string", "null"]} for name in ("brand", "flavour", "quantity", "text")
    },
}
SURE = 0.5  # what a listing takes from a photo


@dataclass(slots=True)
class Tally:
    """How many of how many were right, in how many CPU seconds."""

    right: int = 0
    of: int = 0
    cpu_s: float = 0.0
    photos: int = 0
    other: dict[str, Any] = field(default_factory=dict)

    def public(self) -> dict[str, Any]:
        """As JSON has it."""
        low, high = wilson(self.right, self.of) or (0.0, 1.0)
        return {
            "right": self.right,
            "of": self.of,
            "share": round(self.right / max(1, self.of), 4),
            "interval": [round(low, 4), round(high, 4)],
            "cpu_s_a_photo": round(self.cpu_s / max(1, self.photos), 3),
            **self.other,
        }


@dataclass(slots=True)
class Hits:
    """Values that were right, answered and stated."""

    right: int = 0
    answered: int = 0
    stated: int = 0

    def count(self, value: Any, gold: Sequence[str]) -> None:
        """One field of one title."""
        self.right += value in gold
        self.answered += value is not None
        self.stated += bool(gold)

    def public(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "precision": round(self.right / max(1, self.answered), 4),
            "recall": round(self.right / max(1, self.stated), 4),
            "f1": round(2 * self.right / max(1, self.answered + self.stated), 4),
            "stated": self.stated,
        }


@dataclass(slots=True)
class Bench:
    """The engine, and what each part came to."""

    engine: ReadingEngine

    def ask(self, photo: Image.Image, schema: Any, tally: Tally) -> Reply:
        """One call, its CPU time noted."""
        started = time.process_time()
        (answer,) = self.engine.generate([Call("Read.", images=(photo,), schema=schema)])
        tally.cpu_s += time.process_time() - started
        tally.photos += 1
        if not isinstance(answer, Reply):
            raise answer
        return answer

    def packs(self, shots: Iterable[tuple[Path, str]]) -> dict[str, Any]:
        """Brands of packs, as a field and among the words."""
        field_, words, marked, wrong, unsure = Tally(), Tally(), Tally(), 0, 0
        bins: Counter[tuple[str, bool]] = Counter()
        for path, name in shots:
            brand = next(brand for brand in BRANDS if name.startswith(brand))
            photo = normalise(path)
            said = self.ask(photo, PACK, field_)
            is_right = folded(str(said.value["brand"] or "")) == folded(brand)
            field_.right, field_.of = field_.right + is_right, field_.of + 1
            sure = said.confidence.get("brand", 0.0)
            if said.notes.get("brand", "").startswith(GUESS):
                marked.right, marked.of = marked.right + is_right, marked.of + 1
            elif said.value["brand"] is not None and "brand" not in said.notes:
                wrong += not is_right and sure >= SURE
            unsure += is_right and sure < SURE
            if said.value["brand"] is not None:
                bins[f"{sure:.1f}", is_right] += 1
            words.right += folded(brand) in folded(str(said.value["text"] or ""))
            words.of += 1
        field_.other = {
            "marked": [marked.right, marked.of],
            "wrong_and_unmarked": wrong,
            "right_and_unsure": unsure,
            "right_by_confidence": {
                sure: [bins[sure, True], bins[sure, True] + bins[sure, False]]
                for sure in sorted({sure for sure, _ in bins})
            },
        }
        words.cpu_s, words.photos = field_.cpu_s, field_.photos
        return {"brand": field_.public(), "printed": words.public()}

    def labels(self, labels: Iterable[tuple[str, Label]]) -> dict[str, Any]:
        """Words of labels, by their kind."""
        tallies: dict[str, Tally] = {}
        for kind, label in labels:
            tally = tallies.setdefault(kind, Tally())
            text = self.ask(label.photo, None, tally).text
            tally.right += found_words(label.words, text)
            tally.of += len(label.words)
        return {kind: tally.public() for kind, tally in tallies.items()}

    def titles(self, titles: Sequence[Title], reader: UnderstandingEngine) -> dict[str, Any]:
        """Precision and recall of values off print, and off the same texts."""
        counts = {"print": Hits(), "text": Hits()}
        for number, title in enumerate(titles):
            schema = schema_of(title.asked)
            names = [one.name for one in wanted_of(schema) if one.kind == "other"]
            if not names:
                continue
            asked = schema_of(names)
            photo = photographed(drawn_text(title.text, number), number).photo
            off_text = reader.generate([Call("Read.", title.text, schema=asked)])[0]
            assert isinstance(off_text, Reply)
            for way, reply in (("print", self.ask(photo, asked, Tally())), ("text", off_text)):
                for name in names:
                    counts[way].count(reply.value[name], title.values.get(name, ()))
        return {way: hits.public() for way, hits in counts.items()}

    def plain(self, shots: Iterable[Path]) -> dict[str, Any]:
        """Photos on which something was read though nothing is printed."""
        tally, read, brands = Tally(), {}, {}
        for path in shots:
            said = self.ask(normalise(path), PACK, tally)
            text = said.value["text"] or ""
            if said.value["brand"] is not None:
                brands[str(path)] = [said.value["brand"], said.confidence["brand"]]
            tally.of += 1
            tally.right += bool(text)
            if text:
                read[str(path)] = text.split("\n")
        tally.other = {"read": read, "brands": brands}
        return tally.public()


def found_words(words: Sequence[str], text: str) -> int:
    """How many of `words` stand in `text`, each as often as it is there; Chinese without gaps."""
    there = Counter(folded(word) for word in text.split())
    joined = folded(text)
    found = 0
    for word in map(folded, words):
        if there[word] > 0:
            there[word] -= 1
            found += 1
        elif not word.isascii() and word in joined:
            found += 1
    return found


def drawn(count: int, seed: int = 0) -> Iterator[tuple[str, Label]]:
    """`count` labels of each kind."""
    for number in range(seed, seed + count):
        for language in ("en", "zh"):
            flat = drawn_label(number, language=language)
            yield f"{language} drawn", flat
            yield f"{language} photographed", photographed(flat, number)


def shots(data: Path, folder: str, split: str, *, packs: bool) -> list[tuple[Path, str]]:
    """Photos of a set with what they show, shuffled once for all."""
    with (data / folder / f"{split}.csv").open(encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    kept = [
        (data / folder / row["image"], row.get("name") or row["category"])
        for row in rows
        if (row.get("department") == "Packages") == packs
    ]
    random.Random(0).shuffle(kept)
    return kept


def shop_photos(data: Path) -> list[tuple[Path, str]]:
    """A shop's own photo of each packaged product."""
    with (data / "grocery" / "products.csv").open(encoding="utf-8-sig") as file:
        rows = [row for row in csv.DictReader(file) if row["department"] == "Packages"]
    return [(data / "grocery" / row["image"], row["name"]) for row in rows]


def main() -> None:
    """Run the three parts and print what they came to."""
    options = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    options.add_argument("data", type=Path)
    options.add_argument("--split", default="val", choices=("train", "val"))
    options.add_argument("--packs", type=int, default=1000, help="at most; 0 leaves the part out")
    options.add_argument("--labels", type=int, default=10, help="of each kind")
    options.add_argument("--plain", type=int, default=100, help="half fruit, half garments")
    options.add_argument("--titles", type=Path, help="a file of an attribute set")
    options.add_argument("--rows", type=int, default=200, help="titles at most")
    options.add_argument("--print-alone", action="store_true", help="look at no pack")
    options.add_argument("--unlisted", action="store_true", help="know none of the brands")
    options.add_argument("--json", type=Path)
    given = options.parse_args()
    engine = ReadingEngine.load(CHECKPOINT, threads=1)
    if given.print_alone or given.unlisted:
        engine.eye = None
    if given.unlisted:
        known = engine.fields.words
        others = tuple(brand for brand in known.brands if brand not in BRANDS)
        engine.fields = PackReader(replace(known, brands=others, marks={}))
    bench = Bench(engine)
    told: dict[str, Any] = {"split": given.split}
    if given.packs:
        packs = shots(given.data, "grocery", given.split, packs=True)[: given.packs]
        told["packs"] = bench.packs(packs)
        told["shop"] = bench.packs(shop_photos(given.data))
    if given.labels:
        told["labels"] = bench.labels(drawn(given.labels))
    if given.plain:
        fruit = shots(given.data, "grocery", given.split, packs=False)[: given.plain // 2]
        worn = shots(given.data, "clothing", given.split, packs=False)
        worn = worn[: given.plain - len(fruit)]
        told["plain"] = bench.plain([path for path, _ in (*fruit, *worn)])
    if given.titles:
        titles = read_titles(given.titles)
        random.Random(0).shuffle(titles)
        reader = UnderstandingEngine.load(READER, threads=1)
        told["titles"] = bench.titles(titles[: given.rows], reader)
    text = json.dumps(told, ensure_ascii=False, indent=2)
    print(text)
    if given.json is not None:
        given.json.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
