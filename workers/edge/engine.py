"""The edge engine (V2): text, on a CPU, without torch, transformers or Ray; knows no jobs.

ONNX Runtime runs the decoder, numpy picks the tokens, llguidance holds them to a schema; the
extra `edge` brings these three. A checkpoint is a folder with 8-bit or float weights and a
`decoder.onnx`.
"""

from __future__ import annotations

from pathlib import Path

from orchestra.core.card import Sampling
from orchestra.core.errors import InvalidFleet
from workers.decoding.answering import AnsweringEngine
from workers.decoding.model import TextModel
from workers.decoding.sampling import GREEDY
from workers.loading.checkpoint import read_config
from workers.loading.plain_tokenizer import PlainTokenizer
from workers.onnx.decoder import OnnxDecoder
from workers.onnx.session import sessions_of


class EdgeEngine(AnsweringEngine):
    """One small text model in memory; see `AnsweringEngine`."""

    @classmethod
    def load(
        cls,
        checkpoint: Path | str,
        *,
        threads: int | None = None,
        device: str = "cpu",
        sampling: Sampling = GREEDY,
    ) -> EdgeEngine:
        """Load a checkpoint folder, to run on `threads` threads (by default one).

        Raises CheckpointInvalid, and InvalidFleet for another device than `cpu`.
        """
        if device != "cpu":
            raise InvalidFleet(
                f"hosting.device is {device!r}; the edge engine runs on 'cpu'. Set it so."
            )
        folder = Path(checkpoint)
        decoder = OnnxDecoder.load(folder, read_config(folder), threads or 1)
        layout = decoder.layout
        model = TextModel(
            PlainTokenizer(folder, layout.vocabulary),
            sessions_of(decoder),
            vocab_size=layout.vocabulary,
            context_tokens=layout.context,
        )
        return cls(model, sampling)
