"""Measures the transformers engine on one checkpoint at batch 1, 8 and 32.

    python benchmarks/engine.py workers/checkpoints/r1 --threads 2

Rates are per CPU-second of this process, so that other work on the machine matters little;
`wall_s` is what a user waits.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Iterator
from pathlib import Path

from orchestra.clients.engine import Call, Reply
from workers.engine import TransformersEngine

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


def calls() -> Iterator[Call]:
    """Product texts of about 60 tokens, without end."""
    parts = zip(*map(itertools.cycle, (NAMES, BRANDS, PLACES)), strict=False)
    for at, (name, brand, place) in enumerate(parts):
        text = (
            f"name: {name} {brand}\ndescription: A sweet and juicy product from {place}, "
            f"ripe and ready to eat, {100 + at % 90 * 10} g."
        )
        yield Call("Extract what the text states.", text=text, schema=SCHEMA, max_tokens=160)


def measure(engine: TransformersEngine, batch: int, rows: int) -> str:
    """One line of the table."""
    stream = calls()
    replies: list[Reply] = []
    cpu_s, wall_s = time.process_time(), time.perf_counter()
    for _ in range(max(1, rows // batch)):
        answers = engine.generate(list(itertools.islice(stream, batch)))
        replies += [reply for reply in answers if isinstance(reply, Reply)]
    cpu_s, wall_s = time.process_time() - cpu_s, time.perf_counter() - wall_s
    sent = sum(reply.usage.input_tokens for reply in replies)
    made = sum(reply.usage.output_tokens for reply in replies)
    return (
        f"{batch:>5} {len(replies):>6} {len(replies) / cpu_s:>10.1f} {made / cpu_s:>18.0f} "
        f"{sent / len(replies):>9.0f} {made / len(replies):>10.0f} {wall_s:>7.1f}"
    )


def main() -> None:
    """Parse the command line and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rows", type=int, default=128)
    given = parser.parse_args()
    engine = TransformersEngine.load(given.checkpoint, threads=given.threads)
    engine.generate(list(itertools.islice(calls(), 2)))
    print("batch   rows rows/CPU-s output tokens/CPU-s in tokens out tokens  wall_s")
    for batch in (1, 8, 32):
        print(measure(engine, batch, given.rows), flush=True)


if __name__ == "__main__":
    main()
