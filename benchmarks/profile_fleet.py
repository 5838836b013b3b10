"""Measures the profile of a fleet's local models: ms a call, a token in and out, an image.

    python benchmarks/profile_fleet.py --fleet mini

Prints the `profile:` line for each card, fitted by least squares over calls of many lengths,
one at a time, as a quiet machine answers them. Copy it into the fleet's YAML.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator

import numpy as np
from PIL import Image

from orchestra.core.call import Call, Engine, Reply
from orchestra.core.card import Card
from orchestra.fleet.source import load_fleet, load_worker

WORDS = "A red cotton shirt from Italy with long sleeves and a small pocket. "
REPEATS = 3


def calls(card: Card) -> Iterator[Call]:
    """Calls of many prompt and answer lengths, with a photo where the model takes one."""
    if card.capabilities == ("maths",):
        yield from (Call(f"What is {first} + 6 modulo 8?") for first in range(12))
        return
    images = (Image.new("RGB", (256, 256), "red"),) if "vision" in card.capabilities else ()
    sizes = (1, 4, 8) if not images else (0, 1, 2)
    for copies in sizes:
        for length in (8, 32, 64):
            shape = {"type": "string", "minLength": length, "maxLength": length}
            schema = {"type": "object", "properties": {"answer": shape}, "required": ["answer"]}
            text = WORDS * copies or None
            room = card.limits.thinking_tokens
            yield Call("Describe the product.", text, images, schema, 160, thinking_tokens=room)


def measure(engine: Engine, card: Card) -> tuple[np.ndarray, np.ndarray]:
    """Work of each call as rows (1, tokens in, tokens out), and its best time in ms."""
    rows, times = [], []
    for call in calls(card):
        best, answer = float("inf"), None
        for _ in range(REPEATS):
            began = time.perf_counter()
            (answer,) = engine.generate([call])
            best = min(best, (time.perf_counter() - began) * 1000)
        if isinstance(answer, Reply):
            rows.append((1.0, answer.usage.input_tokens, answer.usage.output_tokens))
            times.append(best)
    return np.array(rows), np.array(times)


def fit(work: np.ndarray, times: np.ndarray) -> np.ndarray:
    """(fixed, per token in, per token out) in ms; calls that are all alike tell the first only."""
    if np.linalg.matrix_rank(work) < work.shape[1]:
        return np.array([times.mean(), 0.0, 0.0])
    return np.clip(np.linalg.lstsq(work, times, rcond=None)[0], 0, None)


def main() -> None:
    """Fit and print each hosted model's profile."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--fleet", default="mini")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    file, folder = load_fleet(options.fleet)
    for card in file.models:
        if card.hosting.worker is None:
            continue
        path = folder / (card.hosting.checkpoint or "")
        engine = load_worker(card.hosting.worker).load(path, threads=options.threads)
        work, times = measure(engine, card)
        fixed, per_input, per_output = fit(work, times)
        error = np.median(np.abs(work @ [fixed, per_input, per_output] - times) / times)
        print(
            f"{card.name}: {{origin: measured, fixed_ms: {fixed:.1f}, "
            f"ms_per_input_token: {per_input:.3f}, ms_per_output_token: {per_output:.2f}}}"
            f"  # median error {error:.0%} over {len(times)} calls, {options.threads} thread(s)"
        )


if __name__ == "__main__":
    main()
