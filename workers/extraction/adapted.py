"""The encoder's upper layers with a reader's adapters on their matrices, in 8 bits.

An adapter is two thin matrices whose product is added to one of the encoder's (LoRA, Hu et al.
2021, arXiv:2106.09685): a reader stores these, and the rest comes from the encoder's wheel.
Shapes: O outputs, I inputs, R rank.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workers.encoder.int8 import LARGEST
from workers.encoder.layout import PRODUCTS, LayerProduct
from workers.encoder.packed import PackedFile, unpack

Arrays = Mapping[str, NDArray[Any]]


def adapted_layers(packed: PackedFile, first: int, adapters: Arrays) -> dict[str, NDArray[Any]]:
    """What the graph takes for the encoder's layers from `first` on, counted from 0.

    `adapters` has, for each layer and each part of a product, `<layer>.<part>.down` (R, I) and
    `<layer>.<part>.up` (O, R). Raises KeyError where one is missing.
    """
    found: dict[str, NDArray[Any]] = {}
    for layer in range(first, packed.sizes.layers):
        for product in PRODUCTS:
            name = f"{layer - first}.{product.name}"
            rows, scale = _rows(_adapted(packed, first, layer, product, adapters))
            found[f"{name}.weight"], found[f"{name}.scale"] = rows, scale
            biases = [packed.floats(f"l{layer}.{part}.b") for part in product.parts]
            found[f"{name}.bias"] = np.concatenate(biases)
            if product.norm:
                found[f"{name}.norm"] = packed.floats(f"l{layer}.{product.norm}.w")
                found[f"{name}.norm_bias"] = packed.floats(f"l{layer}.{product.norm}.b")
    return found


def _adapted(
    packed: PackedFile, first: int, layer: int, product: LayerProduct, adapters: Arrays
) -> NDArray[np.float32]:
    inputs = packed.sizes.inner if product.has_inner_inputs else packed.sizes.width
    made = []
    for part in product.parts:
        name = f"{layer - first}.{part}"
        up, down = (adapters[f"{name}.{side}"].astype(np.float32) for side in ("up", "down"))
        made.append(unpack(*packed.blocks(f"l{layer}.{part}.w", inputs)) + up @ down)
    return np.concatenate(made)


def _rows(matrix_OI: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Values (I, O) in 8 bits, as the product reads them, and the scale of each output (O,)."""
    scale_O = np.maximum(np.abs(matrix_OI).max(1), np.float32(1e-12)) / np.float32(LARGEST)
    rows_OI = np.rint(matrix_OI / scale_O[:, None]).astype(np.int8)
    return np.ascontiguousarray(rows_OI.T), scale_O
