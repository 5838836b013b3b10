"""Fit how sure a look at a pack is of its brand: `python -m workers.training.vision.looks`.

    --data DIR --cache FOLDER [--checkpoint workers/checkpoints/vl]

Prints the numbers for `workers/reading/brands.py`. Known packs are those of the training photos
that `kinds.py` holds out, under a head that has not seen them. For unknown ones each brand's photos
are left out in turn, its kinds are taken from the head, and whatever brand is named is wrong; the
tower was tuned on them, so a brand that it never saw may be named oftener. Both weigh alike. The
val photos are never looked at.

Shapes: N photos, V views, E embedding.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from workers.reading.brands import LEAST
from workers.reading.looks import PACKED, brand_of, most_like
from workers.training.pictures.photos import Shot, read_iconic, read_shots
from workers.training.vision.kinds import (
    HELD,
    arguments,
    embedded,
    fitted,
    held_out,
    kept,
    kind_of,
)
from workers.vision.kinds import KindHead, Mixing, closer

BRANDS = ("Alpro", "Arla", "Bravo", "Garant", "God Morgon", "Oatly", "Tropicana", "Valio", "Yoggi")
STEPS, PRIOR = 60, 3.0  # of Newton's method; the variance of a slope
Array = NDArray[np.float32]


def shares(
    shots: Sequence[Shot], seen_NE: Array, views_VNE: Sequence[Array], asked: Sequence[Shot]
) -> list[tuple[str | None, float]]:
    """The brand that each of `asked` looks like under a head fitted to `shots`, and its share."""
    kinds = sorted({kind_of(shot) for shot in shots}, key=lambda kind: kind.name)
    head = KindHead(kinds, *fitted(seen_NE, shots, kinds, 0), Mixing(0.5, 1.0, 0.0))
    found: list[tuple[str | None, float]] = []
    for at in range(len(asked)):
        looks = most_like(kinds, head.shares(np.stack([view[at] for view in views_VNE])), BRANDS)
        found.append((None, 0.0) if looks is None else (looks.brand, looks.share))
    return found


def logistic(sign_N: Array, is_so_N: Array, weight_N: Array) -> tuple[float, float]:
    """Slope and turn of the logistic regression of a truth on one sign, by Newton's method."""
    rows = np.stack([sign_N, np.ones_like(sign_N)], axis=1).astype(np.float64)
    number, prior = np.zeros(2), np.diag([1 / PRIOR, 1e-6])
    for _ in range(STEPS):
        p = 1 / (1 + np.exp(-rows @ number))
        slope = rows.T @ (weight_N * (p - is_so_N)) + prior @ number
        bend = (rows * (weight_N * p * (1 - p))[:, None]).T @ rows + prior
        number -= np.linalg.solve(bend, slope)
    return float(number[0]), float(number[1])


def log_odds(share_N: Array) -> Array:
    """Of shares, none of them quite 0 or 1."""
    held_N = np.clip(share_N, 1e-4, 1 - 1e-4)
    return np.log(held_N / (1 - held_N))


def fit(data: Path, folder: Path, cache: Path) -> tuple[float, float]:
    """Slope and turn of a look's confidence; prints what they come to."""
    cache.mkdir(parents=True, exist_ok=True)
    shelf = read_shots(data, "train")
    every = [*shelf, *read_iconic(data)]
    whole = kept(cache / "whole.npy", lambda: embedded(folder, every, lambda photo: photo))
    packs = [at for at, shot in enumerate(shelf) if shot.department == PACKED]
    near = kept(
        cache / "closer_packs.npy",
        lambda: embedded(folder, [shelf[at] for at in packs], closer),
    )
    held = set(held_out(shelf, cache / HELD))
    brand = [brand_of(kind_of(shot), BRANDS) for shot in every]
    learnt = [at for at in range(len(every)) if at not in held]

    def looked(rows: Sequence[int], asked: Sequence[int]) -> list[tuple[str | None, float]]:
        views = whole[[packs[at] for at in asked]], near[list(asked)]
        shots = [shelf[packs[at]] for at in asked]
        return shares([every[at] for at in rows], whole[list(rows)], views, shots)

    mine = [at for at, row in enumerate(packs) if row in held]
    known = looked(learnt, mine)
    right = [said == brand[packs[at]] for at, (said, _) in zip(mine, known, strict=True)]
    print(f"known packs, held out: {sum(right)} of {len(right)} named rightly")
    strange: list[float] = []
    for name in BRANDS:
        left = [at for at, row in enumerate(packs) if brand[row] == name]
        found = looked([at for at in learnt if brand[at] != name], left)
        strange += [share for _, share in found]
        print(
            f"{name} left out: {len(left)} photos, mean share {np.mean(strange[-len(left) :]):.3f}"
        )
    share_N = np.array([share for _, share in known] + strange)
    is_so_N = np.array([*right, *([False] * len(strange))], float)
    weight_N = np.array([1.0] * len(known) + [len(known) / len(strange)] * len(strange))
    slope, turn = logistic(log_odds(share_N), is_so_N, weight_N)
    sure_N = 1 / (1 + np.exp(-(slope * log_odds(share_N) + turn)))
    told = (sure_N[: len(known)] >= LEAST).mean(), (sure_N[len(known) :] >= LEAST).mean()
    print(f"SLOPE, TURN = {slope:.2f}, {turn:.2f}: answered of known {told[0]:.3f}, of unknown "
          f"{told[1]:.3f} ({len(strange)} photos)")  # fmt: skip
    return slope, turn


def main() -> None:
    """Parse the command line and fit."""
    given = arguments("Fit how sure a look at a pack is of its brand.")
    fit(given.data, given.checkpoint, given.cache)


if __name__ == "__main__":
    main()
