"""Train the bundled text model `r1`, a tiny Qwen2, from nothing on synthetic examples.

    python -m workers.training.text.r1 --out DIR --seed 0 --minutes 45

It knows no real product text: everything comes from `workers.training.texts.corpus`. The work is
bounded by wall time, so two machines give different weights from one seed.
"""

from __future__ import annotations

import argparse
import logging
import math
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import GenerationConfig, PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

from workers.training.gradients.muon import Muon
from workers.training.gradients.team import Team, run_together
from workers.training.text.scoring import score
from workers.training.text.tokenizer import END, add_thinking, train_tokenizer
from workers.training.texts.corpus import SHARES, examples, make_example
from workers.training.texts.example import Example

log = logging.getLogger("r1")

LEARNT_TOKENS = 3072
VOCAB_SIZE = LEARNT_TOKENS + 2  # the think marks
CONTEXT = 1024
BATCH_TOKENS = 3072
MUON_LR, ADAM_LR, FINAL_LR_SHARE = 0.02, 3e-3, 0.05
WARMUP_SHARE = 0.02
COPY_UNTIL = 0.2  # of the run: plain copying fades out by then
TOKENIZER_EXAMPLES = 12_000
SEED_GAP = 1000  # between the batches of two processes
LOOK_BACK, LOOK_BACK_STRENGTH = (1, 1, 2), 6.0


@dataclass(frozen=True, slots=True)
class Encoded:
    """Token ids of one example, and where its answer begins."""

    ids: list[int]
    answer_start: int


def decoder_config(*, width: int, layers: int, neurons: int, heads: int) -> Qwen2Config:
    """A Qwen2 decoder over the vocabulary and the context of the bundled text models."""
    return Qwen2Config(
        vocab_size=VOCAB_SIZE,
        hidden_size=width,
        num_hidden_layers=layers,
        intermediate_size=neurons,
        num_attention_heads=heads,
        num_key_value_heads=heads,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=True,
        pad_token_id=0,
        bos_token_id=None,
        eos_token_id=3,
    )


def build_model(seed: int) -> Qwen2ForCausalLM:
    """A randomly initialised model of about two million parameters."""
    torch.manual_seed(seed)
    model = Qwen2ForCausalLM(decoder_config(width=160, layers=4, neurons=448, heads=5))
    _look_back(model)
    return model


@torch.no_grad()
def _look_back(model: Qwen2ForCausalLM) -> None:
    """Let the first heads of the first layer begin by attending one and two tokens back.

    Copying needs such heads before it can be learnt at all (Olsson et al., 2022), and they
    are slow to form. Under rotary embeddings, biases alone make them: with q turned by the
    angle of `offset` positions, q and k agree most exactly that far apart.
    """
    attention: Any = model.model.layers[0].self_attn
    width = attention.head_dim
    rotary: Any = model.model.rotary_emb
    angles_F: Tensor = rotary.inv_freq
    fast = slice(0, width // 4)  # slow pairs cannot tell neighbours apart
    for head, offset in enumerate(LOOK_BACK):
        low, high = head * width, head * width + width // 2
        cos_F, sin_F = (offset * angles_F).cos(), (offset * angles_F).sin()
        for projection in (attention.q_proj, attention.k_proj):
            projection.weight[low : low + width] *= 0.1
        attention.k_proj.bias[low:high][fast] = LOOK_BACK_STRENGTH
        attention.q_proj.bias[low:high][fast] = LOOK_BACK_STRENGTH * cos_F[fast]
        attention.q_proj.bias[high : low + width][fast] = -LOOK_BACK_STRENGTH * sin_F[fast]


def build_tokenizer(seed: int) -> PreTrainedTokenizerFast:
    """Learn the vocabulary on training examples of every task."""
    sample = islice(examples(seed, "train"), TOKENIZER_EXAMPLES)
    texts = (text for e in sample for text in (e.instruction, e.data or "", e.answer))
    return add_thinking(train_tokenizer(texts, LEARNT_TOKENS))


def encode(example: Example, tokenizer: PreTrainedTokenizerFast) -> Encoded:
    """Prompt and answer as ids, ending with the end token."""
    prompt = tokenizer.encode(example.prompt, add_special_tokens=False)
    answer = tokenizer.encode(example.completion + END, add_special_tokens=False)
    return Encoded(prompt + answer, len(prompt))


def batches(
    tokenizer: PreTrainedTokenizerFast, seed: int, progress: dict[str, float]
) -> Iterator[tuple[Tensor, Tensor]]:
    """Endless (ids_BT, targets_BT) of similar lengths; targets hold -100 outside answers."""
    rng = random.Random(f"batches-{seed}")
    tasks, weights = list(SHARES), list(SHARES.values())
    while True:
        pool: list[Encoded] = []
        copy_share = 0.6 * max(0.0, 1 - progress["done"] / COPY_UNTIL)
        while len(pool) < 640:
            is_copy = rng.random() < copy_share
            task = "copy" if is_copy else rng.choices(tasks, weights)[0]
            encoded = encode(make_example(rng, task, "train"), tokenizer)
            if len(encoded.ids) <= CONTEXT:
                pool.append(encoded)
        pool.sort(key=lambda e: len(e.ids))
        groups = grouped(pool)
        rng.shuffle(groups)
        for group in groups:
            yield padded(group)


def grouped(pool: list[Encoded]) -> list[list[Encoded]]:
    """`pool`, which is sorted by length, in groups of about BATCH_TOKENS tokens."""
    groups: list[list[Encoded]] = [[]]
    for item in pool:
        if groups[-1] and (len(groups[-1]) + 1) * len(item.ids) > BATCH_TOKENS:
            groups.append([])
        groups[-1].append(item)
    return groups


def padded(group: list[Encoded]) -> tuple[Tensor, Tensor]:
    """(ids_BT, targets_BT) of one group; targets hold -100 outside answers."""
    longest = max(len(e.ids) for e in group)
    ids_BT = torch.zeros(len(group), longest, dtype=torch.long)
    targets_BT = torch.full((len(group), longest), -100)
    for row, e in enumerate(group):
        n = len(e.ids)
        ids_BT[row, :n] = torch.tensor(e.ids)
        # Position t predicts token t + 1.
        targets_BT[row, e.answer_start - 1 : n - 1] = ids_BT[row, e.answer_start : n]
    return ids_BT, targets_BT


def answer_loss(model: Qwen2ForCausalLM, ids_BT: Tensor, targets_BT: Tensor) -> Tensor:
    """Cross entropy on answer tokens; logits are computed nowhere else.

    Matrices are multiplied in bfloat16, which is a quarter faster where the CPU has it.
    """
    # Padding is on the right and attention is causal, so no mask is needed.
    keep_BT = targets_BT != -100
    with torch.autocast("cpu", dtype=torch.bfloat16):
        hidden_BTD = model.model(input_ids=ids_BT, use_cache=False).last_hidden_state
        logits_NV = model.lm_head(hidden_BTD[keep_BT])
    return nn.functional.cross_entropy(logits_NV.float(), targets_BT[keep_BT])


def lr_share(done: float) -> float:
    """Share of the peak learning rate after `done` of the run: warm up, then cosine."""
    if done < WARMUP_SHARE:
        return (done + 0.002) / (WARMUP_SHARE + 0.002)
    turn = (done - WARMUP_SHARE) / (1 - WARMUP_SHARE)
    return FINAL_LR_SHARE + (1 - FINAL_LR_SHARE) * 0.5 * (1 + math.cos(math.pi * min(1.0, turn)))


def build_optimizers(model: Qwen2ForCausalLM) -> list[torch.optim.Optimizer]:
    """Muon for the layers' matrices, AdamW for embeddings, norms and biases."""
    matrices = [p for n, p in model.named_parameters() if p.ndim == 2 and "layers" in n]
    chosen = {id(p) for p in matrices}
    rest = [p for p in model.parameters() if id(p) not in chosen]
    adam = torch.optim.AdamW(rest, lr=ADAM_LR, betas=(0.9, 0.98), weight_decay=0.0)
    return [Muon(matrices, lr=MUON_LR), adam]


@dataclass(frozen=True, slots=True)
class TextRun:
    """One run: `minutes` of wall time from `init` if given; `lr` is a share of the peak rates."""

    out: Path
    seed: int
    minutes: float
    snapshot_minutes: float
    init: Path | None
    lr: float


def train(team: Team, run: TextRun) -> None:
    """Train as `run` says and write a checkpoint; a second stage needs lower rates."""
    start_log(team, run.out)
    tokenizer, model = _beginning(run.seed, run.init)
    parameters = sum(p.numel() for p in model.parameters())
    log.info("parameters %d, vocabulary %d, seed %d, processes %d", parameters, len(tokenizer),
             run.seed, team.size)  # fmt: skip
    optimizers = build_optimizers(model)
    progress = {"done": 0.0 if run.init is None else COPY_UNTIL}
    started = last_snapshot = time.monotonic()
    tokens, running = 0, 0.0
    stream = batches(tokenizer, run.seed + SEED_GAP * team.rank, progress)
    for step, (ids_BT, targets_BT) in enumerate(stream, start=1):
        elapsed_s = team.latest(time.monotonic() - started)
        done = elapsed_s / (run.minutes * 60)
        if done >= 1:
            break
        progress["done"] = max(progress["done"], done)
        loss = answer_loss(model, ids_BT, targets_BT)
        loss.backward()
        take_step(team, model, optimizers, lr_share(done) * run.lr)
        tokens += ids_BT.numel() * team.size
        running = loss.item() if step == 1 else 0.95 * running + 0.05 * loss.item()
        if step % 25 == 0:
            log.info("step %d loss %.4f tokens %d elapsed_s %.0f", step, running, tokens, elapsed_s)
        if team.leads and time.monotonic() - last_snapshot > run.snapshot_minutes * 60:
            save(run.out / "snapshot", model, tokenizer)
            last_snapshot = time.monotonic()
    if team.leads:
        save(run.out, model, tokenizer)
        _report(model, tokenizer, count=400)


def take_step(
    team: Team, model: nn.Module, optimizers: list[torch.optim.Optimizer], share: float
) -> None:
    """One step of all optimizers at `share` of their peak rates, with the team's mean gradient."""
    team.mean_gradients(model)
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = group.setdefault("peak", group["lr"]) * share
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)


def start_log(team: Team, out: Path) -> None:
    """Log to the screen and to `out/train.log`, from the leading process only."""
    if not team.leads:
        return
    out.mkdir(parents=True, exist_ok=True)
    handlers = [logging.StreamHandler(), logging.FileHandler(out / "train.log", mode="w")]
    logging.basicConfig(level=logging.INFO, format="%(message)s", handlers=handlers)


def _beginning(seed: int, init: Path | None) -> tuple[PreTrainedTokenizerFast, Qwen2ForCausalLM]:
    model = build_model(seed)
    if init is None:
        return build_tokenizer(seed), model
    earlier: Any = Qwen2ForCausalLM.from_pretrained(init, dtype=torch.float32)
    tokenizer = add_thinking(PreTrainedTokenizerFast.from_pretrained(init))
    if len(tokenizer) > earlier.config.vocab_size:  # a checkpoint from before the think marks
        earlier.resize_token_embeddings(len(tokenizer))
    model.load_state_dict(earlier.state_dict())
    return tokenizer, model


def _report(model: Qwen2ForCausalLM, tokenizer: PreTrainedTokenizerFast, count: int) -> None:
    for name, value in score(model, tokenizer, count=count).items():
        log.info("held out: %s %.3f", name, value)


def save(out: Path, model: Qwen2ForCausalLM, tokenizer: PreTrainedTokenizerFast) -> None:
    """Write an fp16 safetensors checkpoint with tokenizer and chat template to `out`."""
    out.mkdir(parents=True, exist_ok=True)
    half: Any = build_model(0)
    half.load_state_dict(model.state_dict())
    half.to(torch.float16).save_pretrained(out)
    tokenizer.save_pretrained(out)
    GenerationConfig(
        do_sample=False, max_new_tokens=256, pad_token_id=0, eos_token_id=3
    ).save_pretrained(out)


def main() -> None:
    """Parse the command line and train."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=45.0)
    parser.add_argument("--snapshot-minutes", type=float, default=8.0)
    parser.add_argument("--init", type=Path, help="a checkpoint to train further")
    parser.add_argument("--lr", type=float, default=1.0, help="share of the peak rates")
    parser.add_argument("--processes", type=int, default=1, help="each takes one thread")
    args = parser.parse_args()
    torch.set_num_threads(1)
    run = TextRun(args.out, args.seed, args.minutes, args.snapshot_minutes, args.init, args.lr)
    run_together(args.processes, train, run)


if __name__ == "__main__":
    main()
