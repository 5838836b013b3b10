"""A reader learns spans and choices from rows, answers calls, and survives its folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from orchestra.core.call import Call, Reply
from orchestra.core.errors import CheckpointInvalid, InvalidSchema, InvalidTable, UsageError
from tests.tagged import titles
from workers.tagging.engine import TaggerEngine
from workers.tagging.reader import TaughtReader, train_reader
from workers.tagging.rows import tagged_row
from workers.tagging.store import load, save

TEXT = {"anyOf": [{"type": "string"}, {"type": "null"}]}
SCHEMA = {
    "type": "object",
    "properties": {
        "brand": TEXT,
        "colour": TEXT,
        "size": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
        "department": {"enum": ["Kitchen", "Home", None]},
        "voltage": TEXT,
    },
}


@pytest.fixture(scope="module")
def reader() -> TaughtReader:
    return train_reader([tagged_row(text, "", values) for text, values in titles(60)])


def replies(engine: TaggerEngine, *texts: str) -> list[Reply]:
    found = engine.generate([Call("Read.", text, schema=SCHEMA) for text in texts])
    assert all(isinstance(one, Reply) for one in found)
    return [one for one in found if isinstance(one, Reply)]


def test_spans_of_words_never_seen_and_choices_that_do_not_stand_are_read(
    reader: TaughtReader,
) -> None:
    (reply,) = replies(TaggerEngine(reader), "Acme Mug, Navy Blue, 99 cm")
    assert reply.value == {"brand": "Acme", "colour": "Navy Blue", "size": 99,
                           "department": "Kitchen", "voltage": None}  # fmt: skip
    assert set(reply.confidence) == {"brand", "colour", "size", "department"}
    assert all(0 < sure <= 1 for sure in reply.confidence.values())
    assert "did not learn" in reply.abstained["voltage"]


def test_what_a_title_does_not_state_is_none(reader: TaughtReader) -> None:
    (reply,) = replies(TaggerEngine(reader), "Kora Lamp 7 cm")
    assert reply.value["colour"] is None and "colour" not in reply.confidence


def test_a_reader_is_the_same_from_its_folder_and_a_damaged_one_is_told(
    reader: TaughtReader, tmp_path: Path
) -> None:
    save(reader, tmp_path)
    again = TaggerEngine.load(tmp_path)
    texts = [text for text, _ in titles(10, seed=1)]
    assert [one.value for one in replies(again, *texts)] == [
        one.value for one in replies(TaggerEngine(reader), *texts)
    ]
    assert not list(tmp_path.glob("*.pkl"))
    (tmp_path / "rows.jsonl").write_text("{}\n", encoding="utf-8")
    with pytest.raises(CheckpointInvalid, match=r"not what checksums\.json says"):
        load(tmp_path)
    with pytest.raises(CheckpointInvalid, match=r"no whole tagger"):
        load(tmp_path / "none")


def test_calls_that_it_cannot_answer_are_errors_in_their_place(reader: TaughtReader) -> None:
    engine = TaggerEngine(reader)
    free, empty = engine.generate([Call("Say.", "x"), Call("Read.", "", schema=SCHEMA)])
    assert isinstance(free, InvalidSchema)
    assert isinstance(empty, Reply) and empty.value["brand"] is None
    assert engine.count_tokens(Call("Read.", "two words")) == 2


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([("Acme mug", {"brand": ["Acme"]})] * 3, "3 labelled rows"),
        ([(f"mug {n}", {"brand": []}) for n in range(12)], "'brand' is filled in no row"),
        ([(f"mug {n}", {"code": [f"X-{n * 7}"]}) for n in range(12)], "do not stand in their"),
    ],
)
def test_rows_that_nothing_can_be_learnt_from_are_named_with_a_cure(rows: list, told: str) -> None:
    with pytest.raises(InvalidTable, match=told):
        train_reader([tagged_row(text, "", values) for text, values in rows])


def test_photos_are_refused(reader: TaughtReader) -> None:
    call = Call("Read.", "x", (Image.new("RGB", (4, 4)),), SCHEMA)
    assert isinstance(TaggerEngine(reader).generate([call])[0], UsageError)
