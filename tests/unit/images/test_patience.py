"""How long a photo's server is left alone, and when the photo is given up for now."""

from __future__ import annotations

import pytest

from orchestra.core.errors import ImageUnavailable
from orchestra.images.limits import ImageLimits
from orchestra.images.patience import pause_s, retry_after_s

LIMITS = ImageLimits(attempts=4, patience_s=60)
DATE = "Sat, 28 Nov 2026 21:00:00 GMT"
LATER = "Sat, 28 Nov 2026 21:00:12 GMT"


def busy(again_s: float | None = 0.0) -> ImageUnavailable:
    return ImageUnavailable("The photo is not there now. Try later.", again_s=again_s)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "3"}, 3.0),
        ({"Retry-After": " 1.5 "}, 1.5),
        ({"Retry-After": "-4"}, 0.0),
        ({"Retry-After": LATER, "Date": DATE}, 12.0),
        ({"Retry-After": DATE, "Date": LATER}, 0.0),
        ({"Retry-After": LATER}, None),
        ({"Retry-After": "soon", "Date": DATE}, None),
        ({"Retry-After": "Sat, 28 Nov 2026 21:00:12 -0000", "Date": DATE}, None),
        ({}, None),
    ],
)
def test_a_date_is_read_beside_the_servers_own(
    headers: dict[str, str], seconds: float | None
) -> None:
    assert retry_after_s(headers) == seconds


def test_pauses_double_and_are_never_shorter_than_the_server_asks() -> None:
    assert [pause_s(busy(), tried, 0.0, None, LIMITS) for tried in (1, 2, 3, 4)] == [
        0.5,
        1.0,
        2.0,
        None,
    ]
    assert pause_s(busy(5.0), 1, 0.0, None, LIMITS) == 5.0


@pytest.mark.parametrize(
    ("again_s", "waited_s", "left_s"),
    [
        (None, 0.0, None),  # it took its time already
        (3600.0, 0.0, None),
        (float("inf"), 0.0, None),
        (20.0, 41.0, None),
        (5.0, 0.0, 5.0),  # the deadline would pass meanwhile
        (0.0, 0.0, -1.0),
    ],
)
def test_a_photo_that_would_take_too_long_is_given_up_for_now(
    again_s: float | None, waited_s: float, left_s: float | None
) -> None:
    assert pause_s(busy(again_s), 1, waited_s, left_s, LIMITS) is None
