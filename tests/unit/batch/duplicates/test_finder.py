"""Duplicates and variants among rows that are made with known ones."""

from __future__ import annotations

import io
import random
from collections.abc import Iterable, Iterator
from itertools import combinations

import pytest
from PIL import Image, ImageDraw

from orchestra.batch.duplicates.finder import Finder
from orchestra.batch.duplicates.groups import Groups
from orchestra.batch.duplicates.photos import Photos

KINDS = ("shirt", "jacket", "kettle", "lamp", "yoghurt", "chair", "backpack", "scarf")
WORDS = (
    "soft", "warm", "classic", "woven", "brushed", "folding", "sturdy", "bright", "slow", "ripe",
    "creamy", "washed", "robust", "quilted", "padded", "handmade", "everyday", "travel", "garden",
)  # fmt: skip
COLOURS = ("red", "blue", "green", "black", "white", "grey")
SIZES = ("S", "M", "L", "XL", "500 g", "1 kg", "250ml", "1 l")


def drawn(seed: int) -> Image.Image:
    """A product on white: some shapes whose places and colours the seed says."""
    draw, picture = random.Random(seed), Image.new("RGB", (320, 320), "white")
    pen = ImageDraw.Draw(picture)
    for _ in range(4):
        left, top = draw.randrange(30, 200), draw.randrange(30, 200)
        box = (left, top, left + draw.randrange(40, 110), top + draw.randrange(40, 110))
        pen.rounded_rectangle(box, 12, fill=tuple(draw.randrange(20, 230) for _ in range(3)))
    return picture


def jpeg(picture: Image.Image, side: int = 256, quality: int = 85) -> bytes:
    out = io.BytesIO()
    picture.resize((side, side), Image.Resampling.LANCZOS).save(out, "JPEG", quality=quality)
    return out.getvalue()


def title_of(draw: random.Random, brand: int) -> str:
    return f"Brand{brand} {' '.join(draw.sample(WORDS, 2))} {draw.choice(KINDS)}"


def about_of(draw: random.Random) -> str:
    return f"A {' '.join(draw.sample(WORDS, 8))} piece that is made with care for every day."


class Shop:
    """Rows with what is known of them."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)
        self.rows: list[tuple[str, str, tuple[str, ...]]] = []
        self.pictures: dict[str, bytes] = {}
        self.duplicates: set[tuple[int, int]] = set()
        self.variants: set[tuple[int, int]] = set()

    def photo(self, seed: int, side: int = 256, quality: int = 85) -> str:
        key = f"{seed}-{side}-{quality}"
        self.pictures[key] = jpeg(drawn(seed), side, quality)
        return key

    def add(self, title: str, about: str, *photos: str) -> int:
        self.rows.append((title, about, photos))
        return len(self.rows)

    def groups(self, order: Iterable[int] | None = None) -> Groups:
        finder = Finder(self.pictures.get)
        for place in order or range(1, len(self.rows) + 1):
            title, about, photos = self.rows[place - 1]
            finder.add(place, f"P{place}", [title, about], photos)
        return finder.groups()


def known_shop() -> Shop:
    """240 products; 60 have a duplicate, 60 a variant, and others look or read much alike."""
    shop, draw = Shop(7), random.Random(7)
    for n in range(240):
        title, about = title_of(draw, n), about_of(draw)
        one = shop.add(title, about, shop.photo(n))
        if n < 60:
            again = [
                (title.upper() + "!", about),  # case and punctuation
                (" ".join(reversed(title.split())), about.replace(",", " ")),  # order of words
                (f"NEW {title}", about),  # a word more
                (title, f"{about} Ships today."),  # a sentence more
                (title, about.replace("made with care for every day", "made for every day")),
                (title, about),
            ][n % 6]
            photo = shop.photo(n, side=(128, 200, 256)[n % 3], quality=(60, 75, 95)[n % 3])
            shop.duplicates.add((one, shop.add(*again, photo)))
        elif n < 120:
            # The first of the pair says its size and colour, the second another one.
            colour, other = draw.sample(COLOURS, 2)
            size, larger = draw.sample(SIZES, 2)
            shop.rows[one - 1] = (f"{title} {colour} {size}", about, (shop.photo(n),))
            two = shop.add(f"{title} {other} {larger}", about, shop.photo(1000 + n))
            shop.variants.add((one, two))
        elif n < 160:  # another model, which is another product
            shop.add(f"{title} 200{n}", about, shop.photo(2000 + n))
            shop.rows[one - 1] = (f"{title} 100{n}", about, (shop.photo(n),))
        elif n < 200:  # another brand with the same words
            shop.add(title.replace(f"Brand{n}", f"Maker{n}"), about, shop.photo(3000 + n))
    return shop


def pairs(groups: Groups, kind: str) -> set[tuple[int, int]]:
    by_group: dict[int, list[int]] = {}
    for kin in groups:
        if kin.kind == kind:
            by_group.setdefault(kin.group, []).append(kin.ordinal)
    return {pair for rows in by_group.values() for pair in combinations(sorted(rows), 2)}


def scores(found: set[tuple[int, int]], true: set[tuple[int, int]]) -> tuple[float, float]:
    return len(found & true) / len(found), len(found & true) / len(true)


def test_known_duplicates_and_variants_are_found_and_nothing_else() -> None:
    shop = known_shop()
    groups = shop.groups()
    for kind, true in (("duplicate", shop.duplicates), ("variant", shop.variants)):
        precision, recall = scores(pairs(groups, kind), true)
        print(f"{kind}: precision {precision:.3f}, recall {recall:.3f} of {len(true)}")
        assert (precision, recall) >= (0.98, 0.95)
        assert recall >= 0.95
    assert groups.count("photo") == (0, 0)
    assert groups.looked_at == len(shop.rows)


def test_groups_are_the_same_each_time() -> None:
    shop = known_shop()
    assert list(shop.groups()) == list(shop.groups())


def test_size_and_colour_make_variants_in_english_and_chinese() -> None:
    shop = Shop(1)
    for title in (
        "Linen shirt red M", "Linen shirt, blue, XL", "红色纯棉衬衫 大号", "蓝色纯棉衬衫 小号",
        "Apple juice 6 x 1 l", "Apple juice 500ml", "苹果汁 500毫升", "苹果汁 1升",
    ):  # fmt: skip
        shop.add(title, "")
    groups = shop.groups()
    assert pairs(groups, "variant") == {(1, 2), (3, 4), (5, 6), (7, 8)}
    assert not pairs(groups, "duplicate")


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("Gala apple from Italy 1 kg", "Fuji apple from Italy 1 kg"),
        ("Desk lamp model 410", "Desk lamp model 420"),
        ("Cotton shirt", "Linen shirt"),
        ("", ""),
    ],
)
def test_other_products_are_no_duplicates(one: str, two: str) -> None:
    shop = Shop(1)
    shop.add(one, "")
    shop.add(two, "")
    assert not shop.groups().members


def test_one_photo_of_two_products_is_told_and_of_alike_texts_makes_them_one() -> None:
    shop = Shop(1)
    first, again = shop.photo(5), shop.photo(5, side=120, quality=70)
    shop.add("Blue ceramic teapot with lid", "", first)
    shop.add("Wool scarf", "", again)
    shop.add("Ceramic teapot blue, with lid and infuser", "", again)
    shop.add("", "", first)
    groups = shop.groups()
    assert pairs(groups, "duplicate") == {(1, 3)}
    assert pairs(groups, "photo") >= {(1, 2), (1, 4)}
    assert all("same photo" in kin.why for kin in groups if kin.like != kin.ordinal)


def test_photos_without_texts_are_compared_alone() -> None:
    shop = Shop(1)
    for photo in (shop.photo(5), shop.photo(6), shop.photo(5, side=140)):
        shop.add("", "", photo)
    assert pairs(shop.groups(), "duplicate") == {(1, 3)}


def test_a_photo_twice_in_one_product_is_told() -> None:
    shop = Shop(1)
    shop.add("Teapot", "", shop.photo(5), shop.photo(6), shop.photo(5, side=100))
    (kin,) = shop.groups()
    assert (kin.kind, kin.ordinal) == ("repeat", 1)


def test_a_photo_that_cannot_be_read_costs_nothing_else() -> None:
    finder = Finder(lambda key: b"no picture" if key == "bad" else None)
    finder.add(1, "A", ["Teapot"], ["bad", "gone"])
    finder.add(2, "B", ["Teapot"], ["bad"])
    assert [kin.kind for kin in finder.groups()] == ["duplicate", "duplicate"]


def test_rows_beyond_the_limit_are_counted() -> None:
    finder = Finder(lambda _: None, most_rows=2)
    for n in range(5):
        finder.add(n, f"P{n}", ["Teapot"], ())
    groups = finder.groups()
    assert (groups.looked_at, groups.left_out, len(groups.members)) == (2, 3, 2)
    found = groups.public()
    assert found is not None and found["left_out"] == 3


def changed(picture: Image.Image) -> Iterator[Image.Image]:
    recoloured = Image.merge("RGB", picture.split()[::-1])
    yield recoloured
    labelled = picture.copy()
    ImageDraw.Draw(labelled).rectangle((140, 140, 200, 170), fill="black")
    yield labelled
    yield picture.resize((320, 200))


def test_another_colour_label_or_shape_is_another_photo() -> None:
    picture = drawn(3)
    photos = Photos()
    photos.add(jpeg(picture))
    for other in changed(picture):
        out = io.BytesIO()
        other.save(out, "JPEG", quality=90)
        photos.add(out.getvalue())
    assert list(photos.pairs()) == []


def test_near_photos_are_found_whatever_stands_between_them() -> None:
    photos = Photos()
    for n in range(540):  # more than are compared at once
        photos.add(jpeg(drawn(n), 96))
    for n in range(0, 540, 40):
        photos.add(jpeg(drawn(n), 140, 70))
    found = {(one, two) for one, two, _ in photos.pairs()}
    assert found == {(n, 540 + n // 40) for n in range(0, 540, 40)}
