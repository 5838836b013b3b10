"""The ONNX Runtime engine: the transformers engine with its decoder run by ONNX Runtime, on a CPU.

Prompts, constraints, sampling and photos are the same code; only the session differs.
"""

from __future__ import annotations

from pathlib import Path

import torch

from orchestra.errors import InvalidFleet
from orchestra.fleet.card import Sampling
from workers import location, vision
from workers.checkpoint import architecture, read_config
from workers.device import place_of
from workers.engine import LOADING, TransformersEngine
from workers.onnx.decoder import OnnxDecoder
from workers.onnx.session import OnnxSession
from workers.sampling import GREEDY
from workers.text import OpenSession, TextModel
from workers.tokenizer import load_tokenizer
from workers.vision import VisionModel


class OnnxEngine(TransformersEngine):
    """One model in memory; see `orchestra.clients.engine.Engine` for the contract."""

    @classmethod
    def load(
        cls,
        checkpoint: Path | str,
        *,
        threads: int | None = None,
        device: str = "cpu",
        dtype: str | None = None,
        sampling: Sampling = GREEDY,
    ) -> OnnxEngine:
        """Load a checkpoint folder that has a `decoder.onnx` (see `workers.onnx.graph`).

        `threads` sets the threads of onnxruntime's session, and torch's, which look at photos.
        Raises CheckpointInvalid, and InvalidFleet for another device than `cpu` or another
        dtype than `float32`.
        """
        if device != "cpu" or dtype not in (None, "float32"):
            raise InvalidFleet(
                f"hosting.device is {device!r} and dtype {dtype!r}; the ONNX engine runs on 'cpu' "
                "in 'float32'. Set them so, or name workers.engine:TransformersEngine."
            )
        folder = location.find(checkpoint)
        with LOADING:
            return cls(_load(folder, threads), sampling)


def _load(folder: Path, threads: int | None) -> TextModel:
    if threads is not None:
        torch.set_num_threads(threads)
    config = read_config(folder)
    decoder = OnnxDecoder.load(folder, config, torch.get_num_threads())
    open_session = _sessions(decoder)
    if architecture(config) in vision.FAMILIES:
        return VisionModel.load(folder, config, place_of("cpu"), open_session)
    layout = decoder.layout
    return TextModel(
        load_tokenizer(folder, layout.vocabulary),
        open_session,
        vocab_size=layout.vocabulary,
        context_tokens=layout.context,
    )


def _sessions(decoder: OnnxDecoder) -> OpenSession:
    return lambda capacity, image_token_id: OnnxSession(decoder, capacity, image_token_id)
