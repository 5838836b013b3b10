"""An address is read as it was meant, and a shared page is told from a photo."""

from __future__ import annotations

import pytest

from orchestra.images.fetch import is_fetched
from orchestra.images.web_address import page_instead, web_address

X = "https://x.com/a.jpg"
MEANT: dict[str, str | None] = {
    X: X,
    f" {X}\n": X,
    f"\ufeff{X}\u200b": X,
    f'"{X}"': X,
    f"<{X}>": X,
    f"{X},": X,
    f"{X}).": X,
    f"{X} main photo": X,
    f"![red]({X})": X,
    "//x.com/a.jpg": X,
    "www.x.com/a.jpg": "https://www.x.com/a.jpg",
    "cdn.shopify.com/s/a.jpg": "https://cdn.shopify.com/s/a.jpg",
    "https:\\\\x.com\\a.jpg": X,
    "https:/x.com/a.jpg": X,
    "https//x.com/a.jpg": X,
    "https:///x.com/a.jpg": X,
    "https://https://x.com/a.jpg": X,
    "http://https://x.com/a.jpg": X,
    "hhttps://x.com/a.jpg": X,
    "ttps://x.com/a.jpg": X,
    "HTTPS://X.com/A.JPG": "https://X.com/A.JPG",
    "https://x.com/a b.jpg": "https://x.com/a b.jpg",
    "https://x.com/a_(1).jpg": "https://x.com/a_(1).jpg",
    "https://x.com/a_(1)": "https://x.com/a_(1)",
    "https://x.com/a.jpg?w=1&amp;h=2": "https://x.com/a.jpg?w=1&h=2",
    "https://例え.jp/写真.jpg": "https://例え.jp/写真.jpg",
    "http://localhost:9/p": "http://localhost:9/p",
    "http://[::1]:9/p": "http://[::1]:9/p",
    "http://": "http://",
    # Paths, and other schemes.
    "photos/a.jpg": None,
    "http/a.jpg": None,
    "https.jpg": None,
    "images.v2/a.jpg": None,
    "//tmp/a.jpg": None,
    "\\\\server\\share\\a.jpg": None,
    "file:///a.jpg": None,
    "ftp://x.com/a.jpg": None,
    "data:image/png;base64,AAAA": None,
    "": None,
}


@pytest.mark.parametrize("text", MEANT)
def test_an_address_is_read_as_it_was_meant(text: str) -> None:
    assert web_address(text) == MEANT[text]
    assert is_fetched(text) == (MEANT[text] is not None)


@pytest.mark.parametrize(
    ("address", "said"),
    [
        (
            "https://drive.google.com/file/d/1AbCdEfGhIjK/view?usp=sharing",
            "https://drive.google.com/uc?export=download&id=1AbCdEfGhIjK",
        ),
        ("https://drive.google.com/open?id=1AbCdEfGhIjK", "uc?export=download&id=1AbCdEfGhIjK"),
        ("https://drive.google.com/drive/folders/1AbCdEfGhIjK", "a Google Drive link"),
        ("https://www.dropbox.com/s/abc/a.jpg?dl=0", "https://www.dropbox.com/s/abc/a.jpg?raw=1"),
        ("https://www.dropbox.com/scl/fi/x/a.jpg?rlkey=z&dl=0", "a.jpg?rlkey=z&raw=1"),
        ("https://1drv.ms/i/s!abc", "a OneDrive link"),
        ("https://photos.app.goo.gl/abc", "a Google Photos link"),
        ("https://imgur.com/abc", "a page of photos"),
    ],
)
def test_a_shared_link_is_told_with_what_to_give_instead(address: str, said: str) -> None:
    told = page_instead(address)
    assert told is not None
    assert said in told
    assert "opens a page and not the photo" in told


@pytest.mark.parametrize(
    "address",
    [
        X,
        "https://drive.google.com/uc?export=download&id=1AbCdEfGhIjK",
        "https://www.dropbox.com/s/abc/a.jpg?raw=1",
        "https://dl.dropboxusercontent.com/s/abc/a.jpg",
        "https://i.imgur.com/abc.jpg",
        "http://[::1",
    ],
)
def test_an_address_of_a_photo_is_fetched(address: str) -> None:
    assert page_instead(address) is None
