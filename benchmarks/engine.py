"""Sets ONNX Runtime beside transformers on one checkpoint: tokens/s at batch 1, 8 and 32.

    python benchmarks/engine.py workers/checkpoints/r1 --threads 1

First freely, the same prompts and greedy tokens by `generate` of transformers, by our engine on
torch, and by our engine on ONNX Runtime, in turns within one process; then held to a schema,
which `generate` cannot. Rates are per second of wall clock, the best of `--repeats`.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

from orchestra.core.call import Call, Engine, Reply
from workers.engine import TransformersEngine
from workers.onnx.engine import OnnxEngine

NAMES = ("Golden Delicious", "Red Delicious", "Conference", "Cavendish", "Roma")
BRANDS = ("Zorvik", "Belmund", "Klaro", "Nordhof")
PLACES = ("Italy", "Spain", "Sweden", "Peru", "Morocco", "Chile", "Kenya")
SPAN = {"anyOf": [{"type": "string", "maxLength": 60}, {"type": "null"}], "x-span": True}
COLOURS = {"enum": ["red", "green", "yellow", "white", None]}
SCHEMA = {
    "type": "object",
    "properties": {
        "colour": COLOURS,
        **dict.fromkeys(("name", "brand", "origin", "quantity"), SPAN),
    },
}
MAX_TOKENS = 160
# A way to answer calls: their texts, and the tokens made in all.
Answers = Callable[[list[Call]], tuple[list[str], int]]


def calls(schema: dict[str, Any] | None) -> Iterator[Call]:
    """Product texts of about 60 tokens, without end."""
    parts = zip(*map(itertools.cycle, (NAMES, BRANDS, PLACES)), strict=False)
    for at, (name, brand, place) in enumerate(parts):
        text = (
            f"name: {name} {brand}\ndescription: A sweet and juicy product from {place}, "
            f"ripe and ready to eat, {100 + at % 90 * 10} g."
        )
        yield Call("Extract what the text states.", text=text, schema=schema, max_tokens=MAX_TOKENS)


def by_engine(engine: Engine) -> Answers:
    """Answers of one of our engines."""

    def answer(asked: list[Call]) -> tuple[list[str], int]:
        replies = [r for r in engine.generate(asked) if isinstance(r, Reply)]
        return [r.text for r in replies], sum(r.usage.output_tokens for r in replies)

    return answer


def by_generate(folder: Path, engine: TransformersEngine) -> Answers:
    """Answers of transformers' `generate` to the prompts that `engine` would write."""
    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    end = tokenizer.eos_token_id
    banned = [[i] for i in tokenizer.get_added_vocab().values() if i != end]

    @torch.inference_mode()
    def answer(asked: list[Call]) -> tuple[list[str], int]:
        prompts = [engine._model.writer.encode(call) for call in asked]
        batch = tokenizer.pad({"input_ids": prompts}, padding_side="left", return_tensors="pt")
        made = model.generate(
            **{name: batch[name] for name in ("input_ids", "attention_mask")},
            max_new_tokens=MAX_TOKENS, do_sample=False, bad_words_ids=banned,
        )[:, batch["input_ids"].shape[1] :]  # fmt: skip
        rows = [list(itertools.takewhile(lambda token: token != end, row)) for row in made.tolist()]
        return [str(tokenizer.decode(row)) for row in rows], sum(map(len, rows))

    return answer


def rate(answer: Answers, asked: list[Call]) -> tuple[float, list[str]]:
    """Tokens made a second, and the texts."""
    began = time.perf_counter()
    texts, tokens = answer(asked)
    return tokens / (time.perf_counter() - began), texts


def compare(ways: dict[str, Answers], batch: int, repeats: int, schema: Any) -> str:
    """One line of a table: each way's best rate, its ratio to the first, and equal answers."""
    stream = calls(schema)
    best = dict.fromkeys(ways, 0.0)
    same = dict.fromkeys(ways, 0)
    for _ in range(repeats):
        asked = list(itertools.islice(stream, batch))
        expected: list[str] = []
        for name, answer in ways.items():  # in turns, so that other work strikes all alike
            found, texts = rate(answer, asked)
            expected = expected or texts
            best[name] = max(best[name], found)
            same[name] += sum(a == b for a, b in zip(expected, texts, strict=True))
    first = next(iter(best.values()))
    cells = [
        f"{best[name]:>8.0f} {best[name] / first:>5.2f}x {same[name]:>4}/{batch * repeats}"
        for name in ways
    ]
    return f"{batch:>5} " + " ".join(cells)


def main() -> None:
    """Parse the command line and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    ours = TransformersEngine.load(given.checkpoint, threads=given.threads)
    onnx = OnnxEngine.load(given.checkpoint, threads=given.threads)
    ways = {"torch": by_engine(ours), "onnx": by_engine(onnx)}
    free = {"generate": by_generate(given.checkpoint, ours), **ways}
    for title, chosen, schema in (("freely", free, None), ("held to a schema", ways, SCHEMA)):
        print(f"{title}: tokens/s, ratio, answers equal to those of {next(iter(chosen))}")
        print("batch " + " ".join(f"{name:>22}" for name in chosen))
        for batch in (1, 8, 32):
            print(compare(chosen, batch, given.repeats, schema), flush=True)


if __name__ == "__main__":
    main()
