"""Write a `vl` checkpoint folder: weights, tokenizer, processor, domain, choices, hashes.

It trains nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

from transformers import (
    DeepseekVLForConditionalGeneration,
    DeepseekVLProcessor,
    PreTrainedTokenizerFast,
)
from transformers.models.deepseek_vl.image_processing_pil_deepseek_vl import (
    DeepseekVLImageProcessorPil,
)

from workers.decoding import taught
from workers.training.text.tokenizer import ASSISTANT, CHAT_TEMPLATE, END, IMAGE, PAD, USER
from workers.training.vision.speaker import image_tokens
from workers.training.vision.taught import save_taught
from workers.vision import kinds
from workers.vision.domain import FILE, Domain

HASHED = (
    "config.json",
    "model.safetensors",
    "tokenizer.json",
    "preprocessor_config.json",
    FILE,
    taught.FILE,
    kinds.FILE,
)


def save(
    model: DeepseekVLForConditionalGeneration,
    tokenizer: PreTrainedTokenizerFast,
    domain: Domain | None,
    products: Iterable[str],
    out: Path,
) -> None:
    """Write the folder that `DeepseekVLProcessor` and the model class load: fp16 weights.

    `products` are the names that it was taught, of the photos' table.
    """
    side = cast(Any, model.config).vision_config.image_size
    image_processor = DeepseekVLImageProcessorPil(
        size={"height": side, "width": side},
        min_size=1,
        image_mean=[0.5, 0.5, 0.5],
        image_std=[0.5, 0.5, 0.5],
    )
    processor = DeepseekVLProcessor(
        image_processor,
        _naming_its_image_token(tokenizer),
        chat_template=CHAT_TEMPLATE,
        num_image_tokens=image_tokens(model),
    )
    out.mkdir(parents=True, exist_ok=True)
    model.half().save_pretrained(out)
    model.float()
    processor.save_pretrained(out)
    image_processor.save_pretrained(out)
    if domain is not None:
        domain.save(out)
    save_taught(products, out)
    sums = {
        name: hashlib.sha256((out / name).read_bytes()).hexdigest()
        for name in HASHED
        if (out / name).is_file()
    }
    (out / "checksums.json").write_text(json.dumps(sums, indent=2) + "\n", encoding="utf-8")


def _naming_its_image_token(tokenizer: PreTrainedTokenizerFast) -> PreTrainedTokenizerFast:
    """The same tokenizer with the `image_token` that the processor asks it for."""
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer.backend_tokenizer,
        pad_token=PAD,
        eos_token=END,
        additional_special_tokens=[USER, ASSISTANT],
        image_token=IMAGE,
        padding_side="left",
        clean_up_tokenization_spaces=False,
        chat_template=CHAT_TEMPLATE,
        model_max_length=tokenizer.model_max_length,
    )
