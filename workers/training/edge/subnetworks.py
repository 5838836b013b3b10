"""Search the smaller selves of `r1` for a task, a latency and a memory (C13).

    python -m workers.training.edge.subnetworks --teacher workers/checkpoints/r1 --out DIR \
        --minutes 15 --task extract --latency-ms 1.5 --memory-mb 1.5

The selves are trained together (`supernet`), then every one is measured: its loss on held-out
examples of each task, and the time of one decoded token. What no other self beats in both is the
task's frontier. The best self within the budget is written to `DIR/chosen` as a checkpoint, scored
by free decoding; all measurements to `DIR/frontier.json` and `DIR/frontier.svg`.
"""

from __future__ import annotations

import argparse
import json
import logging
import random
import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

import torch
from transformers import PreTrainedTokenizerFast, Qwen2ForCausalLM

from orchestra.core.errors import UsageError
from workers.training.edge.frontier_plot import draw_frontier
from workers.training.edge.prune import least_needed_layer
from workers.training.edge.supernet import (
    Batch,
    SubnetShape,
    Supernet,
    cut,
    held_out_losses,
    ordered,
    shapes,
)
from workers.training.gradients.team import Team
from workers.training.text.r1 import (
    answer_loss,
    batches,
    build_optimizers,
    encode,
    grouped,
    lr_share,
    padded,
    start_log,
    take_step,
)
from workers.training.text.scoring import answer_all, shares
from workers.training.texts.corpus import SHARES, make_example
from workers.training.texts.example import Task

log = logging.getLogger("subnetworks")

TASKS: tuple[Task, ...] = ("extract", "write", "classify", "ask")
EXAMPLES, SCORED = 80, 120  # held-out: for the loss, and decoded
DECODED, CONTEXT_TOKENS = 40, 128  # timed tokens behind so many others
RATE = 0.4  # of r1's peak rates
LAST_BATCHES = 12  # to see what is used, and which layer is least needed


@dataclass(frozen=True, slots=True)
class Subnetwork:
    """One self: milliseconds of a token on one thread, MB of int8 weights, losses by task."""

    shape: SubnetShape
    latency_ms: float
    memory_mb: float
    losses: dict[str, float]


def frontier(found: Sequence[Subnetwork], task: str) -> list[Subnetwork]:
    """What no other self beats in loss and latency at once, the fastest first."""
    best: list[Subnetwork] = []
    for one in sorted(found, key=lambda m: (m.latency_ms, m.losses[task])):
        if not best or one.losses[task] < best[-1].losses[task]:
            best.append(one)
    return best


def choose(
    found: Sequence[Subnetwork], task: str, latency_ms: float, memory_mb: float
) -> Subnetwork:
    """The self of least loss within the budget; raises UsageError where none fits."""
    fits = [m for m in found if m.latency_ms <= latency_ms and m.memory_mb <= memory_mb]
    if not fits:
        fastest, lightest = (min(getattr(m, n) for m in found) for n in ("latency_ms", "memory_mb"))
        raise UsageError(
            f"No self takes at most latency_ms={latency_ms!r} and memory_mb={memory_mb!r}. The "
            f"fastest takes {fastest:.2f} ms, the lightest {lightest:.2f} MB. Allow more."
        )
    return min(fits, key=lambda m: m.losses[task])


def held_out(tokenizer: PreTrainedTokenizerFast, task: Task, count: int) -> list[Batch]:
    """Batches of `count` examples of a task that training never draws."""
    rng = random.Random(f"subnetworks-{task}")
    pool = [encode(make_example(rng, task, "heldout"), tokenizer) for _ in range(count)]
    return [padded(group) for group in grouped(sorted(pool, key=lambda e: len(e.ids)))]


@torch.inference_mode()
def token_ms(model: Qwen2ForCausalLM) -> float:
    """The median time of one token behind CONTEXT_TOKENS others, batch 1, this many threads."""
    ids = torch.randint(5, model.config.vocab_size, (1, CONTEXT_TOKENS))
    cache = model(input_ids=ids, use_cache=True).past_key_values
    times: list[float] = []
    for _ in range(DECODED):
        began = time.perf_counter()
        model(input_ids=ids[:, :1], past_key_values=cache, use_cache=True)
        times.append(1000 * (time.perf_counter() - began))
    return statistics.median(times[5:])


def measure(
    net: Supernet, space: Sequence[SubnetShape], tokenizer: PreTrainedTokenizerFast
) -> list[Subnetwork]:
    """Every self's time, memory and held-out losses."""
    losses: dict[SubnetShape, dict[str, float]] = {shape: {} for shape in space}
    for task in TASKS:
        for shape, loss in held_out_losses(net, space, held_out(tokenizer, task, EXAMPLES)):
            losses[shape][task] = loss
    found = []
    for shape in space:
        alone = cut(net.model, shape)
        weights = sum(part.numel() for part in alone.parameters())
        found.append(Subnetwork(shape, token_ms(alone), weights / 1e6, losses[shape]))
    return found


def train(net: Supernet, space: Sequence[SubnetShape], tokenizer: PreTrainedTokenizerFast,
          minutes: float, seed: int) -> None:  # fmt: skip
    """Train all selves together for `minutes` of wall time."""
    optimizers = build_optimizers(net.model)
    rng, began = random.Random(seed), time.monotonic()
    for step, batch in enumerate(batches(tokenizer, seed, {"done": 1.0}), start=1):
        done = (time.monotonic() - began) / (60 * minutes)
        if done >= 1:
            break
        loss = net.train_step(batch, space, rng)
        take_step(Team(), net.model, optimizers, lr_share(done) * RATE)
        if step % 25 == 0:
            log.info("step %d largest self's loss %.4f", step, loss)


def search(teacher: Qwen2ForCausalLM, tokenizer: PreTrainedTokenizerFast, minutes: float,
           seed: int) -> tuple[Supernet, list[Subnetwork]]:  # fmt: skip
    """A trained supernet and what every self of it measured."""
    sample = list(islice(batches(tokenizer, seed + 100, {"done": 1.0}), LAST_BATCHES))
    _, losses = least_needed_layer(teacher, sample, answer_loss)
    order = sorted(range(len(losses)), key=losses.__getitem__)
    log.info("layers, the least needed first: %s", order)
    space = shapes(teacher.config, order)
    net = Supernet(teacher, ordered(teacher, sample))
    train(net, space, tokenizer, minutes, seed)
    return net, measure(net, space, tokenizer)


def exact(model: Qwen2ForCausalLM, tokenizer: PreTrainedTokenizerFast, task: Task) -> float:
    """The mean share of exact answers over a task's keys, of SCORED held-out examples."""
    rng = random.Random(f"scored-{task}")
    asked = [make_example(rng, task, "heldout") for _ in range(SCORED)]
    found = shares(asked, answer_all(model, tokenizer, asked))
    kept = [share for name, share in found.items() if name.endswith("exact")]
    return sum(kept) / len(kept)


def report(
    net: Supernet,
    found: Sequence[Subnetwork],
    tokenizer: PreTrainedTokenizerFast,
    out: Path,
    task: Task,
    chosen: Subnetwork,
) -> None:
    """Write and log the frontiers, and the chosen self beside the teacher."""
    rows = [asdict(one) for one in found]
    lines = {name: [asdict(m) for m in frontier(found, name)] for name in TASKS}
    told = {"selves": rows, "frontier": lines, "chosen": asdict(chosen), "task": task}
    model = cut(net.model, chosen.shape)
    told["exact"] = {"chosen": exact(model, tokenizer, task),
                     "teacher": exact(net.teacher, tokenizer, task)}  # fmt: skip
    out.joinpath("frontier.json").write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    points = {name: [(m.latency_ms, m.losses[name]) for m in found] for name in TASKS}
    best = {name: [(m.latency_ms, m.losses[name]) for m in frontier(found, name)] for name in TASKS}
    out.joinpath("frontier.svg").write_text(draw_frontier(points, best), encoding="utf-8")
    for name in TASKS:
        for one in frontier(found, name):
            print(
                f"frontier of {name}: {one.shape} {one.latency_ms:.2f} ms {one.memory_mb:.2f} MB "
                f"loss {one.losses[name]:.3f}"
            )
    counts = ", ".join(f"{name} {len(frontier(found, name))}" for name in TASKS)
    print(f"frontier: {counts} of {len(found)} selves")
    print(f"chosen for {task}: {chosen.shape}, exact {told['exact']}")
    model.half().save_pretrained(out / "chosen")
    tokenizer.save_pretrained(out / "chosen")


def main() -> None:
    """Parse the command line and search."""
    parser = argparse.ArgumentParser(description="Search the smaller selves of r1.")
    parser.add_argument("--teacher", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--task", choices=list(SHARES), default="extract")
    parser.add_argument("--latency-ms", type=float, default=float("inf"), help="of one token")
    parser.add_argument("--memory-mb", type=float, default=float("inf"), help="of int8 weights")
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(given.seed)
    start_log(Team(), given.out)
    teacher = Qwen2ForCausalLM.from_pretrained(given.teacher, dtype=torch.float32)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(given.teacher)
    net, found = search(teacher, tokenizer, given.minutes, given.seed)
    chosen = choose(found, given.task, given.latency_ms, given.memory_mb)
    report(net, found, tokenizer, given.out, given.task, chosen)


if __name__ == "__main__":
    main()
