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

from workers.fused.network import FusedForConditionalGeneration
from workers.loading.tokenizer import load_tokenizer
from workers.training.fused.lessons import read_texts
from workers.training.fused.v3 import (
    TEXT_STREAM,
    TOWER,
    Feed,
    FusedRun,
    answer_loss,
    build,
    bundled_tower,
    start_aligner,
    tokens_of,
    train,
)
from workers.training.pictures.photos import IMAGE_PX
from workers.training.text.r1 import VOCAB_SIZE
from workers.training.vision.imagenet import public_tower
from workers.training.vision.probe import Probe, train_probe
from workers.training.vision.views import Views, embeddings
from workers.training.vision.vl import VisionSchedule, gather

SMALL = (8, 4, 6)
EVERY = 5
VAL_SEED, VAL_SIZES, VAL_BATCHES = 99, (24, 12, 24), 2
VAL_SHARE = 10  # one in so many drawings is held out


@torch.no_grad()
def held_out(model: FusedForConditionalGeneration, batches: list) -> float:
    """The sum of both losses on lessons that are not trained on."""
    losses = []
    for feed, lessons, maps in batches:
        image = model.aligner(tokens_of(model, maps))
        losses.append(answer_loss(model, feed.tokenizer, lessons, image).item())
    return 2 * statistics.mean(losses)


def curve(feed: Feed, probe: Probe, batches: list, steps: int, coordinate: bool) -> list[float]:
    """The lowest held-out loss so far, every `EVERY` steps."""
    model = build(feed.seed, TEXT_STREAM, bundled_tower(TOWER))
    start_aligner(model, feed, probe)
    lowest: list[float] = []

    def watch(step: int) -> bool:
        if step % EVERY == 0:
            loss = held_out(model, batches)
            lowest.append(min([loss, *lowest[-1:]]))
        return True

    train(model, feed, FusedRun(feed.seed, steps, None, coordinate, print, watch))
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
    pools = gather(given.data, public_tower(IMAGE_PX), given.cache, VisionSchedule(), 0, print)
    tokenizer = load_tokenizer(TEXT_STREAM, VOCAB_SIZE)
    texts = read_texts(given.data)
    drawings = (pools.scenes, pools.plain, pools.drawn)
    taught, cut = pools.taught, [len(views) // VAL_SHARE for views in drawings]
    first = embeddings(bundled_tower(TOWER), taught.maps[0])
    probe = train_probe(first, taught.shots, 0)

    def part(views: Views, begin: int, end: int) -> Views:
        return views.pick(list(range(begin, end)))

    kept = [part(views, at, len(views)) for views, at in zip(drawings, cut, strict=True)]
    left = [part(views, 0, at) for views, at in zip(drawings, cut, strict=True)]
    held = Feed(pools.held_views, left, texts, tokenizer, VAL_SEED, VAL_SIZES)
    batches = []
    for _ in range(VAL_BATCHES):
        batches += [(held, *held.pictures()[:2]), (held, *held.fused())]
    ratios = []
    for seed in given.seeds:
        off, on = (
            curve(
                Feed(taught, kept, texts, tokenizer, seed, SMALL),
                probe,
                batches,
                given.steps,
                coordinate,
            )
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
