"""Loads the tokenizer of a checkpoint, and guards that it reads and spells text rightly.

transformers 5 can load a tokenizer wrongly in silence: a class named in tokenizer_config.json
may rebuild it with other rules. So the tokenizer is read from tokenizer.json alone, it has to
give the same ids as that file by itself, and it has to spell a set of probes back. It knows no
weights and no prompt.
"""

from __future__ import annotations

import json
from pathlib import Path

from llguidance import LLTokenizer, hf
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast

from orchestra.errors import CheckpointInvalid

RESTORE = "Restore the folder (git checkout, or download the checkpoint again)."
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


def load_tokenizer(folder: Path, vocab_size: int) -> PreTrainedTokenizerFast:
    """The tokenizer of `folder`, checked; `vocab_size` is how many tokens the model embeds.

    Raises CheckpointInvalid.
    """
    try:
        tokenizer = PreTrainedTokenizerFast.from_pretrained(folder, local_files_only=True)
        stored = Tokenizer.from_file(str(folder / "tokenizer.json"))
    except Exception as error:  # tokenizers raises bare Exception for a file it cannot read
        raise CheckpointInvalid(
            f"The tokenizer in {str(folder)!r} cannot be read: {error}. {RESTORE}"
        ) from error
    for probe in PROBES:
        _check_probe(tokenizer, stored, probe, folder)
    if len(tokenizer) > vocab_size:
        raise CheckpointInvalid(
            f"The tokenizer in {str(folder)!r} has {len(tokenizer)} tokens, the model embeds "
            f"{vocab_size}. {CURE}"
        )
    if tokenizer.chat_template is None:
        tokenizer.chat_template = _legacy_template(folder)
    if tokenizer.eos_token_id is None or tokenizer.chat_template is None:
        raise CheckpointInvalid(
            f"The tokenizer in {str(folder)!r} has eos token {tokenizer.eos_token!r} and "
            f"{'a' if tokenizer.chat_template else 'no'} chat template. Give it both."
        )
    return tokenizer


def marks(tokenizer: PreTrainedTokenizerFast) -> dict[str, int]:
    """Tokens that steer a model instead of spelling text, with their ids.

    These are the added tokens of more than one character: DeepSeek's tokenizers of 2024 also add
    thirteen single letters (ö, ü, ...), which are text.
    """
    return {token: at for token, at in tokenizer.get_added_vocab().items() if len(token) > 1}


def grammar_tokens(tokenizer: PreTrainedTokenizerFast, size: int, end: int) -> LLTokenizer:
    """The tokens as llguidance sees them; `size` is the model's vocabulary.

    Added single letters are left out: they spell broken bytes, so a constraint that forces "ü"
    would contradict itself. Without them the letter is spelled by its bytes, which are tokens.
    """
    letters = tokenizer.get_added_vocab().keys() - marks(tokenizer).keys()
    if not letters:
        return hf.from_tokenizer(tokenizer, n_vocab=size, eos_token=end)
    stored = json.loads(tokenizer.backend_tokenizer.to_str())
    stored["added_tokens"] = [t for t in stored["added_tokens"] if t["content"] not in letters]
    stored["padding"] = stored["truncation"] = None
    return LLTokenizer(json.dumps(stored), n_vocab=size, eos_token=end)


def _check_probe(
    tokenizer: PreTrainedTokenizerFast, stored: Tokenizer, probe: str, folder: Path
) -> None:
    ids = tokenizer.encode(probe, add_special_tokens=False)
    spelled = tokenizer.decode(ids, clean_up_tokenization_spaces=False)
    if spelled != probe:
        raise CheckpointInvalid(
            f"The tokenizer in {str(folder)!r} turns {probe!r} into {spelled!r}. {CURE}"
        )
    expected = stored.encode(probe, add_special_tokens=False).ids
    if ids != expected:
        raise CheckpointInvalid(
            f"The tokenizer in {str(folder)!r} was loaded wrongly: {probe!r} became the tokens "
            f"{ids[:8]}..., tokenizer.json alone gives {expected[:8]}.... Set 'tokenizer_class' in "
            "tokenizer_config.json to 'PreTrainedTokenizerFast', and remove settings that "
            "contradict tokenizer.json."
        )


def _legacy_template(folder: Path) -> str | None:
    """The template of a processor saved before transformers wrote chat_template.jinja."""
    path = folder / "chat_template.json"
    if not path.is_file():
        return None
    try:
        return json.loads(path.read_text(encoding="utf-8"))["chat_template"]
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointInvalid(
            f"{str(path)!r} holds no chat template: {error}. {RESTORE}"
        ) from error
