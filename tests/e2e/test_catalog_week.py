"""A merchandiser's week, by the real commands and a real Chromium.

A shop's export is enriched, verified, reviewed and approved, run again with next week's table,
rolled back, and written for channels.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.browser import MISSING, chromium_path
from tests.catalog_week import (
    CHANNELS,
    Product,
    came_back,
    decide,
    edit,
    export,
    products_of,
    reviewing,
    run_batch,
    write_export,
    write_recipe,
)
from tests.commands import command
from workers.synthetic.drawn import RESERVED_SEED, draw_product

PRODUCTS = (
    Product(1, "apples", "Granny Smith apples", "<p>Crisp <b>green</b> apple from Italy. 1 kg.</p>",
            ("apples.jpg",)),
    Product(2, "bananas", "Bananas", "<p>Fresh yellow bananas from Ecuador. 1 kg.</p>",
            ("bananas.jpg",)),
    Product(3, "shirt", "Red cotton shirt", "<p>Soft red cotton shirt, made in Italy.</p>",
            ("shirt.jpg",), ("S", "M", "L")),
    Product(4, "dress", "红色亚麻连衣裙", "<p>红色亚麻连衣裙，产自意大利。</p>",
            ("dress.jpg",), ("S", "M")),
    Product(5, "shoes", "Leather shoes",
            "<p>Black leather shoes. Ships from Sweden, made in Vietnam.</p>",
            ("shoes.jpg",), ("42", "43")),
    Product(6, "tomatoes", "Tomatoes", "<p>Red tomatoes from Spain. 500 g.</p>",
            ("tomatoes.jpg",)),
    Product(7, "cream", "Soft yoghurt", "<p>Yoghurt from Sweden, 500 g. It cures acne.</p>"),
    Product(8, "bananas-again", "Bananas", "<p>Fresh yellow bananas from Ecuador. 1 kg.</p>",
            ("bananas-again.jpg",)),
)  # fmt: skip
NEW = Product(
    9, "pears", "Conference pears", "<p>Green pears from Belgium. 1 kg.</p>", ("pears.jpg",)
)
# What the photos show; that of the tomatoes is of another product.
SHOWN = {
    "apples": ("Apple", "green"),
    "bananas": ("Banana", "yellow"),
    "shirt": ("shirt", "red"),
    "dress": ("dress", "red"),
    "shoes": ("shoes", "black"),
    "tomatoes": ("pants", "blue"),
    "bananas-again": ("Banana", "yellow"),
    "pears": ("Pear", "green"),
}
REVIEWED = {"shirt": "approve", "shoes": "approve", "tomatoes": "reject"}


def draw_photos(folder: Path) -> None:
    for handle, shown in SHOWN.items():
        drawn = draw_product(*shown, seed=RESERVED_SEED + sum(map(ord, handle)))
        drawn.save(folder / f"{handle}.jpg", quality=95)


def heavier(product: Product) -> Product:
    """The product with another text."""
    return replace(product, body=product.body.replace("1 kg", "2 kg"))


@pytest.mark.skipif(chromium_path() is None, reason=MISSING)
def test_a_week_of_a_catalog(tmp_path: Path) -> None:
    draw_photos(tmp_path)
    write_export(tmp_path, PRODUCTS)
    write_recipe(tmp_path)

    # Monday: enriched and verified.
    run_batch(tmp_path)
    found = products_of(tmp_path)
    assert len(found) == len(PRODUCTS)
    assert found["tomatoes"]["photo_match"] in ("doubtful", "no")
    assert "another product" in found["tomatoes"]["reasons"]
    assert found["shoes"]["origin"] == "Vietnam"
    assert found["cream"]["status"] == "review" and "cures" in found["cream"]["reasons"]
    assert "cures" not in found["cream"]["description"]

    # Tuesday: reviewed in the browser.
    with reviewing(tmp_path) as (page, address):
        for handle, action in REVIEWED.items():
            page.goto(f"{address}?kind=all&text={handle}")
            if handle == "shirt":
                edit(page, handle, "colour", "pink")
            decide(page, handle, action)
    decided = products_of(tmp_path)
    assert decided["tomatoes"]["status"] == "rejected"
    assert decided["shirt"]["colour"] == "pink"
    assert decided["shirt"]["colour_source"] == "person"
    state = json.loads(command(tmp_path, "decisions", "out", "--json"))[-1]["state"]

    # Next week: a price row changed, a text changed, one product gone, one new; only those run.
    kept = [one for one in reversed(PRODUCTS) if one.handle != "bananas-again"]
    write_export(tmp_path, (NEW, *(heavier(o) if o.handle == "apples" else o for o in kept)))
    run_batch(tmp_path)
    renewed = products_of(tmp_path)
    assert set(renewed) == {*found, "pears"} - {"bananas-again"}
    assert renewed["apples"]["quantity"].startswith("2 kg")
    assert renewed["shirt"]["colour"] == "pink"
    assert renewed["tomatoes"]["status"] == "rejected"
    told = command(tmp_path, "diff", "out")
    assert "apples" in told and "2 kg" in told

    # A correction was wrong: all decisions are rolled back, and taken up again.
    command(tmp_path, "rollback", "out", "--to", "0", "--why", "by mistake")
    assert products_of(tmp_path)["shirt"]["colour"] == "red"
    command(tmp_path, "rollback", "out", "--to", str(state))
    assert products_of(tmp_path)["shirt"]["colour"] == "pink"

    # Friday: what is approved goes to four channels, passes their rules and comes back.
    for to in CHANNELS:
        done, problems = export(tmp_path, to, "--approved")
        assert done["products"] >= 1, done
        assert not problems
    handles, _, lost = came_back(tmp_path)
    assert handles == {"shirt", "shoes"}
    assert lost == []
