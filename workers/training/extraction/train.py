"""Trains the reader and writes its folder.

    python -m workers.training.extraction.train DATA --out FOLDER [--without Coffee Toothbrush]

DATA holds `oamine_train.jsonl` and `ae110k_train.jsonl`. With `--without` those categories are left
out and measured: the figure for attributes of kinds that training never saw. `--only SET` trains on
one set and measures the other. Without either, all is trained on and nothing measured.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from transformers import BertConfig

from workers.encoder.weights import bert_weights
from workers.extraction.marks import COUNT
from workers.training.extraction.encodings import Encodings
from workers.training.extraction.export import export
from workers.training.extraction.fit import Guess, Schedule, fit, read
from workers.training.extraction.generated import generate
from workers.training.extraction.lessons import ReadingLesson, lesson_of
from workers.training.extraction.network import Reader, adapt
from workers.training.extraction.products import product_titles
from workers.training.extraction.renamed import renamed
from workers.training.extraction.swapped import swapped
from workers.training.extraction.titles import Title, only, read_titles, score, without

LAYERS, DEPTH, RANK = 12, 6, 32
SETS = ("oamine", "ae110k")
LEVELS = (0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.7, 0.8, 0.9)


class Fields:
    """What a field is to the reader: the mean of its words' states, and its vector (2, H)."""

    def __init__(self, encodings: Encodings) -> None:
        self._encodings = encodings
        self._known: dict[str, NDArray[np.float32]] = {}

    def __call__(self, title: Title, name: str) -> NDArray[np.float32]:
        asked = title.asking(name)
        if asked not in self._known:
            vector, states, _ = self._encodings[asked]
            self._known[asked] = np.stack([states.astype(np.float32).mean(0), vector])
        return self._known[asked]


def lessons_of(titles: Sequence[Title], encodings: Encodings) -> list[ReadingLesson]:
    """The lessons of `titles`, encoded where they are not yet."""
    encodings.add([t.text for t in titles])
    encodings.add([t.asking(name) for t in titles for name in t.asked])
    return [lesson_of(title, encodings[title.text]) for title in titles]


def fresh_reader(depth: int = DEPTH) -> Reader:
    """A reader whose layers are the encoder's last, with adapters that add nothing yet."""
    config = BertConfig(
        hidden_size=384,
        num_attention_heads=12,
        intermediate_size=1536,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    config._attn_implementation = "eager"
    reader = Reader(config, depth, COUNT)
    weights = bert_weights()
    for place, layer in enumerate(reader.layers):
        start = f"encoder.layer.{LAYERS - depth + place}."
        own = {n.removeprefix(start): v for n, v in weights.items() if n.startswith(start)}
        layer.load_state_dict({name: torch.tensor(value) for name, value in own.items()})
        adapt(layer, RANK)
    return reader


def taught(args: argparse.Namespace) -> tuple[list[Title], dict[str, list[Title]]]:
    """What is trained on, and what is measured by name."""
    sets = {name: read_titles(args.data / f"{name}_train.jsonl") for name in SETS}
    own = [args.only] if args.only else list(SETS)
    real = [title for name in own for title in without(sets[name], args.without)]
    titles = [*real, *renamed(real, seed=1)]
    for turn in range(args.turns):
        titles += renamed(swapped(real, seed=turn), seed=100 + turn)
    titles += generate(args.generated, seed=args.seed)
    titles += product_titles(args.products, seed=args.seed)
    held = {name: only(sets[name], args.without) for name in own if args.without}
    held |= {name: sets[name] for name in SETS if name not in own}
    return titles, {name: held_out for name, held_out in held.items() if held_out}


def measured(titles: Sequence[Title], guesses: Sequence[Mapping[str, Guess]]) -> list[str]:
    """Scores by the probability from which on a value is given, one value a place of the text."""
    lines = []
    for least in LEVELS:
        found = [_kept(guess, least) for guess in guesses]
        lines.append(f"  from {least}: {score(titles, found)}")
    return lines


def _kept(guesses: Mapping[str, Guess], least: float) -> dict[str, tuple[str, ...]]:
    """The likeliest values that do not overlap."""
    used: list[tuple[int, int]] = []
    kept: dict[str, tuple[str, ...]] = {}
    for name, one in sorted(guesses.items(), key=lambda pair: -pair[1].probability):
        start, end = one.span
        if one.probability >= least and not any(a < end and start < b for a, b in used):
            used.append(one.span)
            kept[name] = (one.value,)
    return kept


def main() -> None:
    """Parse the command line, train, measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--without", nargs="*", default=[])
    parser.add_argument("--only", choices=SETS)
    parser.add_argument("--turns", type=int, default=2)
    parser.add_argument("--generated", type=int, default=9000)
    parser.add_argument("--products", type=int, default=1000)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--weights", type=Path, help="where to keep the weights as float32")
    parser.add_argument("--temperature", type=float, default=2.2)
    parser.add_argument("--least", type=float, default=0.3)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(args.seed)
    titles, held = taught(args)
    encodings = Encodings(LAYERS - DEPTH, args.cache)
    lessons = [lesson for lesson in lessons_of(titles, encodings) if lesson.names]
    random.Random(args.seed).shuffle(lessons)
    print(f"{len(lessons)} texts, {sum(len(one.names) for one in lessons)} fields", flush=True)
    reader, fields = fresh_reader(), Fields(encodings)
    recipe = Schedule(steps=args.steps, seed=args.seed)
    fit(reader, lessons, fields, recipe, told=lambda line: print(line, flush=True))
    if args.weights:
        save_file(reader.state_dict(), args.weights)
    if args.out:
        config = {"states_of": encodings.layer, "temperature": args.temperature}
        export(reader, args.out, {**config, "least": args.least})
    found: list[Mapping[str, Guess]] = []
    for name, part in held.items():
        asked = lessons_of([replace(title, values={}) for title in part], encodings)
        found += read(reader, asked, fields, temperature=args.temperature)
        print(f"{name}: {len(part)} titles")
        print("\n".join(measured(part, found[-len(part) :])), flush=True)
    if len(held) > 1:
        every = [title for part in held.values() for title in part]
        print(f"all: {len(every)} titles\n" + "\n".join(measured(every, found)))


if __name__ == "__main__":
    main()
