"""C8: how much less compute fine-tuning r1 takes than training from scratch, to the same score.

    python -m benchmarks.finetune --seeds 0 1 2

The task is new to the model (`benchmarks.parts.tune_tasks`). Both runs have the same architecture,
tokenizer, rows, batches and optimizer; they differ in where the weights begin and in the learning
rate, of which scratch may take the best of several. Compute is counted in tokens that were learnt
from; a token costs the same in both. What r1's own training cost is left out, as it is paid once.
"""

from __future__ import annotations

import argparse
import math
import time
from dataclasses import dataclass

import torch
from transformers import AutoModelForCausalLM

from benchmarks.parts.tune_tasks import draw, exact_share
from orchestra.fleet.source import load_fleet
from workers.finetune.base import Base, open_base
from workers.finetune.lessons import Lesson, lesson, rows_of_step
from workers.finetune.trainer import answer_loss
from workers.loading import location

BATCH, EVERY, WARM_UP_STEPS = 16, 10, 10
MOST_STEPS = 1000  # from r1
TRAIN_ROWS, HELD_OUT_ROWS = 600, 100


@dataclass(frozen=True, slots=True)
class Reached:
    """Where a run met the target, or stopped without; `best` is the best held-out share."""

    steps: int
    tokens: int
    best: float
    met: bool


def opened() -> Base:
    """The bundled r1."""
    file, folder = load_fleet("mini")
    return open_base(location.find(folder / (file.card("r1").hosting.checkpoint or "")), "cpu")


def from_scratch(base: Base, seed: int) -> Base:
    """The same architecture with random weights."""
    torch.manual_seed(seed)
    base.model = AutoModelForCausalLM.from_config(base.model.config).float().eval()
    return base


def learn(base: Base, lessons: list[Lesson], held_out: list[Lesson], *, rate: float, seed: int,
          target: float, most_steps: int) -> Reached:  # fmt: skip
    """Train until `target` of the held-out answers are exact, or `most_steps` are taken."""
    parameters = list(base.choose("full", seed).values())
    optimizer = torch.optim.AdamW(parameters, lr=rate, betas=(0.9, 0.98), weight_decay=0.01)
    tokens, best = 0, 0.0
    for step in range(most_steps):
        some = [lessons[at] for at in rows_of_step(len(lessons), step, BATCH, seed)]
        answers = sum(len(item.ids) - item.answer_start for item in some)
        (answer_loss(base, some) / answers).backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        for group in optimizer.param_groups:
            group["lr"] = rate * min(1.0, (step + 1) / WARM_UP_STEPS)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        tokens += sum(len(item.ids) for item in some)
        if (step + 1) % EVERY == 0:
            best = max(best, exact_share(base, held_out))
            if best >= target:
                return Reached(step + 1, tokens, best, True)
    return Reached(most_steps, tokens, best, False)


def compare(seed: int, task: str, target: float, patience: float, rates: list[float]) -> float:
    """Print both runs of a seed; the share of compute that fine-tuning needs (at most that).

    Scratch may take `patience` times the steps of fine-tuning.
    """
    rows = draw(task, TRAIN_ROWS + HELD_OUT_ROWS, seed)
    base = opened()
    lessons = [lesson(base, row) for row in rows]
    train, held_out = lessons[:TRAIN_ROWS], lessons[TRAIN_ROWS:]
    began = time.monotonic()
    tuned = learn(base, train, held_out, rate=1e-3, seed=seed, target=target, most_steps=MOST_STEPS)
    told = f"{tuned.steps} steps, {tuned.tokens} tokens, {tuned.best:.0%} exact"
    print(f"seed {seed} from r1:      {told}, {time.monotonic() - began:.0f} s", flush=True)
    if not tuned.met:
        raise SystemExit(f"From r1 the target {target:.0%} was not met. Lower --target.")
    least = math.inf
    met = False
    for rate in rates:
        began = time.monotonic()
        scratch = learn(from_scratch(base, seed), train, held_out, rate=rate, seed=seed,
                        target=target, most_steps=math.ceil(patience * tuned.steps))  # fmt: skip
        told = f"{scratch.steps} steps, {scratch.tokens} tokens, {scratch.best:.0%} exact"
        missed = "" if scratch.met else " (target not met)"
        print(f"seed {seed} scratch {rate:g}: {told}{missed}, {time.monotonic() - began:.0f} s",
              flush=True)  # fmt: skip
        least, met = min(least, scratch.tokens), met or scratch.met
    share = tuned.tokens / least
    bound = "" if met else "at most "
    print(f"seed {seed}: fine-tuning takes {bound}{share:.1%} of the compute", flush=True)
    return share


def main() -> None:
    """Compare over the seeds."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--task", default="complaints")
    parser.add_argument("--target", type=float, default=0.9, help="share of exact answers")
    parser.add_argument("--patience", type=float, default=10.0, help="times the steps from r1")
    parser.add_argument("--rates", type=float, nargs="+", default=[1e-3, 3e-3], help="of scratch")
    options = parser.parse_args()
    torch.set_num_threads(1)
    shares = [
        compare(seed, options.task, options.target, options.patience, options.rates)
        for seed in options.seeds
    ]
    mean = sum(shares) / len(shares)
    print(f"mean: {mean:.1%} of the compute of scratch, so {1 - mean:.1%} less")


if __name__ == "__main__":
    main()
