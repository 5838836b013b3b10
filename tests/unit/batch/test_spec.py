"""The specification of a batch: one value that travels, and all that its identity rests on."""

from __future__ import annotations

import functools
import pickle
from pathlib import Path
from typing import Any

import pytest
from langgraph.graph import StateGraph
from pydantic import ValidationError

from graphs.listing import build, default_recipe
from orchestra.batch.request import settle
from orchestra.batch.spec import BatchSpec, RunSettings, row_key
from orchestra.core.errors import UsageError
from orchestra.quality.policy import FieldPolicy, Policy
from tests.scripted import scripted_fleet

POLICY = Policy(fields={"colour": FieldPolicy(order=("read",), min_confidence=0.5)})


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "products.csv"
    path.write_text("sku,name,photo\n1,Red apple,\n", encoding="utf-8")
    return path


def settled(table: Path, **asked: Any) -> BatchSpec:
    fleet, _ = scripted_fleet()
    return settle(fleet, BatchSpec(table=table, graph=build, fleet=fleet.name, **asked)).spec


def test_a_settled_batch_leaves_nothing_to_a_default(table: Path) -> None:
    spec = settled(table)
    assert (spec.text_columns, spec.image_column, spec.id_column) == (("name",), ("photo",), "sku")
    assert (spec.graph, spec.recipe) == ("graphs.listing:build", default_recipe())
    assert spec.fleet_name == "mini" and {"r1", "vl"} <= set(spec.models)
    assert spec.table.is_absolute() and spec.base == table.parent.resolve()


def test_settling_it_again_changes_nothing(table: Path) -> None:
    spec = settled(table, language="zh", maps=True, id_column="")
    fleet, _ = scripted_fleet()
    assert settle(fleet, spec).spec == spec


def test_it_is_the_same_batch_after_a_journey_as_json_and_as_a_pickle(table: Path) -> None:
    spec = settled(table, images=table.parent / "photos").model_copy(update={"policy": POLICY})
    for there in (
        BatchSpec.model_validate_json(spec.model_dump_json(by_alias=True)),
        pickle.loads(pickle.dumps(spec)),
    ):
        assert there == spec and there.identity == spec.identity
        assert isinstance(there.build()(), StateGraph)


def test_a_graph_without_a_name_is_kept_by_its_place_and_travels_whole(table: Path) -> None:
    def own(recipe: Any) -> Any:
        return build(recipe)

    part = functools.partial(build)
    for graph in (own, part):
        spec = BatchSpec(table=table, graph=graph, fleet="mini").named()
        assert spec.graph is graph
        kept = BatchSpec.model_validate_json(spec.model_dump_json(by_alias=True))
        assert kept.identity == spec.identity


@pytest.mark.parametrize(
    ("changes", "differs"),
    [
        ({"language": "zh"}, {"language", "recipe"}),
        ({"maps": True}, {"recipe"}),
        ({"image_column": ""}, {"columns"}),
        ({"text_columns": ("name", "sku")}, {"columns"}),
        ({"recipe": default_recipe().model_copy(update={"tone": "warm"})}, {"recipe"}),
    ],
)
def test_what_decides_the_answers_makes_another_batch(
    table: Path, changes: dict[str, Any], differs: set[str]
) -> None:
    plain, other = settled(table).identity, settled(table, **changes).identity
    assert {name for name in plain if plain[name] != other[name]} == differs


def test_another_table_fleet_graph_or_policy_makes_another_batch(table: Path) -> None:
    spec = settled(table)
    others: list[dict[str, Any]] = [
        {"table_hash": "0"},
        {"models": {}},
        {"fleet_name": "big"},
        {"graph": "shop:build"},
        {"policy": POLICY},
    ]
    found = {str(spec.model_copy(update=change).identity) for change in others}
    assert len(found | {str(spec.identity)}) == len(others) + 1


def test_where_the_files_are_makes_no_other_batch(table: Path) -> None:
    spec = settled(table)
    moved = {"table": Path("/b.csv"), "images": Path("/photos"), "fleet": "/mini.yaml"}
    assert spec.model_copy(update=moved).identity == spec.identity


async def test_a_misspelt_option_is_refused_before_anything_is_opened(tmp_path: Path) -> None:
    fleet, _ = scripted_fleet()
    with pytest.raises(UsageError, match=r"no option 'limits'.*Did you mean 'limit'"):
        await fleet.batch(build, "none.csv", out=tmp_path, limits=3)  # type: ignore[call-arg]
    with pytest.raises(UsageError, match="no option 'table_hash'"):  # settled, never asked for
        await fleet.batch(build, "none.csv", out=tmp_path, table_hash="x")  # type: ignore[call-arg]
    with pytest.raises(UsageError, match="no option 'policy'"):  # the fleet has it
        await fleet.batch(build, "none.csv", out=tmp_path, policy="other")  # type: ignore[call-arg]
    with pytest.raises(ValidationError, match="limits"):
        RunSettings(out=tmp_path, limits=3)  # type: ignore[call-arg]
    with pytest.raises(UsageError, match=r"language: .*got 'fr'"):
        await fleet.batch(build, "none.csv", out=tmp_path, language="fr")  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


def test_a_rows_key_depends_on_the_batch_the_id_and_the_place() -> None:
    work = {"fleet": "mini", "graph": "graphs.listing:build"}
    key = row_key(work, "a", 1)
    assert key == row_key(dict(reversed(work.items())), "a", 1)
    others = [
        row_key(work, "b", 1),
        row_key(work, "a", 2),
        row_key({**work, "fleet": "other"}, "a", 1),
    ]
    assert len({key, *others}) == 4
