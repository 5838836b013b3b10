"""A merchandiser's week with a catalog of real photos and texts, in one command and step by step.

    python -m benchmarks.catalogs.week DATA [--rows 2000]

DATA holds `grocery/` and `clothing/`. Of their photos a Shopify export is built: variants, several
photos, one in five garments in Chinese, 5% of the photos swapped for one of another category, 3% of
the products once more under another handle. It is enriched and verified; reviewed in a real
Chromium, where each product whose photo is doubted is rejected or approved by who knows, one colour
is edited and the rest is approved in bulk; run again with next week's table; rolled back; written
for four channels, checked by their rules, and read again. Each step prints what came of it, and
what may not be is told at the end; then the exit status is 1.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from PIL import Image, ImageOps
from playwright.sync_api import Page, expect

from benchmarks.catalogs.verification import Sold, read_catalog, swapped
from tests.catalog_week import (
    CHANNELS,
    LONGEST_S,
    Product,
    came_back,
    decide,
    edit,
    export,
    products_of,
    reviewing,
    rows_of,
    run_batch,
    write_export,
    write_recipe,
)
from tests.commands import command

SEED = 11
SWAPPED, TWICE, CHINESE = 0.05, 0.03, 0.2
CHANGED, GONE, NEW = 0.02, 0.01, 10  # in next week's table
WORDS = {
    "dress": "连衣裙", "hat": "帽子", "longsleeve": "长袖上衣", "outwear": "外套", "pants": "裤子",
    "shirt": "衬衫", "shoes": "鞋", "shorts": "短裤", "skirt": "半身裙", "t-shirt": "T恤",
}  # fmt: skip
FABRICS = ("纯棉", "亚麻", "羊毛")


@dataclass(slots=True)
class Catalog:
    """The shop's products in `folder`, and which of them have another product's photo."""

    folder: Path
    products: list[Product] = field(default_factory=list)
    swapped: set[str] = field(default_factory=set)
    chinese: int = 0
    twice: int = 0


@contextmanager
def step(name: str) -> Iterator[None]:
    """Print how long a step took."""
    began = time.perf_counter()
    print(f"\n{name}", flush=True)
    yield
    print(f"  {time.perf_counter() - began:.0f} s", flush=True)


def build(data: Path, folder: Path, count: int) -> tuple[Catalog, list[Product]]:
    """The catalog of `count` products, and those that are new next week."""
    draw = random.Random(SEED)
    every = [sold for split in ("val", "train") for sold in read_catalog(data, split, draw)]
    draw.shuffle(every)
    copies = round(TWICE * count)
    sold = swapped(every[: count - copies + NEW], SWAPPED, draw)
    alike: dict[str, list[Path]] = defaultdict(list)
    for one in every:
        alike[one.title].append(one.photo)
    catalog = Catalog(folder)
    for number, one in enumerate(sold):
        product = _product(number, one, alike[one.title], folder, draw)
        catalog.products.append(product)
        catalog.chinese += not product.title.isascii() and one.category in WORDS
        if one.is_wrong:
            catalog.swapped.add(product.handle)
    new = [one for one in catalog.products[-NEW:] if one.handle not in catalog.swapped]
    del catalog.products[-NEW:]
    catalog.swapped &= {one.handle for one in catalog.products}
    for number, one in enumerate(draw.sample(catalog.products, copies), len(sold)):
        again = replace(one, number=number, handle=f"{one.handle}-again")
        catalog.products.append(again)
        catalog.swapped |= {again.handle} if one.handle in catalog.swapped else set()
        catalog.twice += 1
    return catalog, new


def _product(
    number: int, sold: Sold, alike: Sequence[Path], folder: Path, draw: random.Random
) -> Product:
    title, body, sizes = sold.title, f"<p>{sold.description}</p>", ()
    photos = [f"{number:05}.jpg"]
    shutil.copyfile(sold.photo, folder / photos[0])
    if sold.category in WORDS:
        sizes = draw.choice(((), ("S", "M"), ("S", "M", "L"), ("S", "M", "L", "XL")))
        if draw.random() < CHINESE:
            fabric = draw.choice(FABRICS)
            title = f"{draw.choice(('女士', '男士'))}{fabric}{WORDS[sold.category]}"
            made = draw.choice(("中国", "意大利", "越南"))
            body = f"<p>{fabric}{WORDS[sold.category]}，柔软舒适。产自{made}。</p>"
        second = Image.open(sold.photo).convert("RGB")
        photos.append(f"{number:05}-2.jpg")
        ImageOps.mirror(second).save(folder / photos[1], quality=92)
    elif not sold.is_wrong and len(alike) > 1 and draw.random() < 0.5:
        photos.append(f"{number:05}-2.jpg")
        shutil.copyfile(draw.choice(alike), folder / photos[1])
    return Product(number, f"p{number:05}", title, body, tuple(photos), sizes)


def monday(catalog: Catalog) -> dict[str, dict[str, str]]:
    """Enriched and verified: how rows ended, and what became of the wrong photos."""
    summary = run_batch(catalog.folder)
    found = products_of(catalog.folder)
    print(f"  {summary['rows']} rows: {dict(Counter(row['status'] for row in found.values()))}")
    print(f"  ${summary['cost_usd']} in {summary['seconds']:.0f} s of the batch")
    flagged = {one for one, row in found.items() if row["photo_match"] in ("doubtful", "no")}
    hits = flagged & catalog.swapped
    print(
        f"  {len(hits)} of {len(catalog.swapped)} swapped photos found, among {len(flagged)} that "
        f"were flagged: recall {len(hits) / max(1, len(catalog.swapped)):.2f}, "
        f"precision {len(hits) / max(1, len(flagged)):.2f}"
    )
    groups = {row["group"] for row in rows_of(catalog.folder / "out" / "duplicates.csv")}
    print(
        f"  {len(groups)} groups of duplicates and variants; {catalog.twice} products stand twice"
    )
    return found


def tuesday(catalog: Catalog, found: dict[str, dict[str, str]]) -> str:
    """Reviewed in the browser; whose colour was edited."""
    rejected: set[str] = set()
    with reviewing(catalog.folder) as (page, address):
        looked = Counter[str]()
        page.goto(f"{address}?kind=photo")
        while handle := _first(page, looked):
            action = "reject" if handle in catalog.swapped else "approve"
            decide(page, handle, action)
            looked[handle] += 1
            rejected |= {handle} if action == "reject" else set()
            if not _first(page, looked):
                page.goto(f"{address}?kind=photo")
        print(f"  {len(looked)} doubted photos looked at, {len(rejected)} products rejected")
        own = next(
            one.handle
            for one in catalog.products
            if one.handle not in looked and found[one.handle]["colour"]
        )
        page.goto(f"{address}?kind=all&text={own}")
        edit(page, own, "colour", "pink")
        page.goto(f"{address}?kind=all")
        page.click(".found .menu summary")
        page.click(".found [data-deed=products]")
        page.click("#preview form .main")
        expect(page.locator("#said")).to_contain_text("approved", timeout=60_000)
        print(f"  in bulk: {page.locator('#said').text_content()}; colour of {own} is pink now")
    statuses = Counter(row["status"] for row in products_of(catalog.folder).values())
    print(f"  {dict(statuses)}")
    return own


def _first(page: Page, looked: Counter[str]) -> str:
    """The first product on the page of which nothing was decided yet."""
    handles = page.locator(".card").evaluate_all("cards => cards.map((one) => one.dataset.row)")
    return next((one for one in handles if not looked[one]), "")


def next_week(
    catalog: Catalog, new: Sequence[Product], wrong: list[str]
) -> tuple[set[str], set[str]]:
    """The table has changed; what of it was changed, and what it lacks."""
    draw = random.Random(SEED + 1)
    picked = draw.sample(catalog.products, round((CHANGED + GONE) * len(catalog.products)))
    gone = {one.handle for one in picked[: round(GONE * len(catalog.products))]}
    changed = {one.handle for one in picked} - gone
    left = [one for one in reversed(catalog.products) if one.handle not in gone]
    heavier = (
        replace(one, body=one.body.replace("</p>", " Now 3 kg.</p>"))
        if one.handle in changed
        else one
        for one in left
    )
    rows = write_export(catalog.folder, [*new, *heavier])
    summary = run_batch(catalog.folder)
    print(
        f"  {rows} rows in another order: {len(changed)} changed, {len(gone)} gone, {len(new)} new"
    )
    table = summary["table"]
    print("  " + ", ".join(f"{key} {table[key]}" for key in ("rows", "kept", "changed", "gone")))
    asked = (len(left) - len(changed), len(changed), len(gone))
    if (table["kept"], table["changed"], table["gone"]) != asked:
        wrong.append(f"{asked} rows were kept, changed and gone, and the batch says {table}")
    told = command(catalog.folder, "diff", "out", "--json", limit_s=LONGEST_S)
    print(f"  diff: {len(json.loads(told)['rows'])} rows differ")
    return changed, gone


def friday(catalog: Catalog, wrong: list[str]) -> None:
    """Written for four channels, checked by their rules, and read again."""
    for to in CHANNELS:
        done, problems = export(catalog.folder, to, "--approved")
        keys = ("products", "lines", "refused", "not_approved", "rejected", "unfinished")
        print(f"  {to:12} " + ", ".join(f"{key} {done[key]}" for key in keys), end="")
        print(f", {len(problems)} against the rules; {dict(done['faults'])}")
        if problems:
            wrong.append(f"{to}: {sorted(map(str, problems))[:3]}")
    handles, rows, lost = came_back(catalog.folder)
    print(f"  read again: {len(handles)} products, {rows} rows, {len(lost)} with a loss")
    if lost:
        wrong.append(f"{len(lost)} rows came back with a loss, as {lost[0]}")


def week(data: Path, folder: Path, count: int) -> list[str]:
    """Do it all; what went wrong."""
    wrong: list[str] = []
    with step("The shop's export"):
        catalog, new = build(data, folder, count)
        rows = write_export(folder, catalog.products)
        write_recipe(folder)
        several = sum(len(one.photos) > 1 for one in catalog.products)
        sizes = sum(bool(one.sizes) for one in catalog.products)
        print(
            f"  {len(catalog.products)} products in {rows} rows: {sizes} with variants, {several} "
            f"with several photos, {catalog.chinese} in Chinese, {len(catalog.swapped)} with "
            f"another's photo, {catalog.twice} once more"
        )
    with step("Monday: enriched and verified"):
        found = monday(catalog)
    with step("Tuesday: reviewed in Chromium"):
        own = tuesday(catalog, found)
        before = products_of(folder)
        if before[own]["colour"] != "pink":
            wrong.append(f"{own} was edited to pink and is {before[own]['colour']!r}")
    state = json.loads(command(folder, "decisions", "out", "--json", limit_s=LONGEST_S))[-1][
        "state"
    ]
    with step("Next Monday: run again with a changed table"):
        changed, gone = next_week(catalog, new, wrong)
        after = products_of(folder)
        known = set(before) - gone
        if set(after) != known | {one.handle for one in new}:
            wrong.append("the table's products are not those of products.csv")
        moved = {
            one
            for one in known - changed
            if (before[one]["status"], before[one]["colour"], before[one]["title"])
            != (after[one]["status"], after[one]["colour"], after[one]["title"])
        }
        print(f"  {len(moved)} products that nobody changed stand otherwise than before")
        wrong += [f"{len(moved)} unchanged products changed, as {min(moved)}"] if moved else []
    with step("Rolled back, and taken up again"):
        command(folder, "rollback", "out", "--to", "0", "--why", "by mistake", limit_s=LONGEST_S)
        bare = products_of(folder)
        told = Counter(row["status"] for row in bare.values())
        print(f"  without decisions: {dict(told)}; colour of {own}: {bare[own]['colour']}")
        command(folder, "rollback", "out", "--to", str(state), limit_s=LONGEST_S)
        again = products_of(folder)
        differing = [one for one in after if again[one] != after[one]]
        print(f"  with them again: {len(differing)} rows stand otherwise than before")
        if told["rejected"] or bare[own]["colour"] == "pink" or differing:
            wrong.append(f"the rollback left {told}, and {differing[:3]} otherwise")
    with step("Friday: four channels"):
        friday(catalog, wrong)
    return wrong


def main(argv: Sequence[str] | None = None) -> int:
    """Do it in a folder that is thrown away, or in --keep."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("data", type=Path, help="folder with grocery/ and clothing/")
    parser.add_argument("--rows", type=int, default=2000, help="products (default: 2000)")
    parser.add_argument("--keep", type=Path, help="an empty folder to do it in and to leave")
    asked = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as temporary:
        folder = asked.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        wrong = week(asked.data, folder, asked.rows)
    print("\n" + ("\n".join(f"WRONG: {one}" for one in wrong) or "All as it should be."))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
