"""The route of responses, in OpenAI's form."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request

from orchestra.serving.documented import STREAMED, WORK, errors
from orchestra.serving.gone import until_gone
from orchestra.serving.responses.events import response_stream
from orchestra.serving.responses.responder import Responder
from orchestra.serving.responses.words import ResponseAnswer, ResponseRequest
from orchestra.serving.routes import tags_of


def add_responses(app: FastAPI, responder: Responder, keepalive_s: float) -> None:
    """The route of OpenAI's responses."""

    @app.post("/v1/responses", response_model=ResponseAnswer, responses=STREAMED | errors(*WORK))
    async def respond(asked: ResponseRequest, request: Request) -> Any:
        """OpenAI's response: a chat in other words. None is kept, so none can be gone on from."""
        tagged = asked.model_copy(update={"metadata": tags_of(request, asked.metadata or {})})
        if tagged.stream:
            return await until_gone(request, response_stream(responder, tagged, keepalive_s))
        return await until_gone(request, responder.answer(tagged))
