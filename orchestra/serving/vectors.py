"""Translates a request for vectors to a job, and vectors to OpenAI's answer."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from orchestra.core.errors import UsageError
from orchestra.core.float_text import floats_to_text
from orchestra.core.job import Job
from orchestra.graph.encode import EncodedTexts
from orchestra.serving.words import (
    VectorAnswer,
    VectorEntry,
    VectorExtension,
    VectorRequest,
    VectorUsage,
)


def vector_job(request: VectorRequest, tags: Mapping[str, str]) -> Job:
    """Budget, data rule and tags of a request."""
    own = request.orchestra
    return Job(budget=own.budget, data=own.data, cache=own.cache, tags=dict(tags))


def vector_answer(request: VectorRequest, made: EncodedTexts, seconds: float) -> VectorAnswer:
    """The answer. Raises `UsageError` for another width than the model's."""
    width = made.rows.shape[1]
    if request.dimensions not in (None, width):
        raise UsageError(
            f"dimensions is {request.dimensions!r}, and vectors of {made.model!r} have {width} "
            f"numbers, of which none can be left out. Ask for {width}, or leave dimensions out."
        )
    as_text = request.encoding_format == "base64"
    return VectorAnswer(
        data=[
            VectorEntry(index=at, embedding=_written(row, as_text=as_text))
            for at, row in enumerate(made.rows)
        ],
        model=made.model,
        usage=VectorUsage(prompt_tokens=made.tokens, total_tokens=made.tokens),
        orchestra=VectorExtension(
            cost_usd=float(made.cost_usd),
            cached=sum(call.cached for call in made.calls),
            seconds=seconds,
        ),
    )


def _written(row: NDArray[np.float32], *, as_text: bool) -> list[float] | str:
    return floats_to_text(row) if as_text else row.tolist()
