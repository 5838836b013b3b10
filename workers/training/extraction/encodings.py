"""What the encoder makes of texts, kept in a folder, so that a second run begins at once."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workers.encoder.encoder import shared_encoder
from workers.training.extraction.lessons import Encoded

AT_ONCE = 512
END = "\0"


class Encodings:
    """Vector, states (float16) of one layer and offsets of each text, kept in `folder` if given."""

    def __init__(self, layer: int, folder: Path | None = None) -> None:
        self.layer, self._folder = layer, folder
        self._known: dict[str, Encoded] = {}
        for path in sorted(folder.glob(f"enc{layer}_*.npz")) if folder else ():
            self._take(dict(np.load(path, allow_pickle=False)))

    def __getitem__(self, text: str) -> Encoded:
        return self._known[text]

    def add(self, texts: Iterable[str]) -> None:
        """Encode those of `texts` that are not known yet."""
        new = sorted({text for text in texts if text not in self._known}, key=len)
        for at in range(0, len(new), AT_ONCE):
            self._encode(new[at : at + AT_ONCE])

    def _encode(self, texts: list[str]) -> None:
        read = shared_encoder(1).encode(texts, states_of=self.layer)
        kept: dict[str, NDArray[Any]] = {
            "texts": np.array(END.join(texts)),
            "L": np.array([len(one.offsets) for one in read]),
            "V": np.stack([one.vector for one in read]),
            "S": np.concatenate([one.states for one in read]).astype(np.float16),
            "O": np.concatenate([one.offsets for one in read]),
        }
        if self._folder:
            number = len(list(self._folder.glob(f"enc{self.layer}_*.npz")))
            with (self._folder / f"enc{self.layer}_{number:06}.npz").open("wb") as file:
                np.savez(file, allow_pickle=False, **kept)
        self._take(kept)

    def _take(self, kept: dict[str, NDArray[Any]]) -> None:
        ends = np.cumsum(kept["L"])
        for row, text in enumerate(str(kept["texts"]).split(END)):
            part = slice(ends[row] - kept["L"][row], ends[row])
            self._known[text] = (kept["V"][row], kept["S"][part], kept["O"][part])
