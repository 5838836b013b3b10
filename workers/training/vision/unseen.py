"""Rehearse unseen kinds: leave kinds of photo out, and fit when `vl` calls a photo outside.

Whole departments and random categories are left out in turn. How strange they are to what is left
tells them from held-out photos of known kinds; one logistic curve is fitted to departments. Photos
and drawings are worlds of their own: in one, the wide gap between them would hide what is strange.
Knows embeddings and shots, not the language model. Shapes: N photos, E embedding.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from workers.training.pictures.photos import Shot
from workers.vision.domain import Domain, World, fit_world

REASON = "outside mini's domain; connect a model with `orchestra init`"
TURNS, LEFT_OUT = 4, 8  # turns that leave random categories out, and how many
WRONGLY_OUT = 0.03  # the share of held-out photos of known kinds that may be called outside
DRAWN_OUT, DRAWN_HELD = 0.01, 4  # the same of drawings; every so many of those is held out


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What the turns gave: distances of known and of left-out photos, and the name of each turn."""

    known: list[Tensor]
    left_out: list[Tensor]
    names: list[str]


def auroc(inside: Tensor, outside: Tensor) -> float:
    """How often a photo from inside scores higher than one from outside; a tie counts half."""
    apart = inside[:, None] - outside[None, :]
    return float((apart > 0).float().mean() + (apart == 0).float().mean() / 2)


def fit_domain(
    embedding_NE: Tensor,
    shots: Sequence[Shot],
    held: Sequence[int],
    drawn_NE: Tensor,
    drawn: Sequence[Shot],
    seed: int,
    log: Callable[[str], None],
) -> Domain:
    """The domain of all kinds; its curve and limit come from a rehearsal.

    `held` are the rows that stand for photos of known kinds that nothing was fitted on. Drawn
    pictures are known kinds of their own.
    """
    turns = rehearse(embedding_NE, shots, held, seed)
    for name, known, left in zip(turns.names, turns.known, turns.left_out, strict=True):
        log(f"unseen: {name} left out ({len(left)} photos): AUROC {auroc(-known, -left):.3f}")
    # A category beside known ones is too near to be told apart: departments alone set the curve.
    whole = len({shot.department for shot in shots})
    slope, turn = _logistic(torch.cat(turns.known[:whole]), torch.cat(turns.left_out[:whole]))
    rows = sorted(set(range(len(shots))) - set(held))
    of_photos = _world(embedding_NE, shots, rows, list(held), WRONGLY_OUT)
    kept = [at for at in range(len(drawn)) if at % DRAWN_HELD]
    of_drawings = _world(drawn_NE, drawn, kept, list(range(0, len(drawn), DRAWN_HELD)), DRAWN_OUT)
    least = float(torch.sigmoid(torch.tensor(slope * turn)))  # where it begins to be strange
    settings = {"slope": str(slope), "turn": str(turn), "least": str(least), "reason": REASON}
    curve = f"logistic({slope:.2f} * ({turn:.3f} - strangeness))"
    log(f"unseen: likely = {curve}, least {least:.3f}")
    return Domain([of_photos, of_drawings], settings)


def _world(
    embedding_NE: Tensor,
    shots: Sequence[Shot],
    rows: Sequence[int],
    held: Sequence[int],
    wrongly_out: float,
) -> World:
    """The world of `rows`, on the scale of those `held`."""
    kinds = _numbers([_kind(shots[i]) for i in rows])
    return fit_world(embedding_NE[list(rows)], kinds, embedding_NE[list(held)], wrongly_out)


def rehearse(
    embedding_NE: Tensor, shots: Sequence[Shot], held: Sequence[int], seed: int
) -> Rehearsal:
    """Distances under domains that miss some kinds."""
    is_held = torch.zeros(len(shots), dtype=torch.bool)
    is_held[list(held)] = True
    found = Rehearsal([], [], [])
    for name, out in _turns(shots, seed):
        is_out = torch.tensor([shot.department in out or shot.category in out for shot in shots])
        rows = (~is_held & ~is_out).nonzero().flatten().tolist()
        known = (is_held & ~is_out).nonzero().flatten().tolist()
        world = _world(embedding_NE, shots, rows, known, WRONGLY_OUT)
        found.known.append(torch.from_numpy(world.strangeness(embedding_NE[known].numpy())))
        found.left_out.append(torch.from_numpy(world.strangeness(embedding_NE[is_out].numpy())))
        found.names.append(name)
    return found


def _turns(shots: Sequence[Shot], seed: int) -> list[tuple[str, set[str]]]:
    rng = random.Random(seed)
    departments = sorted({shot.department for shot in shots})
    categories = sorted({shot.category for shot in shots})
    turns = [(department, {department}) for department in departments]
    for _ in range(TURNS):
        out = rng.sample(categories, min(LEFT_OUT, len(categories) // 2))
        turns.append((", ".join(sorted(out)), set(out)))
    return turns


def _kind(shot: Shot) -> str:
    return shot.product or shot.category


def _numbers(kinds: Sequence[str]) -> Tensor:
    order = {kind: number for number, kind in enumerate(sorted(set(kinds)))}
    return torch.tensor([order[kind] for kind in kinds])


def _logistic(known: Tensor, left_out: Tensor) -> tuple[float, float]:
    """Slope and turn of the curve that tells the two apart, both sides weighing the same."""
    far = torch.cat([known, left_out])
    truth = torch.cat([torch.ones(len(known)), torch.zeros(len(left_out))])
    weight = torch.where(truth > 0, 0.5 / len(known), 0.5 / len(left_out))
    middle, spread = far.mean(), far.std() + 1e-6
    line = torch.zeros(2, requires_grad=True)
    optimizer = torch.optim.LBFGS([line], max_iter=200)

    def loss() -> Tensor:
        optimizer.zero_grad()
        score = line[0] * (middle - far) / spread + line[1]
        total = F.binary_cross_entropy_with_logits(score, truth, weight, reduction="sum")
        total.backward()
        return total

    optimizer.step(loss)
    slope = float(line[0].detach() / spread)
    return slope, float(middle + line[1].detach() / slope)
