"""What a config says of a decoder's graph: its sizes, and what the graph cannot express.

It reads JSON only and knows neither torch nor ONNX.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from orchestra.core.errors import CheckpointInvalid
from workers.loading.checkpoint import INT8

GRAPH = "decoder.onnx"
TOWER = "tower.onnx"  # what looks at photos
LAYOUT_KEY = "orchestra.layout"
WEIGHTS_KEY = "orchestra.weights"  # the names of a tower's weights, as JSON
CURE = "Name workers.engine:TransformersEngine as the card's worker; it runs this checkpoint."
# For each family: whether its query, key and value products have a bias, unless the config says.
FAMILIES = {"qwen2": True, "llama": False}
HEAD_STEP = 16
# Values of a row that onnxruntime multiplies under one scale.
INT8_BLOCK = 32
# A longer block pads the attention of every other row.
BLOCK_TOKENS = 16
# Settings that would change the graph, with the only value that it has.
FIXED: dict[str, Any] = {"hidden_act": "silu", "mlp_bias": False, "use_sliding_window": False}


@dataclass(frozen=True, slots=True)
class Cross:
    """Where a fused decoder looks at a photo: before which layers, how wide, in how many heads."""

    layers: tuple[int, ...]
    width: int
    heads: int


@dataclass(frozen=True, slots=True)
class Layout:
    """Sizes of one Llama or Qwen2 decoder.

    `theta` is the base of its rotary positions. With `is_int8` each row of a matrix is 8-bit
    integers and one scale (see `workers.onnx.int8`).
    """

    width: int
    heads: int
    key_heads: int
    head_width: int
    inner: int
    layers: int
    vocabulary: int
    context: int
    epsilon: float
    theta: float
    has_bias: bool
    is_int8: bool = False
    cross: Cross | None = None

    @classmethod
    def read(cls, config: Mapping[str, Any]) -> Self:
        """The layout of a checkpoint's config.json. Raises CheckpointInvalid."""
        text = config.get("text_config", config)
        _check(text)
        try:
            heads = int(text["num_attention_heads"])
            layout = cls(
                width=int(text["hidden_size"]),
                heads=heads,
                key_heads=int(text.get("num_key_value_heads") or heads),
                head_width=int(text.get("head_dim") or text["hidden_size"] // heads),
                inner=int(text["intermediate_size"]),
                layers=int(text["num_hidden_layers"]),
                vocabulary=int(text["vocab_size"]),
                context=int(text["max_position_embeddings"]),
                epsilon=float(text["rms_norm_eps"]),
                theta=float(_rope(text).get("rope_theta", 10_000.0)),
                has_bias=FAMILIES[text["model_type"]],
                is_int8=_is_int8(config),
                cross=_cross(config),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointInvalid(
                f"config.json does not give the decoder's sizes: {error!r}. {CURE}"
            ) from error
        if layout.head_width % HEAD_STEP:
            raise CheckpointInvalid(
                f"The heads are {layout.head_width!r} wide; onnxruntime attends over multiples of "
                f"{HEAD_STEP}. {CURE}"
            )
        if layout.is_int8 and (layout.width % INT8_BLOCK or layout.inner % INT8_BLOCK):
            raise CheckpointInvalid(
                f"The widths are {layout.width!r} and {layout.inner!r}; int8 products need "
                f"multiples of {INT8_BLOCK}. Train other sizes."
            )
        return layout

    @property
    def positions(self) -> int:
        """Positions that need an angle: a padded block may begin at the end of the context."""
        return self.context + BLOCK_TOKENS

    def to_json(self) -> str:
        """The layout as text, to be stored with its graph."""
        sizes = asdict(self)
        if self.cross is None:  # graphs of plain decoders are older than there being others
            del sizes["cross"]
        return json.dumps(sizes, sort_keys=True)


def cache_names(layers: int) -> list[str]:
    """Names of the cache's tensors in a graph: keys, then values, of each layer."""
    return [f"{part}.{layer}" for layer in range(layers) for part in ("key", "value")]


def _cross(config: Mapping[str, Any]) -> Cross | None:
    if "cross_layers" not in config:
        return None
    layers = tuple(int(layer) for layer in config["cross_layers"])
    return Cross(layers, int(config["cross_width"]), int(config["cross_heads"]))


def _is_int8(config: Mapping[str, Any]) -> bool:
    stored = config.get("quantization_config")
    if stored not in (None, INT8):
        raise CheckpointInvalid(
            f"quantization_config is {stored!r}; the ONNX graph is written for {INT8!r}. {CURE}"
        )
    return stored is not None


def _rope(text: Mapping[str, Any]) -> Mapping[str, Any]:
    return text.get("rope_parameters") or {"rope_theta": text.get("rope_theta", 10_000.0)}


def _check(text: Mapping[str, Any]) -> None:
    family = text.get("model_type")
    if family not in FAMILIES:
        raise CheckpointInvalid(
            f"model_type is {family!r}; the ONNX graph is written for {sorted(FAMILIES)!r}. {CURE}"
        )
    kind = _rope(text).get("rope_type", "default")
    wanted = {**FIXED, "rope_scaling": None, "attention_bias": FAMILIES[family]}
    found = {key: text.get(key, value) for key, value in wanted.items()}
    found["rope_type"], wanted["rope_type"] = kind, "default"
    for key, value in wanted.items():
        if found[key] != value:
            raise CheckpointInvalid(
                f"{key} is {found[key]!r}; the ONNX graph has {value!r}. {CURE}"
            )
