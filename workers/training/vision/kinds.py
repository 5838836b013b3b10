"""Fit the head of `kinds.safetensors`: `python -m workers.training.vision.kinds --data DIR`.

    [--checkpoint workers/checkpoints/vl] [--cache FOLDER]

The head is fitted to the embeddings of the training photos less whole groups that look alike
(`pictures/split.py`); those held out give the decoder's part, the scale and the limit under which
an answer is a guess. The val photos are never looked at. Shapes: N photos, E embedding, K kinds.
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image, ImageOps
from torch import nn

from orchestra.core.call import Call, Reply
from workers.loading.checkpoint import read_config
from workers.onnx.engine import OnnxEngine
from workers.onnx.tower import OnnxTower
from workers.onnx.vision import OnnxVisionModel
from workers.training.pictures.photos import (
    IMAGE_PX,
    STORE_PX,
    Shot,
    load,
    read_iconic,
    read_shots,
)
from workers.training.pictures.split import hold_out
from workers.training.vision.imagenet import public_tower
from workers.training.vision.views import embeddings, trunk_maps
from workers.vision.domain import Domain
from workers.vision.kinds import KindHead, Mixing, ShownKind, closer
from workers.vision.pixels import SquarePixels

HELD_OUT, HELD = 0.08, "held.json"
EPOCHS, BATCH, RATE, DECAY, SMOOTHING, DROPOUT = 20, 256, 3e-3, 0.5, 0.1, 0.3
PARTS = (0.0, 0.25, 0.5, 0.75, 1.0)
SCALES = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.2)
UNMARKED = 0.025  # of held-out photos: wrong, and yet not told as a guess
Array = NDArray[np.float32]


def opened(shot: Shot) -> Image.Image:
    """A shot's photo, upright, in RGB."""
    if shot.path is None:
        raise ValueError(f"The shot of {shot.category!r} has no path to read from.")
    with Image.open(shot.path) as image:
        return ImageOps.exif_transpose(image).convert("RGB")


def embedded(
    folder: Path, shots: Sequence[Shot], view: Callable[[Image.Image], Image.Image]
) -> Array:
    """(N, E) embeddings of one view of each shot."""
    tower, pixels = OnnxTower.load(folder, 1), SquarePixels.load(folder)
    parts = []
    for start in range(0, len(shots), 16):
        shown = [pixels.of(view(opened(shot))) for shot in shots[start : start + 16]]
        _, embedding = tower.look([np.stack(shown)])
        if embedding is None:
            raise ValueError(f"The tower of {str(folder)!r} gives no embedding.")
        parts.append(embedding)
    return np.concatenate(parts)


def kind_of(shot: Shot) -> ShownKind:
    """The kind that a shot shows."""
    return ShownKind(shot.product or shot.category, shot.category, shot.department)


def fitted(
    seen_NE: Array, shots: Sequence[Shot], kinds: Sequence[ShownKind], seed: int
) -> tuple[Array, Array]:
    """Weight (K, E) and bias (K,) of a head on raw embeddings; rare kinds come up more often."""
    torch.manual_seed(seed)
    truth = torch.tensor([kinds.index(kind_of(shot)) for shot in shots])
    seen = torch.from_numpy(np.asarray(seen_NE, np.float32))
    middle, spread = seen.mean(dim=0), seen.std(dim=0) + 1e-2
    level = (seen - middle) / spread
    head = nn.Linear(seen.shape[1], len(kinds))
    nn.init.zeros_(head.weight)
    often = torch.bincount(truth, minlength=len(kinds)).float()[truth] ** -0.5
    steps = EPOCHS * (len(shots) // BATCH)
    optimizer = torch.optim.AdamW(head.parameters(), lr=RATE, weight_decay=DECAY)
    pace = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(steps, 1))
    for _ in range(steps):
        rows = torch.multinomial(often, BATCH, replacement=True)
        scores = head(F.dropout(level[rows], DROPOUT))
        loss = F.cross_entropy(scores, truth[rows], label_smoothing=SMOOTHING)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        pace.step()
    weight = (head.weight / spread).detach()
    bias = head.bias.detach() - weight @ middle
    return weight.numpy(), bias.numpy()


def decoded(folder: Path, shots: Sequence[Shot], names: Sequence[str]) -> list[tuple[str, float]]:
    """The category that the decoder alone names for each shot, and how sure it is of it."""
    model = OnnxVisionModel.load(folder, read_config(folder), 1)
    model.second_look = None
    engine = OnnxEngine(model)
    schema = {
        "type": "object",
        "properties": {"category": {"enum": [*names, None]}},
        "required": ["category"],
    }
    said: list[tuple[str, float]] = []
    for start in range(0, len(shots), 16):
        calls = [
            Call("Describe the product shown.", images=(opened(shot),), schema=schema)
            for shot in shots[start : start + 16]
        ]
        for reply in engine.generate(calls):
            if not isinstance(reply, Reply):
                raise reply
            value = json.loads(reply.text)["category"] or ""
            said.append((value, reply.confidence["category"]))
    return said


def mixed(
    kinds: KindHead,
    seen_VNE: Sequence[Array],
    shots: Sequence[Shot],
    said: Sequence[tuple[str, float]],
    likely: Sequence[float],
) -> Mixing:
    """The mixing that suits held-out photos: most right, then the best log loss, then the limit."""
    names = sorted({kind.category for kind in kinds.kinds})
    found: list[tuple[float, float, Mixing, list[tuple[float, bool]]]] = []
    for part, scale in itertools.product(PARTS, SCALES):
        kinds.mixing = Mixing(part, scale, 0.0)
        rows = []
        for at, (shot, (value, sure)) in enumerate(zip(shots, said, strict=True)):
            share = kinds.shares(np.stack([view[at] for view in seen_VNE]))
            rated = kinds.rated(names, share, value, sure / max(likely[at], 1e-3))
            best = max(rated, key=lambda name: rated[name])
            rows.append((rated[best] * likely[at], best == shot.category))
        losses = [-np.log(np.clip(p if ok else 1 - p, 1e-4, 1)) for p, ok in rows]
        right = sum(ok for _, ok in rows) / len(rows)
        found.append((right, float(np.mean(losses)), kinds.mixing, rows))
    best_right = max(right for right, *_ in found)
    right, loss, mixing, rows = min(
        (one for one in found if one[0] >= best_right - 0.005), key=lambda one: one[1]
    )
    limit = _limit(rows)
    print(
        f"held out {len(rows)}: right {right:.3f}, log loss {loss:.3f}, {mixing}, sure {limit:.3f}"
    )
    marked = sum(p < limit for p, _ in rows) / len(rows)
    print(f"told as a guess: {marked:.3f} of them")
    return Mixing(mixing.decoder, mixing.scale, limit)


def _limit(rows: Sequence[tuple[float, bool]]) -> float:
    """The least confidence above which few enough are wrong."""
    wrong = sorted((p for p, ok in rows if not ok), reverse=True)
    return float(wrong[min(int(UNMARKED * len(rows)), len(wrong) - 1)])


def train(data: Path, folder: Path, cache: Path, seed: int = 0) -> KindHead:
    """Fit the head, and write it into the checkpoint's `folder`."""
    cache.mkdir(parents=True, exist_ok=True)
    shelf = read_shots(data, "train")
    every = [*shelf, *read_iconic(data)]
    whole = kept(cache / "whole.npy", lambda: embedded(folder, every, lambda photo: photo))
    held = held_out(shelf, cache / HELD)
    shots = [shelf[at] for at in held]
    near = kept(cache / "closer.npy", lambda: embedded(folder, shots, closer))
    kinds = sorted({kind_of(shot) for shot in every}, key=lambda kind: kind.name)
    rows = [at for at in range(len(every)) if at not in set(held)]
    head = fitted(whole[rows], [every[at] for at in rows], kinds, seed)
    trial = KindHead(kinds, *head, Mixing(0.5, 1.0, 0.0))
    said = decoded(folder, shots, sorted({kind.category for kind in kinds}))
    domain = Domain.load(folder)
    likely = [1.0] * len(held) if domain is None else domain.likely(whole[held]).tolist()
    mixing = mixed(trial, (whole[held], near), shots, said, likely)
    final = KindHead(kinds, *fitted(whole, every, kinds, seed), mixing)
    final.save(folder)
    return final


def held_out(shelf: list[Shot], path: Path) -> list[int]:
    """The rows that are held out, by embeddings of the public tower, as `vl` keeps them too."""
    if not path.is_file():
        tower = public_tower(IMAGE_PX)
        maps = trunk_maps(tower, load(shelf, STORE_PX).pixels, 0, 0.0)
        path.write_text(json.dumps(hold_out(shelf, embeddings(tower, maps), HELD_OUT)))
    return json.loads(path.read_text(encoding="utf-8"))


def kept(path: Path, make: Callable[[], Array]) -> Array:
    """What `make` makes, from a file where it was made before."""
    if not path.is_file():
        np.save(path, make())
    return np.load(path)


def arguments(description: str) -> argparse.Namespace:
    """What the fits over a vl checkpoint take: data, checkpoint, cache."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--data", type=Path, required=True, help="folder of grocery/, clothing/")
    parser.add_argument("--checkpoint", type=Path, default=Path("workers/checkpoints/vl"))
    parser.add_argument("--cache", type=Path, required=True, help="folder for embeddings")
    return parser.parse_args()


def main() -> None:
    """Parse the command line and fit."""
    given = arguments("Fit the head of a vl checkpoint.")
    train(given.data, given.checkpoint, given.cache)


if __name__ == "__main__":
    main()
