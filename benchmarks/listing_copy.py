"""How much of written listings the inputs support, and how much of what was found they use.

    python -m benchmarks.listing_copy --data DIR [--fleet mini] [--json FILE] [--failures]

The products of `DATA/grocery/products.csv` with their shop photos go through the graph `listing`,
in English and Chinese. `parts/copy_check.py` judges what title, description and bullets state.
A fact counts as found where its field is answered, not contradicted, and sayable in the language;
it is used where its words stand in any of the three parts.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.parts.catalog_rows import Product, read_products
from benchmarks.parts.copy_check import COLOURS, COUNTRIES, HAN, KINDS, Claim, claims
from graphs.listing import build, default_recipe
from orchestra import Fleet, Job, Result
from orchestra.core.stats import wilson
from orchestra.core.text_table import aligned

LANGUAGES = ("en", "zh")
PARTS = ("title", "description", "bullets")
FACTS = ("name", "brand", "category", "colour", "material", "origin", "quantity", "summary")
ANY_LANGUAGE = ("name", "brand", "quantity")
AT_ONCE = 16


@dataclass
class Judged:
    """What was stated and used in one language, over all products."""

    stated: Counter[str] = field(default_factory=Counter)
    found: Counter[str] = field(default_factory=Counter)
    used: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    empty: int = 0


def spoken(name: str, value: str, language: str) -> list[str]:
    """The words by which a fact is said in `language`; none where it cannot be."""
    lexicon = {"category": KINDS, "colour": COLOURS, "origin": COUNTRIES}.get(name, {})
    if language == "zh" and value in lexicon:
        return [lexicon[value]]
    if bool(HAN.search(value)) != (language == "zh") and name not in ANY_LANGUAGE:
        return []
    return [value]


def parts_of(result: Result, language: str) -> list[str]:
    """Title, description and bullets that were published."""
    texts: list[str] = []
    for part in PARTS:
        written = result.fields.get(f"{part}_{language}")
        if written is not None and written.answered:
            texts += written.value if isinstance(written.value, list) else [written.value]
    return texts


def judge(product: Product, result: Result, language: str, judged: Judged) -> None:
    """Count the claims of one listing, and the facts that it uses."""
    texts = parts_of(result, language)
    judged.empty += not texts
    names = {product.name, str(result.fields["name"].value or "")}
    named = [name for name in names if name and name.casefold() in product.text.casefold()]
    for text in texts:
        for claim in claims(text, product.text, product.facts, named):
            judged.stated[claim.verdict] += 1
            if claim.verdict == "unsupported":
                judged.failures.append(_failure(product, language, text, claim))
    whole = " ".join(" ".join(texts).casefold().split())
    for fact in FACTS:
        entry = result.fields.get(fact)
        if entry is None or not entry.answered or entry.contradiction:
            continue
        words = spoken(fact, str(entry.value), language)
        if not words:
            continue
        judged.found[fact] += 1
        if any(_says(whole, word) for word in words):
            judged.used[fact] += 1
        else:
            judged.failures.append(f"{product.sku} {language}: {fact} {words[0]!r} is not used")


def _says(whole: str, word: str) -> bool:
    plain = " ".join(word.casefold().split())
    return bool(re.search(rf"(?<![a-z0-9]){re.escape(plain)}(?:e?s)?(?![a-z0-9])", whole))


def _failure(product: Product, language: str, text: str, claim: Claim) -> str:
    return f"{product.sku} {language}: {claim.kind} {claim.words!r} has no support in {text!r}"


async def run(name: str, products: Sequence[Product]) -> list[Result]:
    """The listing of every product, in both languages."""
    recipe = default_recipe().model_copy(update={"languages": LANGUAGES})
    gate = asyncio.Semaphore(AT_ONCE)
    async with Fleet.open(name) as fleet:

        async def one(product: Product) -> Result:
            async with gate:
                job = Job(text=product.text, images=(str(product.photo),))
                return await fleet.run(lambda: build(recipe), job)

        return list(await asyncio.gather(*map(one, products)))


def summary(judged: Judged) -> dict[str, Any]:
    """The shares of one language, with 95% intervals. What nobody knows is left out."""
    backed, known = judged.stated["supported"], judged.stated.total() - judged.stated["unknown"]
    used, found = judged.used.total(), judged.found.total()
    return {
        "stated": judged.stated.total(),
        "unknown": judged.stated["unknown"],
        "supported": backed / known if known else None,
        "supported_interval": wilson(backed, known),
        "found": found,
        "used": used / found if found else None,
        "used_interval": wilson(used, found),
        "used_by_fact": {name: judged.used[name] / judged.found[name] for name in judged.found},
        "without_copy": judged.empty,
    }


def shown(scores: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The shares as a table."""
    head = ["language", "stated", "unknown", "supported", "95%", "found", "used", "95%", "no copy"]
    body = [
        [language, str(row["stated"]), str(row["unknown"]), f"{row['supported']:.1%}",
         _interval(row["supported_interval"]), str(row["found"]), f"{row['used']:.1%}",
         _interval(row["used_interval"]), str(row["without_copy"])]
        for language, row in scores.items()
    ]  # fmt: skip
    facts = [
        [f"used, {language}", *(_share(row["used_by_fact"].get(name)) for name in FACTS)]
        for language, row in scores.items()
    ]
    return [*aligned([head, *body]), "", *aligned([["", *FACTS], *facts])]


def _interval(pair: tuple[float, float]) -> str:
    return f"{pair[0]:.1%} to {pair[1]:.1%}"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.0%}"


def main() -> None:
    """Parse the command line, write the listings, and print how they were judged."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--fleet", default="mini")
    parser.add_argument("--limit", type=int, help="only the first products")
    parser.add_argument("--failures", action="store_true", help="print each failure")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    products = read_products(given.data)[: given.limit]
    results = asyncio.run(run(given.fleet, products))
    judged = {language: Judged() for language in LANGUAGES}
    for product, result in zip(products, results, strict=True):
        for language in LANGUAGES:
            judge(product, result, language, judged[language])
    scores = {language: summary(of) for language, of in judged.items()}
    print("\n".join(shown(scores)))
    if given.failures:
        print("\n".join(["", *(line for of in judged.values() for line in of.failures)]))
    if given.json:
        document = {"fleet": given.fleet, "products": len(products), "languages": scores}
        given.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
