"""Teach the tower's detail branch what stands where in drawn scenes; knows no language.

At each place that holds the centre of a thing, linear heads name its colour, its kind and its ninth
of the picture; everywhere, whether there is one; and over the whole picture, how many. The heads
are thrown away. Shapes: N pictures, B of a batch, P places, H = W of the small picture.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from workers.synthetic.drawn import KINDS, PALETTE
from workers.synthetic.scenes import FIGURES, MOST, PLACES, Thing
from workers.training.pictures.photos import UNKNOWN
from workers.training.vision.views import Views
from workers.vision.lite import Detail, LiteTower

NAMES = {"colour": tuple(PALETTE), "kind": (*KINDS, *FIGURES), "place": PLACES}
DECAY = 0.05
EMPTIER = 10.0  # places without a thing for one with it, about


@dataclass(frozen=True, slots=True)
class DetailRun:
    """One run's settings; `rate` is the highest, and falls in a cosine."""

    steps: int
    seed: int
    log: Callable[[str], None]
    batch: int = 32
    rate: float = 3e-3


class SceneHeads(nn.Module):
    """Linear heads over a branch's channels."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.heads = nn.ModuleDict(
            {name: nn.Linear(width, len(values)) for name, values in NAMES.items()}
        )
        self.holds = nn.Linear(width, 1)
        self.count = nn.Linear(width, MOST + 1)

    def loss(self, seen_BPD: Tensor, truth: dict[str, Tensor]) -> Tensor:
        """The heads' cross-entropies, summed; what a place does not hold is not asked of it."""
        total = F.cross_entropy(self.count(seen_BPD.mean(dim=1)), truth["count"])
        # Few places hold a thing, so those count as much as all the others.
        holds_BP = (truth["kind"] != UNKNOWN).float()
        total = total + F.binary_cross_entropy_with_logits(
            self.holds(seen_BPD)[..., 0], holds_BP, pos_weight=torch.tensor(EMPTIER)
        )
        for name, head in self.heads.items():
            goal_BP = truth[name]
            total = total + F.cross_entropy(
                head(seen_BPD).flatten(0, 1), goal_BP.flatten(), ignore_index=UNKNOWN
            )
        return total

    def right(self, seen_BPD: Tensor, truth: dict[str, Tensor]) -> dict[str, float]:
        """The share of right answers by head, where there is something to answer."""
        best = self.count(seen_BPD.mean(dim=1)).argmax(dim=1)
        shares = {"count": float((best == truth["count"]).float().mean())}
        holds_BP = truth["kind"] != UNKNOWN
        shares["holds"] = float(((self.holds(seen_BPD)[..., 0] > 0) == holds_BP).float().mean())
        for name, head in self.heads.items():
            best_BP = head(seen_BPD).argmax(dim=2)
            shares[name] = float((best_BP == truth[name])[holds_BP].float().mean())
        return shares


def truth_of(scenes: Sequence[Sequence[Thing]], side: int) -> dict[str, Tensor]:
    """What each of `side` x `side` places holds: numbers into NAMES, (N, P), and counts, (N,)."""
    shape = (len(scenes), side * side)
    truth = {name: torch.full(shape, UNKNOWN) for name in NAMES}
    for row, things in enumerate(scenes):
        for thing in things:
            across, down = (min(side - 1, max(0, int(at * side))) for at in (thing.x, thing.y))
            for name, values in NAMES.items():
                truth[name][row, down * side + across] = values.index(getattr(thing, name))
    return truth | {"count": torch.tensor([len(things) for things in scenes])}


def mirrored(truth: dict[str, Tensor], side: int) -> dict[str, Tensor]:
    """What the same scenes hold when left is right."""
    turned = dict(truth)
    for name in NAMES:
        turned[name] = truth[name].unflatten(1, (side, side)).flip(2).flatten(1)
    place = turned["place"]
    other = place // 3 * 3 + 2 - place % 3  # the ninths are numbered row by row
    turned["place"] = torch.where(place == UNKNOWN, place, other)
    return turned


def small_pictures(tower: LiteTower, sources: Sequence[Views]) -> Tensor:
    """What the branch sees of every picture as it is, float16 (N, 3, H, W)."""
    return torch.cat([tower.small(views.maps[0]) for views in sources])


def train_detail(run: DetailRun, tower: LiteTower, sources: Sequence[Views]) -> None:
    """Train `tower`'s detail branch in place on drawn scenes; the log scores a tenth of them."""
    torch.manual_seed(run.seed)
    branch: Detail = tower.detail
    side = branch.place.shape[1]
    small_N3HW = small_pictures(tower, sources)
    truth = truth_of([shot.things for views in sources for shot in views.shots], side)
    told = SceneHeads(branch.place.shape[0])
    parts = [*branch.parameters(), *told.parameters()]
    for part in parts:
        part.requires_grad_(True)
    optimizer = torch.optim.AdamW(parts, lr=run.rate, betas=(0.9, 0.98), weight_decay=DECAY)
    order = torch.randperm(len(small_N3HW))
    held, kept = order[: len(order) // 10], order[len(order) // 10 :]

    def seen(rows: Tensor, is_mirrored: bool = False) -> Tensor:
        small_B3HW = small_N3HW[rows].float()
        small_B3HW = small_B3HW.flip(3) if is_mirrored else small_B3HW
        return branch(small_B3HW).flatten(2).transpose(1, 2)

    def goal(rows: Tensor) -> dict[str, Tensor]:
        return {name: all_N[rows] for name, all_N in truth.items()}

    for step in range(run.steps):
        for group in optimizer.param_groups:
            pace = min(1.0, (step + 1) / 50) * 0.5 * (1 + math.cos(math.pi * step / run.steps))
            group["lr"] = run.rate * pace
        rows = kept[torch.randint(len(kept), (run.batch,))]
        is_mirrored = bool(torch.rand(()) < 0.5)
        wanted = mirrored(goal(rows), side) if is_mirrored else goal(rows)
        loss = told.loss(seen(rows, is_mirrored), wanted)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(parts, 1.0)
        optimizer.step()
        if (step + 1) % 1000 == 0 or step + 1 == run.steps:
            with torch.inference_mode():
                found = told.right(seen(held[:1000]), goal(held[:1000]))
            said = " ".join(f"{name} {share:.3f}" for name, share in found.items())
            shown = float(loss.detach())
            run.log(f"detail step {step + 1} of {run.steps} loss {shown:.3f} held-out {said}")
    branch.requires_grad_(False)
