"""A recipe's field of a taxonomy: its words, its open choice, and the fields of a category."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from graphs.details import CategoryDetails
from graphs.listing import build
from orchestra.batch.recipe import Recipe
from orchestra.core.errors import InvalidRecipe, InvalidTaxonomy
from orchestra.core.job import Field, Job
from orchestra.core.schema import narrow, open_choices
from orchestra.core.state import JobState
from orchestra.routing.compiled import compile_graph

TREE = """1 - Home
2 - Home > Kitchen
3 - Home > Kitchen > Mugs
4 - Home > Kitchen > Pans
5 - Apparel
6 - Apparel > Shirts
"""
ZH = """1 - 家居
2 - 家居 > 厨房
3 - 家居 > 厨房 > 马克杯
4 - 家居 > 厨房 > 锅
5 - 服饰
6 - 服饰 > 衬衫
"""
MUGS, PANS = "Home > Kitchen > Mugs", "Home > Kitchen > Pans"


def loaded(folder: Path, **taxonomy: Any) -> Recipe:
    (folder / "tree.txt").write_text(TREE, encoding="utf-8")
    (folder / "zh.txt").write_text(ZH, encoding="utf-8")
    rule = {"type": "choice", "from": ["text"], "taxonomy": {"file": "tree.txt", **taxonomy}}
    raw = {
        "name": "t",
        "version": 1,
        "fields": {"category": rule, "brand": {"type": "span", "from": ["text"]}},
    }
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(raw, allow_unicode=True), encoding="utf-8")
    return Recipe.load(path)


def test_leaves_are_the_values_with_words_of_two_languages(tmp_path: Path) -> None:
    recipe = loaded(tmp_path, zh="zh.txt", synonyms={"Mugs": ["beaker"]})
    rule = recipe.fields["category"]
    assert list(rule.values) == [MUGS, PANS, "Apparel > Shirts"]
    assert rule.terms[MUGS] == [MUGS, "Mugs", "马克杯", "beaker"]
    assert recipe.in_language("category", MUGS, "zh") == "马克杯"
    assert recipe.in_language("category", MUGS, "en") == "Mugs"
    assert rule.taxonomy is not None and rule.taxonomy.ids[PANS] == "4"


def test_a_text_without_a_word_of_any_category_is_asked_about_all(tmp_path: Path) -> None:
    recipe = loaded(tmp_path, zh="zh.txt")
    schema = json.dumps(recipe.text_schema())
    assert open_choices(schema) == {"category"}
    said = narrow(schema, "蓝色马克杯")["properties"]["category"]["enum"]
    assert said == ["马克杯", None]
    unsaid = narrow(schema, "for hot coffee")["properties"]["category"]["enum"]
    assert unsaid == [MUGS, PANS, "Apparel > Shirts", None]


def test_a_category_has_the_fields_of_what_is_above_it(tmp_path: Path) -> None:
    recipe = loaded(
        tmp_path,
        details=True,
        attributes={
            "home > kitchen": {"Material": {"ceramic": ["陶瓷"], "steel": []}},
            MUGS: {"capacity": "measure", "material": ["clay"]},
            "Apparel": {"fit": ["slim", "regular"], "brand": "span"},
        },
    )
    details = CategoryDetails(recipe)
    named = {"category": Field(value=PANS, source="text").model_dump(mode="json")}
    job = Job(text="Pan of 陶瓷, slim").model_dump(mode="json")
    state: JobState = {"job": job, "fields": named, "outcomes": {}}
    assert details.route(state) == "detail"
    assert details(state)["properties"] == {"material": {"enum": ["陶瓷", None]}}
    named["category"]["value"] = MUGS
    assert list(details.asked(state)) == ["material", "capacity"]
    assert details.asked(state)["material"]["x-choice"] == {"clay": ["clay"]}
    # `brand` is a field of the recipe, read in the first step.
    assert set(details.schema["properties"]) == {"material", "capacity", "fit"}
    named["category"] = Field(note="not said").model_dump(mode="json")
    assert details.route(state) == "settle"
    assert compile_graph(build(recipe)) is not None


def test_a_recipe_without_a_taxonomy_is_the_same_batch_as_before(tmp_path: Path) -> None:
    recipe = loaded(tmp_path)
    plain = recipe.model_copy(
        update={
            "fields": {
                name: rule.model_copy(update={"taxonomy": None})
                for name, rule in recipe.fields.items()
            }
        }
    )
    assert "taxonomy" not in plain.model_dump_json(
        exclude={"fields": {name: {"taxonomy"} for name in plain.fields}}
    )
    assert plain.fingerprint != recipe.fingerprint
    again = Recipe.model_validate(json.loads(recipe.model_dump_json(by_alias=True)))
    assert again.fingerprint == recipe.fingerprint
    labelled = recipe.model_copy(update={"export": recipe.export.model_copy(update={"link": "x"})})
    assert labelled.fingerprint == recipe.fingerprint


@pytest.mark.parametrize(
    ("taxonomy", "told"),
    [
        ({"file": "none.txt"}, "cannot be read: No such file"),
        ({"under": ["Home > Kitchn"]}, "Did you mean 'Home > Kitchen'"),
        ({"synonyms": {"Mugs": ["cup"], "Pans": ["Cup"]}}, "synonym 'Cup' is given to"),
        ({"synonym": {}}, "taxonomy: synonym: there is no such key. Did you mean 'synonyms'"),
        ({"details": True, "attributes": {"Home": {"fit": []}}}, "a choice lists its values"),
        ({"details": True, "attributes": {"Homes": {"fit": ["a"]}}}, "The branch 'Homes'"),
        ({"attributes": {"Home": {"fit": {"a": ["x"], "b": ["X"]}}}}, "'X' means both 'a' and 'b'"),
    ],
)
def test_a_wrong_taxonomy_is_told(tmp_path: Path, taxonomy: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidTaxonomy, match=told):
        loaded(tmp_path, **taxonomy)


def test_values_beside_a_taxonomy_are_refused(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    loaded(tmp_path)
    recipe.write_text(
        recipe.read_text().replace("type: choice", "type: choice\n    values: {a: {}}")
    )
    with pytest.raises(InvalidRecipe, match="has values and a taxonomy"):
        Recipe.load(recipe)


def test_a_loaded_recipe_may_be_written_out_and_loaded_where_its_files_are_not(
    tmp_path: Path,
) -> None:
    recipe = loaded(tmp_path, zh="zh.txt", details=True, attributes={"Home": {"fit": ["a"]}})
    (tmp_path / "else").mkdir()
    written = tmp_path / "else" / "recipe.yaml"
    raw = recipe.model_dump(mode="json", by_alias=True)
    written.write_text(yaml.safe_dump(raw, allow_unicode=True), encoding="utf-8")
    assert Recipe.load(written) == recipe
