"""Plans of a batch from scripted samples: what they spend, quote, refuse, and keep when run."""

from __future__ import annotations

import csv
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from graphs.listing import build, default_recipe
from orchestra.app import Fleet
from orchestra.batch.folder import BATCH_ACCOUNT, Folder
from orchestra.batch.plan.batch_plan import BatchPlan, load_plan
from orchestra.batch.plan.survey import Wish
from orchestra.core.call import Call
from orchestra.core.errors import (
    AnswerInvalid,
    InvalidBudget,
    InvalidPlan,
    InvalidTable,
    ModelUnavailable,
)
from orchestra.core.job import Budget
from tests.scripted import first_allowed, scripted_fleet

FACTS = default_recipe().model_copy(update={"write": None})
TELLS, SILENT = (
    "A red apple from Italy, and a long text about how it is grown. " * 4,
    "In our shop.",
)


def table(folder: Path, rows: int = 40) -> Path:
    """Half of the texts say what the thing is; each row has a photo of its own."""
    path = folder / "products.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "name", "image", "truth"])
        for number in range(1, rows + 1):
            name = f"{number}.png"
            Image.new("RGB", (4, 4), (number % 256, number // 256, 9)).save(folder / name)
            text = TELLS if number % 2 else SILENT
            writer.writerow([f"{number:04}", f"{text} {number:05}", name, "Apple"])
    return path


def reads(call: Call) -> dict[str, Any]:
    """The text model: knows what the text says."""
    answers = first_allowed(call)
    assert isinstance(answers, dict)  # it is asked by a schema
    return answers if "apple" in (call.text or "") else dict.fromkeys(answers)


def sees(call: Call) -> dict[str, Any]:
    """The photo model: always an apple."""
    return {**dict.fromkeys((call.schema or {})["properties"]), "category": "Apple"}


def sees_every_other(call: Call) -> dict[str, Any]:
    """The photo model: knows the things of silent texts, which have even numbers."""
    pixel = call.images[0].getpixel((0, 0))
    assert isinstance(pixel, tuple)
    return sees(call) if pixel[0] % 2 == 0 else dict.fromkeys(sees(call))


def opened(text: Any = reads, vision: Any = sees) -> Fleet:
    return scripted_fleet(text, vision)[0]


def wish(cost_usd: str | None = None, **options: Any) -> Wish:
    return Wish(budget=Budget(cost_usd=cost_usd), gold={"category": "truth"}, **options)


async def planned(
    source: Path, out: Path | None, asked: Wish, fleet: Fleet | None = None, **options: Any
) -> BatchPlan:
    used = fleet or opened()
    try:
        return await used.plan_batch(build, source, asked, out=out, recipe=FACTS, **options)
    finally:
        await used.close()


async def run(source: Path, out: Path, fleet: Fleet | None = None, **options: Any) -> Any:
    used = fleet or opened()
    try:
        return await used.batch(build, source, out=out, recipe=FACTS, **options)
    finally:
        await used.close()


def full_usd(made: BatchPlan) -> str:
    return f"{made.full_usd:.6f}"


async def test_a_dry_plan_prices_every_row_and_calls_nothing(tmp_path: Path) -> None:
    fleet, engines = scripted_fleet(reads, sees)
    made = await planned(table(tmp_path), None, wish(), fleet)
    assert all(engine.calls == [] for engine in engines.values())
    assert sum(kind.rows for kind in made.kinds) == made.rows == 40
    assert (made.spend, made.seconds, made.quality) == (None, None, None)
    assert 0 < made.expected_usd <= made.at_most_usd
    assert "dry" in str(made)


async def test_the_sample_is_paid_in_the_batchs_book_and_shown(tmp_path: Path) -> None:
    made = await planned(table(tmp_path), tmp_path / "out", wish("1", sample=8))
    folder = Folder.read(tmp_path / "out")
    spent = folder.book.spent(BATCH_ACCOUNT)
    folder.book.close()
    assert len(made.sampled) == 8
    assert made.sample_usd == pytest.approx(spent.cost_micro / 1e6) and made.sample_usd > 0
    assert spent.open_cost_micro == 0
    assert "counted in the batch's book" in str(made)


async def test_a_budget_for_all_rows_takes_the_planners_route_everywhere(tmp_path: Path) -> None:
    made = await planned(table(tmp_path), tmp_path / "out", wish("1"))
    assert made.is_full and made.left == 0
    assert {kind.ways[0].rows for kind in made.kinds} == {kind.rows for kind in made.kinds}
    assert made.next_dollar is not None and str(made.next_dollar) == "nothing more"
    assert made.quality is not None and made.quality.value == 1.0


async def test_half_the_money_goes_where_it_helps(tmp_path: Path) -> None:
    source = table(tmp_path, 120)
    whole = await planned(source, None, wish())
    half = f"{whole.full_usd * 0.7:.6f}"
    made = await planned(source, tmp_path / "out", wish(half, fields=("category",)))
    assert not made.is_full and made.left == 0
    for kind in made.kinds:
        looked = sum(way.rows for way in kind.ways if "look=" in way.route)
        if "under" in kind.name:  # such texts are silent
            assert looked == kind.rows
    assert made.quality is not None and made.quality.value > 0.9
    assert made.spend is not None and made.spend.high <= float(half)


async def test_photos_are_paid_only_where_texts_of_one_length_say_nothing(tmp_path: Path) -> None:
    source = table(tmp_path, 120)
    lines = source.read_text(encoding="utf-8").replace(SILENT, "A thing of our shop." + " x" * 114)
    source.write_text(lines, encoding="utf-8")  # length does not tell them apart
    whole = await planned(source, None, wish())
    half = f"{whole.full_usd * 0.7:.6f}"
    asked = wish(half, fields=("category",), sample=24)
    fleet = opened(vision=sees_every_other)
    made = await planned(source, tmp_path / "out", asked, fleet)
    mix = {way.route: way.rows for kind in made.kinds for way in kind.ways if way.rows}
    assert any("?category@" in route for route in mix), mix
    fleet, engines = scripted_fleet(reads, sees_every_other)
    summary = await run(source, tmp_path / "out", fleet, plan=made)
    assert summary.pending == 0 and summary.cost_usd <= Decimal(half)
    assert made.spend is not None and made.spend.holds(float(summary.cost_usd))
    assert summary.quote["quality"]["actual"] == 1.0
    assert sum(len(engine.calls) for engine in engines.values()) < 0.8 * 2 * 120
    made.save(tmp_path / "plan.json")
    assert load_plan(tmp_path / "plan.json") == made


async def test_rows_that_no_money_is_left_for_are_over_budget_and_resume(tmp_path: Path) -> None:
    source = table(tmp_path, 60)
    whole = await planned(source, None, wish())
    cap = f"{whole.full_usd * 0.35:.6f}"
    made = await planned(source, tmp_path / "out", wish(cap))
    assert made.left > 0
    stopped = await run(source, tmp_path / "out", plan=made)
    assert stopped.cost_usd <= Decimal(cap)
    assert stopped.over_budget == stopped.pending > 0 and stopped.stopped == ""
    with (tmp_path / "out" / "products.csv").open(encoding="utf-8-sig", newline="") as file:
        statuses = {row["status"] for row in csv.DictReader(file)}
    assert "over budget" in statuses and "pending" not in statuses
    more = await run(source, tmp_path / "out", budget=Budget(cost_usd="1"))
    assert (more.pending, more.over_budget) == (0, 0)


async def test_the_plan_begins_with_what_it_comes_to_and_what_is_left_out(tmp_path: Path) -> None:
    source = table(tmp_path, 60)
    whole = await planned(source, None, wish())
    assert whole.review is None and "review    unknown" in str(whole)
    tight = await planned(source, tmp_path / "out", wish(f"{whole.full_usd * 0.5:.6f}"))
    lines = str(tight).splitlines()
    labels = [line[:10].strip() for line in lines[:6]]
    assert labels == ["money", "time", "review", "quality", "left out", ""]
    assert tight.review is not None
    assert 0 <= tight.review.low <= tight.review.value <= tight.review.high <= 60
    assert tight.left + tight.unseen > 0
    assert (f"rows over budget: {tight.left} " in lines[4]) == bool(tight.left)
    assert (f"photos not looked at: {tight.unseen} of 60" in lines[4]) == bool(tight.unseen)
    assert not any(line.startswith("kind ") for line in lines)
    assert tight.routes().startswith("kind ")


async def test_the_batch_does_not_pay_the_sample_again(tmp_path: Path) -> None:
    source = table(tmp_path)
    made = await planned(source, tmp_path / "out", wish("1", sample=8))
    fleet, engines = scripted_fleet(reads, sees)
    summary = await run(source, tmp_path / "out", fleet, plan=made)
    assert len(engines["vl"].calls) == summary.rows - 8
    assert engines["v2"].calls == []  # a row that is served is run along no cheaper route
    assert float(summary.cost_usd) == pytest.approx(made.full_usd, rel=0.05)


async def test_the_summary_sets_the_quote_beside_what_came(tmp_path: Path) -> None:
    source = table(tmp_path, 80)
    made = await planned(source, tmp_path / "out", wish("1"))
    summary = await run(source, tmp_path / "out", plan=made)
    quote = summary.quote
    assert quote["spend_usd"]["within"] and quote["quality"]["within"]
    assert quote["spend_usd"]["actual"] == float(summary.cost_usd)
    assert quote["quality"]["actual"] == 1.0
    assert set(quote["seconds"]) == {"quoted", "interval", "actual", "within"}


@pytest.mark.parametrize(("cap", "tried"), [("0.000030", 0), ("0.000050", 4)])
async def test_other_routes_are_tried_on_the_sample_for_a_tenth_of_the_budget(
    tmp_path: Path, cap: str, tried: int
) -> None:
    fleet, engines = scripted_fleet(reads, sees)
    made = await planned(table(tmp_path), tmp_path / "out", wish(cap), fleet)
    assert len(made.sampled) == 4  # two of each kind, for 2 micro-dollars each
    assert len(engines["v2"].calls) == tried  # for 1 micro-dollar each
    assert made.sample_usd == pytest.approx((2 * 4 + tried) / 1e6)
    assert any(note.startswith("not tried") for note in made.notes) == (not tried)


async def test_every_route_is_tried_where_the_budget_has_room_for_it(tmp_path: Path) -> None:
    source = table(tmp_path)
    known = await planned(source, None, wish("1"))
    made = await planned(source, tmp_path / "out", wish("1"))
    tried = [[way.route for way in kind.ways if way.tried] for kind in made.kinds]
    assert tried == [[way.route for way in kind.ways] for kind in known.kinds]


async def test_calls_that_fail_in_the_sample_are_quoted_at_what_they_are_charged(
    tmp_path: Path,
) -> None:
    def moody(call: Call) -> Any:
        seen = sees_every_other(call)
        return seen if seen["category"] else AnswerInvalid("The answer is no JSON.")

    source = table(tmp_path)
    made = await planned(source, tmp_path / "out", wish("1", sample=8), opened(vision=moody))
    assert made.spend is not None and 0 < made.sample_usd < made.spend.low
    summary = await run(source, tmp_path / "out", opened(vision=moody), plan=made)
    assert made.spend.holds(float(summary.cost_usd))


async def test_a_twentieth_of_a_small_budget_is_held_back_and_the_rest_serves_rows(
    tmp_path: Path,
) -> None:
    source = table(tmp_path)
    whole = await planned(source, None, wish())
    cap = f"{whole.full_usd * 0.2:.6f}"
    made = await planned(source, tmp_path / "out", wish(cap))
    ceiling = whole.at_most_usd / whole.rows
    assert ceiling > 0.15 * float(cap)  # a row's ceiling would be a large part of this budget
    assert made.reserve_usd == pytest.approx(float(cap) / 20)
    summary = await run(source, tmp_path / "out", plan=made)
    assert 0.9 * float(cap) <= float(summary.cost_usd) <= float(cap)


async def test_a_batch_with_a_tight_budget_plans_itself(tmp_path: Path) -> None:
    source = table(tmp_path, 60)
    whole = await planned(source, None, wish())
    cap = f"{whole.full_usd * 0.6:.6f}"
    summary = await run(source, tmp_path / "out", budget=Budget(cost_usd=cap), spread=True)
    assert summary.quote is not None and summary.cost_usd <= Decimal(cap)
    assert len(summary.plan_mix) > 1


async def test_a_batch_with_ample_budget_runs_no_sample(tmp_path: Path) -> None:
    summary = await run(
        table(tmp_path, 12), tmp_path / "out", budget=Budget(cost_usd="1"), spread=True
    )
    assert summary.quote is None and summary.pending == 0


async def test_a_plan_is_saved_and_read_back(tmp_path: Path) -> None:
    made = await planned(table(tmp_path), tmp_path / "out", wish("1"))
    made.save(tmp_path / "plan.json")
    assert load_plan(tmp_path / "plan.json") == made


async def test_a_plan_of_another_table_is_refused(tmp_path: Path) -> None:
    made = await planned(table(tmp_path), tmp_path / "out", wish("1"))
    table(tmp_path, 41)
    with pytest.raises(InvalidPlan, match="another batch: its table"):
        await run(tmp_path / "products.csv", tmp_path / "new", plan=made)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("content", ["", "{}", '{"version": 1}', "no json"])
def test_a_file_that_is_no_plan_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "plan.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(InvalidPlan, match=r"TABLE --save"):
        load_plan(path)


def test_a_plan_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidPlan, match=r"gone\.json"):
        load_plan(tmp_path / "gone.json")


async def test_a_sample_that_fails_altogether_is_an_error_with_its_cause(tmp_path: Path) -> None:
    def fails(call: Call) -> Any:
        return AnswerInvalid("The answer is no JSON.")

    with pytest.raises(InvalidTable, match=r"sampled rows of 'products.csv' failed.*AnswerInvalid"):
        await planned(table(tmp_path), tmp_path / "out", wish("1"), opened(fails, fails))


async def test_a_table_without_a_usable_row_is_refused_before_a_folder_is_made(
    tmp_path: Path,
) -> None:
    path = tmp_path / "products.csv"
    path.write_text("id,name,image,truth\n1,,gone.png,Apple\n2,,,Apple\n", encoding="utf-8")
    with pytest.raises(InvalidTable, match=r"No row of 'products.csv' can be used: of 2 rows"):
        await planned(path, None, wish())


async def test_a_silent_model_is_an_error_of_the_sample(tmp_path: Path) -> None:
    def dies(call: Call) -> Any:
        raise RuntimeError("CUDA device lost")

    with pytest.raises(ModelUnavailable, match="sample could not be run"):
        await planned(table(tmp_path), tmp_path / "out", wish("1"), opened(dies, dies))


@pytest.mark.parametrize(
    ("asked", "error", "words"),
    [
        (Wish(sample=0), InvalidBudget, "sample=0"),
        (Wish(deadline_s=0), InvalidBudget, "deadline"),
        (Wish(hosts=0), InvalidBudget, "hosts=0"),
        (Wish(gold={"category": "nope"}), InvalidTable, "'nope'"),
        (Wish(gold={"category": "name"}), InvalidTable, "which the models read"),
    ],
)
async def test_a_wish_that_is_none_is_refused(
    tmp_path: Path, asked: Wish, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        await planned(table(tmp_path, 4), None, asked)


async def test_a_deadline_says_how_many_hosts_it_takes(tmp_path: Path) -> None:
    made = await planned(table(tmp_path), tmp_path / "out", wish("1", deadline_s=7200.0))
    assert made.hosts == 1 and set(made.replicas) == {"r1", "vl"}
    assert made.next_hour is not None and made.next_hour.hosts == 0
    assert "for the deadline" in str(made)


async def test_quality_is_unknown_without_true_values(tmp_path: Path) -> None:
    asked = Wish(budget=Budget(cost_usd="1"))
    made = await planned(table(tmp_path), tmp_path / "out", asked)
    assert made.quality is None and "quality   unknown" in str(made)


async def test_the_same_seed_makes_the_same_plan(tmp_path: Path) -> None:
    first = await planned(table(tmp_path), tmp_path / "one", wish("1", seed=4))
    second = await planned(tmp_path / "products.csv", tmp_path / "two", wish("1", seed=4))
    assert first.sampled == second.sampled
    mixes = [
        [(kind.name, way.route, way.rows) for kind in made.kinds for way in kind.ways]
        for made in (first, second)
    ]
    assert mixes[0] == mixes[1]
