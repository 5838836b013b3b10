"""The routing benchmarks as a user types them, on a small table with a difference to find."""

from __future__ import annotations

import csv
import gzip
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.unit.quality.learned.test_fit import labels

ROOT = Path(__file__).parents[2]


def run(*arguments: str) -> list[dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(row) for row in done.stdout.splitlines()]


def write_questions(path: Path, seed: int) -> None:
    texts, right, groups = labels(240, seed)
    rows = zip(groups, texts, right["small"], right["big"], strict=True)
    with gzip.open(path, "wt", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["subject", "prompt", "weak_correct", "strong_correct"])
        writer.writerows((group, text, int(w), int(s)) for group, text, w, s in rows)


@pytest.mark.timeout(1200)  # five seconds of work, on a machine that may be busy
def test_a_policy_fitted_by_one_benchmark_is_scored_by_the_other(tmp_path: Path) -> None:
    write_questions(tmp_path / "mmlu.csv.gz", seed=0)
    write_questions(tmp_path / "other.csv.gz", seed=1)
    policy = str(tmp_path / "policy.json")
    rows = run(
        "-m", "benchmarks.routing_mmlu", str(tmp_path / "mmlu.csv.gz"),
        "--save", policy, "--trees", "5", "--no-encoder", "--json",
    )  # fmt: skip
    scored = {(row["setting"], row["ranking"]): row for row in rows if "ranking" in row}
    held_out = scored["held-out subjects, 10 folds", "learned policy"]
    assert held_out["apgr"]["low"] > 0.5
    assert len(scored) == 8  # two settings of policy, length, random and TF-IDF
    (other,) = run(
        "-m", "benchmarks.routing_score", "--policy", policy,
        "--questions", str(tmp_path / "other.csv.gz"), "--json",
    )  # fmt: skip
    assert other["covered"] > 0.9
    assert other["policy"]["apgr"]["low"] > 0.5
    assert other["random"]["apgr"]["low"] < 0.5 < other["random"]["apgr"]["high"]


def write_models(path: Path, seed: int) -> None:
    """Three models: two that are right on different texts, and a small one that never is."""
    texts, right, _ = labels(200, seed)
    hard = [float(small == 0) for small in right["small"]]
    rows = [
        {
            "question": text,
            "scores": dict(
                sorted(
                    {"easy-4b": 1 - own, "hard-4b": own, "never-1b": 0.0}.items(),
                    reverse=bool(seed),
                )
            ),
            "cluster_id": 0,
        }
        for text, own in zip(texts, hard, strict=True)
    ]
    with gzip.open(path, "wt", encoding="utf-8") as file:
        json.dump(rows, file)


@pytest.mark.timeout(1200)
def test_many_models_are_routed_among_and_beat_the_best_single_one(tmp_path: Path) -> None:
    write_models(tmp_path / "train.json.gz", seed=0)
    write_models(tmp_path / "test.json.gz", seed=1)
    command = ("-m", "benchmarks.routing_models", str(tmp_path / "test.json.gz"), "--no-encoder")
    (fitted,) = run(*command, "--train", str(tmp_path / "train.json.gz"), "--json")
    crossed, *_ = run(*command, "--json")
    for setting in (fitted, crossed):
        ways = {way["routing"]: way for way in setting["ways"]}
        assert ways["learned, at equal cost"]["gain"]["low"] > 0.1
        assert ways["learned, at equal cost"]["cost"] <= ways["best single model"]["cost"] * 1.05
        assert ways["the best of each (oracle)"]["score"] == 1
