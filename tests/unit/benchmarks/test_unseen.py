"""The measure of abstaining: what counts as sure, as taken, and as an error."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.parts.unseen_pictures import DRAWERS, drawn, in_folder, in_package
from benchmarks.unseen import Judged, auroc, auroc_interval, report
from orchestra.core.errors import UsageError


def known(confidence: float, said: str | None = "Apple", *, is_refused: bool = False) -> Judged:
    return Judged("val", "Apple", said, confidence, is_refused)


def unseen(confidence: float, said: str | None = "Apple", *, is_refused: bool = False) -> Judged:
    return Judged("cat", None, said, confidence, is_refused)


def test_only_a_category_that_stands_and_is_sure_is_taken() -> None:
    assert known(0.5).is_taken and known(0.5).is_right
    assert not known(0.49).is_taken
    assert not known(0.9, is_refused=True).is_taken
    assert not known(0.9, None).is_taken
    assert not known(0.9, "Pear").is_right


def test_a_picture_whose_category_is_null_has_no_score() -> None:
    assert unseen(0.9, None).score == 0.0
    assert unseen(0.9, is_refused=True).score == 0.9


def test_auroc_counts_pairs_and_its_interval_holds_it() -> None:
    inside, outside = np.array([0.9, 0.8, 0.4]), np.array([0.1, 0.4])
    assert auroc(inside, outside) == pytest.approx(5.5 / 6)
    low, high = auroc_interval(inside, outside)
    assert low <= 5.5 / 6 <= high


def test_the_report_has_a_line_a_set_and_a_kind_and_one_of_all() -> None:
    sets = {
        "animals": [unseen(0.2), unseen(0.9), Judged("dog", None, "Apple", 0.3, True)],
        "drawn": [unseen(0.1)],
    }
    lines = report([known(0.8), known(0.7, "Pear")], sets)
    assert "right where taken 50.0%" in lines[0]
    names = [line.split("|")[1].strip() for line in lines[4:]]
    assert names == ["**animals**", "cat", "dog", "**drawn**", "**all**"]
    assert "| 4 | 0.750" in lines[-1]  # one of four is above both known ones
    assert "25.0%" in lines[-1].split("|")[5]


def test_each_kind_is_drawn_as_often_as_asked_and_the_same_again() -> None:
    first, again = drawn(2), drawn(2)
    assert [picture.kind for picture in first] == [kind for kind in DRAWERS for _ in range(2)]
    for one, other in zip(first, again, strict=True):
        assert one.image.tobytes() == other.image.tobytes()
    assert first[0].image.tobytes() != first[1].image.tobytes()


def test_a_folder_gives_photos_by_kind_without_what_mini_knows(tmp_path: Path) -> None:
    for place in ("animals/birds/crow.png", "food/fruit/apple.png", "sea.jpg", "animals/tiny.png"):
        path = tmp_path / place
        path.parent.mkdir(parents=True, exist_ok=True)
        side = 8 if path.stem == "tiny" else 80
        Image.new("RGB", (side, side), "red").save(path)
    (tmp_path / "broken.png").write_bytes(b"no picture")
    found = [picture.kind for picture in in_folder(tmp_path)]
    assert sorted(found) == sorted(["animals", tmp_path.name])


def test_an_empty_folder_and_a_package_that_is_not_there_are_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no photo under"):
        in_folder(tmp_path)
    with pytest.raises(UsageError, match="not installed"):
        in_package("no-such-package-of-photos")
