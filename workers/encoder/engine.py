"""The bundled encoder as an engine: a vector of each of a call's texts; it answers nothing else."""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import accumulate
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
        refused = [_refusal(row, call, is_cancelled) for row, call in enumerate(calls)]
        asked = [call for call, error in zip(calls, refused, strict=True) if error is None]
        replies = iter(self._replies(asked))
        return [next(replies) if error is None else error for error in refused]

    def _replies(self, calls: Sequence[Call]) -> list[Reply]:
        """Texts of all calls go together: those of about one length take least padding."""
        before = time.thread_time()
        vectors = self._encoder.vectors([text for call in calls for text in call.texts])
        tokens = [self.count_tokens(call) for call in calls]
        a_token_s = (time.thread_time() - before) / max(1, sum(tokens))
        ends = list(accumulate(len(call.texts) for call in calls))
        return [
            Reply(
                "",
                None,
                usage=Usage(count, cpu_s=count * a_token_s),
                vectors=vectors[end - len(call.texts) : end],
            )
            for call, count, end in zip(calls, tokens, ends, strict=True)
        ]


def _refusal(row: int, call: Call, is_cancelled: IsCancelled | None) -> OrchestraError | None:
    """Why a call is not answered; None where it is."""
    if is_cancelled is not None and is_cancelled(row):
        return Cancelled(f"Row {row} was cancelled. Call again if it is wanted.")
    if not call.texts:
        return UsageError(
            "This model makes vectors and answers no questions, but the call has no texts. "
            "Use fleet.encode(texts) or POST /v1/embeddings, or ask another model."
        )
    return None
