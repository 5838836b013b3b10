"""`refit`: what it proposes, when it refuses, what accepting writes, and what stays as it was."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from orchestra.book.book import Book
from orchestra.book.messages import BeginCall, OpenAccount, SettleCall
from orchestra.book.timings import TimedCall
from orchestra.cli.main import main
from orchestra.core.card import FleetFile, parse_fleet
from orchestra.core.errors import InvalidFleet, NothingLearnt
from orchestra.core.identity import snapshot
from orchestra.fleet.source import load_fleet
from orchestra.refit.fit import TimedJob
from orchestra.refit.refit import refit
from tests.unit.refit.drawn_calls import RAW, drawn_calls, measured


def shop() -> FleetFile:
    return parse_fleet(RAW, origin="shop.yaml")


def test_a_gain_on_calls_held_out_is_proposed_and_others_stay() -> None:
    found = refit(shop(), drawn_calls(300))
    a, b = found.models
    assert a.before is not None and a.after is not None and a.in_bound is not None
    assert a.after < 0.1 < a.before
    assert a.in_bound > 0.95
    assert 60 < a.held_out < 140 and a.held_out < a.calls == 300
    assert (b.latency, b.why) == (None, "0 timed calls, and 60 are needed")
    assert found.new.card("b") == found.old.card("b")
    assert snapshot(found.new) != snapshot(found.old)


def test_prices_and_what_a_call_may_cost_stay() -> None:
    found = refit(shop(), drawn_calls(300))
    assert found.new.card("a").profile == found.old.card("a").profile
    assert found.new.card("a").price == found.old.card("a").price


def test_the_same_calls_give_the_same_proposal() -> None:
    calls = drawn_calls(200)
    assert snapshot(refit(shop(), calls).new) == snapshot(refit(shop(), calls).new)


def test_too_few_calls_are_refused_with_their_number() -> None:
    with pytest.raises(NothingLearnt, match=r"a: 40 timed calls, and 60 are needed.*Run more jobs"):
        refit(shop(), drawn_calls(40))


def test_a_fleet_that_is_right_already_is_left_alone() -> None:
    right = refit(shop(), drawn_calls(300)).new
    accepted = right.card("a").latency
    assert accepted is not None
    calls = [replace(call, planned_ms=call.ms) for call in drawn_calls(300, seed=5)]
    with pytest.raises(NothingLearnt, match="no gain beyond noise"):
        refit(right, calls)


def test_calls_without_a_law_are_no_gain() -> None:
    noisy = drawn_calls(300, noise=3.0, planned_ms=18.0)
    with pytest.raises(NothingLearnt, match="no gain beyond noise"):
        refit(shop(), noisy)


def test_overhead_needs_jobs_enough() -> None:
    jobs = [TimedJob(3.0, 2, 0)] * 59
    assert refit(shop(), drawn_calls(200), jobs).overhead is None
    found = refit(shop(), drawn_calls(200), [*jobs, jobs[0]])
    assert found.new.overhead is not None
    assert found.new.overhead.milliseconds(2, 0) == pytest.approx(3.0, rel=0.01)


def book_of(path: Path, calls: list[TimedCall]) -> Path:
    """A book with these calls settled, as a run writes them."""
    with Book.open(path) as book, book.transaction():
        for number, call in enumerate(calls):
            book.do(OpenAccount(f"job:{number}"))
            uid = f"c:{number}"
            book.do(BeginCall(uid, f"job:{number}", uid, "read", call.model, 5, 900))
            book.do(SettleCall(uid, 3, 100, measured=measured(call)))
    return path


def test_a_book_gives_back_the_calls_that_it_was_told_and_no_others(tmp_path: Path) -> None:
    calls = drawn_calls(5)
    path = book_of(tmp_path / "book.sqlite", calls)
    with Book.open(path) as book:
        book.do(BeginCall("untimed", "job:0", "untimed", "n", "a", 1, 1))
        book.do(SettleCall("untimed", 1, 1))
        found = list(book.timed_calls())
    assert [call.ms for call in found] == [call.ms for call in calls]
    assert found[0].beside == calls[0].beside
    assert len({call.job for call in found}) == 5
    assert [call.account for call in found] == [f"job:{number}" for number in range(5)]
    assert [call.at_ms for call in found] == [call.at_ms for call in calls]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder with a user's fleet, a note in it, and a book of calls on it."""
    (tmp_path / "shop.yaml").write_text("# mine\n" + yaml.safe_dump(RAW), encoding="utf-8")
    book_of(tmp_path / "book.sqlite", drawn_calls(300))
    return tmp_path


def run(home: Path, *options: str) -> Any:
    return CliRunner().invoke(main, ["refit", str(home / "book.sqlite"), *options])


def test_nothing_changes_until_it_is_accepted(home: Path) -> None:
    shop_yaml = home / "shop.yaml"
    before = sorted(path.name for path in home.iterdir())
    told = run(home, "--fleet", str(shop_yaml))
    assert told.exit_code == 0, told.output
    assert "a: median error" in told.output and "Nothing was changed" in told.output
    assert sorted(path.name for path in home.iterdir()) == before
    assert load_fleet(str(shop_yaml))[0].card("a").latency is None


def test_what_is_accepted_is_read_beside_the_fleet_whose_file_stays(home: Path) -> None:
    shop_yaml = home / "shop.yaml"
    text = shop_yaml.read_text(encoding="utf-8")
    told = run(home, "--fleet", str(shop_yaml), "--accept", "--json")
    assert told.exit_code == 0, told.output
    found = json.loads(told.output)
    file = load_fleet(str(shop_yaml))[0]
    assert snapshot(file) == found["new_snapshot"] != found["snapshot"]
    assert file.card("a").latency is not None and file.card("b").latency is None
    listed = CliRunner().invoke(main, ["models", "--fleet", str(shop_yaml)]).output
    assert listed.count("latency: measured on") == 1
    assert shop_yaml.read_text(encoding="utf-8") == text
    (home / "shop.latency.yaml").unlink()
    assert snapshot(load_fleet(str(shop_yaml))[0]) == found["snapshot"]


def test_a_fleet_of_a_package_is_never_changed(home: Path, tmp_path: Path) -> None:
    told = run(home, "--fleet", "article", "--accept")
    assert told.exit_code == 2
    assert "InvalidFleet" in told.stderr and "--as mine.yaml" in told.stderr
    calls = drawn_calls(300, model="r1")
    book_of(tmp_path / "r1.sqlite", calls)
    mine = tmp_path / "mine.yaml"
    done = CliRunner().invoke(
        main, ["refit", str(tmp_path / "r1.sqlite"), "--accept", "--as", str(mine)]
    )
    assert done.exit_code == 0, done.output
    copy, folder = load_fleet(str(mine))
    bundled, theirs = load_fleet("mini")
    assert (
        copy.card("r1").latency is not None
        and copy.card("r1").latency != bundled.card("r1").latency
    )
    assert copy.card("r1").price == bundled.card("r1").price
    place, original = (file.card("r1").hosting.checkpoint or "" for file in (copy, bundled))
    assert (folder / place).resolve() == (theirs / original).resolve()


def test_a_proposal_can_be_written_to_look_at(home: Path) -> None:
    out = home / "proposal.yaml"
    told = run(home, "--fleet", str(home / "shop.yaml"), "--out", str(out))
    assert told.exit_code == 0, told.output
    assert set(yaml.safe_load(out.read_text(encoding="utf-8"))["models"]) == {"a"}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"fleet": "shop", "fitted": "2026-11-01", "models": {"c": {}}}, r"'c'.*it has: a, b"),
        ({"fleet": "shop", "fitted": "2026-11-01", "models": {"a": {"fixed_ms": -1}}}, "fixed_ms"),
        ({"fleet": "shop"}, r"fitted.*Write it again with `orchestra refit --accept`"),
        (["a"], r"dictionary.*got \['a'\].*Write it again"),
    ],
)
def test_a_file_of_latencies_that_is_wrong_is_named(home: Path, content: Any, words: str) -> None:
    (home / "shop.latency.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    with pytest.raises(InvalidFleet, match=rf"shop\.latency\.yaml.*{words}"):
        load_fleet(str(home / "shop.yaml"))


def test_too_few_calls_end_the_command_with_2(home: Path) -> None:
    book_of(home / "few.sqlite", drawn_calls(10))
    arguments = ["refit", str(home / "few.sqlite"), "--fleet", str(home / "shop.yaml")]
    told = CliRunner().invoke(main, arguments)
    assert (told.exit_code, "NothingLearnt" in told.stderr) == (2, True)
