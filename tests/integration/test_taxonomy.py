"""A recipe's taxonomy through the bundled models: the category, then what its category has."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import yaml

from graphs.listing import build
from orchestra import Fleet, Job
from orchestra.batch.recipe import Recipe

TREE = """1 - Home
2 - Home > Kitchen
3 - Home > Kitchen > Mugs
4 - Home > Kitchen > Frying Pans
5 - Apparel
6 - Apparel > Shirts
7 - Apparel > Socks
"""
ZH = """1 - 家居
2 - 家居 > 厨房
3 - 家居 > 厨房 > 马克杯
4 - 家居 > 厨房 > 煎锅
5 - 服饰
6 - 服饰 > 衬衫
7 - 服饰 > 袜子
"""
MUGS, PANS, SHIRTS = "Home > Kitchen > Mugs", "Home > Kitchen > Frying Pans", "Apparel > Shirts"


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    (tmp_path / "en.txt").write_text(TREE, encoding="utf-8")
    (tmp_path / "zh.txt").write_text(ZH, encoding="utf-8")
    taxonomy = {
        "file": "en.txt",
        "zh": "zh.txt",
        "synonyms": {"Mugs": ["beaker"]},
        "details": True,
        "attributes": {
            "Home > Kitchen": {"material": {"steel": [], "ceramic": ["陶瓷"]}},
            "Apparel": {"fit": ["slim", "regular"]},
        },
    }
    rule = {"type": "choice", "from": ["text"], "taxonomy": taxonomy}
    raw = {"name": "t", "version": 1, "fields": {"category": rule}, "write": None}
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(raw, allow_unicode=True), encoding="utf-8")
    return Recipe.load(path)


async def test_the_category_is_found_and_then_its_fields(recipe: Recipe) -> None:
    graph = partial(build, recipe)
    async with Fleet.open("mini") as fleet:
        said = await fleet.run(graph, Job(text="Beaker made of steel"))
        chinese = await fleet.run(graph, Job(text="陶瓷煎锅"))
        judged = await fleet.run(graph, Job(text="Slim fit men's shirt, white"))
        plan = fleet.plan(graph, Job(text="Beaker made of steel"))
    found = {name: field.value for name, field in said.fields.items()}
    assert found == {"category": MUGS, "material": "steel"}  # nothing of apparel's
    assert (said.fields["category"].evidence[0].text, said.status) == ("Beaker", "complete")
    assert chinese.fields["category"].value == PANS
    # No word of a category stands there, so one was chosen among all: a label of the whole text.
    assert judged.fields["category"].value == SHIRTS
    assert judged.fields["category"].evidence[0].text is None
    assert judged.fields["fit"].value == "slim" and "material" not in judged.fields
    # r1 was taught categories of its own, and is not asked about these.
    assert {node.node: node.model for node in plan.nodes}["read"] == "encoder"


async def test_nothing_is_asked_of_a_category_that_was_not_found(recipe: Recipe) -> None:
    async with Fleet.open("mini") as fleet:
        result = await fleet.run(partial(build, recipe), Job(text="asdf"))
    assert set(result.fields) == {"category"} and not result.fields["category"].answered
    assert "detail" not in {call.node for call in result.calls}
