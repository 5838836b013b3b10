"""Train the byte-level BPE tokenizer of the bundled checkpoints; knows no model and no task.

Copying is what these tiny models do most, so a span must have the same tokens inside a
text and alone between quotes. Capitalised words therefore never carry their leading space,
each digit, Han character and punctuation mark is a piece of its own, and only lower-case
words keep the space before them (they are the prose, and it halves their length).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

PAD = "<|pad|>"
USER = "<|user|>"
ASSISTANT = "<|assistant|>"
END = "<|end|>"
IMAGE = "<image_placeholder>"
SPECIAL_TOKENS = (PAD, USER, ASSISTANT, END, IMAGE)

# The roles of the messages are user and assistant; a content is the already joined string.
CHAT_TEMPLATE = (
    "{%- for message in messages -%}"
    "{%- if message['role'] == 'user' -%}"
    "{{- '<|user|>' + message['content'] -}}"
    "{%- elif message['role'] == 'assistant' -%}"
    "{{- '<|assistant|>' + message['content'] + '<|end|>' -}}"
    "{%- else -%}"
    "{{- raise_exception('Unknown role ' + message['role'] + '; use user or assistant.') -}}"
    "{%- endif -%}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|assistant|>' -}}{%- endif -%}"
)

THINK, THINK_END = "<think>", "</think>"
# Thinking is by request: the instruction says so, never the data.
THINKING_TEMPLATE = CHAT_TEMPLATE.replace(
    "{{- '<|assistant|>' -}}{%- endif -%}",
    "{{- '<|assistant|>' -}}"
    "{%- set asked = messages[-1]['content'].split('<data>')[0] -%}"
    "{%- if 'Think first.' in asked or '先思考。' in asked -%}{{- '<think>' -}}{%- endif -%}"
    "{%- endif -%}",
)

PIECE = (
    r"\p{Han}"  # a character a piece: Chinese has no spaces to align spans to
    r"| ?\p{Ll}[\p{Ll}\p{M}]*"  # lower-case words keep the space before them
    r"|\p{Lu}[\p{Lu}\p{Ll}\p{M}]*"  # names never do
    r"|\p{N}"
    r"| +"
    r"|\n+"
    r"|[^\p{Han}\p{Ll}\p{Lu}\p{N} \n]"
)


def train_tokenizer(texts: Iterable[str], vocab_size: int) -> PreTrainedTokenizerFast:
    """Learn merges on `texts` and return a tokenizer of at most `vocab_size` tokens.

    The 256 bytes and the five special tokens (ids 0 to 4) are always in the vocabulary, so
    every string survives `decode(encode(s))` unchanged. Raises ValueError when `vocab_size`
    cannot hold them.
    """
    smallest = 256 + len(SPECIAL_TOKENS)
    if vocab_size < smallest:
        raise ValueError(
            f"vocab_size is {vocab_size!r} but the bytes and special tokens alone need "
            f"{smallest}. Pass at least {smallest}."
        )
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PIECE), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator(texts, trainer=trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token=PAD,
        eos_token=END,
        additional_special_tokens=[USER, ASSISTANT, IMAGE],
        padding_side="left",
        clean_up_tokenization_spaces=False,
        chat_template=CHAT_TEMPLATE,
        model_max_length=1024,
    )


def add_thinking(tokenizer: PreTrainedTokenizerFast) -> PreTrainedTokenizerFast:
    """`tokenizer` with think marks, and a template that opens a thought when it is asked for."""
    marks: list[str | Any] = [USER, ASSISTANT, IMAGE, THINK, THINK_END]
    tokenizer.add_special_tokens({"additional_special_tokens": marks})
    tokenizer.chat_template = THINKING_TEMPLATE
    return tokenizer
