"""Where a model's numbers lie: which device, in which floating-point type; knows no model."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import torch

from orchestra.core.errors import InvalidFleet, ModelUnavailable

DEVICE = re.compile(r"cpu|cuda(:\d+)?")
DTYPES: dict[str, Any] = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
    "auto": "auto",  # the checkpoint's own
}


@dataclass(frozen=True, slots=True)
class Placement:
    """A device, and the type of the weights there (a torch dtype, or "auto")."""

    device: torch.device
    dtype: Any

    def put(self, model: Any) -> Any:
        """`model` with its weights on the device. Raises ModelUnavailable when they do not fit."""
        if self.device.type == "cpu":
            return model
        try:
            return model.to(self.device)
        except torch.OutOfMemoryError as error:
            raise ModelUnavailable(
                f"The weights do not fit the memory of {str(self.device)!r}: {error}. Free the "
                "GPU, or name a smaller model on the card."
            ) from error


def placement_of(device: str, dtype: str | None = None) -> Placement:
    """The place that a card's `hosting.device` names.

    Without `dtype`, weights are float32 on a CPU, where it is the fastest type, and in the
    checkpoint's own type on a GPU. Raises InvalidFleet for a device or type that is not here.
    """
    if not DEVICE.fullmatch(device):
        raise InvalidFleet(
            f"hosting.device is {device!r}; the transformers engine runs on 'cpu', 'cuda' or "
            "'cuda:N'. Write one of them on the card."
        )
    if dtype is not None and dtype not in DTYPES:
        raise InvalidFleet(f"dtype is {dtype!r}; known are {sorted(DTYPES)!r}. Use one of them.")
    found = torch.device(device)
    if found.type == "cuda":
        _require_gpu(found)
    return Placement(found, DTYPES[dtype or ("float32" if found.type == "cpu" else "auto")])


def _require_gpu(device: torch.device) -> None:
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if (device.index or 0) < count:
        return
    raise InvalidFleet(
        f"hosting.device is {str(device)!r}, but torch {torch.__version__} sees {count} GPUs here. "
        "Run on a machine with a GPU and a CUDA build of torch (PyTorch's CPU index has none), "
        "or set hosting.device to 'cpu' on the card: float32 takes twice the memory."
    )
