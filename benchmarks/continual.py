"""C14: fine-tuning in sequence, and what is forgotten: plain, with replay, and by PEFT's OSF.

    python -m benchmarks.continual --seeds 0 1 2

r1 learns three tasks (`parts/tune_tasks.py`) one after the other. Replay takes a quarter of each
batch from the few rows kept of earlier tasks. OSF (orthogonal subspace fine-tuning, Nayak et al.,
2025) freezes the strongest singular directions of each weight and learns in the rest. A score is
the share of held-out rows that are answered exactly. What is forgotten of a task is its score right
after it was learnt less its score at the end. Plain says what a user gets without any care.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Iterator, Sequence

import torch
from peft.tuners.osf import OSFConfig, OSFModel
from torch import nn

from benchmarks.finetune import BATCH, WARM_UP_STEPS, opened
from benchmarks.parts.tune_tasks import TASKS, draw, exact_share
from workers.finetune.base import Base
from workers.finetune.lessons import Lesson, lesson, rows_of_step
from workers.finetune.trainer import answer_loss
from workers.training.texts.corpus import examples

TRAIN_ROWS, HELD_OUT_ROWS = 400, 100
KEPT_ROWS = 40  # of each task, for replay
REPLAYED = BATCH // 4
METHODS = ("plain", "replay", "osf")
OWN = "r1's own"


def own_lessons(base: Base, count: int) -> list[Lesson]:
    """What r1 was trained to do, on rows that it never saw."""
    lessons: list[Lesson] = []
    for example in examples(1, "heldout"):
        asked = base.tokenizer.encode(example.prompt, add_special_tokens=False)
        said = base.tokenizer.encode(example.completion, add_special_tokens=False)
        end = base.tokenizer.eos_token_id
        if isinstance(end, int) and len(asked) + len(said) < base.context_tokens:
            lessons.append(Lesson([*asked, *said, end], len(asked)))
        if len(lessons) == count:
            break
    return lessons


def batches(
    lessons: Sequence[Lesson], kept: Sequence[Lesson], steps: int, seed: int
) -> Iterator[list[Lesson]]:
    """The rows of each step, some of them from earlier tasks where any were kept."""
    rng = random.Random(seed)
    for step in range(steps):
        chosen = [lessons[at] for at in rows_of_step(len(lessons), step, BATCH, seed)]
        if kept:
            chosen[:REPLAYED] = rng.choices(kept, k=REPLAYED)
        yield chosen


def learn_task(base: Base, taught: Iterator[list[Lesson]], method: str, seed: int, rank: float,
               rate: float) -> None:  # fmt: skip
    """Train on one task; OSF's part is merged into the weights at the end."""
    parameters = list(base.choose("full", seed).values())
    tuner = _osf(base.model, rank) if method == "osf" else None
    if tuner is not None:
        parameters = [p for p in base.model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=rate, betas=(0.9, 0.98), weight_decay=0.0)
    for step, some in enumerate(taught):
        answers = sum(len(item.ids) - item.answer_start for item in some)
        (answer_loss(base, some) / answers).backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        for group in optimizer.param_groups:
            group["lr"] = rate * min(1.0, (step + 1) / WARM_UP_STEPS)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    if tuner is not None:
        base.model = tuner.merge_and_unload()


def _osf(model: nn.Module, rank: float) -> OSFModel:
    names = [name for name, module in model.named_modules()
             if isinstance(module, nn.Linear) and "layers" in name]  # fmt: skip
    return OSFModel(model, OSFConfig(target_modules=names, effective_rank=rank), "default")


def sequence(method: str, seed: int, steps: int, rank: float, rate: float) -> tuple[float, float]:
    """Learn all tasks in turn and print the scores; (mean score at the end, mean forgotten)."""
    base = opened()
    rows = {task: [lesson(base, row) for row in draw(task, TRAIN_ROWS + HELD_OUT_ROWS, seed)]
            for task in TASKS}  # fmt: skip
    held_out = {task: lessons[TRAIN_ROWS:] for task, lessons in rows.items()}
    held_out[OWN] = own_lessons(base, HELD_OUT_ROWS)
    began, kept = time.monotonic(), list[Lesson]()
    fresh: dict[str, float] = {OWN: exact_share(base, held_out[OWN])}
    scores: dict[str, float] = {}
    for at, task in enumerate(TASKS):
        lessons = rows[task][:TRAIN_ROWS]
        taught = batches(lessons, kept if method == "replay" else [], steps, seed + at)
        learn_task(base, taught, method, seed, rank, rate)
        kept += lessons[:KEPT_ROWS]
        scores = {name: exact_share(base, some) for name, some in held_out.items()}
        fresh[task] = scores[task]
        told = ", ".join(f"{name} {share:.0%}" for name, share in scores.items())
        print(f"seed {seed} {method} after {task}: {told}", flush=True)
    forgotten = [fresh[task] - scores[task] for task in list(TASKS)[:-1]]
    end, lost = sum(scores[task] for task in TASKS) / len(TASKS), sum(forgotten) / len(forgotten)
    print(
        f"seed {seed} {method}: {end:.1%} at the end, {lost:.1%} forgotten of earlier tasks; "
        f"r1's own {fresh[OWN]:.0%} to {scores[OWN]:.0%}; {time.monotonic() - began:.0f} s",
        flush=True,
    )
    return end, lost


def main() -> None:
    """Every method over the seeds."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--steps", type=int, default=80, help="of each task")
    parser.add_argument("--rank", type=float, default=0.5, help="share that OSF freezes")
    parser.add_argument("--rate", type=float, default=1e-3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    for method in options.methods:
        found = [sequence(method, seed, options.steps, options.rank, options.rate)
                 for seed in options.seeds]  # fmt: skip
        end, lost = (sum(values) / len(found) for values in zip(*found, strict=True))
        print(f"{method}: {end:.1%} at the end, {lost:.1%} forgotten (mean of {len(found)} seeds)")


if __name__ == "__main__":
    main()
