"""Steps to a target loss with gradient coordination on against off, over seeds (claim C3).

    python -m benchmarks.coordination --data DIR --cache DIR

The target of a seed is what the run without coordination reaches at two thirds of its steps: the
sum of both held-out losses (pictures alone, pictures with a text), the lowest so far. A ratio under
1 means that coordination needs fewer steps.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path

import torch

from workers.fused_model import FusedForConditionalGeneration
from workers.tokenizer import load_tokenizer
from workers.training.v3 import TEXT_STREAM, Feed, Run, answer_loss, build, train
from workers.training.v3_features import Seen, gather
from workers.training.v3_lessons import read_texts

SMALL = (8, 4, 6)
EVERY = 5
VAL_SEED, VAL_SIZES, VAL_BATCHES = 99, (24, 12, 24), 2


@torch.no_grad()
def held_out(model: FusedForConditionalGeneration, batches: list) -> float:
    """The sum of both losses on lessons that are not trained on."""
    losses = []
    for feed, lessons, tokens in batches:
        losses.append(answer_loss(model, feed.tokenizer, lessons, model.aligner(tokens)).item())
    return 2 * statistics.mean(losses)


def curve(feed: Feed, batches: list, seed: int, steps: int, coordinate: bool) -> list[float]:
    """The lowest held-out loss so far, every `EVERY` steps."""
    model = build(seed)
    lowest: list[float] = []

    def watch(step: int) -> bool:
        if step % EVERY == 0:
            loss = held_out(model, batches)
            lowest.append(min([loss, *lowest[-1:]]))
        return True

    train(model, feed, Run(seed, steps, None, coordinate, print, watch))
    return lowest


def main() -> None:
    """Parse the command line, run every seed twice, and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=120)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    given = parser.parse_args()
    torch.set_num_threads(1)
    views, scenes, val, val_scenes = gather(given.data, given.cache, 0, print)
    tokenizer = load_tokenizer(TEXT_STREAM, 3072)
    texts = read_texts(given.data)

    def feed(seen: list[Seen], drawn: Seen, seed: int, sizes: tuple[int, int, int]) -> Feed:
        return Feed(seen, drawn, texts, tokenizer, seed, sizes)

    held = feed([val], val_scenes, VAL_SEED, VAL_SIZES)
    batches = []
    for _ in range(VAL_BATCHES):
        batches += [(held, *held.pictures()[:2]), (held, *held.fused())]
    ratios = []
    for seed in given.seeds:
        off, on = (
            curve(feed(views, scenes, seed, SMALL), batches, seed, given.steps, coordinate)
            for coordinate in (False, True)
        )
        target = off[2 * len(off) // 3 - 1]
        first_off = 1 + next(at for at, loss in enumerate(off) if loss <= target)
        first_on = next((at + 1 for at, loss in enumerate(on) if loss <= target), None)
        shown = "not reached" if first_on is None else str(first_on * EVERY)
        ratio = float("nan") if first_on is None else first_on / first_off
        ratios.append(ratio)
        print(
            f"seed {seed}: target {target:.3f}, off {first_off * EVERY} steps, on {shown} steps, "
            f"ratio {ratio:.2f}; last losses off {off[-1]:.3f}, on {on[-1]:.3f}",
            flush=True,
        )
    print(f"mean ratio {statistics.mean(ratios):.2f} over {len(ratios)} seeds")


if __name__ == "__main__":
    main()
