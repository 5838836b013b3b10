"""Labelling a batch: which rows are drawn, what an answer does, and that none is ever lost."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from orchestra.batch.score.evaluate import evaluate
from orchestra.batch.tables.gold import NOTHING, WEIGHT, read_truths
from orchestra.core.errors import InvalidTable
from orchestra.core.job import CallRecord, Evidence, Field, Result
from orchestra.label.draw import draw, fields_of_batch
from orchestra.label.page import marked, read_page, write_page
from orchestra.label.session import FinishedBatch, LabelSession, begin, take
from orchestra.label.terminal import ask_all

TERMS = {"colour": {"red": "red", "crimson": "red", "green": "green"}}


def result(value: str | None, sure: float, model: str = "r1") -> Result:
    colour = Field(
        value=value,
        source="none" if value is None else "text",
        confidence=sure,
        model=model,
        evidence=(Evidence(kind="text", text="the red one"),),
    )
    size = Field(value="large", source="text", confidence=0.9, model=model)
    title = Field(value="Red shirt", source="derived")
    call = CallRecord(
        node="read", model=model, instruction="Say.", data="the <b>red</b> one", cost_usd=Decimal(0)
    )
    return Result(
        status="complete",
        fields={"colour": colour, "size": size, "title": title},
        calls=(call,),
        plan={"nodes": [{"node": "read", "model": model}]},
    )


def batch(rows: int = 40) -> FinishedBatch:
    results = {f"R{n}": result("red" if n % 3 else None, n / rows) for n in range(rows)}
    results |= {f"S{n}": result("green", 0.5, "v2") for n in range(4)}
    return FinishedBatch(results, "sku", TERMS)


def answers(*lines: str) -> Iterator[str]:
    """What somebody types, and then Ctrl-C."""
    yield from lines
    raise KeyboardInterrupt


def asked(session: LabelSession, *lines: str) -> tuple[bool, list[str]]:
    told: list[str] = []
    typed = answers(*lines)
    return ask_all(session, lambda _: next(typed), told.append, lambda key: f"/{key}"), told


def test_rows_are_drawn_from_every_plan_and_level_of_confidence_with_their_weights() -> None:
    found = batch()
    drawn = draw(found.results, ["colour"], 10)
    strata = Counter(row.stratum for row in drawn)
    assert {name.partition("/")[0] for name in strata} == {"read=r1", "read=v2"}
    assert {f"read=r1/{level}" for level in range(1, 6)} <= set(strata)
    assert sum(row.weight for row in drawn) == pytest.approx(len(found.results))
    again = [row.row_id for row in draw(found.results, ["colour"], 10)]
    other = [row.row_id for row in draw(found.results, ["colour"], 10, seed=1)]
    assert again == [row.row_id for row in drawn] != other


def test_weighted_scores_of_the_drawn_rows_hold_for_the_whole_batch(tmp_path: Path) -> None:
    # Half of the batch is unsure and wrong, and is drawn more often than the sure half.
    results = {f"R{n}": result("red", 0.9 if n % 10 else 0.1) for n in range(1000)}
    truths = {name: "red" if one.fields["colour"].confidence == 0.9 else "blue"
              for name, one in results.items()}  # fmt: skip
    session = begin(
        FinishedBatch(results, "sku", {}), tmp_path / "gold.csv", rows=200, fields=["colour"]
    )
    for question in session.questions():
        session.answer(question, "corrected", truths[question.row.row_id])
    read = read_truths(tmp_path / "gold.csv", "sku")
    scored = evaluate(results.items(), read, "colour")
    assert scored.accuracy == pytest.approx(0.9, abs=0.05)
    assert scored.accuracy_interval is not None
    assert scored.accuracy_interval[0] < 0.9 < scored.accuracy_interval[1]


def test_what_was_written_is_not_labelled() -> None:
    assert fields_of_batch(batch().results) == ["colour", "size"]
    with pytest.raises(InvalidTable, match="no field 'title'"):
        begin(batch(), Path("unused.csv"), fields=["title"])


def test_answers_are_kept_and_the_same_gold_set_goes_on_after_an_interrupt(tmp_path: Path) -> None:
    path = tmp_path / "gold.csv"
    session = begin(batch(), path, rows=10)
    done, told = asked(session, "", "c Crimson ", "n", "s")
    assert not done and any("R" in line and "row" in line for line in told)
    again = begin(batch(), path, rows=99)
    assert again.open_at == 4
    assert again.counts() == {"accepted": 1, "corrected": 1, "nothing": 1, "skipped": 1}
    first, second, *_ = again.drawn
    assert second.states == {"colour": "nothing", "size": "skipped"}
    assert second.values == {"colour": NOTHING}
    assert first.values["size"] == "Crimson"
    assert list(read_truths(path, "sku").rows) == [row.row_id for row in again.drawn]


def test_a_correction_is_kept_by_the_recipes_name_for_it(tmp_path: Path) -> None:
    session = begin(batch(), tmp_path / "gold.csv", rows=10, fields=["colour"])
    _, told = asked(session, "c CRIMSON", "c mauve")
    assert [row.values["colour"] for row in session.drawn[:2]] == ["red", "mauve"]
    assert any("'mauve', which the recipe does not list" in line for line in told)


def test_a_nested_value_is_shown_as_it_is_to_be_typed(tmp_path: Path) -> None:
    maker = Field(value={"name": "Acme"}, source="text", model="r1")
    results = {"R1": Result(status="complete", fields={"maker": maker})}
    session = begin(FinishedBatch(results, "sku", {}), tmp_path / "gold.csv", fields=["maker"])
    _, told = asked(session, "a")
    assert any('maker: {"name":"Acme"}' in line for line in told)
    assert session.drawn[0].values["maker"] == '{"name":"Acme"}'


def test_going_back_asks_the_last_question_again(tmp_path: Path) -> None:
    session = begin(batch(), tmp_path / "gold.csv", rows=10, fields=["colour"])
    _, told = asked(session, "s", "b", "c green", "what?")
    assert session.drawn[0].states == {"colour": "corrected"}
    assert any("answered before: skipped" in line for line in told)
    assert any("'what?' is no answer" in line for line in told)


def test_a_disk_that_fills_up_leaves_the_answers_before(tmp_path: Path) -> None:
    path = tmp_path / "gold.csv"
    session = begin(batch(), path, rows=10, fields=["colour"])
    asked(session, "a")
    kept = path.read_bytes()
    session.path = tmp_path / "nowhere" / "gold.csv"
    with pytest.raises(OSError):
        session.answer(session.questions()[1], "skipped")
    assert path.read_bytes() == kept and list(tmp_path.glob("*.tmp")) == []


def test_the_page_stands_alone_and_its_answers_are_read_back(tmp_path: Path) -> None:
    session = begin(batch(), tmp_path / "gold.csv", rows=6, fields=["colour"])
    write_page(session, tmp_path / "gold.html", lambda key: None)
    page = (tmp_path / "gold.html").read_text("utf-8")
    assert "the &lt;b&gt;red&lt;/b&gt; one" in page
    assert "http" not in page.replace("http-equiv", "")
    ids = [row.row_id for row in session.drawn]
    saved = tmp_path / "labels.csv"
    rows = [(ids[0], "colour", "corrected", "crimson"), (ids[1], "colour", "accepted", "")]
    write(saved, ("id", "field", "verdict", "value"), *rows)
    assert read_page(session, saved) == 2
    assert session.drawn[0].values == {"colour": "red"}
    assert session.drawn[1].states == {"colour": "accepted"}


def test_the_page_marks_where_answers_stand_and_escapes_the_text_around_them() -> None:
    text = "a <b>red</b> shirt, red"
    spans = [(5, 8), (6, 12), (20, 23)]  # the second overlaps the first
    parts = list(marked(text, spans))
    assert "".join(part["text"] for part in parts) == text
    assert [part["text"] for part in parts if part["is_evidence"]] == ["red", "</b>", "red"]


def test_a_span_that_a_cut_text_has_elsewhere_is_looked_for(tmp_path: Path) -> None:
    moved = Evidence(kind="text", text="<b>red</b>", start=90, end=100)
    results = {"R0": result("red", 0.5)}
    colour = results["R0"].fields["colour"].model_copy(update={"evidence": (moved,)})
    results["R0"] = results["R0"].model_copy(update={"fields": {"colour": colour}})
    session = begin(
        FinishedBatch(results, "sku", TERMS), tmp_path / "gold.csv", rows=1, fields=["colour"]
    )
    write_page(session, tmp_path / "gold.html", lambda key: None)
    page = (tmp_path / "gold.html").read_text("utf-8")
    assert "the <mark>&lt;b&gt;red&lt;/b&gt;</mark> one" in page


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (("X", "colour", "accepted", ""), "row 'X', which"),
        (("R1", "colour", "perhaps", ""), "verdict 'perhaps'"),
        (("R1", "colour", "corrected", " "), "a correction has"),
        (("R1", "colour", "corrected"), "a correction has"),
        (("R1", "colour", "corrected", "x" * 5_000_000), "is damaged near line"),
    ],
)
def test_a_saved_file_that_is_wrong_changes_nothing(
    tmp_path: Path, row: tuple[str, ...], says: str
) -> None:
    session = begin(batch(), tmp_path / "gold.csv", rows=44, fields=["colour"])
    good = ("R2", "colour", "accepted", "")
    write(tmp_path / "labels.csv", ("id", "field", "verdict", "value"), good, row)
    with pytest.raises(InvalidTable, match=says):
        read_page(session, tmp_path / "labels.csv")
    assert session.counts() == {}


def test_a_saved_file_is_taken_in_one_write(tmp_path: Path) -> None:
    kept = begin(batch(), tmp_path / "gold.csv", rows=44, fields=["colour"])

    class Counted(LabelSession):
        writes = 0

        def save(self) -> None:
            Counted.writes += 1
            super().save()

    session = Counted(kept.path, kept.id_column, kept.fields, kept.drawn, kept.results, kept.terms)
    given = [(row.row_id, "colour", "accepted", "") for row in session.drawn]
    write(tmp_path / "labels.csv", ("id", "field", "verdict", "value"), *given)
    assert read_page(session, tmp_path / "labels.csv") == len(given) > 40
    assert Counted.writes == 1
    again = begin(batch(), tmp_path / "gold.csv")
    assert again.counts() == {"accepted": len(given)}


def test_labels_are_taken_from_a_table_that_has_them(tmp_path: Path) -> None:
    table = tmp_path / "true.csv"
    write(table, ("sku", "shade"), ("R1", "Crimson"), ("R2", ""), ("Z", "green"))
    session = take(batch(), tmp_path / "gold.csv", table, {"colour": "shade"}, None)
    assert [(row.row_id, row.values) for row in session.drawn] == [("R1", {"colour": "red"})]
    with pytest.raises(InvalidTable, match="no column 'color'"):
        take(batch(), tmp_path / "gold.csv", table, {"colour": "color"}, None)
    write(table, ("sku", "shade"), ("Z", "green"))
    with pytest.raises(InvalidTable, match="answers no row"):
        take(batch(), tmp_path / "gold.csv", table, {"colour": "shade"}, None)


def test_a_gold_set_of_another_batch_or_a_broken_one_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "gold.csv"
    begin(batch(), path, rows=10)
    with pytest.raises(InvalidTable, match="does not have"):
        begin(FinishedBatch({"Q": result("red", 0.5)}, "sku", {}), path)
    text = path.read_text("utf-8").splitlines()
    row = next(csv.reader([text[1]]))
    row[text[0].split(",").index(WEIGHT)] = "-1"
    write(path, text[0].split(","), row)
    with pytest.raises(InvalidTable, match="no number above 0"):
        begin(batch(), path)
    path.write_text("id,colour\n1,red\n", "utf-8")
    with pytest.raises(InvalidTable, match="is no gold set"):
        begin(batch(), path)


def write(path: Path, *rows: object) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)  # type: ignore[arg-type]


def test_states_that_are_no_json_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "gold.csv"
    session = begin(batch(), path, rows=10, fields=["colour"])
    asked(session, "a")
    kept = next(csv.DictReader(path.read_text("utf-8").splitlines()))
    assert json.loads(kept["label_state"]) == {"colour": "accepted"}
    path.write_text(path.read_text("utf-8").replace("accepted", 'acc"epted'), "utf-8")
    with pytest.raises(InvalidTable, match="no JSON"):
        begin(batch(), path)
