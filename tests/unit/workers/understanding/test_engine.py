"""The engine that reads, on a fake encoder and head; the trained ones are measured elsewhere."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from PIL import Image

from orchestra.core.call import Call, Reply
from orchestra.core.errors import Cancelled, InvalidFleet, InvalidSchema
from workers.choice.chooser import Chosen
from workers.choice.options import ChoiceOptions
from workers.extraction.head import WIDEST, Floats, Scores
from workers.understanding.engine import UnderstandingEngine

TEXT = "Acme tea, 1.5 kg, red tin"


@dataclass
class Tokens:
    ids: list[int]


@dataclass
class Seen:
    text: str
    vector: Floats
    states: Floats
    offsets: Any


class WordEncoder:
    """Every word is one token; its state and a text's vector say which letters it begins with."""

    def tokenizer(self, texts: Sequence[str]) -> list[Tokens]:
        return [Tokens(list(range(len(text.split())))) for text in texts]

    def encode(self, texts: Sequence[str], *, states_of: int | None = None) -> list[Seen]:
        seen = []
        for text in texts:
            spans, at = [], 0
            for word in text.split():
                at = text.index(word, at)
                spans.append((at, at + len(word)))
                at += len(word)
            states = np.zeros((len(spans), 4), np.float32)
            seen.append(Seen(text, np.ones(4, np.float32), states, np.array(spans).reshape(-1, 2)))
        return seen


class BusyEncoder(WordEncoder):
    """Spends 30 ms of CPU on texts that it has not kept."""

    def __init__(self) -> None:
        self.kept = {"brand"}

    def encode(self, texts: Sequence[str], *, states_of: int | None = None) -> list[Seen]:
        until = time.process_time() + 0.03 * (not self.kept.issuperset(texts))
        while time.process_time() < until:
            pass
        self.kept.update(texts)
        return super().encode(texts, states_of=states_of)


class TableHead:
    """Finds the words that a field's first letters are listed with."""

    layer, temperature, least = 1, 1.0, 0.5

    def __init__(self, *places: tuple[int, int, int]) -> None:
        self.places = places  # field, first word, width less one

    def scores(self, fields: Floats, states: Floats, pooling: Floats, *rest: Floats) -> Scores:
        spans = np.full((len(fields), len(pooling), WIDEST), -20.0, np.float32)
        for row, first, more in self.places:
            if row < len(fields) and first < len(pooling):
                spans[row, first, more] = 5.0
        return Scores(spans, np.zeros(len(fields), np.float32))


def engine(*places: tuple[int, int, int]) -> UnderstandingEngine:
    return UnderstandingEngine(WordEncoder(), TableHead(*places))  # type: ignore[arg-type]


def schema(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


SPAN = {"type": ["string", "null"], "x-span": True}


def read(reader: UnderstandingEngine, shape: dict[str, Any], text: str = TEXT) -> Reply:
    (reply,) = reader.generate([Call("Extract.", text, schema=shape)])
    assert isinstance(reply, Reply)
    return reply


def test_a_value_has_its_place_and_probability_and_no_token_is_written() -> None:
    reply = read(engine((0, 0, 0)), schema(brand=SPAN, age=SPAN))
    assert reply.value == {"brand": "Acme", "age": None}
    assert reply.read_off == {"brand": (0, 4)}
    assert reply.confidence["brand"] > 0.9
    assert reply.confidence["age"] > 0.9
    assert (reply.usage.output_tokens, reply.usage.input_tokens > 0) == (0, True)


def test_the_pass_that_a_batch_shares_is_metered_on_its_rows_by_their_length() -> None:
    reader = UnderstandingEngine(BusyEncoder(), TableHead())  # type: ignore[arg-type]
    calls = [Call("Extract.", text, schema=schema(brand=SPAN)) for text in (TEXT * 20, TEXT)]
    long, short = (r.usage.cpu_s for r in reader.generate(calls) if isinstance(r, Reply))
    assert long + short >= 0.03
    assert long >= 0.03 * 20 / 21


def test_words_belong_to_one_field() -> None:
    reply = read(engine((0, 0, 0), (1, 0, 0)), schema(brand=SPAN, maker=SPAN))
    assert reply.value == {"brand": "Acme", "maker": None}


def test_a_number_is_in_the_unit_of_its_name() -> None:
    shape = schema(weight_g={"type": "number"})
    assert read(engine((0, 3, 1)), shape).value == {"weight_g": 1500.0}


def test_objects_and_lists_are_read_leaf_by_leaf() -> None:
    item = {"type": "object", "properties": {"colour": SPAN, "kind": SPAN}}
    shape = schema(
        maker={"type": "object", "properties": {"name": SPAN}},
        tins={"type": "array", "items": item},
    )
    reply = read(engine((0, 0, 0), (1, 6, 0), (2, 7, 0)), shape)
    assert reply.value == {"maker": {"name": "Acme"}, "tins": [{"colour": "red", "kind": "tin"}]}
    assert reply.read_off["tins[0].colour"] == (18, 21)
    assert {"maker.name", "maker", "tins[0].kind", "tins"} <= set(reply.confidence)


def test_a_choice_is_taken_from_the_text() -> None:
    shape = schema(colour={"enum": ["red", "blue", None]})
    assert read(engine((0, 6, 0)), shape).value == {"colour": "red"}


class TableChooser:
    """Gives each text the name after the fitted number of texts, where so many were beside it."""

    def __init__(self, taken: float) -> None:
        self.taken = taken

    def fit(self, options: ChoiceOptions, table: Sequence[Seen] = ()) -> Any:
        return options.names[len(table) % len(options.names)]

    def choose(self, texts: Sequence[Seen], options: Any) -> list[Chosen]:
        most = len(texts) if len(texts) == 1 else int(self.taken * len(texts))
        return [
            Chosen(options if at < most else None, 0.8, ((options, 0.8),))
            for at in range(len(texts))
        ]


@pytest.mark.parametrize(("taken", "found"), [(0.9, "green"), (0.3, None)])
def test_where_a_word_stands_a_choice_is_judged_only_of_what_most_of_a_table_is(
    taken: float, found: str | None
) -> None:
    reader = UnderstandingEngine(WordEncoder(), TableHead(), TableChooser(taken))  # type: ignore[arg-type]
    shape = schema(kind={"enum": ["red", "green", None]})
    beside = tuple(f"tin {number}" for number in range(31))
    (reply,) = reader.generate([Call("Extract.", TEXT, schema=shape, beside=beside)])
    assert isinstance(reply, Reply)
    assert (reply.value["kind"], reply.judged) == (found, ("kind",) if found else ())
    (alone,) = reader.generate([Call("Extract.", TEXT, schema=shape)])
    assert isinstance(alone, Reply)
    assert alone.value["kind"] is None
    (unsaid,) = reader.generate([Call("Extract.", "a tin", schema=shape, beside=beside)])
    assert isinstance(unsaid, Reply)
    assert unsaid.value["kind"] == "green"


def test_an_empty_text_states_nothing() -> None:
    assert read(engine((0, 0, 0)), schema(brand=SPAN), "").value == {"brand": None}


def test_a_text_of_many_words_is_read_in_windows() -> None:
    reply = read(engine((0, 0, 0)), schema(brand=SPAN), "word " * 900)
    assert reply.value == {"brand": "word"}


def test_calls_without_a_schema_or_with_a_photo_are_refused_alone() -> None:
    calls = [
        Call("What is this?", TEXT),
        Call("Look.", TEXT, images=(Image.new("RGB", (2, 2)),), schema=schema(a=SPAN)),
        Call("Extract.", TEXT, schema=schema(a=SPAN)),
    ]
    free, photo, good = engine((0, 0, 0)).generate(calls)
    assert isinstance(free, InvalidSchema)
    assert isinstance(photo, InvalidSchema)
    assert isinstance(good, Reply)


def test_a_cancelled_call_costs_the_others_nothing() -> None:
    calls = [Call("Extract.", TEXT, schema=schema(a=SPAN))] * 2
    gone, kept = engine((0, 0, 0)).generate(calls, is_cancelled=lambda row: row == 0)
    assert isinstance(gone, Cancelled)
    assert isinstance(kept, Reply)


def test_it_runs_on_a_cpu_only() -> None:
    with pytest.raises(InvalidFleet, match="cuda"):
        UnderstandingEngine.load("nowhere", device="cuda")
