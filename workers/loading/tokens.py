"""What prompts and answers need of a tokenizer, whichever library loaded it; knows no weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Protocol

from llguidance import LLTokenizer
from tokenizers import Tokenizer

from orchestra.core.errors import CheckpointInvalid

CURE = "Use the tokenizer.json that belongs to these weights."
# English, Chinese, code, JSON and white space. Letters that some public tokenizers cannot spell
# (ö, ü and others are broken bytes in DeepSeek's vocabularies of 2024) are left out.
PROBES = (
    'Äpple "Royal" 500 g,\n红色 <x> {"a":null}',
    "The price isn't $1,299.99: it's 20% less (v2.0)!",
    "红色纯棉衬衫，产地：意大利。净含量500克！",
    "def f(x):\n    if x > 0:\n\treturn {'k': [x, -1]}  # done\n",
    '{"name":"Golden Delicious","tags":["new","sale"],"ok":true}',
    "  two  spaces,\n\n\nthree lines\t\ttwo tabs ",
)


class AnyTokenizer(Protocol):
    """What is used of a tokenizer; transformers' own have it all."""

    @property
    def backend_tokenizer(self) -> Tokenizer: ...

    @property
    def eos_token_id(self) -> Any: ...

    @property
    def bos_token_id(self) -> Any: ...

    @property
    def bos_token(self) -> Any: ...

    def __len__(self) -> int: ...

    def get_vocab(self) -> dict[str, int]: ...

    def get_added_vocab(self) -> dict[str, int]: ...

    def encode(self, text: Any, *, add_special_tokens: bool = True) -> list[int]: ...

    def get_chat_template(self) -> Any: ...

    def apply_chat_template(
        self, conversation: Any, *, tokenize: bool, add_generation_prompt: bool
    ) -> Any: ...


def marks(tokenizer: AnyTokenizer) -> dict[str, int]:
    """Tokens that steer a model instead of spelling text, with their ids.

    These are the added tokens of more than one character: DeepSeek's tokenizers of 2024 also add
    thirteen single letters (ö, ü, ...), which are text.
    """
    return {token: at for token, at in tokenizer.get_added_vocab().items() if len(token) > 1}


def grammar_tokens(tokenizer: AnyTokenizer, size: int, end: int) -> LLTokenizer:
    """The tokens as llguidance sees them; `size` is the model's vocabulary.

    Added single letters are left out: they spell broken bytes, so a constraint that forces "ü"
    would contradict itself. Without them the letter is spelled by its bytes, which are tokens.
    """
    letters = tokenizer.get_added_vocab().keys() - marks(tokenizer).keys()
    stored = json.loads(tokenizer.backend_tokenizer.to_str())
    stored["added_tokens"] = [t for t in stored["added_tokens"] if t["content"] not in letters]
    stored["padding"] = stored["truncation"] = None
    return LLTokenizer(json.dumps(stored), n_vocab=size, eos_token=end)


def require_spelling(probe: str, spelled: str, folder: Path) -> None:
    """Raise CheckpointInvalid unless a tokenizer spelled `probe` back."""
    if spelled != probe:
        raise CheckpointInvalid(
            f"The tokenizer in {str(folder)!r} turns {probe!r} into {spelled!r}. {CURE}"
        )
