"""A tokenizer and its chat template without transformers; knows no weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NoReturn

from jinja2 import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment
from tokenizers import Tokenizer

from orchestra.core.errors import CheckpointInvalid
from workers.loading.checkpoint import RESTORE
from workers.loading.tokens import CURE, PROBES, require_spelling


class PlainTokenizer:
    """What prompts and answers need of a tokenizer; see `workers.loading.tokens.AnyTokenizer`.

    It reads `tokenizer.json`, the marks that `tokenizer_config.json` names, and
    `chat_template.jinja`. Raises CheckpointInvalid; `vocab_size` is how many tokens the model
    embeds.
    """

    def __init__(self, folder: Path, vocab_size: int) -> None:
        try:
            self.backend_tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
            settings = json.loads((folder / "tokenizer_config.json").read_text("utf-8"))
            self._template = (folder / "chat_template.jinja").read_text("utf-8")
        except Exception as error:  # tokenizers raises bare Exception for a file it cannot read
            raise CheckpointInvalid(
                f"The tokenizer in {str(folder)!r} cannot be read: {error}. {RESTORE}"
            ) from error
        self._added = {
            token.content: at
            for at, token in self.backend_tokenizer.get_added_tokens_decoder().items()
        }
        self.eos_token, self.bos_token = (
            _word(settings, key) for key in ("eos_token", "bos_token")
        )
        self.eos_token_id, self.bos_token_id = (
            None if token is None else self.backend_tokenizer.token_to_id(token)
            for token in (self.eos_token, self.bos_token)
        )
        self._check(folder, vocab_size)
        environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
        environment.globals["raise_exception"] = _refuse
        self._chat = environment.from_string(self._template)

    def __len__(self) -> int:
        return self.backend_tokenizer.get_vocab_size(with_added_tokens=True)

    def get_vocab(self) -> dict[str, int]:
        """All tokens with their ids."""
        return self.backend_tokenizer.get_vocab(with_added_tokens=True)

    def get_added_vocab(self) -> dict[str, int]:
        """The tokens that were added to the learnt ones, with their ids."""
        return self._added

    def encode(self, text: str, *, add_special_tokens: bool = True) -> list[int]:
        """The ids of `text`."""
        return self.backend_tokenizer.encode(text, add_special_tokens=add_special_tokens).ids

    def get_chat_template(self) -> str:
        """The template as it is written."""
        return self._template

    def apply_chat_template(
        self, conversation: Any, *, tokenize: bool = False, add_generation_prompt: bool = True
    ) -> str:
        """The messages as one text. Raises TemplateError where the template refuses them."""
        if tokenize:
            raise ValueError("tokenize is True; encode() gives the ids of the rendered text.")
        return self._chat.render(
            messages=conversation,
            add_generation_prompt=add_generation_prompt,
            eos_token=self.eos_token,
            bos_token=self.bos_token,
        )

    def _check(self, folder: Path, vocab_size: int) -> None:
        for probe in PROBES:
            ids = self.encode(probe, add_special_tokens=False)
            require_spelling(
                probe, self.backend_tokenizer.decode(ids, skip_special_tokens=False), folder
            )
        if len(self) > vocab_size:
            raise CheckpointInvalid(
                f"The tokenizer in {str(folder)!r} has {len(self)} tokens, the model embeds "
                f"{vocab_size}. {CURE}"
            )
        if self.eos_token_id is None:
            raise CheckpointInvalid(
                f"The tokenizer in {str(folder)!r} has eos token {self.eos_token!r}. Name one in "
                "tokenizer_config.json."
            )


def _word(settings: dict[str, Any], key: str) -> str | None:
    """A mark of tokenizer_config.json, which may be a text or a description of one."""
    value = settings.get(key)
    return value.get("content") if isinstance(value, dict) else value


def _refuse(reason: str) -> NoReturn:
    raise TemplateError(reason)
