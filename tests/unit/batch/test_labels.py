"""What people decided as known answers, and as rules that are proposed for the recipe."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestra.batch.folder import Folder
from orchestra.batch.labels import decided_rows, labelled_rows, truths_of
from orchestra.batch.output.rows import results_of, said_of
from orchestra.batch.proposals import proposals
from orchestra.batch.score.replay import replay
from orchestra.batch.tables.gold import NOTHING, Drawn, gold_bytes
from orchestra.book.decisions import NewDecision
from orchestra.core.errors import InvalidTable
from orchestra.finetune.labelled import Labels, read_labelled
from orchestra.quality.policy import parse_policy
from tests.decided_batch import batch, decide, table
from tests.unit.cli.test_cli import call, called_json

ROWS = tuple(
    (f"S{n}", f"Brand{n}", f"A {'crimson' if n < 4 else 'green'} apple from Italy.")
    for n in range(1, 7)
)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    batch(table(tmp_path / "t.csv", ROWS), folder)
    return folder


def edit(row_id: str, value: object, field: str = "colour") -> NewDecision:
    return NewDecision(row_id, "edit", field=field, value=value)


def test_edits_and_single_approvals_are_labels_and_others_are_not(out: Path) -> None:
    decide(
        out,
        edit("S1", "red"),
        edit("S1", None, "origin"),
        edit("S1", "My title", "title"),  # what was written is not read
        NewDecision("S4", "approve", field="colour"),
        NewDecision("S5", "approve"),
        NewDecision("S6", "reject"),
        NewDecision("S2", "reject", field="colour"),
    )
    folder = Folder.read(out)
    folder.book.decide(
        [NewDecision("S3", "approve"), NewDecision("S2", "approve")], by="bo", group="g"
    )
    found = {row.row_id: row for row in decided_rows(folder)}
    folder.book.close()
    assert set(found) == {"S1", "S4", "S5"}
    assert found["S1"].values == {"colour": "red", "origin": NOTHING}
    assert found["S1"].states == {"colour": "corrected", "origin": "nothing"}
    assert found["S4"].values == {"colour": "green"}
    assert found["S5"].values["colour"] == "green" and "material" not in found["S5"].values


def test_decisions_stand_beside_the_gold_set_and_before_it(tmp_path: Path, out: Path) -> None:
    drawn = [
        Drawn("S1", 3.0, "x", {"colour": "blue", "origin": "Italy"}, {"colour": "given"}),
        Drawn("S2", 3.0, "x", {"colour": "red"}, {"colour": "given"}),
    ]
    (out / "gold.csv").write_bytes(gold_bytes(drawn, ["colour", "origin"], "id"))
    decide(out, edit("S1", "red"), edit("S4", "yellow"))
    folder = Folder.read(out)
    truths, (rows, fields) = truths_of(folder), labelled_rows(folder)
    folder.book.close()
    assert {row_id: one.values["colour"] for row_id, one in truths.rows.items()} == {
        "S1": "red", "S2": "red", "S4": "yellow",
    }  # fmt: skip
    assert truths.weights == {"S1": 3.0, "S2": 3.0, "S4": 1.0}
    assert truths.rows["S1"].values["origin"] == "Italy"
    assert (len(rows), fields) == (3, ["colour", "origin"])
    learnt = read_labelled(Labels(out))
    assert [one.values["colour"] for one in learnt] == [["red"], ["red"], ["yellow"]]
    assert "crimson" in learnt[0].text


def test_without_labels_and_decisions_it_is_said_what_to_do(out: Path) -> None:
    folder = Folder.read(out)
    with pytest.raises(InvalidTable, match=r"nobody decided of its rows\. Label it first"):
        truths_of(folder)
    folder.book.close()
    assert call("calibrate", out).exit_code == 2


def test_the_gold_set_is_written_of_what_was_decided(out: Path) -> None:
    decide(out, edit("S1", "red"), edit("S2", "red"))
    done = called_json("label", out, "--decided")
    assert done["answers"] == {"corrected": 2}
    scored = called_json("eval", out, "--truth", out / "gold.csv", "--field", "colour")
    assert (scored["rows"], scored["accuracy"]) == (2, 1.0)


def test_a_word_that_people_correct_alike_is_proposed_as_a_synonym(out: Path) -> None:
    folder = Folder.read(out)
    words = {
        row_id: [e.text or "" for e in result.fields["colour"].evidence] for row_id, result in
        folder.results().items()
    }  # fmt: skip
    folder.book.close()
    word = words["S4"][0]
    decide(out, edit("S4", "yellow"), edit("S5", "yellow"))
    (found,) = called_json("decisions", out, "--rules")
    assert (found["kind"], found["field"], found["rows"]) == ("synonym", "colour", ["S4", "S5"])
    listed = found["change"]["fields"]["colour"]["values"]["yellow"]["synonyms"]
    assert listed[-1] == word.casefold()
    assert found["note"] == f"take {word!r} out of 'green' first"
    told = call("decisions", out, "--rules").stdout
    assert "# synonym in 'colour': 2 rows (S4, S5)" in told and "      yellow:" in told
    decide(out, NewDecision("S6", "approve", field="colour"))
    assert called_json("decisions", out, "--rules") == []


def test_a_value_that_the_recipe_lacks_is_proposed(out: Path) -> None:
    decide(out, edit("S1", "crimson"), edit("S2", "crimson"))
    folder = Folder.read(out)
    (found,) = proposals(folder)
    folder.book.close()
    assert (found.kind, found.change) == (
        "value", {"fields": {"colour": {"values": {"crimson": {}}}}},
    )  # fmt: skip


def test_a_policy_replays_to_what_the_batch_recorded(out: Path) -> None:
    fields = {name: {"order": ["read"], "min_confidence": 0.0} for name in ("colour", "category")}
    policy = parse_policy({"fields": fields}, origin="p.yaml")
    truths = {row_id: {"colour": "green", "category": "Apple"} for row_id, *_ in ROWS}
    found = replay(said_of(out), policy, truths, results_of(out)[0])
    for one in found.fields:
        assert (one.changed, one.accuracy) == (0, one.recorded_accuracy), one
        assert one.coverage == one.recorded_coverage > 0
