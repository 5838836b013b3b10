"""Which photos of a product are looked at, and in which order."""

from __future__ import annotations

import pytest

from orchestra.core.errors import OrchestraError
from orchestra.core.fan_out import alone, looked_at
from orchestra.core.job import Job, PhotoRole


@pytest.mark.parametrize(
    ("roles", "most", "places"),
    [
        ((), 3, [0, 1, 2]),
        (("main", "additional", "additional", "additional"), 3, [0, 1, 2]),
        (("swatch", "additional", "main", "variant"), 3, [2, 1]),
        (("detail", "packaging", "additional", "main"), 4, [3, 2, 1, 0]),
        (("variant", "swatch", "variant", "variant"), 2, [0, 2]),
        (("main", "additional", "additional", "additional"), 1, [0]),
    ],
)
def test_the_main_photo_is_looked_at_first_and_other_colours_not(
    roles: tuple[PhotoRole, ...], most: int, places: list[int]
) -> None:
    assert looked_at(4, roles, most) == places


def test_a_job_names_a_role_for_each_photo_or_none() -> None:
    assert Job(images=["a.jpg", "b.jpg"], roles=["main", "detail"]).roles == ("main", "detail")
    with pytest.raises((ValueError, OrchestraError), match="roles names 1 photos, and images 2"):
        Job(images=["a.jpg", "b.jpg"], roles=["main"])


def test_a_photo_goes_along_a_branch_with_its_role() -> None:
    job = Job(images=["a.jpg", "b.jpg"], roles=["main", "detail"]).model_dump(mode="json")
    assert Job.model_validate(alone(job, 1)).roles == ("detail",)
    plain = Job(images=["a.jpg", "b.jpg"]).model_dump(mode="json")
    assert Job.model_validate(alone(plain, 1)).images == ("b.jpg",)
