"""ChoiceOptions that are ready to be asked of texts, and the folder that keeps them.

A folder holds `options.json` (names, descriptions, examples) and `head.safetensors`; nothing in
it is code. Shapes: K names, W numbers of a place, M texts that are none of the names.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from orchestra.core.errors import CheckpointInvalid
from workers.choice.calibration import Kind
from workers.choice.head import Head
from workers.choice.known import TrainedHead, trained
from workers.choice.options import ChoiceOptions
from workers.choice.settle import Mixture

Floats = NDArray[np.floating[Any]]
OPTIONS, HEAD = "options.json", "head.safetensors"
OF_HEAD = ("centres", "taught", "nothing")
OF_MIXTURE = ("middle", "axes", "slopes", "offset")
OF_LEARNT = ("slopes", "offsets")


@dataclass(frozen=True, slots=True, eq=False)
class FittedOptions:
    """`names` (K, W) are the names' own directions; `mixture` is there where a table settled them,
    `trained` where they form a known set, `learnt` where each has many examples."""

    options: ChoiceOptions
    names: Floats
    head: Head
    mixture: Mixture | None = None
    trained: TrainedHead | None = None
    learnt: TrainedHead | None = None

    @property
    def kind(self) -> Kind:
        """Which numbers of a calibration hold for its head."""
        return "taught" if self.head.taught.any() else "named"

    def save(self, folder: Path) -> None:
        """Write it to `folder`, which is made."""
        folder.mkdir(parents=True, exist_ok=True)
        options = {
            "names": self.options.names,
            "descriptions": self.options.descriptions,
            "examples": self.options.examples,
        }
        text = json.dumps(options, ensure_ascii=False, indent=1)
        (folder / OPTIONS).write_text(text + "\n", encoding="utf-8")
        arrays = {"names": self.names, **_arrays("head", self.head, OF_HEAD)}
        if self.mixture is not None:
            arrays |= _arrays("mixture", self.mixture, OF_MIXTURE)
        if self.learnt is not None:
            arrays |= _arrays("learnt", self.learnt, OF_LEARNT)
        save_file({name: np.ascontiguousarray(a) for name, a in arrays.items()}, folder / HEAD)

    @classmethod
    def load(cls, folder: Path) -> FittedOptions:
        """Read what `save` wrote; raises CheckpointInvalid where it is missing or damaged."""
        try:
            written = json.loads((folder / OPTIONS).read_text(encoding="utf-8"))
            options = ChoiceOptions(
                tuple(written["names"]),
                tuple(map(tuple, written["descriptions"])),
                tuple(map(tuple, written["examples"])),
            )
            with safe_open(folder / HEAD, framework="numpy") as file:
                arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            head = Head(*(arrays[f"head.{name}"] for name in OF_HEAD))
            if len(head.centres) != len(options.names):
                raise ValueError(f"{len(options.names)} names and {len(head.centres)} centres")
            mixture = None
            if "mixture.middle" in arrays:
                mixture = Mixture(*(arrays[f"mixture.{name}"] for name in OF_MIXTURE))
            learnt = None
            if "learnt.slopes" in arrays:
                learnt = TrainedHead(*(arrays[f"learnt.{name}"] for name in OF_LEARNT))
        except (OSError, ValueError, KeyError, TypeError, SafetensorError) as cause:
            raise CheckpointInvalid(
                f"{str(folder)!r} holds no fitted options: {cause}. Fit them again."
            ) from cause
        known = None if options.examples else trained(options.names)
        return cls(options, arrays["names"], head, mixture, known, learnt)


def _arrays(prefix: str, whole: object, names: tuple[str, ...]) -> dict[str, Floats]:
    return {f"{prefix}.{name}": getattr(whole, name) for name in names}
