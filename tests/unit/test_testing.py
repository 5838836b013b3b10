"""The scripted engine keeps the engine contract: order, errors in place, cancellation."""

import pytest

from orchestra.core.call import Call, Reply
from orchestra.core.errors import AnswerInvalid, Cancelled, ModelUnavailable
from orchestra.testing import ScriptedEngine


def test_a_mapping_becomes_compact_json_with_full_confidence():
    engine = ScriptedEngine(lambda call: {"colour": "红", "size": None})
    (reply,) = engine.generate([Call("Extract.", text="红")])
    assert isinstance(reply, Reply)
    assert reply.text == '{"colour":"红","size":null}'
    assert reply.confidence == {"colour": 1.0, "size": 1.0}
    assert reply.usage.input_tokens == engine.count_tokens(Call("Extract.", text="红"))


def test_errors_take_their_rows_place_returned_or_raised():
    def answer(call: Call):
        if call.text == "raise":
            raise ModelUnavailable("down")
        return AnswerInvalid("bad") if call.text == "return" else "fine"

    replies = ScriptedEngine(answer).generate([Call("i", t) for t in ("raise", "ok", "return")])
    assert [type(r) for r in replies] == [ModelUnavailable, Reply, AnswerInvalid]


def test_a_foreign_exception_crashes_the_batch():
    with pytest.raises(ZeroDivisionError):
        ScriptedEngine(lambda call: ZeroDivisionError()).generate([Call("i")])


def test_a_cancelled_row_is_never_answered():
    engine = ScriptedEngine(lambda call: call.text or "")
    replies = engine.generate([Call("i", "a"), Call("i", "b")], lambda row: row == 0)
    assert isinstance(replies[0], Cancelled)
    assert isinstance(replies[1], Reply)


def test_a_row_can_be_cancelled_while_it_waits():
    asked: list[int] = []

    def is_cancelled(row: int) -> bool:
        asked.append(row)
        return len(asked) > 2

    (reply,) = ScriptedEngine(lambda call: "late", delay_s=60).generate([Call("i")], is_cancelled)
    assert isinstance(reply, Cancelled)


def test_calls_and_batch_sizes_are_recorded():
    engine = ScriptedEngine(lambda call: "x")
    engine.generate([Call("1"), Call("2")])
    engine.generate([Call("3")])
    assert [c.instruction for c in engine.calls] == ["1", "2", "3"]
    assert engine.batches == [2, 1]
