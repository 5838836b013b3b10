"""Scores attention maps on planted scenes: where they point, and whether the model agrees.

    python -m benchmarks.attention --checkpoint workers/checkpoints/vl --scenes 200

Prints a Markdown table: pointing game (is the strongest point on the thing that was asked for),
IoU of the strongest region, and the share of the weight on the thing, for the answers that are
right; beside them a point drawn at random and the middle of the picture. Then deletion and
insertion, and what is left of a map when the weights are drawn anew (`attention_faith`).
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.parts.attention_faith import Faith, faith, likeness
from benchmarks.parts.attention_scenes import SIDE_PX, Planted, planted
from orchestra.core.stats import wilson
from orchestra.images.attention import AttentionMap
from workers.attention.methods import METHODS
from workers.engine import TransformersEngine

MIDDLE = (SIDE_PX / 2, SIDE_PX / 2)


@dataclass(frozen=True, slots=True)
class Scored:
    """One map beside what it should show."""

    case: Planted
    found: AttentionMap
    seconds: float

    @property
    def is_right(self) -> bool:
        """Whether the answer is the true one."""
        return self.found.value == self.case.truth


def score(engine: TransformersEngine, cases: Sequence[Planted], method: str) -> list[Scored]:
    """The maps of one method."""
    scored = []
    for case in cases:
        started = time.perf_counter()
        (found,) = engine.attend(case.call, method)
        scored.append(Scored(case, found, time.perf_counter() - started))
    return scored


def line(method: str, scored: Sequence[Scored]) -> str:
    """One row of the table."""
    hits = [entry.case.holds(entry.found.peak) for entry in scored]
    overlaps = [entry.case.overlap(entry.found.box) for entry in scored]
    weights = [entry.case.weight(entry.found) for entry in scored]
    low, high = wilson(sum(hits), len(hits)) or (0.0, 1.0)
    seconds = statistics.median(entry.seconds for entry in scored)
    return (
        f"| {method} | {len(hits)} | {sum(hits) / len(hits):.1%} ({low:.1%} to {high:.1%}) | "
        f"{statistics.mean(overlaps):.3f} | {statistics.mean(weights):.1%} | {seconds * 1000:.0f} |"
    )


def baselines(cases: Sequence[Planted]) -> str:
    """What needs no model: a random point, and the middle."""
    share = statistics.mean(case.share for case in cases)
    middle = statistics.mean(case.holds(MIDDLE) for case in cases)
    return f"a random point hits {share:.1%}, the middle of the picture {middle:.1%}"


def print_pointing(by_method: dict[str, list[Scored]]) -> None:
    """The tables of all answers that are right, with one thing and with several."""
    parts = {"one thing": (True,), "several things": (False,), "both": (True, False)}
    for name, alone in parts.items():
        print(f"\n{name}, right answers\n")
        print("| method | n | pointing game (95%) | IoU | weight on it | ms a map |")
        print("|---|---|---|---|---|---|")
        cases: list[Planted] = []
        for method, scored in by_method.items():
            rows = [e for e in scored if e.is_right and e.case.is_alone in alone]
            if rows:
                print(line(method, rows), flush=True)
            cases = [entry.case for entry in rows]
        if cases:
            print(f"\n{baselines(cases)}")


def print_faith(found: dict[str, Faith], blank: float) -> None:
    """The table of deletion and insertion."""
    print("\ndeletion (lower is better) and insertion (higher): mean probability of the answer\n")
    print("| order | deletion | insertion |")
    print("|---|---|---|")
    for method, score_ in found.items():
        print(f"| {method} | {score_.deletion:.3f} | {score_.insertion:.3f} |")
    print(f"\nthe same answers on a blank picture: {blank:.3f}")


def main() -> None:
    """Parse the command line and print the tables."""
    parser = argparse.ArgumentParser(description="Score attention maps on planted scenes.")
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--scenes", type=int, default=200)
    parser.add_argument("--first", type=int, default=0, help="the first scene; develop on others")
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--faith", type=int, default=40, help="scenes for the costly scores")
    parser.add_argument("--drawn-only", action="store_true", help="no plain shapes")
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    engine = TransformersEngine.load(given.checkpoint, threads=given.threads)
    cases = planted(given.scenes, first=given.first, drawn_only=given.drawn_only)
    methods = given.methods.split(",")
    by_method = {method: score(engine, cases, method) for method in methods}
    right = [entry.is_right for entry in by_method[methods[0]]]
    print(f"{len(cases)} scenes, answers right: {sum(right) / len(right):.1%}")
    print_pointing(by_method)
    if not given.faith:
        return
    kept = [at for at, is_right in enumerate(right) if is_right][: given.faith]
    chosen = {method: [scored[at].found for at in kept] for method, scored in by_method.items()}
    found, blank = faith(engine, [cases[at] for at in kept], chosen)
    print_faith(found, blank)
    print("\nrank correlation with the map of drawn weights (0 is best)\n")
    alike = likeness(given.checkpoint, [cases[at] for at in kept], chosen)
    for method, value in alike.items():
        print(f"| {method} | {value:+.3f} |")


if __name__ == "__main__":
    main()
