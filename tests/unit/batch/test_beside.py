"""Texts of a table that stand beside each row's choices: the same for all rows, runs and orders."""

from __future__ import annotations

import csv
import random
from pathlib import Path
from typing import Any, Literal

from langgraph.graph import END, START, StateGraph
from pydantic import BaseModel

from graphs.listing import build as listing
from orchestra import Context, JobState, ask
from orchestra.batch.beside import MOST
from tests.scripted import scripted_fleet


class Facts(BaseModel):
    maker: str | None
    kind: Literal["Tea", "Coffee", "Soap"] | None


def build() -> StateGraph[Any, Any, Any, Any]:
    graph = StateGraph(JobState, context_schema=Context)
    graph.add_node("read", ask("text", "Extract what the text states.", schema=Facts))
    graph.add_edge(START, "read")
    graph.add_edge("read", END)
    return graph


def table(path: Path, texts: list[str]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "name"])
        writer.writerows([f"{text}-id", text] for text in texts)
    return path


async def beside_of(source: Path, out: Path, graph: Any = build, **options: Any) -> list[Any]:
    """What stood beside each call of the model that reads."""
    fleet, engines = scripted_fleet()
    await fleet.batch(graph, source, out=out, id_column="id", **options)
    await fleet.close()
    return [call.beside for engine in engines.values() for call in engine.calls]


async def test_each_row_is_read_beside_the_same_texts_in_any_order_and_run(tmp_path: Path) -> None:
    texts = [f"Leaves of the hill, lot {number}" for number in range(400)]
    source = table(tmp_path / "a.csv", texts)
    first = await beside_of(source, tmp_path / "a", limit=3)
    again = await beside_of(source, tmp_path / "a", limit=5)
    mixed = table(tmp_path / "b.csv", random.Random(1).sample(texts, len(texts)))
    other = await beside_of(mixed, tmp_path / "b", limit=4)
    assert [len(calls) for calls in (first, again, other)] == [3, 2, 4]
    assert len({*first, *again, *other}) == 1
    assert len(set(first[0])) == MOST


async def test_a_small_table_and_one_without_choices_show_none(tmp_path: Path) -> None:
    few = table(tmp_path / "few.csv", [f"Leaves, lot {number}" for number in range(20)])
    assert set(await beside_of(few, tmp_path / "few")) == {()}
    many = table(tmp_path / "many.csv", [f"Leaves, lot {number}" for number in range(60)])
    assert set(await beside_of(many, tmp_path / "many", listing, limit=2)) == {()}


async def test_a_choice_is_made_among_all_names_whatever_stands_in_the_text(tmp_path: Path) -> None:
    many = table(tmp_path / "many.csv", [f"Tea, lot {number}" for number in range(60)])
    fleet, engines = scripted_fleet()
    await fleet.batch(build, many, out=tmp_path / "out", id_column="id", limit=2)
    await fleet.close()
    shapes = [call.schema["properties"]["kind"] for call in engines["encoder"].calls if call.schema]
    assert [shape["enum"] for shape in shapes] == [["Tea", "Coffee", "Soap", None]] * 2
