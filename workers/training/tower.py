"""Train the SigLIP tower of `vl` on labelled pictures; knows nothing of language.

Mean-pooled linear heads (product, category, department, colour) stand on the tower while it
learns and are dropped afterwards. Patches are dropped for most of the run (PatchDropout),
which halves the cost of a step and regularises. Shapes: B images, T patches, D hidden.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import SiglipVisionConfig, SiglipVisionModel

from workers.training.muon import Muon
from workers.training.photos import (
    COLOURS,
    IMAGE_PX,
    NOTHING,
    UNKNOWN,
    PhotoSet,
    augment,
    normalise,
)

FIELDS = ("product", "category", "department", "colour")
WEIGHTS = {"product": 1.0, "category": 1.0, "department": 0.2, "colour": 0.5}
MUON_RATE = 0.015
PATCHES_KEPT = ((0.6, 24), (0.85, 40))  # of 64, until this share of the run; then all


@dataclass(frozen=True, slots=True)
class Labels:
    """The class names of each field, in the order of its logits."""

    product: tuple[str, ...]
    category: tuple[str, ...]
    department: tuple[str, ...] = ("Fruit", "Vegetables", "Packages", "Clothing", NOTHING)
    colour: tuple[str, ...] = COLOURS

    def encode(self, photos: PhotoSet) -> Tensor:
        """(N, 4) class numbers in the order of `FIELDS`; UNKNOWN where a shot does not say."""
        tables = [{name: i for i, name in enumerate(getattr(self, field))} for field in FIELDS]
        rows = [
            [
                UNKNOWN if (name := getattr(shot, field)) is None else table[name]
                for field, table in zip(FIELDS, tables, strict=True)
            ]
            for shot in photos.shots
        ]
        return torch.tensor(rows)


def vision_config() -> SiglipVisionConfig:
    """64 px in 64 patches, 192 wide, 6 layers: 2.7M parameters."""
    return SiglipVisionConfig(
        hidden_size=192,
        intermediate_size=768,
        num_hidden_layers=6,
        num_attention_heads=3,
        image_size=IMAGE_PX,
        patch_size=8,
        vision_use_head=False,
    )


class Tower(nn.Module):
    """A SigLIP vision model under one linear head a field."""

    def __init__(self, labels: Labels) -> None:
        super().__init__()
        config = vision_config()
        self.vision = SiglipVisionModel(config)
        self.drop = nn.Dropout(0.1)
        self.heads = nn.ModuleDict(
            {name: nn.Linear(config.hidden_size, len(getattr(labels, name))) for name in FIELDS}
        )

    def forward(self, pixels_B3HW: Tensor, keep: int | None = None) -> dict[str, Tensor]:
        """Logits of each field; `keep` patches of each image are looked at (all by default)."""
        tokens_BTD = self.vision.embeddings(pixels_B3HW)
        if keep is not None:
            kept_BK = torch.rand(tokens_BTD.shape[:2]).argsort(dim=1)[:, :keep]
            tokens_BTD = tokens_BTD.gather(
                1, kept_BK.unsqueeze(-1).expand(-1, -1, tokens_BTD.shape[-1])
            )
        hidden_BTD = self.vision.encoder(inputs_embeds=tokens_BTD).last_hidden_state
        pooled_BD = self.drop(self.vision.post_layernorm(hidden_BTD).mean(dim=1))
        return {name: head(pooled_BD) for name, head in self.heads.items()}


class Sampler:
    """Draws the rows of a batch; rare classes come up more often than their share."""

    def __init__(self, photos: PhotoSet, generator: torch.Generator) -> None:
        names = [shot.product or shot.category for shot in photos.shots]
        counts = {name: names.count(name) for name in set(names)}
        self.weights = torch.tensor([counts[name] ** -0.5 for name in names])
        self.generator = generator

    def rows(self, count: int) -> Tensor:
        """`count` row numbers, with replacement."""
        return torch.multinomial(self.weights, count, replacement=True, generator=self.generator)


def mixed_loss(logits: dict[str, Tensor], first: Tensor, second: Tensor, share: float) -> Tensor:
    """Cross-entropy of the fields against two label sets that were mixed `share` to rest."""
    total = torch.zeros(())
    for column, name in enumerate(FIELDS):
        for labels, part in ((first, share), (second, 1 - share)):
            target = labels[:, column]
            if part > 0 and bool((target != UNKNOWN).any()):
                one = F.cross_entropy(logits[name], target, label_smoothing=0.1)
                known = float((target != UNKNOWN).float().mean())  # few known labels weigh less
                total = total + WEIGHTS[name] * part * known * one
    return total


@torch.no_grad()
def accuracy(tower: Tower, photos: PhotoSet, labels: Labels) -> dict[str, float]:
    """The share of right answers on full views, for each field that the photos name."""
    tower.eval()
    truth = labels.encode(photos)
    found: dict[str, list[Tensor]] = {name: [] for name in FIELDS}
    for start in range(0, len(photos), 128):
        logits = tower(normalise(photos.pixels[start : start + 128]))
        for name in FIELDS:
            found[name].append(logits[name].argmax(dim=1))
    tower.train()
    scores = {}
    for column, name in enumerate(FIELDS):
        known = truth[:, column] != UNKNOWN
        if bool(known.any()):
            right = torch.cat(found[name])[known] == truth[known, column]
            scores[name] = float(right.float().mean())
    return scores


@dataclass(slots=True)
class TowerRun:
    """One run's settings; `minutes` of wall clock or `steps` end it, whichever is given."""

    minutes: float | None
    steps: int | None
    seed: int
    snapshot: Path | None
    log: Callable[[str], None]
    batch: int = 96
    drawn_share: float = 0.25
    rate: float = 1e-3
    begin: float = 0.0  # where on the schedule a resumed run starts
    resume: Path | None = None


def train_tower(
    run: TowerRun, photos: PhotoSet, drawn: PhotoSet | None, held: PhotoSet, labels: Labels
) -> Tower:
    """Train and return the averaged tower (EMA); its snapshot is written as it improves."""
    torch.manual_seed(run.seed)
    generator = torch.Generator().manual_seed(run.seed)
    tower, average = Tower(labels), Tower(labels)
    if run.resume is not None:
        tower.load_state_dict(load_file(run.resume))
    average.load_state_dict(tower.state_dict())
    optimizers = _optimizers(tower, run.rate)
    sources = [(photos, labels.encode(photos), Sampler(photos, generator), run.batch)]
    if drawn is not None:
        extra = round(run.batch * run.drawn_share)
        sources = [(*sources[0][:3], run.batch - extra)]
        sources.append((drawn, labels.encode(drawn), Sampler(drawn, generator), extra))
    started, step, progress, reported, seen = time.monotonic(), 0, run.begin, 0.0, 0
    while progress < 1:
        elapsed = time.monotonic() - started
        share = elapsed / (run.minutes * 60) if run.minutes else step / (run.steps or 1)
        progress = run.begin + (1 - run.begin) * min(share, 1.0)
        pace = min(1.0, (step + 1) / 100) * 0.5 * (1 + math.cos(math.pi * progress))
        loss = _step_loss(tower, sources, generator, progress)
        tower.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(tower.parameters(), 1.0)
        take_step(optimizers, pace)
        _follow(average, tower, min(0.998, (step + 1) / (step + 20)))
        step, seen = step + 1, seen + run.batch
        if elapsed - reported > 400 or progress >= 1:
            reported = elapsed
            scores = " ".join(f"{k} {v:.3f}" for k, v in accuracy(average, held, labels).items())
            run.log(
                f"tower {elapsed / 60:5.1f} min step {step} seen {seen} progress {progress:.3f} "
                f"loss {float(loss.detach()):.3f} held-out {scores}"
            )
            if run.snapshot is not None:
                save_file(average.state_dict(), run.snapshot)
    return average


def take_step(optimizers: list[tuple[torch.optim.Optimizer, float]], pace: float) -> None:
    """Step each optimizer at `pace` times its highest rate."""
    for optimizer, rate in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = rate * pace
        optimizer.step()


def _optimizers(tower: Tower, rate: float) -> list[tuple[torch.optim.Optimizer, float]]:
    """Muon for the encoder's matrices, AdamW for the rest, each with its highest rate."""
    matrices, decayed, plain = [], [], []
    for name, parameter in tower.named_parameters():
        if ".encoder." in name and parameter.ndim == 2:
            matrices.append(parameter)
        else:
            (decayed if parameter.ndim > 1 else plain).append(parameter)
    rest = [{"params": decayed, "weight_decay": 0.05}, {"params": plain, "weight_decay": 0.0}]
    return [
        (Muon(matrices, lr=MUON_RATE, decay=0.01), MUON_RATE),
        (torch.optim.AdamW(rest, lr=rate, betas=(0.9, 0.98)), rate),
    ]


def _step_loss(
    tower: Tower,
    sources: list[tuple[PhotoSet, Tensor, Sampler, int]],
    generator: torch.Generator,
    progress: float,
) -> Tensor:
    pixels, labels = [], []
    for photos, encoded, sampler, count in sources:
        rows = sampler.rows(count)
        pixels.append(photos.pixels[rows])
        labels.append(encoded[rows])
    views, truth = augment(torch.cat(pixels), generator), torch.cat(labels)
    share, other = 1.0, truth
    if float(torch.rand(1, generator=generator)) < 0.35 and progress < 0.9:
        share = float(torch.rand(1, generator=generator)) * 0.4 + 0.6
        order = torch.randperm(len(views), generator=generator)
        views, other = share * views + (1 - share) * views[order], truth[order]
    keep = next((count for until, count in PATCHES_KEPT if progress < until), None)
    return mixed_loss(tower(views, keep), truth, other, share)


@torch.no_grad()
def _follow(average: Tower, tower: Tower, decay: float) -> None:
    for mine, theirs in zip(average.parameters(), tower.parameters(), strict=True):
        mine.lerp_(theirs, 1 - decay)
