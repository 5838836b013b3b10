"""Train the bundled fused checkpoint `v3` over a frozen text stream and a frozen tower.

    python -m workers.training.fused.v3 --data DIR --out DIR --cache DIR --seed 0 --minutes 25

The text stream is `r1`'s and the tower `vl`'s; `--cache` is the one of
`workers.training.vision.vl`, which holds what the tower's trunk sees. Only the alignment module,
the gated cross-attention and the probe `need` are trained, so a call without an image is answered
exactly as the text checkpoint answers it. `--minutes` is wall clock; `--steps` makes a run
repeatable.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import (
    DeepseekVLForConditionalGeneration,
    PreTrainedTokenizerFast,
    Qwen2ForCausalLM,
)

from workers.decoding.taught import FILE as CHOICES
from workers.fused.network import FusedConfig, FusedForConditionalGeneration, Vision
from workers.loading.tokenizer import load_tokenizer
from workers.training.fused.lessons import (
    FusedLesson,
    caption,
    fused_lesson,
    picture_lesson,
    read_texts,
)
from workers.training.gradients.coordinate import set_gradients
from workers.training.pictures.photos import IMAGE_PX, Shot
from workers.training.text.r1 import VOCAB_SIZE, encode, lr_share
from workers.training.vision.imagenet import public_tower
from workers.training.vision.probe import Probe, train_probe
from workers.training.vision.speech import start_units
from workers.training.vision.taught import save_taught
from workers.training.vision.views import Sampler, Views, embeddings
from workers.training.vision.vl import VisionSchedule, gather
from workers.vision.domain import FILE as DOMAIN
from workers.vision.domain import Domain
from workers.vision.lite import LiteTower, LiteTowerConfig

CHECKPOINTS = Path(__file__).parents[2] / "checkpoints"
TEXT_STREAM, TOWER = CHECKPOINTS / "r1", CHECKPOINTS / "vl"
VIEWS = 2  # of each photo
SIZES = (20, 12, 10)  # photos, drawings, and photos with a text of a batch
ABOUT_EACH = 2  # lessons about a picture alone
LR, ALIGN_SHARE, NEED_SHARE = 2e-3, 0.2, 0.5
TRAINED = ("cross", "aligner", "need")


@dataclass
class Feed:
    """Draws batches: photos in a random view, drawings, and photos with a text."""

    photos: Views
    drawings: Sequence[Views]
    texts: dict[str, str]
    tokenizer: PreTrainedTokenizerFast
    seed: int
    sizes: tuple[int, int, int] = SIZES

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        self.generator = torch.Generator().manual_seed(self.seed)
        self.sampler = Sampler(self.photos.shots, self.generator)

    def pictures(self) -> tuple[list[FusedLesson], Tensor, list[Shot]]:
        """Lessons on pictures alone, the trunk's maps of them, and the photos' shots."""
        shots, maps = self._photos(self.sizes[0])
        every, parts = list(shots), [maps]
        for number, drawn in enumerate(self.drawings):
            count = len(range(number, self.sizes[1], len(self.drawings)))
            rows = [self.rng.randrange(len(drawn)) for _ in range(count)]
            every += [drawn.shots[row] for row in rows]
            parts.append(drawn.random(torch.tensor(rows, dtype=torch.long), self.generator))
        told = [
            picture_lesson(shot, at, self.rng)
            for at, shot in enumerate(every)
            for _ in range(ABOUT_EACH)
        ]
        return told, torch.cat(parts), shots

    def fused(self) -> tuple[list[FusedLesson], Tensor]:
        """Lessons on photos with a text, and the trunk's maps of the photos."""
        shots, maps = self._photos(self.sizes[2])
        told = [fused_lesson(shot, at, self.texts, self.rng) for at, shot in enumerate(shots)]
        return told, maps

    def _photos(self, count: int) -> tuple[list[Shot], Tensor]:
        rows = self.sampler.rows(count)
        shots = [self.photos.shots[row] for row in rows.tolist()]
        return shots, self.photos.random(rows, self.generator)


def bundled_tower(folder: Path) -> LiteTower:
    """The tower of a `vl` checkpoint, or one that stands alone in its folder."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    if config["model_type"] == LiteTowerConfig.model_type:
        return LiteTower.from_pretrained(folder, dtype=torch.float32).eval()
    model: Any = DeepseekVLForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
    return cast(LiteTower, model.model.vision_model).eval()


def build(seed: int, text_stream: Path, tower: LiteTower) -> FusedForConditionalGeneration:
    """The model with its frozen streams; the rest is random, and its gates are closed."""
    torch.manual_seed(seed)
    stream = Qwen2ForCausalLM.from_pretrained(text_stream, dtype=torch.float32)
    model = FusedForConditionalGeneration(FusedConfig(_plain(stream.config), _plain(tower.config)))
    model.text.load_state_dict(stream.model.state_dict(), strict=False)
    model.vision.load_state_dict(tower.state_dict())
    model.eval().requires_grad_(False)
    for parameter in trained(model):
        parameter.requires_grad_(True)
    return model


def _plain(config: Any) -> dict[str, Any]:
    """A configuration without the folder that it was read from."""
    return {name: value for name, value in config.to_dict().items() if name != "_name_or_path"}


@torch.no_grad()
def start_aligner(model: FusedForConditionalGeneration, feed: Feed, probe: Probe) -> None:
    """Begin with units that show each class of `probe`; see `start_units`."""
    maps = [views.plain(slice(0, 64)) for views in (feed.photos, *feed.drawings)]
    details = model.vision.config.detail_size
    start_units(model.aligner.into, tokens_of(model, torch.cat(maps)), probe, details)


def tokens_of(model: FusedForConditionalGeneration, maps_BCHW: Tensor) -> Tensor:
    """The tower's tokens (B, T, D) from its trunk's maps; the tower learns nothing."""
    with torch.no_grad():
        return cast(Tensor, model.vision.top(maps_BCHW).last_hidden_state)


def trained(model: nn.Module) -> list[nn.Parameter]:
    """The parameters that training changes."""
    named = model.named_parameters()
    return [p for name, p in named if any(part in name.split(".") for part in TRAINED)]


def answer_loss(
    model: FusedForConditionalGeneration,
    tokenizer: PreTrainedTokenizerFast,
    lessons: Sequence[FusedLesson],
    image_BTW: Tensor,
) -> Tensor:
    """Cross entropy on the answers' tokens; `lesson.row` is the picture among `image_BTW`."""
    coded = [encode(lesson.example, tokenizer) for lesson in lessons]
    longest = max(len(code.ids) for code in coded)
    ids_BS = torch.zeros(len(coded), longest, dtype=torch.long)
    targets_BS = torch.full((len(coded), longest), -100)
    for row, code in enumerate(coded):
        ids_BS[row, : len(code.ids)] = torch.tensor(code.ids)
        answer = slice(code.answer_start, len(code.ids))
        targets_BS[row, answer.start - 1 : answer.stop - 1] = ids_BS[row, answer]
    vision = Vision(image_BTW[[lesson.row for lesson in lessons]], torch.ones(len(coded)))
    hidden = model.text(input_ids=ids_BS, vision=vision, use_cache=False).last_hidden_state
    keep_BS = targets_BS != -100
    return F.cross_entropy(model.logits(hidden[keep_BS]).float(), targets_BS[keep_BS])


@torch.no_grad()
def prompt_states(
    model: FusedForConditionalGeneration, tokenizer: PreTrainedTokenizerFast, prompts: list[str]
) -> Tensor:
    """The text stream's state after each prompt, (B, W)."""
    coded = [tokenizer.encode(prompt, add_special_tokens=False) for prompt in prompts]
    ids_BS = torch.zeros(len(coded), max(map(len, coded)), dtype=torch.long)
    for row, ids in enumerate(coded):
        ids_BS[row, : len(ids)] = torch.tensor(ids)
    # Padding is on the right and attention is causal, so no mask is needed.
    hidden_BSW = model.text(input_ids=ids_BS, use_cache=False).last_hidden_state
    return hidden_BSW[torch.arange(len(coded)), torch.tensor([len(ids) - 1 for ids in coded])]


def align_loss(
    model: FusedForConditionalGeneration, shots: list[Shot], image: Tensor, captions: Captions
) -> Tensor:
    """The alignment module's own loss, on one photo of each caption."""
    first = {caption(shot): row for row, shot in reversed(list(enumerate(shots)))}
    text_BW = torch.stack([captions[name] for name in first])
    return model.aligner.loss(image[list(first.values())], text_BW)


Captions = dict[str, Tensor]


@dataclass
class FusedRun:
    """One training: its bounds and options; `watch` is called after each step."""

    seed: int
    steps: int
    minutes: float | None
    coordinate: bool
    log: Callable[[str], None]
    watch: Callable[[int], bool] = lambda step: True


def train(model: FusedForConditionalGeneration, feed: Feed, run: FusedRun) -> int:
    """Train until the bound, or until `watch` says no; returns the steps taken."""
    parameters = trained(model)
    optimizer = torch.optim.AdamW(parameters, lr=LR, betas=(0.9, 0.98), weight_decay=0.01)
    captions = _captions(model, feed)
    started, conflicts = time.monotonic(), 0
    for step in range(1, run.steps + 1):
        passed = (time.monotonic() - started) / 60
        done = step / run.steps if run.minutes is None else passed / run.minutes
        if done > 1:
            return step - 1
        with torch.autocast("cpu", dtype=torch.bfloat16):
            losses, shown = _losses(model, feed, captions)
        conflicts += set_gradients(losses, parameters, run.coordinate)
        nn.utils.clip_grad_norm_(parameters, 1.0)
        for group in optimizer.param_groups:
            group["lr"] = LR * lr_share(min(done, 1.0))
        optimizer.step()
        if step % 50 == 0:
            run.log(f"step {step} {shown} conflicts {conflicts / step:.2f}")
        if not run.watch(step):
            return step
    return run.steps


def _losses(
    model: FusedForConditionalGeneration, feed: Feed, captions: Captions
) -> tuple[list[Tensor], str]:
    """The loss of pictures alone and that of pictures with a text, and their parts in words."""
    told, maps, shots = feed.pictures()
    image = model.aligner(tokens_of(model, maps))
    pictures = answer_loss(model, feed.tokenizer, told, image)
    align = align_loss(model, shots, image, captions)
    both, maps = feed.fused()
    fused = answer_loss(model, feed.tokenizer, both, model.aligner(tokens_of(model, maps)))
    states = prompt_states(model, feed.tokenizer, [one.example.prompt for one in both])
    wanted = torch.tensor([float(one.needs_image) for one in both])
    need = F.binary_cross_entropy_with_logits(model.need(states)[:, 0].float(), wanted)
    shown = f"pictures {pictures:.3f} align {align:.3f} fused {fused:.3f} need {need:.3f}"
    return [pictures + ALIGN_SHARE * align, fused + NEED_SHARE * need], shown


def _captions(model: FusedForConditionalGeneration, feed: Feed) -> Captions:
    names = sorted({caption(shot) for shot in feed.photos.shots})
    return dict(zip(names, prompt_states(model, feed.tokenizer, names), strict=True))


def save(
    model: FusedForConditionalGeneration,
    tokenizer: PreTrainedTokenizerFast,
    domain: Domain | None,
    products: Iterable[str],
    out: Path,
) -> None:
    """Write fp16 weights, the tokenizer, domain, taught choices and checksums to `out`."""
    model.half().save_pretrained(out)
    tokenizer.save_pretrained(out)
    (out / "model.safetensors").chmod(0o644)
    if domain is not None:
        domain.save(out)
    save_taught(products, out)
    names = ("config.json", "model.safetensors", "tokenizer.json", DOMAIN, CHOICES)
    sums = {
        name: hashlib.sha256((out / name).read_bytes()).hexdigest()
        for name in names
        if (out / name).is_file()
    }
    (out / "checksums.json").write_text(json.dumps(sums, indent=2) + "\n", encoding="utf-8")


def main() -> None:
    """Parse the command line and train."""
    parser = argparse.ArgumentParser(description="Train the bundled v3 checkpoint.")
    parser.add_argument("--data", type=Path, required=True, help="folder of grocery/, clothing/")
    parser.add_argument("--out", type=Path, required=True, help="folder for the checkpoint")
    parser.add_argument(
        "--cache", type=Path, required=True, help="as of workers.training.vision.vl"
    )
    parser.add_argument("--text-stream", type=Path, default=TEXT_STREAM)
    parser.add_argument("--tower", type=Path, default=TOWER, help="a vl checkpoint, or its tower")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=100_000)
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--coordinate", action="store_true", help="project conflicting gradients")
    given = parser.parse_args()
    torch.set_num_threads(1)
    given.out.mkdir(parents=True, exist_ok=True)
    file = (given.out / "train.log").open("w", encoding="utf-8")

    def log(line: str) -> None:
        print(line, flush=True)
        file.write(line + "\n")
        file.flush()

    tower = bundled_tower(given.tower)
    eye = public_tower(IMAGE_PX, tower.config.detail_size)  # the trunk is the same
    pools = gather(given.data, eye, given.cache, VisionSchedule(views=VIEWS), given.seed, log)
    taught, drawings = pools.taught, (pools.scenes, pools.plain, pools.drawn)
    probe = train_probe(embeddings(tower, taught.maps[0]), taught.shots, given.seed)
    tokenizer = load_tokenizer(given.text_stream, VOCAB_SIZE)
    model = build(given.seed, given.text_stream, tower)
    feed = Feed(taught, drawings, read_texts(given.data), tokenizer, given.seed)
    start_aligner(model, feed, probe)
    count = sum(p.numel() for p in trained(model))
    log(f"seed {given.seed} trained {count} coordinate {given.coordinate}")
    run = FusedRun(given.seed, given.steps, given.minutes, given.coordinate, log)
    log(f"steps {train(model, feed, run)}")
    # The tower stays as it is, so what it tells apart is what the domain of its checkpoint says.
    products = [shot.product for shot in taught.shots if shot.product is not None]
    save(model, tokenizer, Domain.load(given.tower), products, given.out)


if __name__ == "__main__":
    main()
