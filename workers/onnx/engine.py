"""The ONNX Runtime engine: the transformers engine with its decoder run by ONNX Runtime, on a CPU.

Prompts, constraints, sampling and photos are the same code; only the session differs. Where
onnxruntime is not installed, or a folder has no graph, it says so and transformers runs the model:
the answers are the same, later.
"""

from __future__ import annotations

import importlib.util
import logging
from pathlib import Path

import torch

from orchestra.core.card import Sampling
from orchestra.core.errors import InvalidFleet
from workers.decoding.model import TextModel
from workers.decoding.sampling import GREEDY
from workers.engine import TransformersEngine
from workers.loading import location
from workers.loading.checkpoint import architecture, read_config
from workers.loading.device import placement_of
from workers.loading.pretrained import LOADING
from workers.loading.tokenizer import load_tokenizer
from workers.onnx.layout import GRAPH
from workers.vision import model as vision
from workers.vision.model import VisionModel

log = logging.getLogger(__name__)


class OnnxEngine(TransformersEngine):
    """One model in memory; see `orchestra.core.call.Engine` for the contract."""

    @classmethod
    def load(
        cls,
        checkpoint: Path | str,
        *,
        threads: int | None = None,
        device: str = "cpu",
        dtype: str | None = None,
        sampling: Sampling = GREEDY,
    ) -> TransformersEngine:
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
        lacking = _lacking(folder)
        if lacking:
            log.warning("%s transformers runs the model instead, which is slower.", lacking)
            return TransformersEngine.load(folder, threads=threads, dtype=dtype, sampling=sampling)
        with LOADING:
            return cls(_load(folder, threads), sampling)


def _lacking(folder: Path) -> str:
    """What keeps `folder` from being run by onnxruntime, and the cure; empty when nothing does."""
    if importlib.util.find_spec("onnxruntime") is None:
        return "onnxruntime is not installed: pip install 'orchestra-fleet[onnx]'."
    if folder.is_dir() and not (folder / GRAPH).is_file():
        return (
            f"{GRAPH!r} is missing from {str(folder)!r}: make it with "
            f"python -m workers.onnx.graph {str(folder)!r}."
        )
    return ""


def _load(folder: Path, threads: int | None) -> TextModel:
    # They need onnxruntime, without which `load` has transformers run the model.
    from workers.onnx.decoder import OnnxDecoder
    from workers.onnx.session import sessions_of

    if threads is not None:
        torch.set_num_threads(threads)
    config = read_config(folder)
    decoder = OnnxDecoder.load(folder, config, torch.get_num_threads())
    if architecture(config) in vision.FAMILIES:
        return VisionModel.load(folder, config, placement_of("cpu"), sessions_of(decoder))
    layout = decoder.layout
    return TextModel(
        load_tokenizer(folder, layout.vocabulary),
        sessions_of(decoder),
        vocab_size=layout.vocabulary,
        context_tokens=layout.context,
    )
