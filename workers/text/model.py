"""The text role: any causal language model of transformers; knows no schema and no job."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers import AutoModelForCausalLM, PreTrainedModel
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from workers.decoding.model import OpenSession, TextModel
from workers.loading.device import Placement
from workers.loading.pretrained import load_weights
from workers.loading.tokenizer import load_tokenizer
from workers.text.packed import PackedDecoder, PackedSession, is_packable
from workers.text.session import PaddedSession

ARCHITECTURES = frozenset(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.values())


def load_text(folder: Path, config: dict[str, Any], place: Placement) -> TextModel:
    """The model of a checked folder. Raises CheckpointInvalid."""
    tokenizer = load_tokenizer(folder, config["vocab_size"])
    model = load_weights(AutoModelForCausalLM, folder, place)
    return TextModel(tokenizer, sessions_of(model), **sizes(model))


def sizes(model: PreTrainedModel) -> dict[str, int]:
    """Vocabulary and context of a model, as `TextModel` takes them."""
    config: Any = model.config.get_text_config()
    return {"vocab_size": config.vocab_size, "context_tokens": config.max_position_embeddings}


def sessions_of(model: PreTrainedModel) -> OpenSession:
    """The fastest sessions that torch has for `model`."""
    decoder = model.get_decoder()
    if not is_packable(decoder):
        return lambda capacity, image_token_id: PaddedSession(model, len(capacity), image_token_id)
    packed = PackedDecoder(model, decoder)
    return lambda capacity, image_token_id: PackedSession(packed, capacity, image_token_id)
