"""A response is a chat that is asked for and told in other words; nothing of it is kept."""

from __future__ import annotations

import base64
import time
import uuid
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from orchestra.core.call import OnPiece
from orchestra.core.errors import UsageError
from orchestra.core.job import first_problem
from orchestra.serving.chat_words import ChatAnswer, ChatRequest
from orchestra.serving.files.shelf import Shelf
from orchestra.serving.responses.words import (
    Content,
    Incomplete,
    InputDetails,
    InputImage,
    InputRefusal,
    OutputMessage,
    OutputRefusal,
    OutputText,
    ResponseAnswer,
    ResponseRequest,
    ResponseUse,
)
from orchestra.serving.service import Service

MOST_PHOTO_BYTES = 32 * 2**20  # the most that is read


@dataclass(frozen=True, slots=True)
class Responder:
    """Answers requests for responses; photos may be files of `shelf`."""

    service: Service
    shelf: Shelf

    async def answer(
        self, request: ResponseRequest, on_piece: OnPiece | None = None
    ) -> ResponseAnswer:
        """The answer. Raises as `Service.chat` does, and `UnknownFile` for a photo's file."""
        said = await self.service.chat(self._chat(request), on_piece)
        return answered(begun(request), said)

    def _chat(self, request: ResponseRequest) -> ChatRequest:
        asked = {
            "model": request.model,
            "messages": self._messages(request),
            "response_format": _format(request),
            "max_completion_tokens": request.max_output_tokens,
            "orchestra": request.orchestra,
            "temperature": request.temperature,
            "top_p": request.top_p,
            "reasoning_effort": request.reasoning and request.reasoning.effort,
            "verbosity": request.text and request.text.verbosity,
            "service_tier": request.service_tier,
            "store": request.store,
            "metadata": request.metadata,
        }
        try:
            return ChatRequest.model_validate(asked)
        except ValidationError as error:
            raise UsageError(f"{first_problem(error, ChatRequest)}. See /docs.") from error

    def _messages(self, request: ResponseRequest) -> list[dict[str, Any]]:
        messages: list[dict[str, Any]] = []
        if request.instructions:
            messages.append({"role": "system", "content": request.instructions})
        if isinstance(request.input, str):
            return [*messages, {"role": "user", "content": request.input}]
        for message in request.input:
            said: Any = message.content
            if not isinstance(said, str):
                said = [self._part(part) for part in said]
            messages.append({"role": message.role, "content": said})
        return messages

    def _part(self, part: Content) -> dict[str, Any]:
        if isinstance(part, InputImage):
            return {"type": "image_url", "image_url": {"url": self._photo(part)}}
        if isinstance(part, InputRefusal):
            return {"type": "refusal", "refusal": part.refusal}
        return {"type": "text", "text": part.text}

    def _photo(self, part: InputImage) -> str:
        """Where a photo is; one that was sent as a file is taken from there."""
        if (part.image_url is None) == (part.file_id is None):
            raise UsageError("An input_image needs image_url or file_id, and not both.")
        if part.file_id is None:
            return part.image_url or ""
        file = self.shelf.find(part.file_id)
        if file.purpose != "vision" or file.bytes > MOST_PHOTO_BYTES:
            raise UsageError(
                f"The file {file.id!r} has the purpose {file.purpose!r} and {file.bytes:,} bytes. "
                f"Send a photo of at most {MOST_PHOTO_BYTES:,} with the purpose 'vision'."
            )
        raw = self.shelf.filing.path_of(file.id).read_bytes()
        # What it is is read off its bytes, not off this.
        return f"data:image/png;base64,{base64.b64encode(raw).decode()}"


def _format(request: ResponseRequest) -> dict[str, Any] | None:
    form = request.text and request.text.format
    if not form:
        return None
    if form.type != "json_schema":
        return {"type": form.type}
    if form.schema_ is None or form.name is None:
        raise UsageError("text.format 'json_schema' has no name, or no schema. Give both.")
    return {"type": form.type, "json_schema": {"name": form.name, "schema": form.schema_}}


def begun(request: ResponseRequest) -> ResponseAnswer:
    """The answer before there is anything of it."""
    form = request.text and request.text.format
    plain = {"type": "text"} if not form else form.model_dump(by_alias=True, exclude_none=True)
    effort = request.reasoning and request.reasoning.effort
    return ResponseAnswer(
        id=f"resp_{uuid.uuid4().hex}",
        created_at=int(time.time()),
        status="in_progress",
        instructions=request.instructions,
        max_output_tokens=request.max_output_tokens,
        model=request.model,
        output=[],
        reasoning={"effort": effort, "summary": None},
        temperature=request.temperature,
        text={"format": plain},
        top_p=request.top_p,
        user=request.user,
        metadata=request.metadata,
    )


def answered(response: ResponseAnswer, said: ChatAnswer, item: str | None = None) -> ResponseAnswer:
    """What was begun, with its answer; `item` is the id of its message."""
    (choice,) = said.choices
    is_cut = choice.finish_reason == "length"
    part = OutputText(text=choice.message.content or "")
    if choice.message.content is None:
        part = OutputRefusal(refusal=choice.message.refusal or "")
    message = OutputMessage(
        id=item or f"msg_{uuid.uuid4().hex}",
        status="incomplete" if is_cut else "completed",
        content=[part],
    )
    usage = said.usage
    return response.model_copy(
        update={
            "completed_at": None if is_cut else int(time.time()),
            "status": "incomplete" if is_cut else "completed",
            "incomplete_details": Incomplete() if is_cut else None,
            "output": [message],
            "usage": ResponseUse(
                input_tokens=usage.prompt_tokens,
                input_tokens_details=InputDetails(
                    cached_tokens=usage.prompt_tokens_details.cached_tokens
                ),
                output_tokens=usage.completion_tokens,
                total_tokens=usage.total_tokens,
            ),
            "orchestra": said.orchestra,
        }
    )
