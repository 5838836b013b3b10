"""Loads the tokenizer of a checkpoint, and guards that it reads and spells text rightly.

transformers 5 can load a tokenizer wrongly in silence: a class named in tokenizer_config.json
may rebuild it with other rules. So the tokenizer is read from tokenizer.json alone, it has to
give the same ids as that file by itself, and it has to spell a set of probes back. It knows no
weights and no prompt.
"""

from __future__ import annotations

import json
from pathlib import Path

from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast

from orchestra.core.errors import CheckpointInvalid
from workers.loading.checkpoint import RESTORE
from workers.loading.tokens import CURE, PROBES, require_spelling


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


def _check_probe(
    tokenizer: PreTrainedTokenizerFast, stored: Tokenizer, probe: str, folder: Path
) -> None:
    ids = tokenizer.encode(probe, add_special_tokens=False)
    spelled = tokenizer.decode(ids, clean_up_tokenization_spaces=False)
    require_spelling(probe, str(spelled), folder)
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
