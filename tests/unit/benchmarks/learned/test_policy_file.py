"""A saved policy: the same after a round trip, and a clear error for whatever is none."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.learned import Policy, fit, load, save
from benchmarks.learned.labels import read_questions
from orchestra.core.errors import InvalidPolicy, InvalidTable
from tests.unit.benchmarks.learned.test_fit import labels


@pytest.fixture(scope="module")
def policy() -> Policy:
    texts, right, groups = labels(60)
    return fit(texts, right, groups, trees=5)


@pytest.fixture
def saved(policy: Policy, tmp_path: Path) -> Path:
    save(policy, tmp_path / "policy.npz")
    return tmp_path / "policy.npz"


def test_a_policy_is_the_same_after_a_round_trip(policy: Policy, saved: Path) -> None:
    again = load(saved)
    texts, _, _ = labels(20, seed=9)
    assert np.array_equal(again.gains(texts), policy.gains(texts))
    assert again.evidence == policy.evidence
    assert again.predict(texts[0]) == policy.predict(texts[0])
    assert again.refuses == policy.refuses


def test_a_policy_file_is_small(saved: Path) -> None:
    assert saved.stat().st_size < 100_000


def rewrite(path: Path, change: Callable[[dict[str, Any], dict[str, Any]], None]) -> None:
    with np.load(path) as stored:
        arrays: dict[str, Any] = {name: stored[name] for name in stored.files}
    header = json.loads(arrays.pop("header").tobytes())
    change(header, arrays)
    text = np.frombuffer(json.dumps(header).encode(), dtype=np.uint8)
    np.savez_compressed(path, header=text, **arrays)


@pytest.mark.parametrize("changed", [{"format": "orchestra text policy 9"}, {"cues_version": 0}])
def test_a_policy_of_another_version_says_which(saved: Path, changed: dict[str, Any]) -> None:
    rewrite(saved, lambda header, _: header.update(changed))
    with pytest.raises(InvalidPolicy, match=r"this version reads .* Fit it again"):
        load(saved)


CIRCLE = "left holds values that no forest has"
BROKEN: list[tuple[Callable[[dict[str, Any], dict[str, Any]], None], str]] = [
    (lambda header, arrays: arrays["left"].__setitem__(0, 0), CIRCLE),
    (lambda header, arrays: arrays["left"].__setitem__(0, len(arrays["left"])), CIRCLE),
    (lambda header, arrays: arrays["column"].__setitem__(0, 999), "column holds"),
    (lambda header, arrays: arrays["value"].__setitem__(0, np.nan), "value holds"),
    (lambda header, arrays: arrays.update(roots=np.array([], dtype=np.int32)), "roots holds"),
    (lambda header, arrays: arrays.update(value=arrays["value"][:, :1]), "value has the shape"),
    (lambda header, arrays: arrays.__delitem__("cut"), "cut"),
    (lambda header, arrays: header.update(extra=1), "validation error"),
    (lambda header, arrays: header.update(models=["small", "other"]), "measured for"),
]


@pytest.mark.parametrize(("change", "message"), BROKEN)
def test_a_policy_that_was_tampered_with_is_refused(
    saved: Path, change: Callable[[dict[str, Any], dict[str, Any]], None], message: str
) -> None:
    rewrite(saved, change)
    with pytest.raises(InvalidPolicy, match=rf"is broken: .*{message}"):
        load(saved)


def test_a_file_that_is_cut_off_is_refused(saved: Path) -> None:
    saved.write_bytes(saved.read_bytes()[:-200])
    with pytest.raises(InvalidPolicy, match="is broken"):
        load(saved)


@pytest.mark.parametrize("content", [b"", b"not a zip", b"\x80\x04N."])
def test_a_file_of_something_else_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "policy.npz").write_bytes(content)
    with pytest.raises(InvalidPolicy, match="is broken"):
        load(tmp_path / "policy.npz")


def test_pickled_objects_in_a_file_are_never_run(tmp_path: Path) -> None:
    np.savez(tmp_path / "policy.npz", header=np.array([{"a": 1}], dtype=object))
    with pytest.raises(InvalidPolicy, match="is broken"):
        load(tmp_path / "policy.npz")


def test_a_missing_policy_names_its_place(tmp_path: Path) -> None:
    with pytest.raises(InvalidPolicy, match=r"no policy at '.*none\.npz'"):
        load(tmp_path / "none.npz")


def test_questions_are_read_with_or_without_subjects(tmp_path: Path) -> None:
    path = tmp_path / "q.csv"
    path.write_text('prompt,weak_correct,strong_correct\n"a\nb",0,1\nc,1.0,True\n')
    questions = read_questions(path)
    assert questions.prompts == ["a\nb", "c"]
    assert (questions.weak.tolist(), questions.strong.tolist()) == ([0, 1], [1, 1])
    assert questions.subjects == ["", ""]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("prompt,weak_correct\na,1\n", "no column 'strong_correct'"),
        ("prompt,weak_correct,strong_correct\n", "are empty"),
        ("prompt,weak_correct,strong_correct\na,1,maybe\n", "Row 1 has 'maybe'"),
        ("prompt,weak_correct,strong_correct\na,1\n", "Row 1 has None"),
    ],
)
def test_a_table_that_is_no_questions_says_why(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "q.csv").write_text(text)
    with pytest.raises(InvalidTable, match=message):
        read_questions(tmp_path / "q.csv")
