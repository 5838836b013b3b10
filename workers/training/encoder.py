"""Gives the encoder as a torch model, to be trained further or to teach a smaller one."""

from __future__ import annotations

import torch
from transformers import BertConfig, BertModel

from workers.encoder.packed import read_packed
from workers.encoder.source import check, find_file, map_file
from workers.encoder.weights import arrange, bert_config


def bert(layers: int | None = None) -> BertModel:
    """The installed encoder's first `layers` (by default all) in float32, in evaluation mode.

    Its tokens come from `workers.encoder.tokenizer`. Raises MissingExtra and CheckpointInvalid.
    """
    path = find_file()
    mapped = map_file(path)
    check(path, mapped)
    packed = read_packed(mapped)
    model = BertModel(BertConfig(**bert_config(packed.sizes, layers)), add_pooling_layer=False)
    weights = arrange(packed, layers)
    model.load_state_dict({name: torch.from_numpy(w.copy()) for name, w in weights.items()})
    return model.eval()
