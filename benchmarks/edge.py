"""Sets v2 on the edge engine beside r1: quality, decode speed and file size, in one process.

    python benchmarks/edge.py workers/checkpoints/r1 workers/checkpoints/v2

Quality is measured through the engines on held-out synthetic examples, decoded freely; with
`--texts products.csv` also by the category of real texts, held to what each text says. Speed is
the best of `--repeats` over equal numbers of tokens, in turns, one thread.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import json
import random
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from safetensors import safe_open

from graphs.listing import default_recipe
from orchestra.core.call import Call, Engine, Reply, Turn
from orchestra.core.schema import choice_terms, narrow
from orchestra.core.text import sanitise
from orchestra.core.values import lower
from workers.edge.engine import EdgeEngine
from workers.engine import TransformersEngine
from workers.onnx.engine import OnnxEngine
from workers.training.text.scoring import shares
from workers.training.texts.corpus import make_example
from workers.training.texts.example import Example

TASKS = ("extract", "write", "answer", "ask", "classify", "triples", "fields", "summarise", "chat")
COLUMNS = ("name", "description_en", "information")
AT_ONCE = 32
TEXT = "name: Golden Delicious {}\ndescription: A sweet and juicy apple from Italy, ripe, 500 g."
SPELL = {
    "type": "object",
    "properties": {"note": {"type": "string", "minLength": 60, "maxLength": 60}},
}


def examples(count: int) -> list[Example]:
    """`count` held-out examples of each task that are answered without thinking first."""
    rng = random.Random("edge")
    found = []
    for task in TASKS:
        made = (make_example(rng, task, "heldout") for _ in itertools.count())
        found += itertools.islice((e for e in made if e.thought is None), count)
    return found


def answer_all(engine: Engine, calls: Sequence[Call]) -> list[Reply | None]:
    """Replies in order; None where the engine gave an error."""
    replies: list[Reply | None] = []
    for start in range(0, len(calls), AT_ONCE):
        answers = engine.generate(calls[start : start + AT_ONCE])
        replies += [answer if isinstance(answer, Reply) else None for answer in answers]
    return replies


def quality(engine: Engine, asked: Sequence[Example]) -> dict[str, float]:
    """The share of each task that is right: the mean over what is counted of it."""
    calls = [
        Call(
            e.instruction,
            e.data,
            max_tokens=min(len(e.answer) + 40, 320),
            turns=tuple(Turn("assistant" if r == "assistant" else "user", t) for r, t in e.turns),
        )
        for e in asked
    ]
    texts = [reply.text if reply else "" for reply in answer_all(engine, calls)]
    measures = defaultdict(list)
    for name, share in shares(asked, texts).items():
        if name.endswith("exact"):
            measures[name.partition(":")[0].removesuffix(" exact")].append(share)
    return {task: sum(found) / len(found) for task, found in sorted(measures.items())}


def category(engine: Engine, table: Path) -> tuple[int, int]:
    """How many categories of real product texts are right, constrained as in `listing`."""
    schema = json.dumps(default_recipe().text_schema())
    values = dict(choice_terms(schema, "category"))
    with table.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    calls = []
    for row in rows:
        text = sanitise("\n".join(f"{name}: {row[name]}" for name in COLUMNS if row[name]))
        held = narrow(schema, text)
        calls.append(Call("Extract what the text states.", text, schema=held, max_tokens=400))
    replies = answer_all(engine, calls)
    said = [reply.value["category"] if reply else None for reply in replies]
    named = [None if words is None else values.get(lower(words)) for words in said]
    return sum(a == row["category"] for a, row in zip(named, rows, strict=True)), len(rows)


def rates(engines: dict[str, Engine], repeats: int) -> list[str]:
    """Tokens a second at batch 1, 8 and 32, each engine's best, in turns."""
    lines = []
    for batch in (1, 8, 32):
        best = dict.fromkeys(engines, 0.0)
        calls = [
            Call("Extract what the text states.", TEXT.format(at), schema=SPELL, max_tokens=200)
            for at in range(batch)
        ]
        for _, (name, engine) in itertools.product(range(repeats), engines.items()):
            began = time.perf_counter()
            replies = [r for r in engine.generate(calls) if isinstance(r, Reply)]
            elapsed_s = time.perf_counter() - began
            best[name] = max(best[name], sum(r.usage.output_tokens for r in replies) / elapsed_s)
        edge = best["v2 edge"]
        cells = (f"{name} {rate:.0f} ({edge / rate:.1f}x)" for name, rate in best.items())
        lines.append(f"batch {batch:>2}: " + ", ".join(cells))
    return lines


def stored(folder: Path) -> tuple[int, str]:
    """Bytes of the weights' file, and the types that its matrices are stored in."""
    path = folder / "model.safetensors"
    with safe_open(path, framework="np") as opened:
        slices = [opened.get_slice(name) for name in opened.keys()]  # noqa: SIM118
        kinds = {part.get_dtype() for part in slices if len(part.get_shape()) == 2}
    return path.stat().st_size, "/".join(sorted(kinds))


def main() -> None:
    """Parse the command line and print the three comparisons."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("r1", type=Path)
    parser.add_argument("v2", type=Path)
    parser.add_argument("--texts", type=Path, help="a table of real products with a category")
    parser.add_argument("--count", type=int, default=60, help="held-out examples of each task")
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    small = EdgeEngine.load(given.v2, threads=1)
    onnx = OnnxEngine.load(given.r1, threads=1)
    sizes = [stored(folder) for folder in (given.r1, given.v2)]
    ratio = sizes[1][0] / sizes[0][0]
    print(f"weights: r1 {sizes[0][0]} bytes ({sizes[0][1]}), v2 {sizes[1][0]} ({sizes[1][1]}): "
          f"{ratio:.3f} of r1")  # fmt: skip
    engines = {
        "v2 edge": small,
        "r1 onnx": onnx,
        "r1 torch": TransformersEngine.load(given.r1, threads=1),
    }
    print("decoding, tokens/s (v2's multiple), one thread, held to a string of 60 characters:")
    print(*rates(engines, given.repeats), sep="\n", flush=True)
    asked = examples(given.count)
    scores = [quality(engine, asked) for engine in (onnx, small)]
    print(f"quality, {given.count} held-out examples a task, the share that is exact:")
    for task in scores[0]:
        print(f"  {task:<10} r1 {scores[0][task]:.3f}  v2 {scores[1][task]:.3f}")
    means = [sum(score.values()) / len(score) for score in scores]
    print(f"  mean       r1 {means[0]:.3f}  v2 {means[1]:.3f}: {means[1] / means[0]:.1%} of r1")
    if given.texts:
        for name, engine in (("r1", onnx), ("v2", small)):
            right, rows = category(engine, given.texts)
            print(f"category of real texts: {name} {right} of {rows} ({right / rows:.1%})")


if __name__ == "__main__":
    main()
