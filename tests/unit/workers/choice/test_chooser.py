from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from orchestra.core.errors import CheckpointInvalid
from workers.choice.calibration import ChoiceCalibration
from workers.choice.chooser import Chooser
from workers.choice.fitted import HEAD, FittedOptions
from workers.choice.known import recognised
from workers.choice.options import ChoiceOptions
from workers.choice.space import Space
from workers.encoder.encoder import Encoder, shared_encoder

GOODS = {
    "Mug": ["Blue ceramic mug 350 ml", "Tall latte cup with a handle", "Enamel coffee cup, dotted"],
    "Tent": [
        "Two-person dome tent, waterproof",
        "Family tunnel tent for six",
        "Light trekking shelter",
    ],
    "Guitar": [
        "Electric bass guitar, 4 strings",
        "Acoustic guitar with case",
        "Steel-string guitar, maple neck",
    ],
}
TEXTS = [text for texts in GOODS.values() for text in texts]
OWNERS = [name for name, texts in GOODS.items() for _ in texts]
FAR = "Quarterly report of the central bank on interest rates"


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return shared_encoder()


@pytest.fixture(scope="module")
def chooser(encoder: Encoder) -> Chooser:
    return Chooser(encoder)


def test_names_alone_choose_with_a_probability(chooser: Chooser, encoder: Encoder) -> None:
    found = chooser.choose(encoder.encode(TEXTS), ChoiceOptions.of(GOODS))
    best = [chosen.ranked[0][0] for chosen in found]
    assert sum(a == b for a, b in zip(best, OWNERS, strict=True)) >= 8
    assert all(0 <= c.probability <= 1 and c.probability == c.ranked[0][1] for c in found)
    assert all(sum(p for _, p in c.ranked) <= 1 + 1e-5 for c in found)


@pytest.mark.parametrize(
    "names",
    [
        ["mugs", "tents", "guitars"],
        ["TENT", "GUITAR", "MUG"],
        ["guitar", "mug", "tent"],
        ["Guitars", "Tents", "Mugs"],
    ],
)
def test_case_order_and_number_of_names_change_no_answer(
    chooser: Chooser, encoder: Encoder, names: list[str]
) -> None:
    texts = encoder.encode(TEXTS)
    first = chooser.choose(texts, ChoiceOptions.of(GOODS))
    other = chooser.choose(texts, ChoiceOptions.of(names))
    for left, right in zip(first, other, strict=True):
        assert left.probability == pytest.approx(right.probability, abs=1e-4)
        assert left.ranked[0][0].lower() == right.ranked[0][0].lower().rstrip("s")


def test_an_answer_does_not_depend_on_the_texts_beside_it(
    chooser: Chooser, encoder: Encoder
) -> None:
    options = ChoiceOptions.of(GOODS)
    together = chooser.choose(encoder.encode(TEXTS), options)
    for text, chosen in zip(TEXTS, together, strict=True):
        assert chooser.choose(encoder.encode([text]), options)[0].name == chosen.name


def test_chinese_names_and_texts_are_chosen(chooser: Chooser, encoder: Encoder) -> None:
    options = ChoiceOptions.of(["马克杯", "帐篷", "吉他"])
    found = chooser.choose(
        encoder.encode(["Acoustic guitar with case", "双人防水帐篷，户外露营"]), options
    )
    assert [c.ranked[0][0] for c in found] == ["吉他", "帐篷"]


def test_a_text_of_no_option_abstains(chooser: Chooser, encoder: Encoder) -> None:
    chosen = chooser.choose(encoder.encode([FAR]), ChoiceOptions.of(GOODS))[0]
    assert chosen.name is None and chosen.probability < 0.3


@pytest.mark.parametrize(
    "names", [["mug cup", "cup mug"], ["blorf", "vrimp", "zzyx"], ["x1", "x2", "x3"]]
)
def test_options_that_cannot_be_told_apart_abstain(
    chooser: Chooser, encoder: Encoder, names: list[str]
) -> None:
    found = chooser.choose(encoder.encode(TEXTS), ChoiceOptions.of(names))
    assert sum(chosen.name is not None for chosen in found) <= 1


def test_examples_teach_names_that_say_nothing(chooser: Chooser, encoder: Encoder) -> None:
    codes = {"Mug": "A-1", "Tent": "B-2", "Guitar": "C-3"}
    shown = [(texts[0], codes[name]) for name, texts in GOODS.items()]
    shown += [(texts[1], codes[name]) for name, texts in GOODS.items()]
    asked = encoder.encode([texts[2] for texts in GOODS.values()])
    found = chooser.choose(asked, ChoiceOptions.of(codes.values(), examples=shown))
    assert [chosen.ranked[0][0] for chosen in found] == list(codes.values())


def test_examples_of_none_lower_what_is_like_them(chooser: Chooser, encoder: Encoder) -> None:
    shown = [(text, name) for text, name in zip(TEXTS, OWNERS, strict=True) if name != "Guitar"]
    options = ChoiceOptions.of(["Mug", "Tent"], examples=shown)
    asked = encoder.encode(["Classical guitar, nylon strings"])
    before = chooser.choose(asked, options)[0].probability
    rejected = options.with_examples([(text, None) for text in GOODS["Guitar"]])
    after = chooser.choose(asked, rejected)[0]
    assert after.name is None and after.probability < before


def test_a_path_counts_its_ancestors(chooser: Chooser, encoder: Encoder) -> None:
    options = ChoiceOptions.of(
        ["Women > Clothing > Shoes", "Children > Toys > Dolls", "Men > Clothing > Shoes"]
    )
    found = chooser.choose(
        encoder.encode(["Women's high heel pumps, red", "Oxford shoes for men"]), options
    )
    assert [c.ranked[0][0] for c in found] == ["Women > Clothing > Shoes", "Men > Clothing > Shoes"]


def test_a_table_settles_names_and_keeps_few_texts_as_they_were(
    chooser: Chooser, encoder: Encoder
) -> None:
    options = ChoiceOptions.of(GOODS)
    sizes = ["small", "large", "red", "blue", "new", "used"]
    table = encoder.encode([f"{text}, {size}" for text in TEXTS for size in sizes])
    settled = chooser.fit(options, table)
    assert settled.mixture is not None
    found = chooser.choose(encoder.encode(TEXTS), settled)
    assert [c.ranked[0][0] for c in found] == OWNERS
    assert chooser.fit(options, table[:10]).mixture is None


def test_fitted_options_are_kept_in_a_folder(
    chooser: Chooser, encoder: Encoder, tmp_path: Path
) -> None:
    shown = list(zip(TEXTS, OWNERS, strict=True))
    fitted = chooser.fit(ChoiceOptions.of(GOODS, {"Mug": "to drink from"}, shown))
    fitted.save(tmp_path / "kept")
    again = FittedOptions.load(tmp_path / "kept")
    texts = encoder.encode([*TEXTS, FAR])
    assert chooser.choose(texts, again) == chooser.choose(texts, fitted)
    assert again.options == fitted.options
    (tmp_path / "kept" / HEAD).write_bytes(b"no")
    with pytest.raises(CheckpointInvalid, match="Fit them again"):
        FittedOptions.load(tmp_path / "kept")


def test_damaged_numbers_are_told(tmp_path: Path) -> None:
    for read in (Space.load, ChoiceCalibration.load):
        with pytest.raises(CheckpointInvalid, match="Restore"):
            read(tmp_path / "none")


@pytest.mark.parametrize(
    "names",
    [
        ("positive", "negative"),
        ("NEGATIVE", "POSITIVE"),
        ("好评", "差评"),
        ("负面", "中性", "正面"),
        ("good", "bad"),
    ],
)
def test_sentiments_are_a_known_set_in_any_words(
    chooser: Chooser, encoder: Encoder, names: tuple[str, ...]
) -> None:
    found = recognised(names)
    assert found is not None
    texts = encoder.encode(["I love it, works perfectly!", "太差了，浪费钱，再也不买了。"])
    best = [names.index(c.ranked[0][0]) for c in chooser.choose(texts, ChoiceOptions.of(names))]
    assert [found[1][at] for at in best] == [2, 0]


PLAIN = [
    "The lid of the tin is blue.",
    "Is there a bus on Sundays?",
    "包裹里有三个螺丝。",
    "周三几点关门？",
]


def test_a_text_without_a_mood_is_neutral_and_neither_of_two_names(
    chooser: Chooser, encoder: Encoder
) -> None:
    texts = encoder.encode(PLAIN)
    three = chooser.choose(texts, ChoiceOptions.of(["positive", "neutral", "negative"]))
    assert [chosen.name for chosen in three] == ["neutral"] * len(PLAIN)
    two = chooser.choose(texts, ChoiceOptions.of(["好评", "差评"]))
    assert [chosen.name for chosen in two] == [None] * len(PLAIN)


def test_languages_are_a_known_set(chooser: Chooser, encoder: Encoder) -> None:
    texts = encoder.encode(["Wo ist der Bahnhof, bitte?", "El libro está sobre la mesa."])
    found = chooser.choose(texts, ChoiceOptions.of(["Spanish", "German", "French"]))
    assert [chosen.ranked[0][0] for chosen in found] == ["German", "Spanish"]


def test_other_sets_are_not_taken_for_a_known_one() -> None:
    assert recognised(("positive", "negative", "cat")) is None
    assert recognised(("positive", "good")) is None
    assert recognised(("positive",)) is None


def test_no_texts_give_no_choices(chooser: Chooser) -> None:
    assert chooser.choose([], ChoiceOptions.of(GOODS)) == []


def test_probabilities_are_of_every_option(chooser: Chooser, encoder: Encoder) -> None:
    table = chooser.probabilities(encoder.encode(TEXTS), ChoiceOptions.of(GOODS))
    assert table.shape == (len(TEXTS), 3)
    assert np.all(table >= 0) and np.all(table.sum(axis=1) <= 1 + 1e-5)


class Scattered:
    """An encoder whose vectors are drawn by the content of the texts."""

    def __init__(self) -> None:
        self.asked = 0

    def vectors(self, texts: Sequence[str]) -> NDArray[Any]:
        self.asked += len(texts)
        drawn = [np.random.default_rng(list(text.encode())).normal(size=384) for text in texts]
        return np.stack([(v / np.linalg.norm(v)).astype(np.float32) for v in drawn])


def test_thousands_of_names_are_said_once_each_and_only_once() -> None:
    encoder = Scattered()
    chooser = Chooser(encoder)
    names = [f"Top {at % 7} > Middle {at % 40} > Name {at}" for at in range(2000)]
    first = chooser.fit(ChoiceOptions.of(names))
    said = encoder.asked
    assert said <= 2 * 2000 + 47
    assert chooser.fit(ChoiceOptions.of(names)) is first and encoder.asked == said


def test_many_examples_add_a_linear_head_which_survives_the_folder(tmp_path: Path) -> None:
    """Each label has two unlike kinds of text, and a small difference that all of them share."""
    random = np.random.default_rng(0)

    class Crossed:
        def vectors(self, texts: Sequence[str]) -> NDArray[Any]:
            made = []
            for text in texts:
                drawn = random.normal(size=384) * 0.02
                drawn[200] = 0.4 * (text.count("up") - text.count("down"))
                drawn[201 + text.count("odd")] += 1
                made.append(drawn / np.linalg.norm(drawn))
            return np.array(made, np.float32)

    kinds = {"A7": "up", "B2": "down"}
    examples = [
        (f"{kinds[name]} {'odd ' * (at % 2)}{at}", name) for at in range(40) for name in kinds
    ]
    chooser = Chooser(Crossed())
    few, many = (
        chooser.fit(ChoiceOptions.of(kinds, examples=shown)) for shown in (examples[:8], examples)
    )
    assert (few.learnt, many.learnt is None) == (None, False)
    many.save(tmp_path)
    loaded = FittedOptions.load(tmp_path)
    asked = ["up again", "down odd again"]
    read = [
        _Read(text, vector) for text, vector in zip(asked, Crossed().vectors(asked), strict=True)
    ]
    found = [one.ranked[0][0] for one in chooser.choose(read, loaded)]
    assert found == ["A7", "B2"]
    assert np.allclose(chooser.probabilities(read, loaded), chooser.probabilities(read, many))


class _Read:
    def __init__(self, text: str, vector: NDArray[Any]) -> None:
        self.text, self.vector = text, vector
