"""Processes that train one model together: each on its own batches, with the mean gradient.

On a CPU that others use too, two processes of one thread lose less time waiting for each other
than one process of two threads. It knows no model and no data.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import distributed, multiprocessing, nn


@dataclass(frozen=True, slots=True)
class Team:
    """This process among `size`; the one of rank 0 writes logs and checkpoints."""

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        return self.rank == 0

    def mean_gradients(self, model: nn.Module) -> None:
        """Give each process the mean of all gradients."""
        if self.size == 1:
            return
        gradients = [p.grad for p in model.parameters() if p.grad is not None]
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        distributed.all_reduce(flat)
        flat /= self.size
        parts = flat.split([gradient.numel() for gradient in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view_as(gradient))

    def latest(self, seconds: float) -> float:
        """The largest of all processes' clocks, so that they agree on when to end."""
        if self.size == 1:
            return seconds
        told = torch.tensor(seconds, dtype=torch.float64)
        distributed.all_reduce(told, op=distributed.ReduceOp.MAX)
        return float(told)


def run_together(size: int, work: Callable[..., None], *given: Any) -> None:
    """Call `work(team, *given)` in `size` processes, on loopback only; in this one if alone."""
    if size == 1:
        work(Team(), *given)
        return
    with tempfile.TemporaryDirectory() as folder:
        store = str(Path(folder) / "store")
        multiprocessing.spawn(  # pyright: ignore[reportPrivateImportUsage]
            _join, args=(size, store, work, given), nprocs=size
        )


def _join(
    rank: int, size: int, store: str, work: Callable[..., None], given: tuple[Any, ...]
) -> None:
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo", init_method=f"file://{store}", rank=rank, world_size=size
    )
    work(Team(rank, size), *given)
    distributed.destroy_process_group()
