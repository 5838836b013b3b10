"""Three photos of a product on the bundled fleet: a branch each, planned, gathered and voted on."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Literal

import pytest
from langgraph.graph import END, START, StateGraph
from pydantic import BaseModel

from orchestra import Context, Fleet, Job, JobState, ask, each_photo, gather, vote
from workers.synthetic.drawn import draw_product

SHOWN = (("Banana", "yellow", 1_000_003), ("Banana", "yellow", 1_000_004), ("Tomato", "red", 5))


class Facts(BaseModel):
    category: Literal["Banana", "Lemon", "Tomato"] | None


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("photos")
    paths = [folder / f"{number}.png" for number in range(len(SHOWN))]
    for path, (kind, colour, seed) in zip(paths, SHOWN, strict=True):
        draw_product(kind, colour, seed=seed).save(path)
    return [str(path) for path in paths]


def build(join: Any) -> StateGraph[JobState, Context]:
    graph = StateGraph(JobState, context_schema=Context)
    graph.add_node("look", ask("vision", "Describe the product shown.", schema=Facts))
    graph.add_node("join", join, defer=True)
    graph.add_conditional_edges(START, each_photo("look"))
    graph.add_edge("look", "join")
    graph.add_edge("join", END)
    return graph


async def test_three_photos_are_looked_at_by_themselves_and_joined(photos: list[str]) -> None:
    async with Fleet.open("mini") as fleet:
        job = Job(images=photos)
        (node,) = fleet.plan(build(vote("look")), job).nodes
        assert (node.visits, node.photos) == (3, 1)
        voted = await fleet.run(build(vote("look")), job)
        gathered = await fleet.run(build(gather("look")), job)
    assert [fields["category"].value for fields in voted.branches.values()] == [
        kind for kind, *_ in SHOWN
    ]
    assert [call.images for call in voted.calls] == [(key,) for key in voted.images]
    assert (voted.status, voted.fields["category"].value) == ("complete", "Banana")
    assert voted.fields["category"].note == "2 of 3 said 'Banana', 1 'Tomato'"
    assert voted.cost_usd <= Decimal(str(voted.plan["total"]["cost_usd"]))
    assert gathered.fields["category"].value == ["Banana", "Tomato"]
