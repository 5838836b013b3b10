"""A cell comes apart into the photos that it names, and a column says what they show."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestra.images.addresses import named_photos, role_of_column, split_addresses

CDN = "https://cdn.example.org"
CELLS: dict[str, tuple[str, ...]] = {
    "": (),
    " , ": (),
    "a.jpg": ("a.jpg",),
    "a.jpg, b.jpg": ("a.jpg", "b.jpg"),
    "a.jpg,b.jpg,": ("a.jpg", "b.jpg"),
    "a.jpg ,, b.jpg": ("a.jpg", "b.jpg"),
    "a.jpg;b.jpg": ("a.jpg", "b.jpg"),
    "a.jpg|b.jpg": ("a.jpg", "b.jpg"),
    "a.jpg\r\nb.jpg\n": ("a.jpg", "b.jpg"),
    "a.jpg，b.jpg；c.jpg": ("a.jpg", "b.jpg", "c.jpg"),
    "photos/a.jpg, photos/b.jpg, a.jpg": ("photos/a.jpg", "photos/b.jpg", "a.jpg"),
    "img1;img2": ("img1", "img2"),
    "a.jpg,a.jpg": ("a.jpg",),
    '"a.jpg","b.jpg"': ("a.jpg", "b.jpg"),
    # A comma inside one address.
    "x,y.jpg": ("x,y.jpg",),
    "Shirt, red.jpg": ("Shirt, red.jpg",),
    "a.jpg, x,y.jpg, b.jpg": ("a.jpg", "x,y.jpg", "b.jpg"),
    f"{CDN}/w_100,h_200/a.jpg": (f"{CDN}/w_100,h_200/a.jpg",),
    f"{CDN}/w_1,h_2/a.jpg,{CDN}/w_1,h_2/b.jpg": (f"{CDN}/w_1,h_2/a.jpg", f"{CDN}/w_1,h_2/b.jpg"),
    f"{CDN}/a,b.jpg": (f"{CDN}/a,b.jpg",),
    f"{CDN}/p;jsessionid=1?x=1,2": (f"{CDN}/p;jsessionid=1?x=1,2",),
    f"{CDN}/i?id=1, {CDN}/i?id=2": (f"{CDN}/i?id=1", f"{CDN}/i?id=2"),
    f"{CDN}/a.jpg {CDN}/b.jpg": (f"{CDN}/a.jpg", f"{CDN}/b.jpg"),
    f"{CDN}/a b.jpg": (f"{CDN}/a b.jpg",),
    "//cdn.example.org/a.jpg, //cdn.example.org/b.jpg": (
        "//cdn.example.org/a.jpg",
        "//cdn.example.org/b.jpg",
    ),
    "cdn.example.com/a.jpg,cdn.example.com/b.jpg": (
        "cdn.example.com/a.jpg",
        "cdn.example.com/b.jpg",
    ),
    # Lists, and what plugins write around an address.
    '["a.jpg", "b.jpg"]': ("a.jpg", "b.jpg"),
    "['a.jpg', 'b.jpg']": ("a.jpg", "b.jpg"),
    '[{"src": "a.jpg", "alt": "red"}, {"url": "b.jpg"}]': ("a.jpg", "b.jpg"),
    '{"images": [{"src": "a.jpg"}]}': ("a.jpg",),
    '{"main": "a.jpg", "alt": "red"}': ("a.jpg",),
    "[]": (),
    "[a.jpg": ("[a.jpg",),
    f"{CDN}/a.jpg ! alt :  ! title : x ! desc : | {CDN}/b.jpg ! alt : ": (
        f"{CDN}/a.jpg",
        f"{CDN}/b.jpg",
    ),
    f'=IMAGE("{CDN}/a.jpg")': (f"{CDN}/a.jpg",),
    f'<img src="{CDN}/a.jpg" alt="red">': (f"{CDN}/a.jpg",),
    "data:image/png;base64,AAAA": ("data:image/png;base64,AAAA",),
    "data:image/png;base64,AAAA\nBBBB\n": ("data:image/png;base64,AAAA\nBBBB",),
    "data:image/svg+xml,<svg a='b, c.jpg'/>": ("data:image/svg+xml,<svg a='b, c.jpg'/>",),
    f"data:image/png;base64,AA+/==, {CDN}/b.jpg": ("data:image/png;base64,AA+/==", f"{CDN}/b.jpg"),
}


@pytest.mark.parametrize("cell", CELLS)
def test_a_cell_names_its_photos(cell: str) -> None:
    assert split_addresses(cell) == CELLS[cell]


def test_a_file_of_that_very_name_is_one_photo(tmp_path: Path) -> None:
    assert split_addresses("a.jpg,b.jpg", tmp_path) == ("a.jpg", "b.jpg")
    (tmp_path / "a.jpg,b.jpg").touch()
    assert split_addresses("a.jpg,b.jpg", tmp_path) == ("a.jpg,b.jpg",)
    assert split_addresses("a\0,b.jpg; c.jpg" + "x" * 5000, tmp_path)


@pytest.mark.parametrize(
    ("column", "role"),
    [
        ("image_link", "main"),
        ("additional_image_link", "additional"),
        ("Image Src", None),
        ("Variant Image", "variant"),
        ("Images", None),
        ("swatch_image", "swatch"),
        ("image_2", "additional"),
        ("imageUrl3", "additional"),
        ("Image 1", None),
        ("lifestyle_image_link", "lifestyle"),
        ("packaging photo", "packaging"),
        ("主图", "main"),
        ("细节图", "detail"),
    ],
)
def test_a_column_says_what_its_photos_show(column: str, role: str | None) -> None:
    assert role_of_column(column) == role


def test_photos_of_several_columns_are_each_named_once_with_their_roles() -> None:
    found = named_photos([("image_link", "a.jpg"), ("additional_image_link", "b.jpg,a.jpg,c.jpg")])
    assert found.images == ("a.jpg", "b.jpg", "c.jpg")
    assert found.roles == ("main", "additional", "additional")


def test_the_first_photo_is_the_main_one_unless_a_column_says_so() -> None:
    assert named_photos([("Images", "a.jpg, b.jpg")]).roles == ("main", "additional")
    found = named_photos([("swatch_image", "s.jpg"), ("photo", "p.jpg"), ("image_link", "m.jpg")])
    assert found.roles == ("swatch", "additional", "main")
    assert named_photos([("image_link", "a.jpg"), ("main image", "b.jpg")]).roles == (
        "main",
        "additional",
    )
    assert named_photos([]).images == ()
