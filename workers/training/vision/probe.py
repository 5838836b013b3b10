"""Linear heads on the frozen tower's embedding: a measure of it, and a start for the aligner.

Knows nothing of language. Shapes: N pictures, E embedding.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from workers.training.pictures.photos import Shot

FIELDS = ("product", "category")
EPOCHS, BATCH, RATE, DECAY = 40, 128, 2e-3, 0.5
SMOOTHING, DROPOUT = 0.1, 0.3
LEAST_SPREAD = 1e-2


@dataclass(frozen=True, slots=True)
class Probe:
    """One linear head for each field over a levelled embedding, as a weight on the raw one."""

    names: dict[str, tuple[str, ...]]
    weights: dict[str, Tensor]
    biases: dict[str, Tensor]

    def logits(self, field: str, embedding_NE: Tensor) -> Tensor:
        """(N, names) scores of a field's names."""
        return embedding_NE @ self.weights[field].T + self.biases[field]

    def accuracy(self, field: str, embedding_NE: Tensor, shots: Sequence[Shot]) -> float:
        """The share of right answers among shots that name the field; NaN for none."""
        known = [i for i, shot in enumerate(shots) if getattr(shot, field) is not None]
        best = self.logits(field, embedding_NE[known]).argmax(dim=1).tolist()
        names = self.names[field]
        right = [names[at] == getattr(shots[i], field) for at, i in zip(best, known, strict=True)]
        return sum(right) / len(right) if right else float("nan")

    def save(self, path: Path) -> None:
        """Write what `load` reads."""
        tensors = {f"{field}.weight": weight for field, weight in self.weights.items()}
        tensors |= {f"{field}.bias": bias for field, bias in self.biases.items()}
        names = {field: json.dumps(names) for field, names in self.names.items()}
        save_file({name: part.contiguous() for name, part in tensors.items()}, path, names)

    @classmethod
    def load(cls, path: Path) -> Probe | None:
        """The probe of a file, or None where there is no file."""
        if not path.is_file():
            return None
        with safe_open(path, framework="pt") as file:
            names = {field: tuple(json.loads(kept)) for field, kept in file.metadata().items()}
            weights = {field: file.get_tensor(f"{field}.weight") for field in names}
            return cls(names, weights, {field: file.get_tensor(f"{field}.bias") for field in names})


def train_probe(embedding_NE: Tensor, shots: Sequence[Shot], seed: int) -> Probe:
    """Fit the heads; a shot that does not name a field teaches nothing about it."""
    torch.manual_seed(seed)
    middle, spread = embedding_NE.mean(dim=0), embedding_NE.std(dim=0) + LEAST_SPREAD
    level_NE = (embedding_NE - middle) / spread
    names, weights, biases = {}, {}, {}
    for field in FIELDS:
        rows = [i for i, shot in enumerate(shots) if getattr(shot, field) is not None]
        names[field] = tuple(sorted({getattr(shots[i], field) for i in rows}))
        truth = torch.tensor([names[field].index(getattr(shots[i], field)) for i in rows])
        head = _fit(level_NE[rows], truth, len(names[field]))
        weights[field] = head.weight.detach() / spread
        biases[field] = head.bias.detach() - weights[field] @ middle
    return Probe(names, weights, biases)


def _fit(level_NE: Tensor, truth_N: Tensor, classes: int) -> nn.Linear:
    head = nn.Linear(level_NE.shape[1], classes)
    optimizer = torch.optim.AdamW(head.parameters(), lr=RATE, weight_decay=DECAY)
    for epoch in range(EPOCHS):
        for group in optimizer.param_groups:
            group["lr"] = RATE * (1 - epoch / EPOCHS)
        for rows in torch.randperm(len(level_NE)).split(BATCH):
            seen = F.dropout(level_NE[rows], DROPOUT)
            loss = F.cross_entropy(head(seen), truth_N[rows], label_smoothing=SMOOTHING)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
    return head
