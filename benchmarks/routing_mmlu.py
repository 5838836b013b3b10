"""Scores learned routing between two models on MMLU, on subjects it has not seen and in-domain.

    python benchmarks/routing_mmlu.py ../shared/data/routing/mmlu.csv.gz [--save P]

The columns are `subject`, `prompt`, `weak_correct`, `strong_correct`. Every estimate comes from
trees that saw neither the question's fold nor the same prompt elsewhere; what is chosen is chosen
within the training rows. Held out are whole subjects (10 folds, bootstrap over subjects); in-domain
are 5 folds of prompts (bootstrap over questions). TF-IDF ridge gets the better of two penalties,
chosen on the very scores that are printed, which flatters it. `--save` fits on all questions.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks.learned import Policy, save
from benchmarks.learned.curve import (
    Floats,
    apgr,
    difference,
    routing_score,
)
from benchmarks.learned.fit import TREES, labelled_rows, policy_of
from benchmarks.learned.held_out import Labelled, held_out, split
from benchmarks.learned.labels import Questions, read_questions
from benchmarks.routing_score import HEADER, lengths, line

MODELS = ("weak", "strong")
VOCABULARY, PENALTIES = 1500, (3.0, 30.0)
WORD = re.compile(r"[a-z]{2,}|\d+")
PUBLISHED = (
    "published: RouteLLM .603 (CPT50 35.4, CPT80 71.6), with 1.5k golden labels; prompt length "
    ".583; TF-IDF ridge .566 held-out, .672 in-domain; random .484-.516"
)


@dataclass(frozen=True)
class Setting:
    """How questions are held out, and over what the intervals are drawn."""

    name: str
    labelled: Labelled
    folds: int
    by_group: bool


def tfidf(prompts: list[str]) -> Floats:
    """Unit rows of (1 + log tf) idf over the commonest words, shape (prompts, VOCABULARY)."""
    counted = [Counter(WORD.findall(prompt.lower())) for prompt in prompts]
    seen = Counter(word for words in counted for word in words)
    columns = {word: at for at, (word, _) in enumerate(seen.most_common(VOCABULARY))}
    table = np.zeros((len(prompts), len(columns)), dtype=np.float32)
    for at, words in enumerate(counted):
        for word, count in words.items():
            if word in columns:
                table[at, columns[word]] = 1 + np.log(count)
    table *= np.log(len(prompts) / (table > 0).sum(axis=0))
    return table / np.maximum(np.linalg.norm(table, axis=1, keepdims=True), 1e-9)


def ridge(table: Floats, target: Floats, setting: Setting, seed: int) -> Floats:
    """Held-out predictions, with the penalty of the best APGR on the labels that are scored."""
    predictions = np.zeros((len(PENALTIES), len(target)))
    whole = table.T @ table
    for train, test in split(setting.labelled, setting.folds, seed):
        mean = target[train].mean()
        left_out = np.delete(table, train, axis=0)
        moment = table[train].T @ (target[train] - mean).astype(np.float32)
        for at, penalty in enumerate(PENALTIES):
            gram = whole - left_out.T @ left_out + penalty * np.eye(len(whole), dtype=np.float32)
            predictions[at, test] = mean + table[test] @ np.linalg.solve(gram, moment)
    weak, strong = setting.labelled.right.T
    return max(predictions, key=lambda prediction: apgr(prediction, weak, strong))


def compare(
    setting: Setting, estimates: Floats, questions: Questions, seed: int, as_json: bool
) -> None:
    """Print policy and baselines, each as soon as it is scored, and the policy's lead in APGR."""
    length, labels = lengths(questions.prompts), (questions.weak, questions.strong)
    groups = setting.labelled.groups if setting.by_group else None
    policy = estimates[:, 1] - estimates[:, 0]

    def show(name: str, ranking: Floats) -> None:
        score = routing_score(ranking, *labels, groups)
        row = {"setting": setting.name, "ranking": name, **asdict(score)}
        print(json.dumps(row) if as_json else line(name, score), flush=True)

    if not as_json:
        print(f"== {setting.name}\n{HEADER}", flush=True)
    show("learned policy", policy)
    show("prompt length", length)
    show("random", np.random.default_rng(seed).random(len(length)))
    show("TF-IDF ridge", ridge(tfidf(questions.prompts), labels[1] - labels[0], setting, seed))
    lead = difference(policy, length, *labels, groups)
    row = {"setting": setting.name, "apgr_over_prompt_length": asdict(lead)}
    text = f"APGR of the policy over prompt length: {lead}\n"
    print(json.dumps(row) if as_json else text, flush=True)


def settings(by_subject: Labelled) -> list[Setting]:
    """Held-out subjects, and in-domain, where each different prompt is a group of its own."""
    by_prompt = replace(by_subject, groups=by_subject.texts)
    return [
        Setting("held-out subjects, 10 folds", by_subject, 10, by_group=True),
        Setting("in-domain, 5 folds", by_prompt, 5, by_group=False),
    ]


def _progress(setting: Setting) -> Callable[[int, int], None]:
    def tell(fold: int, depth: int) -> None:
        print(f"{setting.name}: fold {fold} (depth {depth})", file=sys.stderr)

    return tell


def main() -> None:
    """Score both settings, print both tables, and save a policy if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("questions", type=Path)
    parser.add_argument("--save", type=Path, help="fit on all questions and write the policy here")
    parser.add_argument("--trees", type=int, default=TREES)
    parser.add_argument("--seed", type=int, default=0, help="of folds and trees")
    parser.add_argument("--json", action="store_true", help="a JSON object a line")
    given = parser.parse_args()
    questions = read_questions(given.questions)
    right = {"weak": questions.weak.tolist(), "strong": questions.strong.tolist()}
    labelled, subjects = labelled_rows(questions.prompts, right, questions.subjects)
    for setting in settings(labelled):
        estimates = held_out(
            setting.labelled, setting.folds, given.trees, given.seed, _progress(setting)
        )
        if setting.by_group and given.save:
            policy = policy_of(
                labelled, subjects, MODELS, estimates, seed=given.seed, trees=given.trees
            )
            save(policy, given.save)
            tell_policy(policy, given.save)
        compare(setting, estimates, questions, given.seed, given.json)
    print(PUBLISHED, file=sys.stderr)


def tell_policy(policy: Policy, path: Path) -> None:
    """Say what was saved, and whether it may claim a gain."""
    print(f"saved {str(path)!r}: {path.stat().st_size / 1024:.0f} KiB", file=sys.stderr)
    print(f"labels not believed: {policy.evidence.left_out or 'none'}", file=sys.stderr)
    print(policy.refuses or "a gain may be claimed: its interval is above 0", file=sys.stderr)


if __name__ == "__main__":
    main()
