"""Train the bundled edge model `v2`: `r1` cut smaller, then distilled, then made int8.

    python -m workers.training.v2 --teacher workers/checkpoints/r1 --out DIR --minutes 60

It begins from what `prune` leaves of the teacher. At first it learns from the examples' own
answers; for the last part of the run (`--distil-from`) from the teacher's next-token
probabilities as well, and (`--round-from`) with int8 weights. Needs no data.
"""

from __future__ import annotations

import argparse
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

from workers.training import quantise
from workers.training.muon import Muon
from workers.training.prune import prune
from workers.training.r1 import (
    ADAM_LR,
    CONTEXT,
    MUON_LR,
    VOCAB_SIZE,
    answer_loss,
    batches,
    lr_share,
)
from workers.training.scoring import score

log = logging.getLogger("v2")

TEMPERATURE = 1.0
SOFT_SHARE = 0.7  # of the loss, once distilling
SAMPLE_BATCHES = 12


def small_config() -> Qwen2Config:
    """Three layers, 128 wide: 813,000 parameters."""
    return Qwen2Config(
        vocab_size=VOCAB_SIZE,
        hidden_size=128,
        num_hidden_layers=3,
        intermediate_size=192,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=True,
        pad_token_id=0,
        bos_token_id=None,
        eos_token_id=3,
    )


@dataclass(frozen=True, slots=True)
class Plan:
    """One run; shares are of its minutes."""

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
        student = prune(teacher, small_config(), sample, dropped)
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
    with torch.no_grad():
        known = teacher.model(input_ids=ids_BT, use_cache=False).last_hidden_state
        soft_NV = (teacher.lm_head(known[keep_BT]) / TEMPERATURE).log_softmax(-1)
    hidden = student.model(input_ids=ids_BT, use_cache=False).last_hidden_state
    logits_NV = student.lm_head(hidden[keep_BT])
    hard = nn.functional.cross_entropy(logits_NV, targets_BT[keep_BT])
    own_NV = (logits_NV / TEMPERATURE).log_softmax(-1)
    soft = nn.functional.kl_div(own_NV, soft_NV, reduction="batchmean", log_target=True)
    return (1 - SOFT_SHARE) * hard + SOFT_SHARE * TEMPERATURE**2 * soft


def build_optimizers(model: nn.Module) -> list[torch.optim.Optimizer]:
    """Muon for the layers' matrices, AdamW for the rest; for plain and rounded weights alike."""
    named = dict(model.named_parameters())
    matrices = [p for n, p in named.items() if p.ndim == 2 and "layers" in n]
    chosen = {id(p) for p in matrices}
    rest = [p for p in named.values() if id(p) not in chosen]
    adam = torch.optim.AdamW(rest, lr=ADAM_LR, betas=(0.9, 0.98), weight_decay=0.0)
    return [Muon(matrices, lr=MUON_LR), adam]


def train(
    plan: Plan, student: Any, teacher: Any, tokenizer: PreTrainedTokenizerFast, out: Path
) -> None:
    """Train `student` in place for `plan.minutes` of wall clock and save it to `out`."""
    optimizers = build_optimizers(student)
    peaks = [group["lr"] for o in optimizers for group in o.param_groups]
    started = last_snapshot = time.monotonic()
    tokens, running, is_rounded = 0, 0.0, False
    stream: Iterator[tuple[Tensor, Tensor]] = batches(tokenizer, plan.seed, {"done": 1.0})
    for step, (ids_BT, targets_BT) in enumerate(stream, start=1):
        elapsed_s = time.monotonic() - started
        done = elapsed_s / (plan.minutes * 60)
        if done >= 1:
            break
        if done >= plan.round_from and not is_rounded:
            is_rounded = True
            quantise.begin_rounding(student)
            log.info("step %d: int8 weights from here", step)
        groups = [group for o in optimizers for group in o.param_groups]
        for group, peak in zip(groups, peaks, strict=True):
            group["lr"] = peak * plan.lr * lr_share(done)
        if done >= plan.distil_from:
            loss = distil_loss(student, teacher, ids_BT, targets_BT)
        else:
            loss = answer_loss(student, ids_BT, targets_BT)
        loss.backward()
        nn.utils.clip_grad_norm_(student.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        tokens += ids_BT.numel()
        running = loss.item() if step == 1 else 0.95 * running + 0.05 * loss.item()
        if step % 50 == 0:
            log.info("step %d loss %.4f tokens %d elapsed_s %.0f", step, running, tokens, elapsed_s)
        if time.monotonic() - last_snapshot > plan.snapshot_minutes * 60 and not is_rounded:
            save(out / "snapshot", student, tokenizer)
            last_snapshot = time.monotonic()
    quantise.end_rounding(student)
    save(out, student, tokenizer)
    for name, value in score(student, tokenizer, count=400).items():
        log.info("held out: %s %.3f", name, value)


def save(out: Path, model: Qwen2ForCausalLM, tokenizer: PreTrainedTokenizerFast) -> None:
    """Write a float32 checkpoint; `edge_graph` makes the int8 one of it."""
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
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(args.threads)
    handlers = [logging.StreamHandler(), logging.FileHandler(args.out / "train.log", mode="w")]
    logging.basicConfig(level=logging.INFO, format="%(message)s", handlers=handlers)
    torch.manual_seed(args.seed)
    teacher, tokenizer = _load(args.teacher)
    student = _load(args.init)[0] if args.init else cut(teacher, tokenizer, args.seed)
    log.info("parameters %d, seed %d", sum(p.numel() for p in student.parameters()), args.seed)
    plan = Plan(
        args.minutes, args.lr, args.seed, args.distil_from, args.round_from, args.snapshot_minutes
    )
    train(plan, student, teacher, tokenizer, args.out)


if __name__ == "__main__":
    main()
