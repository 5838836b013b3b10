import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from orchestra.core.errors import CheckpointInvalid, MissingExtra
from workers.things.names import MOST_ENCODED, Names, centred
from workers.things.things import FOLDER, LEAST, MOST, NAMES, Things, ThingSeen, pixels, sureness

# Leaves: coffee mug, acoustic guitar, tabby; then what they are kinds of.
WORDS = [("coffee mug",), ("acoustic guitar",), ("tabby",), ("mug", "cup"), ("guitar",), ("cat",)]
PARENTS = [3, 4, 5, -1, -1, -1]


def names(encode: object = None) -> Names:
    vectors = np.eye(6, dtype=np.float32)

    def nowhere(texts: object) -> np.ndarray:
        raise MissingExtra("The encoder is not installed. Install it.")

    middle = np.zeros(6, np.float32)
    return Names(WORDS, PARENTS, 3, vectors, middle, encode or nowhere)  # type: ignore[arg-type]


def test_categories_are_found_by_words_in_any_case_and_number() -> None:
    weight = names().weights(("GUITARS", "Mugs & glasses", "cat"))
    assert weight.tolist() == [[0, 1, 0], [1, 0, 0], [0, 0, 1]]


def test_the_nearest_name_wins_over_what_it_is_a_kind_of() -> None:
    weight = names().weights(("mug", "coffee mug"))
    assert weight[0].tolist() == [0, 1]


def test_other_words_are_found_by_vectors_and_far_ones_are_not() -> None:
    def encode(texts: list[str]) -> np.ndarray:
        near = {"Drinkware": np.eye(6)[3], "Lawn": np.full(6, -1.0)}
        return np.stack([near[text] for text in texts]).astype(np.float32)

    weight = names(encode).weights(("Drinkware", "Lawn"))
    assert weight[0, 0] > 0.9
    assert weight[1:].max() < 0.01


def test_thousands_of_choices_are_found_by_words_alone() -> None:
    choices = (*(f"choice {at}" for at in range(MOST_ENCODED)), "guitar")
    weight = names(lambda texts: 1 / 0).weights(choices)
    assert weight[1, -1] == 1
    assert weight.sum() == 1


def test_a_thing_beyond_every_category_gets_no_name() -> None:
    share = np.array([0.0, 0.02, 0.98], np.float32)
    assert ThingSeen(share, names()).among(("mug", "guitar")) is None


def test_a_named_thing_is_never_surer_than_its_ceiling_and_says_why() -> None:
    found = ThingSeen(np.array([0.97, 0.03, 0.0], np.float32), names()).among(("Mug", "Guitar"))
    assert found is not None
    assert (found.choice, found.sure) == ("Mug", MOST)
    assert "'coffee mug' (97%)" in found.note and "beyond the kinds" in found.note


def test_more_of_the_photo_and_more_above_the_next_is_surer() -> None:
    assert sureness(0.05, 0.04) < LEAST < sureness(0.5, 0.1) <= sureness(0.9, 0.0) <= MOST


def test_vectors_are_seen_from_their_middle() -> None:
    seen = centred(np.array([[2.0, 0], [0, 0]], np.float32), np.array([1.0, 0], np.float32))
    assert seen.tolist() == [[1, 0], [-1, 0]]


def test_the_bundled_names_are_a_thousand_with_their_kinds() -> None:
    lines = (FOLDER / NAMES).read_text(encoding="utf-8").splitlines()
    parents = [line.split("\t")[1] for line in lines]
    assert len(lines) > 1000
    assert all(not parent or 1000 <= int(parent) < len(lines) for parent in parents)
    for at in range(len(lines)):  # no circles
        steps = 0
        while parents[at]:
            at, steps = int(parents[at]), steps + 1
            assert steps < 30


def test_the_bundled_network_rates_a_thousand_names() -> None:
    things = Things()
    share = things.seen(Image.new("RGB", (40, 90), (200, 30, 30))).share_L
    assert share.shape == (1000,)
    assert float(share.sum()) == pytest.approx(1, abs=1e-4)
    assert pixels(Image.new("L", (1, 5000))).shape == (3, 224, 224)


def test_a_damaged_folder_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "things"
    shutil.copytree(FOLDER, folder)
    (folder / NAMES).write_text("mug\t\n", encoding="utf-8")
    with pytest.raises(CheckpointInvalid, match="expected"):
        Things(folder)
    with pytest.raises(CheckpointInvalid, match="cannot be read"):
        Things(tmp_path / "nowhere")
