"""The bundled encoder as an engine: a vector of each of a call's texts; it answers nothing else."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from orchestra.core.call import Call, IsCancelled, OnText, Reply, Usage
from orchestra.core.errors import Cancelled, OrchestraError, UsageError
from workers.encoder.encoder import Encoder, shared_encoder


class EncoderEngine:
    """The encoder of this process, which others may share; see `orchestra.core.call.Engine`."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder

    @classmethod
    def load(cls, checkpoint: Path | str, *, threads: int = 1) -> EncoderEngine:
        """Load it. `checkpoint` holds its graphs, which say where the weights are; `threads` count
        where nobody has loaded it before. Raises what `Encoder.load` raises.
        """
        return cls(shared_encoder(threads))

    def count_tokens(self, call: Call) -> int:
        """Tokens of the call's texts, with the prefix and special tokens of each."""
        return self._encoder.count_tokens(call.texts)

    def generate(
        self,
        calls: Sequence[Call],
        is_cancelled: IsCancelled | None = None,
        on_text: OnText | None = None,
    ) -> list[Reply | OrchestraError]:
        """Answer `calls`; see `Engine.generate`."""
        return [self._answer(row, call, is_cancelled) for row, call in enumerate(calls)]

    def _answer(
        self, row: int, call: Call, is_cancelled: IsCancelled | None
    ) -> Reply | OrchestraError:
        if is_cancelled is not None and is_cancelled(row):
            return Cancelled(f"Row {row} was cancelled. Call again if it is wanted.")
        if not call.texts:
            return UsageError(
                "This model makes vectors and answers no questions, but the call has no texts. "
                "Use fleet.encode(texts) or POST /v1/embeddings, or ask another model."
            )
        before = time.thread_time()
        vectors = self._encoder.vectors(call.texts)
        usage = Usage(self.count_tokens(call), cpu_s=time.thread_time() - before)
        return Reply("", None, usage=usage, vectors=vectors)
