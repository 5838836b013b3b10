"""Tune the top of `vl`'s tower to photos under linear heads; knows no language.

The trunk stays as it is, so its maps of several views are made once and kept. The heads begin as a
probe of the untuned tower (Kumar et al., 2022: a tuned backbone then distorts less). The norms
keep their public statistics, and what is saved is a running mean of the weights. Shapes: B pictures
of a batch, C channels, H = W places of the finer map, E embedding.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from workers.training.pictures.photos import UNKNOWN, Shot
from workers.training.vision.probe import FIELDS, Probe
from workers.training.vision.views import Sampler, Views
from workers.vision.lite import LiteTower

SMOOTHING, DROPOUT = 0.1, 0.2
MIXED, BETA = 0.6, 0.4  # the share of batches that are mixed, and how evenly
KEEPS = 0.99  # of the running mean at the end; at first it forgets faster


@dataclass(slots=True)
class TuneRun:
    """One run's settings; the rates are the highest of a cosine."""

    epochs: float
    seed: int
    log: Callable[[str], None]
    batch: int = 64
    top_rate: float = 3e-4
    head_rate: float = 1e-3


class Headed(nn.Module):
    """A copy of the top of a tower, under one linear head for each field of a probe."""

    def __init__(self, tower: LiteTower, probe: Probe) -> None:
        super().__init__()
        first, self.channels = tower.config.fine_stage + 1, tower.config.fine_size
        self.stages = copy.deepcopy(nn.ModuleList(list(tower.stages)[first:]))
        self.head = copy.deepcopy(tower.head)
        self.fields = nn.ModuleDict()
        for field in FIELDS:
            linear = nn.Linear(tower.config.embedding_size, len(probe.names[field]))
            linear.weight.data.copy_(probe.weights[field])
            linear.bias.data.copy_(probe.biases[field])
            self.fields[field] = linear

    def forward(self, maps_BCHW: Tensor) -> dict[str, Tensor]:
        """The scores of every field's names."""
        x_BCHW = maps_BCHW[:, : self.channels]
        for stage in self.stages:
            x_BCHW = stage(x_BCHW)
        embedding_BE = F.dropout(self.head(x_BCHW).mean(dim=(2, 3)), DROPOUT, self.training)
        return {field: head(embedding_BE) for field, head in self.fields.items()}


def labels(shots: Sequence[Shot], probe: Probe) -> dict[str, Tensor]:
    """The number of each shot's name under each field, `UNKNOWN` where it has none."""
    order = {field: {name: at for at, name in enumerate(probe.names[field])} for field in FIELDS}
    return {
        field: torch.tensor([order[field].get(getattr(shot, field), UNKNOWN) for shot in shots])
        for field in FIELDS
    }


def tune(
    run: TuneRun,
    tower: LiteTower,
    probe: Probe,
    kept: Views,
    held: Views,
) -> None:
    """Tune `tower`'s top in place on `kept`; the log says what the heads make of `held`."""
    torch.manual_seed(run.seed)
    generator = torch.Generator().manual_seed(run.seed)
    model = Headed(tower, probe).train()
    for norm in model.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.eval()
    smooth = copy.deepcopy(model)
    truth, sampler = labels(kept.shots, probe), Sampler(kept.shots, generator)
    optimizer = _optimizer(run, model)
    per_epoch = max(1, round(len(kept) / run.batch))
    steps = max(1, round(run.epochs * per_epoch))
    shown = 0.0
    for step in range(steps):
        pace = min(1.0, (step + 1) / 20) * 0.5 * (1 + math.cos(math.pi * step / steps))
        for group in optimizer.param_groups:
            group["lr"] = group["highest"] * pace
        rows = sampler.rows(run.batch)
        loss = _loss(model, kept.random(rows, generator), rows, truth, generator)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        _follow(smooth, model, min(KEEPS, (1 + step) / (10 + step)))
        shown = float(loss.detach()) if not step else 0.95 * shown + 0.05 * float(loss.detach())
        if (step + 1) % per_epoch == 0 or step + 1 == steps:
            seen = _judged(smooth, probe, held)
            run.log(f"tune step {step + 1} of {steps} loss {shown:.3f} held-out {seen}")
    first = tower.config.fine_stage + 1
    for mine, theirs in zip(list(tower.stages)[first:], smooth.stages, strict=True):
        mine.load_state_dict(theirs.state_dict())
    tower.head.load_state_dict(smooth.head.state_dict())
    tower.eval()


def _loss(
    model: Headed,
    maps_BCHW: Tensor,
    rows: Tensor,
    truth: dict[str, Tensor],
    generator: torch.Generator,
) -> Tensor:
    """Cross-entropy of the known fields, of mixed pictures now and then."""
    other = torch.randperm(len(rows), generator=generator)
    share = 1.0
    if float(torch.rand(1, generator=generator)) < MIXED:
        share = float(torch.distributions.Beta(BETA, BETA).sample())
        maps_BCHW = share * maps_BCHW + (1 - share) * maps_BCHW[other]
    total = torch.zeros(())
    for field, scores in model(maps_BCHW).items():
        mine = truth[field][rows]
        for part, goal in ((share, mine), (1 - share, mine[other])):
            if part > 0 and bool((goal != UNKNOWN).any()):
                loss = F.cross_entropy(
                    scores, goal, ignore_index=UNKNOWN, label_smoothing=SMOOTHING, reduction="sum"
                )
                total = total + part * loss / len(rows)
    return total


def _optimizer(run: TuneRun, model: Headed) -> torch.optim.Optimizer:
    """AdamW with a slower rate for what is public, and no decay on norms and biases."""
    groups = []
    for name, parameter in model.named_parameters():
        rate = run.head_rate if name.startswith("fields.") else run.top_rate
        decay = 0.05 if parameter.ndim > 1 else 0.0
        groups.append({"params": [parameter], "lr": rate, "highest": rate, "weight_decay": decay})
    return torch.optim.AdamW(groups, betas=(0.9, 0.98))


@torch.no_grad()
def _follow(smooth: nn.Module, model: nn.Module, keeps: float) -> None:
    for mean, now in zip(smooth.parameters(), model.parameters(), strict=True):
        mean.lerp_(now, 1 - keeps)


@torch.inference_mode()
def _judged(model: Headed, probe: Probe, held: Views) -> str:
    """The share of right answers by field, for the log."""
    model.eval()
    parts = [model(maps.float()) for maps in held.maps[0].split(2 * 64)]
    truth, said = labels(held.shots, probe), []
    for field in FIELDS:
        best_N = torch.cat([part[field] for part in parts]).argmax(dim=1)
        is_known = truth[field] != UNKNOWN
        right = (best_N == truth[field])[is_known].float().mean()
        said.append(f"{field} {float(right):.3f}")
    worn = torch.tensor([shot.product is None for shot in held.shots])
    best_N = torch.cat([part["category"] for part in parts]).argmax(dim=1)
    for name, of in (("garment", worn), ("grocery", ~worn)):
        right = (best_N == truth["category"])[of].float().mean()
        said.append(f"{name} {float(right):.3f} of {int(of.sum())}")
    return " ".join(said)
