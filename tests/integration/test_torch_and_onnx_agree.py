"""The bundled models answer on ONNX Runtime and numpy what they answer under torch."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import Qwen2ForCausalLM
from transformers.models.deepseek_vl.image_processing_pil_deepseek_vl import (
    DeepseekVLImageProcessorPil,
)

from orchestra.core.call import Call, Reply
from workers.engine import TransformersEngine
from workers.loading.checkpoint import read_config
from workers.onnx.engine import OnnxEngine
from workers.synthetic.drawn import draw_product
from workers.vision.pixels import SquarePixels
from workers.zero.policy import PolicyNet

BUNDLED = Path(__file__).parents[2] / "workers" / "checkpoints"
NAMES = ["r1", "vl", "v3"]
TEXTS = [
    "Red cotton shirt, made in Italy.",
    "Organic Golden Delicious apples from Spain, 1 kg bag.",
    "意大利产红色纯棉衬衫，净含量500克。",
    "The answer is not here.",
    "",
]
LISTING = {
    "type": "object",
    "properties": {
        "category": {"anyOf": [{"enum": ["shirt", "Apple", "Milk", "hat"]}, {"type": "null"}]},
        "colour": {"anyOf": [{"enum": ["red", "green", "blue"]}, {"type": "null"}]},
        "name": {"anyOf": [{"type": "string", "maxLength": 40}, {"type": "null"}]},
    },
    "required": ["category", "colour", "name"],
}


def photos() -> list[Image.Image]:
    """Drawn products, which the models know, and pictures of nothing."""
    kinds = [("Apple", "red"), ("Milk", "blue"), ("shirt", "green"), ("hat", "red")]
    drawn = [draw_product(kind, colour, seed=7, size=200) for kind, colour in kinds]
    noise = np.random.default_rng(0).integers(0, 255, (50, 90, 3), dtype=np.uint8)
    fractal = Image.effect_mandelbrot((90, 60), (-2, -1.5, 1, 1.5), 30).convert("RGB")
    tall, small = Image.new("RGB", (30, 70), "red"), Image.new("RGB", (9, 9), "blue")
    return [*drawn, Image.fromarray(noise), fractal, tall, small]


def calls(name: str) -> list[Call]:
    asked = [Call("Describe the product.", text=text, schema=LISTING) for text in TEXTS]
    if name in ("vl", "v3"):
        look = Call("Describe the product shown.", schema=LISTING)
        asked += [replace(look, images=(photo,)) for photo in photos()]
    if name == "v3":
        asked += [
            Call("Describe the product.", text=text, images=(photo,), schema=LISTING)
            for text, photo in zip(TEXTS, photos(), strict=False)
        ]
    return asked


@pytest.mark.parametrize("name", NAMES)
def test_values_confidences_and_reasons_are_those_of_torch(name: str) -> None:
    folder = BUNDLED / name
    expected = TransformersEngine.load(folder, threads=1).generate(calls(name))
    engine = OnnxEngine.load(folder, threads=1)
    assert isinstance(engine, OnnxEngine)
    found = engine.generate(calls(name))
    for one, other in zip(found, expected, strict=True):
        assert isinstance(one, Reply) == isinstance(other, Reply), (one, other)
        if not isinstance(one, Reply) or not isinstance(other, Reply):
            assert str(one) == str(other)
            continue
        assert one.value == other.value
        assert one.confidence == pytest.approx(other.confidence, abs=1e-3)
        assert one.abstained == other.abstained
        assert one.modality_weights == pytest.approx(other.modality_weights, abs=1e-3)
        assert one.usage.input_tokens == other.usage.input_tokens


def test_photos_become_the_pixels_of_the_processor() -> None:
    processor = DeepseekVLImageProcessorPil.from_pretrained(BUNDLED / "vl")
    ours = SquarePixels.load(BUNDLED / "vl")
    for photo in photos():
        expected = processor(images=[photo], return_tensors="pt")["pixel_values"][0]
        assert torch.equal(torch.from_numpy(ours.of(photo)), expected)


def test_the_policy_has_the_logits_of_torch() -> None:
    folder = BUNDLED / "zero"
    config = read_config(folder)
    seen_BT = np.array([[first, second, 64] for first in range(0, 64, 5) for second in range(64)])
    policy = Qwen2ForCausalLM.from_pretrained(folder)
    with torch.inference_mode():
        expected = policy(torch.from_numpy(seen_BT)).logits[:, -1]
    found = torch.from_numpy(PolicyNet.load(folder, config).logits(seen_BT))
    assert torch.allclose(found, expected, atol=1e-3)
