"""Opens a checkpoint to be trained further, and writes it again; it knows no rows and no loop.

Any causal language model of transformers, and the vision families of `workers.vision.model`, whose
tower stays as it is: only the aligner and the decoder learn.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

from orchestra.core.call import Call
from orchestra.core.errors import MissingExtra, UsageError
from workers.decoding.prompt import PromptWriter
from workers.loading.checkpoint import architecture, read_config, require_known
from workers.loading.device import DTYPES, placement_of
from workers.loading.pretrained import load_weights
from workers.loading.tokenizer import load_tokenizer
from workers.text.model import ARCHITECTURES
from workers.vision import model as vision

SEEING = ("language_model", "aligner", "lm_head")  # the parts of a vision model that learn
COPIED = ("tokenizer", "special_tokens", "chat_template", "preprocessor", "processor",
          "generation_config", "added_tokens", "vocab", "merges", "decoder", "tower")  # fmt: skip
KINDS = ("*.safetensors", "*.json", "*.onnx")  # graphs hold no weights, so that they fit the tuned
LORA_RANK, LORA_ALPHA = 16, 32
ADAPTER = "default"
Pixels = dict[str, torch.Tensor]


@dataclass(slots=True)
class Base:
    """A checkpoint in memory, with what renders its prompts and reads its photos."""

    model: Any
    tokenizer: PreTrainedTokenizerFast
    writer: PromptWriter
    folder: Path
    dtype: torch.dtype
    sees: Callable[[Call], Pixels | None] | None = None
    _adapter: Any = field(default=None)

    @property
    def context_tokens(self) -> int:
        """The most tokens of a prompt and its answer."""
        return int(self.model.config.get_text_config().max_position_embeddings)

    def choose(self, method: str, seed: int) -> dict[str, nn.Parameter]:
        """Set what learns, by `method`, and give it by name. Raises MissingExtra without PEFT."""
        learning = SEEING if self.sees is not None else ("",)
        for name, parameter in self.model.named_parameters():
            parameter.requires_grad_(any(part in name for part in learning))
        if method == "lora":
            self._adapter = _adapted(self.model, learning, seed)
        return {name: p for name, p in self.model.named_parameters() if p.requires_grad}

    def save(self, out: Path) -> None:
        """Write weights in the type that they came in, the tokenizer, and `checksums.json`."""
        if self._adapter is not None:
            self.model, self._adapter = self._adapter.merge_and_unload(), None
        self.model.requires_grad_(False)
        self.model.to("cpu", self.dtype).save_pretrained(out)
        for path in self.folder.iterdir():
            if path.name.startswith(COPIED) and path.suffix in (".json", ".jinja", ".txt", ".onnx"):
                shutil.copyfile(path, out / path.name)
        kept = [path for kind in KINDS for path in sorted(out.glob(kind))]
        sums = {path.name: _sha256(path) for path in kept if path.name != "checksums.json"}
        (out / "checksums.json").write_text(json.dumps(sums, indent=2) + "\n", encoding="utf-8")


def open_base(folder: Path, device: str) -> Base:
    """Load a checkpoint for training, in float32. Raises CheckpointInvalid and InvalidFleet."""
    config = read_config(folder)
    name = architecture(config)
    place = placement_of(device, "float32")
    dtype = DTYPES.get(str(config.get("dtype") or config.get("torch_dtype")), torch.float32)
    if name in vision.FAMILIES:
        seeing = vision.VisionModel.load(folder, config, place)
        tokenizer: Any = seeing.tokenizer
        return Base(seeing.model, tokenizer, seeing.writer, folder, dtype,
                    lambda call: seeing.prepare(call).pixels)  # fmt: skip
    require_known(name, [*vision.FAMILIES, *sorted(ARCHITECTURES)], folder)
    tokenizer = load_tokenizer(folder, config["vocab_size"])
    model = load_weights(AutoModelForCausalLM, folder, place)
    return Base(model, tokenizer, PromptWriter(tokenizer), folder, dtype)


def _adapted(model: Any, learning: tuple[str, ...], seed: int) -> Any:
    """Low-rank adapters in every linear layer that learns, but the head; the rest is frozen."""
    try:
        from peft import LoraConfig, LoraModel
    except ImportError as error:
        raise MissingExtra(
            "--method lora needs PEFT, which is not installed: "
            "pip install 'orchestra-fleet[train]'. Or take --method full."
        ) from error
    head = model.get_output_embeddings()
    names = [
        name
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and module is not head
        and any(part in name for part in learning)
    ]  # fmt: skip
    if not names:
        raise UsageError(
            f"{type(model).__name__} has no linear layer that LoRA could adapt. Take --method full."
        )
    torch.manual_seed(seed)
    config = LoraConfig(r=LORA_RANK, lora_alpha=LORA_ALPHA, target_modules=names)
    return LoraModel(model, config, ADAPTER)


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
