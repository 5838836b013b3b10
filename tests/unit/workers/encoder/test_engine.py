"""The bundled encoder behind the engine contract and its card."""

from __future__ import annotations

import numpy as np

from orchestra import Fleet
from orchestra.core.call import Call, Reply
from orchestra.core.errors import Cancelled, UsageError
from workers.encoder.encoder import shared_encoder
from workers.encoder.engine import EncoderEngine

TEXTS = ("Red cotton shirt", "红色棉衬衫", "a maths exam")


def test_calls_get_the_shared_encoders_vectors_and_their_tokens() -> None:
    engine = EncoderEngine.load("anywhere")
    call = Call("", texts=TEXTS)
    (reply,) = engine.generate([call])
    assert isinstance(reply, Reply) and reply.vectors is not None
    assert np.array_equal(reply.vectors, shared_encoder().vectors(TEXTS))
    assert reply.usage.input_tokens == engine.count_tokens(call)
    states = shared_encoder().encode(TEXTS)
    assert engine.count_tokens(call) == sum(len(one.states) + 5 for one in states)


def test_a_question_is_refused_and_costs_the_calls_beside_it_nothing() -> None:
    engine = EncoderEngine.load("anywhere")
    question, texts = Call("What is it?"), Call("", texts=TEXTS[:1])
    refused, reply, gone = engine.generate([question, texts, texts], lambda row: row == 2)
    assert isinstance(refused, UsageError) and "/v1/embeddings" in str(refused)
    assert isinstance(reply, Reply) and isinstance(gone, Cancelled)


async def test_minis_card_makes_vectors_that_compare_across_languages() -> None:
    async with Fleet.open("mini") as fleet:
        rows = await fleet.encode(TEXTS)
    assert rows.shape == (3, 384) and rows.dtype == np.float32
    assert np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    assert rows[0] @ rows[1] > rows[0] @ rows[2]
