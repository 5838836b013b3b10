"""Asks an OpenAI-compatible server for vectors of texts, and reads its answer. Pure.

Shapes follow OpenAI's reference for `/v1/embeddings`. The form of numbers is left to the server:
all that call themselves compatible send plain ones by default, and some know no other.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orchestra.clients.endpoint_answer import billed, error_within, named_in
from orchestra.clients.endpoint_refusal import ErrorInside
from orchestra.clients.endpoint_usage import usage_of
from orchestra.core.call import Call, Reply, Served, Usage
from orchestra.core.card import Endpoint
from orchestra.core.errors import AnswerInvalid
from orchestra.core.float_text import text_to_floats

VECTORS_ROUTE = "embeddings"


def vectors_request(call: Call, endpoint: Endpoint) -> dict[str, Any]:
    """The JSON body that asks for vectors of the call's `texts`."""
    return {"model": endpoint.model, "input": list(call.texts)}


def vectors_of(answer: Any, call: Call, most: Usage) -> Reply:
    """The reply with the vectors of an answer, in the order of the call's `texts`.

    Raises `AnswerInvalid` where there is not one for each, and `ErrorInside` for an error.
    """
    if error_within(answer) is not None:
        raise ErrorInside(answer)
    reported = answer.get("usage") if isinstance(answer, Mapping) else None
    try:
        vectors = _read(answer, len(call.texts))
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        invalid = AnswerInvalid(
            f"The server answered {str(answer)[:120]!r}, which is no list of vectors of "
            f"{len(call.texts)} texts ({type(error).__name__}: {error}). Check that the model of "
            "the card makes vectors, and that hosting.endpoint.url ends before '/embeddings'."
        )
        raise billed(invalid, reported) from error
    served = Served(model=named_in(answer))
    return Reply("", None, usage=_usage(reported, most), vectors=vectors, served=served)


def _read(answer: Any, count: int) -> NDArray[np.float32]:
    entries = sorted(answer["data"], key=lambda entry: entry["index"])
    if [entry["index"] for entry in entries] != list(range(count)):
        raise ValueError(f"it has {len(entries)} of {count}")
    vectors = np.array([_numbers(entry["embedding"]) for entry in entries], np.float32)
    if vectors.ndim != 2 or not vectors.size or not np.isfinite(vectors).all():
        raise ValueError("they are not rows of finite numbers of one length")
    return vectors


def _numbers(given: Any) -> Any:
    return text_to_floats(given) if isinstance(given, str) else given


def _usage(reported: Any, most: Usage) -> Usage:
    """What the server reports; nothing is written, which some say and others leave out."""
    if not isinstance(reported, Mapping):
        return most
    return usage_of({**reported, "completion_tokens": 0}, most, answered=False)
