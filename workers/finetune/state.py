"""The state of a fine-tuning run as one safetensors file, so that a killed run goes on from it.

It holds the parameters that learn, AdamW's moments, and a few numbers; no code is stored or run.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn

from orchestra.core.errors import CheckpointInvalid, OutputMismatch
from orchestra.core.files.atomic import atomic_file

FILE = "state.safetensors"
MOMENTS = ("step", "exp_avg", "exp_avg_sq")  # what AdamW keeps of a parameter


@dataclass(slots=True)
class TrainingProgress:
    """How far a run is. `before` are the base's scores as (field, right, asked)."""

    steps: int = 0
    tokens: int = 0
    seconds: float = 0.0
    before: list[tuple[str, int, int]] = field(default_factory=list)


def write_state(
    folder: Path,
    name: str,
    progress: TrainingProgress,
    parameters: Mapping[str, nn.Parameter],
    optimizer: torch.optim.Optimizer,
) -> None:
    """Put the state in the place of the last one, whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {f"value/{key}": p.detach().contiguous() for key, p in parameters.items()}
    for key, parameter in parameters.items():
        for moment, tensor in optimizer.state.get(parameter, {}).items():
            tensors[f"{moment}/{key}"] = tensor.contiguous()
    told = {"name": name, "progress": json.dumps(asdict(progress))}
    with atomic_file(folder / FILE) as stream:
        stream.write(save(tensors, told))


@torch.no_grad()
def read_state(
    folder: Path,
    name: str,
    parameters: Mapping[str, nn.Parameter],
    optimizer: torch.optim.Optimizer,
) -> TrainingProgress:
    """Set parameters and optimizer to the state in `folder`; a new `TrainingProgress` without one.

    Raises OutputMismatch for another run's state, and CheckpointInvalid for a damaged one.
    """
    path = folder / FILE
    if not path.is_file():
        return TrainingProgress()
    try:
        with safe_open(path, framework="pt") as file:
            told: dict[str, Any] = file.metadata()
            if told["name"] != name:
                raise OutputMismatch(
                    f"{str(folder.parent)!r} holds an unfinished run with other settings or other "
                    f"data. Give another --out, or remove {str(folder)!r} to begin anew."
                )
            stored = set(file.keys())
            for key, parameter in parameters.items():
                parameter.copy_(file.get_tensor(f"value/{key}"))
                kept = {m: file.get_tensor(f"{m}/{key}") for m in MOMENTS if f"{m}/{key}" in stored}
                if kept:
                    moments = {m: t.to(parameter.device) for m, t in kept.items() if m != "step"}
                    optimizer.state[parameter] = {"step": kept["step"], **moments}
            return TrainingProgress(**json.loads(told["progress"]))
    except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise CheckpointInvalid(
            f"The state {str(path)!r} cannot be read: {error}. Remove it to begin anew."
        ) from error
