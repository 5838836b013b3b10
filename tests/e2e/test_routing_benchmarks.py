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

from tests.unit.benchmarks.learned.test_fit import labels

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
    policy = str(tmp_path / "policy.npz")
    rows = run(
        "benchmarks/routing_mmlu.py", str(tmp_path / "mmlu.csv.gz"),
        "--save", policy, "--trees", "5", "--json",
    )  # fmt: skip
    scored = {(row["setting"], row["ranking"]): row for row in rows if "ranking" in row}
    held_out = scored["held-out subjects, 10 folds", "learned policy"]
    assert held_out["apgr"]["low"] > 0.5
    assert len(scored) == 8  # two settings of policy, length, random and TF-IDF
    (other,) = run(
        "benchmarks/routing_score.py", "--policy", policy,
        "--questions", str(tmp_path / "other.csv.gz"), "--json",
    )  # fmt: skip
    assert other["covered"] == 1
    assert other["policy"]["apgr"]["low"] > 0.5
    assert other["random"]["apgr"]["low"] < 0.5 < other["random"]["apgr"]["high"]
