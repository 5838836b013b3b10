"""Scores a saved policy on labelled questions; it fits nothing.

    python -m benchmarks.routing_score --policy P --questions Q.csv.gz

P is what `benchmarks.routing_mmlu --save` wrote.

The columns are `prompt`, `weak_correct`, `strong_correct` and, if there is one, `subject`. Prints
APGR, CPT50 and CPT80 of the policy with 95% intervals (bootstrap over questions), beside the
prompt's length and routing at random.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

import numpy as np

from benchmarks.parts.routing_curve import Floats, RoutingScore, difference, routing_score
from benchmarks.parts.routing_questions import read_questions
from orchestra.fleet.encoders import encoder_of
from orchestra.quality.learned.columns import ReadTexts
from orchestra.quality.learned.text_quality import NEAR, TextQuality

HEADER = f"{'':28}{'APGR':24}{'CPT50':26}CPT80"


def line(name: str, score: RoutingScore) -> str:
    """One row of the table."""
    cells = (f"{s.value:5.1f} [{s.low:.1f}, {s.high:.1f}]" for s in (score.cpt50, score.cpt80))
    return f"{name:28}{score.apgr!s:24}{''.join(f'{cell:26}' for cell in cells)}".rstrip()


def lengths(prompts: list[str]) -> Floats:
    """Characters of each prompt."""
    return np.array([len(prompt) for prompt in prompts], dtype=np.float64)


def main() -> None:
    """Load, score, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--policy", type=Path, required=True)
    parser.add_argument("--questions", type=Path, required=True)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    given = parser.parse_args()
    policy = TextQuality.model_validate_json(given.policy.read_bytes())
    questions, encoder = read_questions(given.questions), encoder_of(policy.encoder)
    labels, learner = (questions.weak, questions.strong), policy.learner
    read = ReadTexts.of(questions.prompts, encoder and encoder.vectors)
    gains, length = learner.gains(read), lengths(questions.prompts)
    scores = {
        "policy": routing_score(gains, *labels),
        "prompt length": routing_score(length, *labels),
        "random": routing_score(np.random.default_rng(0).random(len(length)), *labels),
    }
    margin = difference(gains, length, *labels)
    covered = float(np.mean(learner.estimate(read)[1] >= NEAR))
    if given.json:
        rows = {name: asdict(score) for name, score in scores.items()}
        print(json.dumps({**rows, "over_length": asdict(margin), "covered": covered}))
        return
    weak, strong = (float(label.mean()) for label in labels)
    print(f"{len(length)} questions; right: weak {weak:.3f}, strong {strong:.3f}")
    print(f"near what was labelled: {covered:.1%} (the farther, the more by length)")
    print(HEADER)
    for name, score in scores.items():
        print(line(name, score))
    print(f"APGR of the policy over prompt length: {margin}")


if __name__ == "__main__":
    main()
