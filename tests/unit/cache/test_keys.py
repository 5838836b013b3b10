"""What decides an answer decides its key: a change of any part misses, and nothing else does."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from orchestra.cache.replies import SharedReplies, call_key, is_shared
from orchestra.cache.store import ReplyStore
from orchestra.core.call import Call, Reply, Tool, ToolCall, Turn, Usage
from orchestra.core.card import Card
from orchestra.images.store import pixel_hash

CALL = Call(
    "Extract the colour.",
    text="A red shirt",
    schema={"type": "object", "properties": {"colour": {"type": "string"}}},
    turns=(Turn("user", "Hello"),),
    tools=(Tool("search", "Searches.", {"type": "object"}),),
)
CHANGES: dict[str, dict[str, Any]] = {
    "instruction": {"instruction": "Extract the color."},
    "text": {"text": "A red shirt."},
    "no text": {"text": None},
    "schema": {"schema": {"type": "object", "properties": {"color": {"type": "string"}}}},
    "answer tokens": {"max_tokens": 129},
    "thinking tokens": {"thinking_tokens": 1},
    "turn's words": {"turns": (Turn("user", "Hallo"),)},
    "turn's role": {"turns": (Turn("assistant", "Hello"),)},
    "turn's call": {"turns": (Turn("user", "Hello", calls=(ToolCall("1", "search", {}),)),)},
    "turn's photos": {"turns": (Turn("user", "Hello", photos=1),)},
    "regions": {"regions": True},
    "tool": {"tools": (Tool("search", "Seeks.", {"type": "object"}),)},
    "tool's choice": {"tool_choice": "any"},
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_each_part_of_a_call_is_in_its_key(change: dict[str, Any]) -> None:
    assert call_key(replace(CALL, **change), (), "m") != call_key(CALL, (), "m")


def test_the_same_call_has_the_same_key() -> None:
    assert call_key(replace(CALL), ("a",), "m") == call_key(CALL, ("a",), "m")


def test_model_photos_and_their_order_are_in_the_key() -> None:
    keys = {
        call_key(CALL, ("a", "b"), "m"),
        call_key(CALL, ("b", "a"), "m"),
        call_key(CALL, ("a",), "m"),
        call_key(CALL, ("a",), "n"),
    }
    assert len(keys) == 4


def test_one_pixel_makes_another_photo() -> None:
    photo, other = Image.new("RGB", (8, 8), "red"), Image.new("RGB", (8, 8), "red")
    assert pixel_hash(photo) == pixel_hash(other)
    other.putpixel((7, 7), (254, 0, 0))
    assert pixel_hash(photo) != pixel_hash(other)


def card(**hosting: Any) -> Card:
    return Card.model_validate(
        {
            "name": "m",
            "role": "reader",
            "capabilities": ["text"],
            "price": {"as_of": "2026-01-01"},
            "profile": {"origin": "estimated"},
            "hosting": {"memory_gib": 1, **hosting},
            "limits": {"context_tokens": 4096},
        }
    )


SERVER = {"endpoint": {"url": "http://127.0.0.1:1/v1", "model": "big"}}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ReplyStore]:
    opened = ReplyStore(tmp_path / "cache")
    yield opened
    opened.close()


@pytest.mark.parametrize(
    ("hosting", "shared"),
    [
        ({}, True),
        ({"sampling": {"temperature": 0.6}}, False),
        ({"sampling": {"temperature": 0.6}, "cache": True}, True),
        ({"cache": False}, False),
    ],
    ids=str,
)
def test_replies_of_sampled_models_are_shared_only_where_the_card_says_so(
    hosting: dict[str, Any], shared: bool
) -> None:
    assert is_shared(card(**SERVER, **hosting)) is shared


def test_a_reply_comes_back_as_it_was(store: ReplyStore) -> None:
    shared = SharedReplies(store, store.folder.parent)
    reply = Reply(
        '{"colour":"红"}',
        {"colour": "红"},
        {"colour": 0.25},
        Usage(9, 4, 1),
        thinking="hm",
        abstained={"size": "outside"},
        modality_weights={"text": 0.5, "image": 0.5},
        regions={"colour": (0.0, 0.25, 0.5, 1.0)},
        words={"colour": "红色"},
    )
    shared.keep("key", reply)
    assert shared.find("key") == replace(reply, cached=True)


def test_an_answer_that_was_cut_off_is_not_kept(store: ReplyStore) -> None:
    shared = SharedReplies(store, store.folder.parent)
    shared.keep("key", Reply("half an ans", "half an ans", finish="length"))
    assert shared.find("key") is None


@pytest.mark.parametrize("stored", ["no json", "[]", '{"text": "x"}', '"text"'])
def test_a_reply_that_cannot_be_read_is_a_miss_and_goes(store: ReplyStore, stored: str) -> None:
    store.put("key", stored)
    assert SharedReplies(store, store.folder.parent).find("key") is None
    assert store.get("key") is None


async def test_calls_that_come_first_at_one_moment_have_the_weights_read_once(
    store: ReplyStore,
) -> None:
    looked: list[str] = []

    class Counting(ReplyStore):
        def file_hash(self, path: Path) -> str | None:
            looked.append(str(path))
            return super().file_hash(path)

    shared = SharedReplies(Counting(store.folder), store.folder.parent)
    model = card(worker="orchestra.testing:ScriptedEngine", checkpoint="weights")
    weights = store.folder.parent / "weights"
    weights.mkdir()
    for name in ("config.json", "model.safetensors"):
        (weights / name).write_bytes(b"{}")
    keys = await asyncio.gather(*(shared.key(CALL, (), model) for _ in range(3)))
    shared.store.close()
    assert len(set(keys)) == 1 and keys[0] is not None
    assert len(looked) == len(set(looked)) == 3  # two files of the checkpoint, one of the worker


def test_a_file_is_hashed_again_only_after_it_changed(store: ReplyStore) -> None:
    weights = store.folder.parent / "model.safetensors"
    weights.write_bytes(b"weights")
    os.utime(weights, (1, 1))
    known = store.file_hash(weights)
    assert known == hashlib.sha256(b"weights").hexdigest()
    weights.write_bytes(b"WEIGHTS")
    os.utime(weights, (1, 1))
    assert store.file_hash(weights) == known  # nobody reads it where size and time are as before
    os.utime(weights, (2, 2))
    assert store.file_hash(weights) == hashlib.sha256(b"WEIGHTS").hexdigest()
    assert store.file_hash(weights.with_name("gone")) is None
