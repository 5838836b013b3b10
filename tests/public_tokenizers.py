"""The public checkpoints' tokenizers and chat templates, small, for tests without their weights.

Tokens and settings are those of the public tokenizer_config.json files (DeepSeek-R1-Distill-Qwen,
DeepSeek-V2-Lite-Chat) and of the conversion scripts of huggingface/transformers (deepseek_vl,
deepseek_vl_hybrid, janus). The vocabularies are trained here and small, so ids differ. The
templates are written anew: they render what the public ones render for turns of system, user and
assistant with texts and images, and know no tools.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    pre_tokenizers,
    processors,
    trainers,
)

BOS, EOS = "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>"
IMAGE = "<image_placeholder>"
# Letters that DeepSeek's tokenizers of 2024 added as tokens: the bytes that no UTF-8 text has.
ADDED_LETTERS = ("ø", "ö", "ú", "ÿ", "õ", "÷", "û", "ý", "À", "ù", "Á", "þ", "ü")
TURN_TOKENS = ("<｜User｜>", "<｜Assistant｜>", "<think>", "</think>")
JANUS_TOKENS = ("<begin_of_image>", "<end_of_image>", "<|User|>", "<|Assistant|>")

R1_TEMPLATE = (
    "{%- set told = messages | selectattr('role', 'equalto', 'system') | list -%}"
    "{{ bos_token }}{{ told[-1]['content'] if told else '' }}"
    "{%- for message in messages -%}"
    "{%- if message['role'] == 'user' -%}{{ '<｜User｜>' + message['content'] }}"
    "{%- elif message['role'] == 'assistant' -%}"
    "{{ '<｜Assistant｜>' + message['content'].split('</think>')[-1] + '<｜end▁of▁sentence｜>' }}"
    "{%- endif -%}{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ '<｜Assistant｜><think>\\n' }}{%- endif -%}"
)
V2_TEMPLATE = (
    "{{ bos_token }}{%- for message in messages -%}"
    "{%- if message['role'] == 'system' -%}{{ message['content'] + '\n\n' }}"
    "{%- elif message['role'] == 'user' -%}{{ 'User: ' + message['content'] + '\n\n' }}"
    "{%- else -%}{{ 'Assistant: ' + message['content'] + eos_token }}{%- endif -%}"
    "{%- endfor -%}{%- if add_generation_prompt -%}{{ 'Assistant:' }}{%- endif -%}"
)
VL_SYSTEM = (
    "You are a helpful language and vision assistant. You are able to understand the visual "
    "content that the user provides, and assist the user with a variety of tasks using natural "
    "language.\n\n"
)


def _parts_template(opening: str, user: str, assistant: str, line: str) -> str:
    """A template whose contents are lists of parts; `line` stands between image and text."""
    return (
        f"{opening}"
        "{%- for message in messages -%}{%- set last = loop.last -%}"
        f"{{%- if message['role'] | lower == 'user' -%}}{{{{ '{user}: ' }}}}"
        f"{{%- elif message['role'] | lower == 'assistant' -%}}{{{{ '{assistant}: ' }}}}"
        "{%- else -%}{{ message['role'].capitalize() + ': ' }}{%- endif -%}"
        "{%- for part in message['content'] -%}"
        "{%- if part['type'] == 'image' -%}"
        f"{{%- if not loop.first -%}}{{{{ '{line}' }}}}{{%- endif -%}}"
        "{{ '<image_placeholder>' }}"
        f"{{%- if not loop.last -%}}{{{{ '{line}' }}}}{{%- endif -%}}"
        "{%- elif part['type'] == 'text' -%}"
        "{%- set text = part['text'].lstrip() if loop.first else part['text'] -%}"
        "{{ text.rstrip() if loop.last else text }}"
        "{%- endif -%}{%- endfor -%}"
        "{%- if not last or add_generation_prompt -%}"
        "{{ '\n\n' if message['role'] | lower == 'user' else '<｜end▁of▁sentence｜>' }}"
        "{%- endif -%}{%- endfor -%}"
        f"{{%- if add_generation_prompt -%}}{{{{ '{assistant}:' }}}}{{%- endif -%}}"
    )


VL_TEMPLATE = _parts_template(VL_SYSTEM.rstrip() + "{{ '\n\n' }}", "User", "Assistant", "")
JANUS_TEMPLATE = _parts_template("", "<|User|>", "<|Assistant|>", "\\n")

WITH_IMAGES = ("deepseek_vl", "deepseek_vl_hybrid", "janus")
TEXTS = [
    "Extract what the text states. name: Golden Delicious, a nice apple from Italy, 500 g.",
    '{"category":"Apple","colour":null} You are a helpful language and vision assistant.',
    "红色纯棉衬衫，产地：意大利。\n\nUser: Assistant: System:\n\nDone.",
] * 4


@dataclass(frozen=True, slots=True)
class Kind:
    """What distinguishes one checkpoint's tokenizer: its tokens and its template."""

    template: str
    tokens: tuple[str, ...]


KINDS = {
    "qwen2": Kind(R1_TEMPLATE, TURN_TOKENS),
    "deepseek_v2": Kind(V2_TEMPLATE, ADDED_LETTERS),
    "deepseek_vl": Kind(VL_TEMPLATE, (*ADDED_LETTERS, IMAGE)),
    "deepseek_vl_hybrid": Kind(VL_TEMPLATE, (*ADDED_LETTERS, IMAGE)),
    "janus": Kind(JANUS_TEMPLATE, (*ADDED_LETTERS, IMAGE, *JANUS_TOKENS)),
}


def write_tokenizer(folder: Path, kind: str) -> dict[str, int]:
    """A tokenizer of the public one's make with a small vocabulary; returns its tokens.

    Its settings are those of the public files, their class LlamaTokenizerFast included, which
    is wrong for a byte-level tokenizer.
    """
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = _qwen_pieces() if kind == "qwen2" else _deepseek_pieces()
    core.decoder = decoders.ByteLevel()
    # Bytes that no text has are missing, as in the public vocabularies.
    alphabet = sorted(set(pre_tokenizers.ByteLevel.alphabet()) - set(ADDED_LETTERS))
    core.train_from_iterator(
        TEXTS, trainers.BpeTrainer(vocab_size=600, initial_alphabet=alphabet, show_progress=False)
    )
    added = [AddedToken(token, normalized=False) for token in KINDS[kind].tokens]
    core.add_special_tokens([AddedToken(BOS), AddedToken(EOS)])
    core.add_tokens(added)
    if kind in WITH_IMAGES:  # transformers 4 wrote what LlamaTokenizerFast does into the file
        core.post_processor = processors.TemplateProcessing(
            single=f"{BOS} $A", special_tokens=[(BOS, core.token_to_id(BOS))]
        )
    core.save(str(folder / "tokenizer.json"))
    named = {"__type": "AddedToken", "lstrip": False, "normalized": True, "rstrip": False}
    settings: dict[str, Any] = {
        "add_bos_token": True,
        "add_eos_token": False,
        "bos_token": {**named, "content": BOS, "single_word": False},
        "eos_token": {**named, "content": EOS, "single_word": False},
        "pad_token": {**named, "content": EOS, "single_word": False},
        "clean_up_tokenization_spaces": False,
        "legacy": True,
        "model_max_length": 16384,
        "sp_model_kwargs": {},
        "tokenizer_class": "LlamaTokenizerFast",
        "unk_token": None,
    }
    if kind in WITH_IMAGES:
        settings["extra_special_tokens"] = _image_tokens(kind)
        (folder / "chat_template.jinja").write_text(KINDS[kind].template, encoding="utf-8")
    else:
        settings["chat_template"] = KINDS[kind].template
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return core.get_vocab()


def _image_tokens(kind: str) -> dict[str, str]:
    named = {"image_token": IMAGE}
    if kind == "janus":
        named |= {"boi_token": JANUS_TOKENS[0], "eoi_token": JANUS_TOKENS[1]}
    return named


def _qwen_pieces() -> Any:
    """Qwen2's split: words with their space, single digits, runs of marks, white space."""
    pattern = (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|"
        r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    )
    return pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pattern), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )


def _deepseek_pieces() -> Any:
    """DeepSeek-LLM's split: line ends, words, marks, Chinese, single digits, each by itself."""
    patterns = (r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", r"[一-龥]+")
    return pre_tokenizers.Sequence(
        [
            *(pre_tokenizers.Split(Regex(p), behavior="isolated") for p in patterns),
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
