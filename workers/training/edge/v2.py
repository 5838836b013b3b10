"""Train the bundled edge model `v2`: `r1` cut smaller, then distilled, then made int8.

    python -m workers.training.edge.v2 --teacher workers/checkpoints/r1 --out DIR --minutes 60

It begins from what `prune` leaves of the teacher. At first it learns from the examples' own
answers; for the last part of the run (`--distil-from`) from the teacher's next-token
probabilities as well, and (`--round-from`) with int8 weights. Needs no data.
"""

from __future__ import annotations

import argparse
import logging
import time
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

from workers.training.edge import quantise
from workers.training.edge.prune import prune
from workers.training.gradients.team import Team, run_together
from workers.training.text.r1 import (
    SEED_GAP,
    answer_loss,
    batches,
    build_optimizers,
    decoder_config,
    lr_share,
    start_log,
    take_step,
)
from workers.training.text.scoring import score

log = logging.getLogger("v2")

TEMPERATURE = 1.0
SOFT_SHARE = 0.7  # of the loss, once distilling
SAMPLE_BATCHES = 12


def small_config() -> Qwen2Config:
    """Three layers, 128 wide: 813,000 parameters."""
    return decoder_config(width=128, layers=3, neurons=192, heads=4)


@dataclass(frozen=True, slots=True)
class DistilRun:
    """One run; shares are of its minutes."""

    teacher: Path
    out: Path
    init: Path | None
    minutes: float
    lr: float
    seed: int
    distil_from: float
    round_from: float
    snapshot_minutes: float


def cut(teacher: Qwen2ForCausalLM, tokenizer: PreTrainedTokenizerFast, seed: int) -> Any:
    """The best of the students that lack one layer of `teacher`, by the loss before training."""
    sample = list(islice(batches(tokenizer, seed + 100, {"done": 1.0}), SAMPLE_BATCHES))
    found: list[tuple[float, int, Qwen2ForCausalLM]] = []
    for dropped in range(teacher.config.num_hidden_layers):
        student = prune(teacher, small_config(), sample, {dropped})
        with torch.no_grad():
            loss = sum(answer_loss(student, *b).item() for b in sample) / len(sample)
        log.info("without layer %d: loss %.3f before training", dropped, loss)
        found.append((loss, dropped, student))
    return min(found, key=lambda f: f[:2])[2]


def distil_loss(
    student: Qwen2ForCausalLM, teacher: Qwen2ForCausalLM, ids_BT: Tensor, targets_BT: Tensor
) -> Tensor:
    """Cross entropy to the answers and divergence from the teacher, on answer tokens."""
    keep_BT = targets_BT != -100
    with torch.autocast("cpu", dtype=torch.bfloat16):
        with torch.no_grad():
            known = teacher.model(input_ids=ids_BT, use_cache=False).last_hidden_state
            said_NV = teacher.lm_head(known[keep_BT])
        hidden = student.model(input_ids=ids_BT, use_cache=False).last_hidden_state
        logits_NV = student.lm_head(hidden[keep_BT])
    soft_NV = (said_NV.float() / TEMPERATURE).log_softmax(-1)
    logits_NV = logits_NV.float()
    hard = nn.functional.cross_entropy(logits_NV, targets_BT[keep_BT])
    own_NV = (logits_NV / TEMPERATURE).log_softmax(-1)
    soft = nn.functional.kl_div(own_NV, soft_NV, reduction="batchmean", log_target=True)
    return (1 - SOFT_SHARE) * hard + SOFT_SHARE * TEMPERATURE**2 * soft


def train(team: Team, plan: DistilRun) -> None:
    """Train a student as `plan` says and save it."""
    start_log(team, plan.out)
    torch.manual_seed(plan.seed)
    teacher, tokenizer = _load(plan.teacher)
    student = _load(plan.init)[0] if plan.init else cut(teacher, tokenizer, plan.seed)
    log.info("parameters %d, seed %d, processes %d", sum(p.numel() for p in student.parameters()),
             plan.seed, team.size)  # fmt: skip
    optimizers = build_optimizers(student)
    started = last_snapshot = time.monotonic()
    tokens, running, is_rounded = 0, 0.0, False
    stream = batches(tokenizer, plan.seed + SEED_GAP * team.rank, {"done": 1.0})
    for step, (ids_BT, targets_BT) in enumerate(stream, start=1):
        elapsed_s = team.latest(time.monotonic() - started)
        done = elapsed_s / (plan.minutes * 60)
        if done >= 1:
            break
        if done >= plan.round_from and not is_rounded:
            is_rounded = True
            quantise.begin_rounding(student)
            log.info("step %d: int8 weights from here", step)
        if done >= plan.distil_from:
            loss = distil_loss(student, teacher, ids_BT, targets_BT)
        else:
            loss = answer_loss(student, ids_BT, targets_BT)
        loss.backward()
        take_step(team, student, optimizers, lr_share(done) * plan.lr)
        tokens += ids_BT.numel() * team.size
        running = loss.item() if step == 1 else 0.95 * running + 0.05 * loss.item()
        if step % 25 == 0:
            log.info("step %d loss %.4f tokens %d elapsed_s %.0f", step, running, tokens, elapsed_s)
        is_due = time.monotonic() - last_snapshot > plan.snapshot_minutes * 60
        if team.leads and is_due and not is_rounded:
            save(plan.out / "snapshot", student, tokenizer)
            last_snapshot = time.monotonic()
    if not team.leads:
        return
    quantise.end_rounding(student)
    save(plan.out, student, tokenizer)
    for name, value in score(student, tokenizer, count=400).items():
        log.info("held out: %s %.3f", name, value)


def save(out: Path, model: Qwen2ForCausalLM, tokenizer: PreTrainedTokenizerFast) -> None:
    """Write a float32 checkpoint; `workers.onnx.int8` makes the int8 one of it."""
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)


def _load(folder: Path) -> tuple[Any, PreTrainedTokenizerFast]:
    model: Any = Qwen2ForCausalLM.from_pretrained(folder, dtype=torch.float32)
    return model, PreTrainedTokenizerFast.from_pretrained(folder)


def main() -> None:
    """Parse the command line and train."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--teacher", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--init", type=Path, help="an earlier student; else one is cut")
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--distil-from", type=float, default=0.0)
    parser.add_argument("--round-from", type=float, default=0.7)
    parser.add_argument("--lr", type=float, default=1.0, help="share of the peak rates")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--snapshot-minutes", type=float, default=8.0)
    parser.add_argument("--processes", type=int, default=1, help="each takes one thread")
    args = parser.parse_args()
    torch.set_num_threads(1)
    plan = DistilRun(args.teacher, args.out, args.init, args.minutes, args.lr, args.seed,
                args.distil_from, args.round_from, args.snapshot_minutes)  # fmt: skip
    run_together(args.processes, train, plan)


if __name__ == "__main__":
    main()
