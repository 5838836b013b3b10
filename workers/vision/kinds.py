"""Names the kind of thing in a photo from a tower's embeddings: a linear head beside the decoder.

The decoder says one answer of one view. The head rates every kind, also on a closer view (the
middle of the photo), and both together are right more often than either; see `train` in
`workers/training/vision/kinds.py` for how the head and the numbers are fitted. Knows no schema.

Shapes: V views of one photo, E embedding, K kinds, C choices.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from orchestra.core.errors import CheckpointInvalid
from workers.encoder.encoder import shared_encoder
from workers.loading.checkpoint import RESTORE
from workers.things.names import Names, centred

FILE = "kinds.safetensors"
CLOSER = 4 / 3  # how much nearer the second view is
FOREIGN = 0.08  # of the shares: so little for all choices, and the photo shows none of them
LEAST = 1e-4  # of a probability that is multiplied with others
Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class ShownKind:
    """A kind: the name of a product or garment, its category and its department."""

    name: str
    category: str
    department: str

    @property
    def words(self) -> frozenset[str]:
        """Every word that is true of it."""
        return frozenset((self.name, self.category, self.department))


@dataclass(frozen=True, slots=True)
class Mixing:
    """How head and decoder are joined: the decoder's part, the scale of the sum, and the limit.

    An answer that is less sure than `sure` is told as a guess.
    """

    decoder: float
    scale: float
    sure: float


class KindHead:
    """The head of one checkpoint: scores are `embedding @ weight.T + bias`, (K,)."""

    def __init__(
        self, kinds: Sequence[ShownKind], weight: Array, bias: Array, mixing: Mixing
    ) -> None:
        self.kinds = tuple(kinds)
        self.mixing = mixing
        self._weight, self._bias = weight, bias
        self._names: Names | None = None

    @classmethod
    def load(cls, folder: Path) -> KindHead | None:
        """The head of a checkpoint folder, or None. Raises CheckpointInvalid."""
        path = folder / FILE
        if not path.is_file():
            return None
        try:
            with safe_open(path, framework="np") as file:
                parts = {name: file.get_tensor(name) for name in ("weight", "step", "bias")}
                told = file.metadata()
            kinds = [ShownKind(*row) for row in json.loads(told["kinds"])]
            weight = parts["weight"].astype(np.float32) * parts["step"]
            return cls(kinds, weight, parts["bias"], Mixing(**json.loads(told["mixing"])))
        except (SafetensorError, KeyError, TypeError, ValueError) as error:
            raise CheckpointInvalid(f"{str(path)!r} cannot be read: {error}. {RESTORE}") from error

    def save(self, folder: Path) -> None:
        """Write the file that `load` reads: a byte a weight, with a step a kind."""
        step = np.maximum(np.abs(self._weight).max(axis=1, keepdims=True), 1e-12) / 127
        rows = [[kind.name, kind.category, kind.department] for kind in self.kinds]
        mixing = {name: getattr(self.mixing, name) for name in Mixing.__slots__}
        told = {"kinds": json.dumps(rows, ensure_ascii=False), "mixing": json.dumps(mixing)}
        tensors = {
            "weight": np.round(self._weight / step).astype(np.int8),
            "step": step.astype(np.float32),
            "bias": self._bias.astype(np.float32),
        }
        save_file(tensors, folder / FILE, told)

    def shares(self, embedding_VE: Array) -> Array:
        """How likely each view is of each kind, (V, K)."""
        return _softmax(embedding_VE @ self._weight.T + self._bias)

    def knows(self, choices: Sequence[str]) -> bool:
        """Whether all of `choices` are words for kinds, and there is something to choose."""
        known = {word for kind in self.kinds for word in kind.words}
        return len(choices) > 1 and known.issuperset(choices)

    def covers(self, choices: Sequence[str]) -> bool:
        """Whether every kind is one of `choices`."""
        return all(kind.words & set(choices) for kind in self.kinds)

    def inside(self, choices: Sequence[str], share_VK: Array) -> float:
        """How likely the photo shows one of `choices` at all."""
        named = np.array([bool(kind.words & set(choices)) for kind in self.kinds])
        return float(share_VK.mean(axis=0)[named].sum())

    def foreign(self, choices: Sequence[str], share_VK: Array) -> ShownKind | None:
        """The kind that a photo surely shows and that is none of `choices`, else None."""
        best = self.kinds[int(share_VK.mean(axis=0).argmax())]
        is_foreign = self.inside(choices, share_VK) < FOREIGN and not best.words & set(choices)
        return best if is_foreign else None

    def names(self) -> Names:
        """The kinds as names, to be found in other categories than those that were taught."""
        if self._names is None:
            groups = [kind.category for kind in self.kinds if kind.category != kind.name]
            inner = list(dict.fromkeys([*groups, *(kind.department for kind in self.kinds)]))
            words = [kind.name for kind in self.kinds] + inner
            at = {word: len(self.kinds) + number for number, word in enumerate(inner)}
            parents = [at[k.category if k.category in at else k.department] for k in self.kinds]
            above = {kind.category: at[kind.department] for kind in self.kinds}
            parents += [above.get(word, -1) for word in inner]
            vectors = shared_encoder().vectors(words)
            middle = vectors[: len(self.kinds)].mean(axis=0)
            self._names = Names(
                [(word,) for word in words],
                parents,
                len(self.kinds),
                centred(vectors, middle),
                middle,
                shared_encoder().vectors,
            )
        return self._names

    def rated(
        self, choices: Sequence[str], share_VK: Array, said: str | None, sure: float
    ) -> Mapping[str, float]:
        """How likely each of `choices` is, where the decoder `said` one of them, `sure` of it."""
        of_KC = np.array([[word in kind.words for word in choices] for kind in self.kinds])
        logs_C = np.log(share_VK @ of_KC.astype(np.float32) + LEAST).sum(axis=0)
        logs_C = logs_C + self.mixing.decoder * np.log(_spread(choices, said, sure) + 10 * LEAST)
        share_C = _softmax(self.mixing.scale * logs_C)
        return dict(zip(choices, share_C.tolist(), strict=True))


def closer(photo: Image.Image) -> Image.Image:
    """The middle of a photo, `CLOSER` times as near: what a second view shows."""
    most = max(photo.size) / CLOSER
    wide, high = (min(side, max(round(most), 1)) for side in photo.size)
    left, top = (photo.width - wide) // 2, (photo.height - high) // 2
    return photo.crop((left, top, left + wide, top + high))


def _spread(choices: Sequence[str], said: str | None, sure: float) -> Array:
    """The decoder's answer as a share of each choice."""
    if said not in choices:
        return np.full(len(choices), 1 / len(choices), np.float32)
    share_C = np.full(len(choices), (1 - sure) / max(len(choices) - 1, 1), np.float32)
    share_C[choices.index(said)] = sure
    return share_C


def _softmax(scores: Array) -> Array:
    power = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return power / power.sum(axis=-1, keepdims=True)
