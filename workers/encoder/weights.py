"""The encoder's weights as float32 arrays under Hugging Face's names of a `BertModel`.

They are what a trainer begins with: `transformers.BertModel(BertConfig(**config(...)))` takes them
with `load_state_dict` and, with exact GELU, is the network that `network.py` runs in 8 bits.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from workers.encoder.packed import PackedFile, Sizes, read_packed, unpack
from workers.encoder.source import check, find_file, map_file

# (name in BertModel, name in the packed file) of a layer's matrices and norms
MATRICES = (
    ("attention.self.query", "q"),
    ("attention.self.key", "k"),
    ("attention.self.value", "v"),
    ("attention.output.dense", "ao"),
    ("intermediate.dense", "fi"),
    ("output.dense", "fo"),
)
NORMS = (("attention.output.LayerNorm", "aln"), ("output.LayerNorm", "oln"))
EMBEDDINGS = (
    ("embeddings.position_embeddings.weight", "emb.pos"),
    ("embeddings.token_type_embeddings.weight", "emb.type"),
)


def bert_weights(layers: int | None = None) -> dict[str, NDArray[np.float32]]:
    """Weights of the installed encoder's first `layers` (by default all), without a pooler.

    Raises MissingExtra and CheckpointInvalid.
    """
    path = find_file()
    mapped = map_file(path)
    check(path, mapped)
    return arrange(read_packed(mapped), layers)


def arrange(packed: PackedFile, layers: int | None = None) -> dict[str, NDArray[np.float32]]:
    """The weights of a packed file under BertModel's names, some of them read-only."""
    width, inner = packed.sizes.width, packed.sizes.inner
    found = {"embeddings.word_embeddings.weight": unpack(*packed.blocks("emb.word", width))}
    found |= {name: packed.floats(ours).reshape(-1, width) for name, ours in EMBEDDINGS}
    found |= _norm(packed, "embeddings.LayerNorm", "emb.ln")
    for layer in range(packed.sizes.layers if layers is None else layers):
        ours, theirs = f"l{layer}.", f"encoder.layer.{layer}."
        for name, part in MATRICES:
            inputs = inner if part == "fo" else width
            found[f"{theirs}{name}.weight"] = unpack(*packed.blocks(f"{ours}{part}.w", inputs))
            found[f"{theirs}{name}.bias"] = packed.floats(f"{ours}{part}.b")
        for name, part in NORMS:
            found |= _norm(packed, theirs + name, ours + part)
    return found


def bert_config(sizes: Sizes, layers: int | None = None) -> dict[str, Any]:
    """What `BertConfig` takes to be this network."""
    return {
        "vocab_size": sizes.vocabulary,
        "hidden_size": sizes.width,
        "num_hidden_layers": sizes.layers if layers is None else layers,
        "num_attention_heads": sizes.heads,
        "intermediate_size": sizes.inner,
        "max_position_embeddings": sizes.positions,
        "type_vocab_size": sizes.types,
        "layer_norm_eps": sizes.epsilon,
        "hidden_act": "gelu",
    }


def _norm(packed: PackedFile, name: str, ours: str) -> dict[str, NDArray[np.float32]]:
    return {
        f"{name}.weight": packed.floats(f"{ours}.w"),
        f"{name}.bias": packed.floats(f"{ours}.b"),
    }
