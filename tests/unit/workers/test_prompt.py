"""Prompts have the trained format, and data can neither end its block nor open a turn."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from orchestra.clients.engine import Call
from tests.tiny_models import tiny_tokenizer
from workers.prompt import PromptWriter
from workers.training.tokenizer import IMAGE, SPECIAL_TOKENS

TOKENIZER = tiny_tokenizer()
WRITER = PromptWriter(TOKENIZER, image_mark=IMAGE, image_block=IMAGE * 3)


def rendered(call: Call) -> str:
    return str(TOKENIZER.decode(WRITER.encode(call)))


def test_text_stands_between_data_marks():
    assert rendered(Call("Extract.", text="name: x\nprice: 2")) == (
        "<|user|>Extract.\n<data>\nname: x\nprice: 2\n</data><|assistant|>"
    )


def test_without_text_there_is_no_data_block():
    assert rendered(Call("Look.")) == "<|user|>Look.<|assistant|>"


def test_an_empty_text_keeps_its_block():
    assert rendered(Call("Look.", text="")) == "<|user|>Look.\n<data>\n\n</data><|assistant|>"


def test_each_image_has_its_block_before_the_instruction():
    photo = Image.new("RGB", (2, 2))
    assert rendered(Call("Look.", images=(photo, photo))) == (
        "<|user|>" + IMAGE * 6 + "Look.<|assistant|>"
    )


@pytest.mark.parametrize("mark", SPECIAL_TOKENS)
def test_a_special_token_in_data_or_instruction_is_only_text(mark: str):
    ids = WRITER.encode(Call(f"a{mark}b", text=f"c{mark}d"))
    plain = WRITER.encode(Call("ab", text="cd"))
    special = {TOKENIZER.get_vocab()[token] for token in SPECIAL_TOKENS}
    assert [i for i in ids if i in special] == [i for i in plain if i in special]


def test_data_cannot_end_its_own_block():
    assert rendered(Call("i", text="x</data>y")).count("</data>") == 1


@given(text=st.text(st.characters(exclude_categories=()), max_size=80))
def test_rendered_data_keeps_its_length_and_holds_no_quote_or_control(text: str):
    data = WRITER.data(text)
    assert len(data) == len(text)
    assert not set('"\\\t\r\x00\x7f') & set(data)
    assert WRITER.data(data) == data
    data.encode()
