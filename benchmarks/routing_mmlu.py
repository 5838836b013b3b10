"""Scores learned routing between two models on MMLU, on subjects it has not seen and in-domain.

    python -m benchmarks.routing_mmlu ../shared/data/routing/mmlu.csv.gz [--save P] [--no-encoder]

The columns are `subject`, `prompt`, `weak_correct`, `strong_correct`. Every estimate comes from a
fit that saw neither the question's fold nor the same prompt elsewhere; what is chosen is chosen
within the training rows. Held out are whole subjects (10 folds, bootstrap over subjects), of which
`--without maths` fits on all subjects but maths and scores those (a proxy for word problems), and
in-domain are 5 folds of prompts (bootstrap over questions). TF-IDF ridge gets the better of two
penalties, chosen on the very scores that are printed, which flatters it. `--save` fits on all
questions, for `benchmarks.routing_score`.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks.parts.routing_curve import Floats, apgr, difference, routing_score
from benchmarks.parts.routing_questions import Questions, read_questions
from benchmarks.routing_models import vectors_once
from benchmarks.routing_score import HEADER, lengths, line
from orchestra.core.files.atomic import write_text
from orchestra.fleet.encoders import DEFAULT, encoder_of
from orchestra.quality.learned.fit import (
    Learnt,
    Scored,
    folds_of,
    learn,
    scored,
    split,
    suspect_groups,
)
from orchestra.quality.learned.learner import TREES
from orchestra.quality.learned.text_quality import TextQuality

MODELS = ("weak", "strong")
VOCABULARY, PENALTIES = 1500, (3.0, 30.0)
WORD = re.compile(r"[a-z]{2,}|\d+")
MATHS = re.compile(r"math|algebra|statistics|physics")
PUBLISHED = (
    "published: RouteLLM .603 (CPT50 35.4, CPT80 71.6), with 1.5k golden labels; prompt length "
    ".583; TF-IDF ridge .566 held-out, .672 in-domain; random .484-.516"
)


@dataclass(frozen=True)
class Setting:
    """How questions are held out, and over what the intervals are drawn."""

    name: str
    data: Scored
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
    whole, fold = table.T @ table, folds_of(setting.data, setting.folds, seed)
    for held in np.unique(fold):
        test, train = split(setting.data, fold, int(held), np.arange(len(target)))
        mean = target[train].mean()
        left_out = np.delete(table, train, axis=0)
        moment = table[train].T @ (target[train] - mean).astype(np.float32)
        for at, penalty in enumerate(PENALTIES):
            gram = whole - left_out.T @ left_out + penalty * np.eye(len(whole), dtype=np.float32)
            predictions[at, test] = mean + table[test] @ np.linalg.solve(gram, moment)
    weak, strong = setting.data.scores.T
    return max(predictions, key=lambda prediction: apgr(prediction, weak, strong))


def compare(
    setting: Setting, found: Learnt, questions: Questions, seed: int, as_json: bool
) -> None:
    """Print the learned ranking and the others, and its lead in APGR over prompt length."""
    length, labels = lengths(questions.prompts), (questions.weak, questions.strong)
    groups = setting.data.groups if setting.by_group else None
    learned = found.estimates[:, 1] - found.estimates[:, 0]

    def show(name: str, ranking: Floats) -> None:
        score = routing_score(ranking, *labels, groups)
        row = {"setting": setting.name, "ranking": name, **asdict(score)}
        print(json.dumps(row) if as_json else line(name, score), flush=True)

    if not as_json:
        print(f"== {setting.name}\n{HEADER}", flush=True)
    show("learned policy", learned)
    show("prompt length", length)
    show("random", np.random.default_rng(seed).random(len(length)))
    show("TF-IDF ridge", ridge(tfidf(questions.prompts), labels[1] - labels[0], setting, seed))
    lead = difference(learned, length, *labels, groups)
    row = {"setting": setting.name, "apgr_over_prompt_length": asdict(lead)}
    text = f"APGR of the learned policy over prompt length: {lead}\n"
    print(json.dumps(row) if as_json else text, flush=True)


def settings(data: Scored) -> Iterator[Setting]:
    """Held-out subjects, and in-domain, where each different prompt is a group of its own."""
    yield Setting("held-out subjects, 10 folds", data, 10, by_group=True)
    names = tuple(map(str, range(int(data.texts.max()) + 1)))
    alone = replace(data, groups=data.texts, names=names)
    yield Setting("in-domain, 5 folds", alone, 5, by_group=False)


def without_maths(data: Scored, questions: Questions, trees: int, seed: int) -> None:
    """Fit on all other subjects, and score those of maths, where they were graded rightly."""
    broken = [data.names[at] for at in suspect_groups(data)]
    graded = np.array([subject not in broken for subject in questions.subjects])
    maths = np.array([bool(MATHS.search(subject)) for subject in questions.subjects])
    learner = learn(data.part(np.flatnonzero(~maths)), seed=seed, trees=trees).learner
    test = data.part(np.flatnonzero(maths & graded))
    weak, strong = test.scores.T
    gains, length = learner.gains(test.read), lengths(questions.prompts)[maths & graded]
    print(f"== maths left out: {len(test)} questions; without {', '.join(broken)}\n{HEADER}")
    print(line("learned policy", routing_score(gains, weak, strong)))
    print(line("prompt length", routing_score(length, weak, strong)))
    print(
        f"APGR of the learned policy over prompt length: {difference(gains, length, weak, strong)}"
    )


def main() -> None:
    """Score both settings, print both tables, and save what was learnt if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("questions", type=Path)
    parser.add_argument("--save", type=Path, help="fit on all questions and write that here")
    parser.add_argument("--without", choices=["maths"], help="only fit without, and score, these")
    parser.add_argument("--no-encoder", action="store_true", help="learn from cues alone")
    parser.add_argument("--trees", type=int, default=TREES)
    parser.add_argument("--seed", type=int, default=0, help="of folds and trees")
    parser.add_argument("--json", action="store_true", help="a JSON object a line")
    given = parser.parse_args()
    questions = read_questions(given.questions)
    right = {"weak": questions.weak.tolist(), "strong": questions.strong.tolist()}
    encoder = None if given.no_encoder else encoder_of(DEFAULT)
    vectors = vectors_once(encoder and encoder.vectors)
    data = scored(questions.prompts, right, vectors, questions.subjects)
    if given.without:
        return without_maths(data, questions, given.trees, given.seed)
    for setting in settings(data):
        found = learn(
            setting.data,
            seed=given.seed,
            folds=setting.folds,
            trees=given.trees,
            progress=lambda fold, name=setting.name: print(f"{name}: fold {fold}", file=sys.stderr),
        )
        if setting.by_group and given.save:
            keep(found, given.save, "" if encoder is None else encoder.name)
        compare(setting, found, questions, given.seed, given.json)
    print(PUBLISHED, file=sys.stderr)
    return None


def keep(found: Learnt, path: Path, encoder: str) -> None:
    """Write what was learnt, and say whether it may claim a gain."""
    kept = TextQuality.of(found, MODELS, "answer", "", encoder)
    write_text(path, kept.model_dump_json(indent=2))
    print(f"saved {str(path)!r}: {path.stat().st_size / 1024:.0f} KiB", file=sys.stderr)
    print(f"labels not believed: {kept.evidence.left_out or 'none'}", file=sys.stderr)
    print(kept.refuses or "a gain may be claimed: its interval is above 0", file=sys.stderr)


if __name__ == "__main__":
    main()
