"""Recipes: what a merchandiser may write, what is refused, and what it comes to."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

from graphs.listing import build, default_recipe
from orchestra.batch.recipe import FieldRule, Recipe
from orchestra.core.errors import InvalidRecipe
from orchestra.core.text import occurrences

RECIPE: dict[str, Any] = {
    "name": "test",
    "version": 1,
    "fields": {
        "colour": {
            "type": "choice",
            "from": ["photo", "text"],
            "values": {
                "red": {"zh": "红色", "synonyms": ["crimson"]},
                "blue": {"zh": "蓝色"},
                "navy": {},
            },
        },
        "brand": {"type": "span", "from": ["text"]},
    },
}
Change = Callable[[dict[str, Any]], Any]


def load(folder: Path, *changes: Change) -> Recipe:
    raw = deepcopy(RECIPE)
    for change in changes:
        change(raw)
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(raw, allow_unicode=True, sort_keys=False), encoding="utf-8")
    return Recipe.load(path)


def colour(raw: dict[str, Any]) -> dict[str, Any]:
    return raw["fields"]["colour"]


WRONG: list[tuple[Change, str]] = [
    (
        lambda raw: raw.update(flavour="sweet"),
        r"flavour: there is no such key.*'name', 'version'.*'sweet'",
    ),
    (lambda raw: colour(raw).update(valeus={}), r"fields\.colour\.valeus"),
    (lambda raw: raw.pop("version"), "version.*required"),
    (lambda raw: raw.update(fields={}), "fields"),
    (lambda raw: colour(raw).pop("values"), r"fields\.colour.*a choice lists its values"),
    (lambda raw: raw["fields"]["brand"].update(values={"a": {}}), "only a choice does"),
    (lambda raw: raw["fields"]["brand"].update({"from": ["photo"]}), "a span is read from text"),
    (lambda raw: colour(raw).update({"from": []}), r"fields\.colour\.from"),
    (lambda raw: colour(raw).update({"from": ["smell"]}), r"fields\.colour\.from.*'smell'"),
    (lambda raw: colour(raw).update(type="number"), r"fields\.colour\.type.*'number'"),
    (lambda raw: colour(raw).update(alike=[["red", "pink"]]), "alike names 'pink'"),
    (
        lambda raw: colour(raw)["values"]["blue"].update(synonyms=["Crimson"]),
        "the word 'Crimson' means both 'red' and 'blue'",
    ),
    (
        lambda raw: colour(raw)["values"]["navy"].update(zh="蓝色"),
        "the word '蓝色' means both 'blue' and 'navy'",
    ),
    (
        lambda raw: colour(raw)["values"]["blue"].update(synonyms=["navy"]),
        "the word 'navy' means both 'blue' and 'navy'",
    ),
    (lambda raw: raw.update(locked=["colour"]), "the column 'colour' is locked"),
    (lambda raw: raw.update(locked=["title"]), "the column 'title' is locked"),
    (lambda raw: raw.update(locked=["brand_source"]), "the column 'brand_source' is locked"),
    (
        lambda raw: raw.update(locked=["title_zh"], languages=["en", "zh"]),
        "the column 'title_zh' is locked",
    ),
    (
        lambda raw: raw["fields"].update(title={"type": "span", "from": ["text"]}),
        "the field 'title' has the name of a written part",
    ),
    (
        lambda raw: raw["fields"].update(status={"type": "span", "from": ["text"]}),
        "two output columns would be called 'status'",
    ),
    (
        lambda raw: raw["fields"].update(brand_source={"type": "span", "from": ["text"]}),
        "two output columns would be called 'brand_source'",
    ),
    (lambda raw: raw.update(languages=["en", "auto"]), r"languages is either \[auto\]"),
    (lambda raw: raw.update(languages=["en", "en"]), "languages names one of them twice"),
    (lambda raw: raw.update(languages=["fr"]), "languages.*'fr'"),
    (lambda raw: raw.update(least_photo_confidence=1.5), "least_photo_confidence.*1.5"),
    (lambda raw: raw["fields"]["brand"].update(max_chars=0), r"brand\.max_chars"),
    (lambda raw: raw.update(identity="shape"), "identity names 'shape', which is not among"),
    (lambda raw: colour(raw).update(prefer="text"), r"fields\.colour\.prefer.*'text'"),
    (lambda raw: raw["fields"]["brand"].update(prefer="image"), "prefer: image needs a photo"),
]


@pytest.mark.parametrize(("change", "words"), WRONG)
def test_a_wrong_recipe_is_refused_by_the_key_and_the_value(
    tmp_path: Path, change: Change, words: str
) -> None:
    with pytest.raises(InvalidRecipe, match=rf"recipe\.yaml is not a recipe: .*{words}"):
        load(tmp_path, change)


@pytest.mark.parametrize("content", ["", "- a\n- b\n", "just words"])
def test_a_file_that_holds_no_recipe_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(InvalidRecipe, match="is not a recipe"):
        Recipe.load(path)


def test_a_value_listed_twice_is_refused_rather_than_dropped(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text("name: test\nversion: 1\nname: other\n", encoding="utf-8")
    with pytest.raises(InvalidRecipe, match=r"'name' stands twice"):
        Recipe.load(path)


def test_a_recipe_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidRecipe, match=r"no recipe file .*nowhere\.yaml"):
        Recipe.load(tmp_path / "nowhere.yaml")


def test_names_that_are_written_only_in_another_setting_are_free(tmp_path: Path) -> None:
    assert load(tmp_path, lambda raw: raw.update(locked=["title_zh"])).locked == ("title_zh",)
    assert load(tmp_path, lambda raw: raw.update(locked=["title"], write=None)).write is None


def test_written_parts_carry_their_language_when_there_are_several(tmp_path: Path) -> None:
    assert load(tmp_path).written_parts() == ["title", "description", "bullets"]
    both = load(tmp_path, lambda raw: raw.update(languages=["en", "zh"]))
    assert set(both.written_parts()) == {
        f"{part}_{language}"
        for part in ("title", "description", "bullets")
        for language in ("en", "zh")
    }


def test_blank_words_mean_nothing(tmp_path: Path) -> None:
    change: Change = lambda raw: colour(raw)["values"]["red"].update(synonyms=[" ", " rosso "])  # noqa: E731
    assert load(tmp_path, change).fields["colour"].terms["red"] == ["red", "红色", "rosso"]


def test_schemas_ask_each_side_only_what_it_may_answer(tmp_path: Path) -> None:
    recipe = load(tmp_path)
    assert recipe.photo_schema()["properties"] == {
        "colour": {"enum": ["red", "blue", "navy", None]}
    }
    text = recipe.text_schema()["properties"]
    assert list(text) == ["colour", "brand"]
    assert text["colour"]["x-choice"]["red"] == ["red", "红色", "crimson"]
    assert text["brand"]["anyOf"][0]["maxLength"] == 80
    assert recipe.merge_rules().sources["brand"] == {"text"}


def test_the_shipped_recipe_sees_colours_and_goes_by_the_category() -> None:
    rules = default_recipe().merge_rules()
    assert (rules.seen, rules.identity, rules.prefer) == ({"colour"}, "category", "text")


def test_written_lengths_are_those_of_the_recipe_within_what_a_model_holds(tmp_path: Path) -> None:
    long = load(
        tmp_path, lambda raw: raw.update(write={"bullets": {"max_chars": 9, "max_items": 2}})
    )
    written = long.write_schema()["properties"]
    assert written["bullets"] == {
        "type": "array",
        "items": {"type": "string", "maxLength": 9},
        "maxItems": 2,
    }
    assert written["description"]["maxLength"] < 5000


def test_values_and_glossary_are_written_in_the_language_asked_for(tmp_path: Path) -> None:
    recipe = load(tmp_path, lambda raw: raw.update(glossary={"Italy": "意大利"}))
    assert recipe.in_language("colour", "red", "zh") == "红色"
    assert recipe.in_language("colour", "navy", "zh") == "navy"
    assert recipe.in_language("colour", "red", "en") == "red"
    assert recipe.in_language("origin", "italy", "zh") == "意大利"
    assert recipe.in_language("origin", "意大利", "en") == "Italy"
    assert recipe.in_language("origin", "Utopia", "zh") == "Utopia"


@pytest.mark.parametrize(
    "change",
    [
        lambda raw: raw.update(version=2),
        lambda raw: raw.update(banned_words=["free"]),
        lambda raw: colour(raw)["values"]["navy"].update(zh="海军蓝"),
    ],
)
def test_any_change_is_another_recipe(tmp_path: Path, change: Change) -> None:
    assert load(tmp_path).fingerprint == load(tmp_path).fingerprint
    assert load(tmp_path, change).fingerprint != load(tmp_path).fingerprint


# The recipe that ships


def rules() -> list[FieldRule]:
    return [rule for rule in default_recipe().fields.values() if rule.type == "choice"]


def test_the_shipped_recipe_covers_the_categories_and_colours_each_with_a_chinese_name() -> None:
    fields = default_recipe().fields
    assert (len(fields["category"].values), len(fields["colour"].values)) == (53, 12)
    for rule in rules():
        assert all(value.zh for value in rule.values.values())


def test_each_word_of_the_shipped_recipe_means_its_value_when_it_stands_alone() -> None:
    for rule in rules():
        meaning = {term.casefold(): value for value, words in rule.terms.items() for term in words}
        terms = tuple(sorted(((t, v) for t, v in meaning.items()), key=lambda pair: -len(pair[0])))
        for term, value in meaning.items():
            assert [meaning[word] for word, _ in occurrences(terms, term)] == [value], term


def test_the_shipped_recipe_may_be_written_out_and_loaded_again(tmp_path: Path) -> None:
    path = tmp_path / "copy.yaml"
    raw = default_recipe().model_dump(mode="json", by_alias=True)
    path.write_text(yaml.safe_dump(raw, allow_unicode=True, sort_keys=False), encoding="utf-8")
    assert Recipe.load(path) == default_recipe()


def test_the_graph_has_a_writer_for_each_language_and_none_without_writing(tmp_path: Path) -> None:
    both = build(load(tmp_path, lambda raw: raw.update(languages=["en", "zh"])))
    assert {"write_en", "write_zh", "check"} <= set(both.nodes)
    none = build(load(tmp_path, lambda raw: raw.update(write=None)))
    assert set(none.nodes) == {"look", "read", "merge"}


def test_a_misspelt_key_is_named_before_the_key_it_leaves_missing(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text("name: x\nversion: 1\nfeilds: {}\n", encoding="utf-8")
    with pytest.raises(InvalidRecipe, match=r": feilds: "):
        Recipe.load(path)
