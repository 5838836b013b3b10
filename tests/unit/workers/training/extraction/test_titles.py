"""Titles that a reader learns from, and how what it reads is scored."""

from __future__ import annotations

import json
from pathlib import Path

from workers.extraction.words import words_of
from workers.training.extraction.generated import generate
from workers.training.extraction.lessons import word_spans
from workers.training.extraction.renamed import renamed
from workers.training.extraction.swapped import swapped
from workers.training.extraction.titles import Title, only, read_titles, score, without

TITLE = Title("Acme tea 20 bags", "Tea", ("Brand", "Color"), {"Brand": ("Acme",)})


def test_a_title_is_asked_every_attribute_of_its_category(tmp_path: Path) -> None:
    rows = [
        {"input": "Acme tea", "category": "Tea", "target_scores": {"Brand": {"Acme": 1}}},
        {"input": "Oolong", "category": "Tea", "target_scores": {"Kind": {"n/a": 1}}},
    ]
    path = tmp_path / "t.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), "utf-8")
    first, second = read_titles(path)
    assert (first.asked, dict(first.values)) == (("Brand", "Kind"), {"Brand": ("Acme",)})
    assert not second.values
    assert (only([first], ["Tea"]), without([first], ["Tea"])) == ([first], [])


def test_a_value_is_right_only_if_it_equals_the_gold_string() -> None:
    scored = score([TITLE, TITLE], [{"Brand": ("Acme",)}, {"Brand": ("acme",), "Color": ("tea",)}])
    assert (scored.right, scored.answered, scored.stated) == (1, 3, 2)
    assert round(scored.f1, 1) == 40.0


def test_generated_titles_hold_their_values_as_whole_words_and_ask_for_more() -> None:
    made = generate(200, seed=3)
    assert made == generate(200, seed=3)
    for title in made:
        words = words_of(title.text, [])
        for name, values in title.values.items():
            assert name in title.asked
            assert all(word_spans(title.text, words, value) for value in values)
    assert sum(len(t.asked) - len(t.values) for t in made) > 200


def test_other_names_keep_the_values() -> None:
    (again,) = renamed([TITLE], seed=1)
    assert list(again.values.values()) == [("Acme",)]
    assert len(again.asked) == 2


def test_swapped_values_stand_in_the_new_text_and_those_left_out_do_not() -> None:
    asked = ("Brand", "Color", "Weight")
    titles = [
        Title(f"Brand{n} mug, shade{n}, {n} oz", "Mug", asked,
              {"Brand": (f"Brand{n}",), "Color": (f"shade{n}",), "Weight": (f"{n} oz",)})
        for n in range(10, 50)
    ]  # fmt: skip
    again = swapped(titles, seed=0)
    assert again == swapped(titles, seed=0)
    old, new = ([dict(title.values) for title in some] for some in (titles, again))
    for before, title in zip(titles, again, strict=True):
        assert title.asked == asked
        assert all(value in title.text for (value,) in title.values.values())
        gone = [before.values[name][0] for name in asked if name not in title.values]
        assert not any(value in title.text for value in gone)
    stated = [name for values in new for name in values]
    kept = [name for a, b in zip(old, new, strict=True) for name in b if a[name] == b[name]]
    assert 0.85 * 120 < len(stated) < 120
    assert 0.35 * 120 < len(kept) < 0.7 * 120
