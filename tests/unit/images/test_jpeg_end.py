"""A JPEG that lacks its end marker is whole, and one that lacks pixels is not."""

from __future__ import annotations

from typing import Any

import pytest
from PIL import Image

from orchestra.images.intake import normalise
from orchestra.images.jpeg_end import END, ended
from tests.photo_files import encoded, marked, noisy

KINDS: dict[str, tuple[Image.Image, dict[str, Any]]] = {
    "baseline": (noisy(), {}),
    "progressive": (noisy(), {"progressive": True}),
    "full colour": (noisy(), {"subsampling": 0}),
    "restarts by rows": (noisy(), {"restart_marker_rows": 1}),
    "restarts by blocks": (marked(640, 480), {"restart_marker_blocks": 4}),
    "flat": (marked(640, 480), {}),
    "grey": (noisy().convert("L"), {"optimize": True}),
    "cmyk": (noisy().convert("CMYK"), {}),
}


@pytest.mark.parametrize("kind", KINDS)
def test_only_the_end_marker_may_be_missing(kind: str) -> None:
    picture, options = KINDS[kind]
    data = encoded(picture, "JPEG", **options)
    assert data.endswith(END)
    assert ended(data[:-2]) == data
    assert ended(data[:-1]) == data
    assert normalise(data[:-2]).tobytes() == normalise(data).tobytes()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("lost", [12, 40, 100, 0.05, 0.3, 0.6, 0.9])
def test_pixels_may_not(kind: str, lost: float) -> None:
    picture, options = KINDS[kind]
    data = encoded(picture, "JPEG", **options)
    cut = data[: len(data) - (int(lost) if lost > 1 else int(len(data) * lost))]
    assert ended(cut) is None


def test_a_progressive_file_that_lost_whole_scans_is_not_whole() -> None:
    data = encoded(noisy(), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")  # the header of its last scan
    assert ended(data[:last]) is None
    table = data.rindex(b"\xff\xc4", 0, last)  # and of the table before it
    assert ended(data[:table]) is None


def test_room_that_a_download_never_filled_is_no_picture() -> None:
    data = encoded(marked(640, 480), "JPEG")
    assert ended(data[: len(data) // 2] + bytes(4000)) is None


@pytest.mark.parametrize(
    "data", [b"", b"\xff\xd8", b"\xff\xd8\xff", b"\xff\xd8\xff\xdb\0\x03", b"GIF89a"]
)
def test_what_is_no_jpeg_is_none(data: bytes) -> None:
    assert ended(data) is None
