"""The tokenizer keeps every byte, and gives a span the same tokens in a text and alone."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from workers.training.text.tokenizer import SPECIAL_TOKENS, train_tokenizer

TEXTS = [
    "Title: Apple Golden Delicious Class 1, Italy, ca 180g. It is sweet and juicy.",
    "红色纯棉衬衫，产地：意大利，净含量500克",
    '{"name":"Golden Delicious","colour":null}',
] * 4


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return train_tokenizer(TEXTS, vocab_size=500)


@given(text=st.text(max_size=60))
def test_any_string_survives_the_round_trip(tokenizer, text):
    ids = tokenizer.encode(text, add_special_tokens=False)
    assert tokenizer.decode(ids) == text or any(special in text for special in SPECIAL_TOKENS)


def test_special_tokens_are_single_ids_from_zero(tokenizer):
    assert [tokenizer.convert_tokens_to_ids(t) for t in SPECIAL_TOKENS] == [0, 1, 2, 3, 4]
    assert tokenizer.pad_token_id == 0
    assert tokenizer.eos_token_id == 3


def test_each_digit_is_a_token_of_its_own(tokenizer):
    assert tokenizer.tokenize("1200") == ["1", "2", "0", "0"]


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("a nice Zorvik Belmund from Spain", "Zorvik Belmund"),
        ('brand "Zorvik", 5 kg', "Zorvik"),
        ("红色纯棉衬衫", "纯棉"),
        ("ca 1200g net", "1200g"),
    ],
)
def test_a_span_has_the_same_tokens_in_a_text_and_alone(tokenizer, text, span):
    inside = tokenizer.encode(text, add_special_tokens=False)
    alone = tokenizer.encode(span, add_special_tokens=False)
    starts = range(len(inside) - len(alone) + 1)
    assert any(inside[i : i + len(alone)] == alone for i in starts)


def test_chat_template_renders_the_shared_format(tokenizer):
    messages = [
        {"role": "user", "content": "Extract.\n<data>\nname: x\n</data>"},
        {"role": "assistant", "content": '{"name":"x"}'},
    ]
    rendered = tokenizer.apply_chat_template(messages, tokenize=False)
    assert rendered == (
        '<|user|>Extract.\n<data>\nname: x\n</data><|assistant|>{"name":"x"}<|end|>'
    )
    prompt = tokenizer.apply_chat_template(messages[:1], tokenize=False, add_generation_prompt=True)
    assert prompt.endswith("</data><|assistant|>")


def test_saved_tokenizer_loads_with_the_same_tokens(tokenizer, tmp_path: Path):
    tokenizer.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    text = "Äpple  Royal,\n 红色 x2 <|end|>"
    assert loaded.encode(text) == tokenizer.encode(text)
    assert loaded.chat_template == tokenizer.chat_template


def test_a_vocabulary_too_small_for_the_bytes_is_refused():
    with pytest.raises(ValueError, match="260"):
        train_tokenizer(TEXTS, vocab_size=260)
