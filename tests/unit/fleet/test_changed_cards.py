"""What a change of a fleet's file stops: policies, cached replies, unfinished batches, plans.

One identity decides for all of them: other words stop nothing, another price only what was planned,
another model everything that was learnt of the one before.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from graphs.listing import build
from orchestra import Budget, Fleet, Job
from orchestra.batch.folder import Folder
from orchestra.batch.plan.survey import Wish
from orchestra.clients.inprocess import InProcessClient
from orchestra.core.errors import InvalidPlan, InvalidPolicy, OutputMismatch
from orchestra.core.identity import fingerprints, snapshot
from orchestra.fleet.source import load_fleet
from orchestra.quality.policy import Accuracy, Calibration, Policy
from orchestra.testing import ScriptedEngine
from tests.scripted import first_allowed

HALF = Accuracy(share=0.5, low=0.4, high=0.6, rows=100)
CURVE = Calibration(
    node="read",
    model="served",
    field="colour",
    prompt="",
    method="platt",
    right=HALF,
    covered=1.0,
    knots=((0.0, 0.0, 0.0, 1.0), (1.0, 0.5, 0.0, 1.0)),
    gain=(0.1, 0.2, 0.3),
    ece_before=0.2,
    ece_after=0.1,
)
SERVER = {"url": "http://127.0.0.1:1/v1", "model": "big"}
Change = Callable[[dict[str, Any]], Any]


def card(name: str, score: int, **hosting: Any) -> dict[str, Any]:
    return {
        "name": name,
        "role": name,
        "about": "Text.",
        "capabilities": ["text"],
        "price": {"as_of": "2026-01-01", "usd_per_cpu_second": "0.01"},
        "profile": {"origin": "estimated", "ms_per_output_token": 1},
        "quality": {"text": {"score": score, "origin": "vendor", "measure": "its own"}},
        "hosting": {"memory_gib": 1, **hosting},
        "limits": {"context_tokens": 4096},
    }


@dataclass
class Shop:
    """A fleet's file that may be changed, and what is kept beside it."""

    folder: Path

    @property
    def path(self) -> str:
        return str(self.folder / "shop.yaml")

    def write(self, change: Change = lambda raw: None) -> None:
        """Write the fleet anew, with `change`."""
        models = [
            card("served", 90, endpoint=dict(SERVER)),
            card("here", 80, worker="orchestra.testing:ScriptedEngine", checkpoint="weights"),
        ]
        raw = {"name": "shop", "about": "A shop's models.", "models": models}
        change(raw)
        Path(self.path).write_text(json.dumps(raw), "utf-8")

    def open(self, **options: Any) -> tuple[Fleet, dict[str, ScriptedEngine]]:
        """The fleet as its file says now, with scripted engines."""
        engines = {name: ScriptedEngine(first_allowed) for name in ("served", "here")}
        clients: Any = {
            name: InProcessClient(name, lambda engine=engine: engine)
            for name, engine in engines.items()
        }
        return Fleet.open(self.path, clients=clients, **options), engines

    async def run(self, **options: Any) -> int:
        """Run a job with the cache; how many calls reached a model."""
        fleet, engines = self.open(cache=self.folder / "cache")
        async with fleet:
            await fleet.run(build, Job(text="A red cotton shirt"))
        return sum(len(engine.calls) for engine in engines.values())

    async def batch(self, **options: Any) -> Any:
        """The summary of the batch in `out`."""
        fleet, _ = self.open()
        async with fleet:
            table = self.folder / "products.csv"
            return await fleet.batch(build, table, out=self.folder / "out", **options)

    def policy(self) -> Policy:
        """A policy fitted on the models that the file names now."""
        file, folder = load_fleet(self.path)
        return Policy(fleet="shop", models=fingerprints(file, folder), calibration=(CURVE,))

    def planned_on(self) -> str:
        return snapshot(load_fleet(self.path)[0])


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "config.json").write_text("{}")
    rows = [f"{n},Brand{n},A red apple from Italy." for n in range(4)]
    (tmp_path / "products.csv").write_text("\n".join(["id,name,description", *rows]), "utf-8")
    made = Shop(tmp_path)
    made.write()
    return made


def other_words(raw: dict[str, Any]) -> None:
    raw["about"] = raw["models"][0]["about"] = raw["models"][1]["can"] = "In other words."
    raw["models"][0]["price"]["as_of"] = "2026-12-01"
    raw["models"][0]["quality"]["text"] |= {"origin": "measured", "measure": "100 rows"}


def another_price(raw: dict[str, Any]) -> None:
    for model in raw["models"]:
        model["price"]["usd_per_cpu_second"] = "0.02"


def another_latency(raw: dict[str, Any]) -> None:
    raw["models"][0]["latency"] = {"fixed_ms": 5}


def another_revision(raw: dict[str, Any]) -> None:
    for model in raw["models"]:
        model["hosting"]["revision"] = "2"


def other_tools(raw: dict[str, Any]) -> None:
    raw["models"][0]["hosting"]["endpoint"]["tools"] = "schema"


@pytest.mark.parametrize(
    ("change", "is_planned_anew"),
    [(other_words, False), (another_price, True), (another_latency, True)],
)
async def test_a_fleet_of_the_same_models_goes_on_with_all_that_it_has(
    shop: Shop, change: Change, is_planned_anew: bool
) -> None:
    policy, planned_on = shop.policy(), shop.planned_on()
    calls = await shop.run()
    pilot = await shop.batch(limit=2)
    shop.write(change)
    shop.open(policy=policy)
    assert (calls > 0, await shop.run()) == (True, 0)
    whole = await shop.batch()
    assert (pilot.rows, whole.rows, whole.complete) == (2, 4, 4)
    # Rows that were finished keep what they cost, at the price of that day.
    assert whole.cost_usd == pilot.cost_usd * (3 if change is another_price else 2)
    assert (shop.planned_on() != planned_on) is is_planned_anew


@pytest.mark.parametrize(
    ("change", "swapped"),
    [(another_revision, "'here', 'served' are other models"), (other_tools, "'served' is another")],
)
async def test_a_swapped_model_is_refused_by_policy_and_batch_and_misses_the_cache(
    shop: Shop, change: Change, swapped: str
) -> None:
    policy = shop.policy()
    calls = await shop.run()
    await shop.batch(limit=2)
    shop.write(change)
    own = fingerprints(*load_fleet(shop.path))
    with pytest.raises(InvalidPolicy, match=r"model 'served'.*run `orchestra calibrate`") as caught:
        shop.open(policy=policy)
    assert own["served"] in str(caught.value) and policy.models["served"] in str(caught.value)
    assert await shop.run() == calls
    with pytest.raises(OutputMismatch, match=f"{swapped}.*Give --out a new folder"):
        await shop.batch()
    shop.write()  # the models of before are back
    assert (await shop.batch()).complete == 4


async def test_other_weights_under_the_same_name_are_refused(shop: Shop) -> None:
    policy = shop.policy()
    await shop.batch(limit=2)
    (shop.folder / "weights" / "config.json").write_text('{"layers": 2}')
    with pytest.raises(InvalidPolicy, match="another model 'here'"):
        shop.open(policy=policy)
    with pytest.raises(OutputMismatch, match="'here' is another model than before"):
        await shop.batch()


async def test_what_a_batch_learnt_is_of_the_models_it_ran_on(shop: Shop) -> None:
    await shop.batch(limit=2)
    shop.write(another_revision)
    folder = Folder.read(shop.folder / "out")
    try:
        assert folder.spec.models != shop.policy().models
        shop.write()
        assert folder.spec.models == shop.policy().models
    finally:
        folder.book.close()


async def test_a_batchs_plan_of_other_prices_starts_none_but_the_one_it_started_goes_on(
    shop: Shop,
) -> None:
    fleet, _ = shop.open()
    async with fleet:
        wish = Wish(budget=Budget(cost_usd="1"), seed=1)
        plan = await fleet.plan_batch(build, shop.folder / "products.csv", wish, out=None)
    await shop.batch(plan=plan, limit=2)
    shop.write(another_price)
    assert (await shop.batch(plan=plan)).complete == 4
    (shop.folder / "out").rename(shop.folder / "before")
    with pytest.raises(InvalidPlan, match=f"at other prices.*{plan.snapshot}.*Plan it again"):
        await shop.batch(plan=plan)
