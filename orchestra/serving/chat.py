"""Translates a chat request to a job and an ask, and a result to a chat answer or its chunks."""

from __future__ import annotations

import json
import time
import uuid
from dataclasses import replace
from typing import Any

from orchestra.core.ask import Ask, ask
from orchestra.core.call import Turn
from orchestra.core.card import Card
from orchestra.core.errors import InvalidSchema, UsageError
from orchestra.core.job import Job, Result
from orchestra.serving.chat_words import (
    AnswerExtension,
    AnswerMessage,
    CachedTokens,
    ChatAnswer,
    ChatChoice,
    ChatMessage,
    ChatRequest,
    ImagePart,
    RefusalPart,
    TokenUsage,
)

ANSWER_TOKENS = 256
NO_EFFECT = {  # what a request may ask for, and whose it is to say
    "temperature": "how tokens are drawn stands on the model's card",
    "top_p": "how tokens are drawn stands on the model's card",
    "seed": "how tokens are drawn stands on the model's card",
    "reasoning_effort": "how long a model thinks stands on its card",
    "verbosity": "how much is written is the prompt's to say",
    "service_tier": "there is one tier",
    "store": "answers are not kept to be read again",
}
# Of those, the values that mean what is done anyway.
ASKS_NOTHING = {"service_tier": ("auto", "default"), "store": (False,)}


def job_of(request: ChatRequest) -> Job:
    """The job of the last message: its text, and the photos of the whole conversation.

    A client sends all of it again with every question, so a later question is about them as well.
    """
    last = request.messages[-1]
    if last.role != "user":
        raise UsageError(
            f"The last message has role {last.role!r}; it must be the user's. "
            "Put the question last."
        )
    extension = request.orchestra
    return Job(
        text=_text(last),
        images=list(dict.fromkeys(url for said in request.messages for url in _images(said))),
        budget=extension.budget,
        language=extension.language,
        data=extension.data,
        cache=extension.cache,
        tags=dict(request.metadata or {}),
    )


def turns_of(request: ChatRequest) -> tuple[Turn, ...]:
    """The messages before the last; photos of them go with the job."""
    turns: list[Turn] = []
    for message in request.messages[:-1]:
        role = "system" if message.role == "developer" else message.role
        turns.append(Turn(role, _text(message)))
    return tuple(turns)


def ask_of(request: ChatRequest, job: Job, card: Card | None = None) -> Ask:
    """What is asked of one model: the last message, held to the schema if one is given.

    A `card` that was named is asked for what it offers, so a model of one word alone can be asked.
    """
    schema, bound = _schema(request), request.max_completion_tokens or request.max_tokens
    question = job.text or "Describe the photo."
    asked = ask(
        _capability(job, card),
        "Answer.",
        schema=schema,
        reads="image" if job.images else "text",
        # A schema bounds its answer by itself.
        max_tokens=bound or (ANSWER_TOKENS if schema is None else None),
        derived=True,
        question=True,
    )
    return replace(asked, instruction=question)  # as it stands: a user's words are no template


def _capability(job: Job, card: Card | None) -> str:
    """What is asked for: vision or text, or where `card` offers neither, a word of its own."""
    wanted = "vision" if job.images else "text"
    if card is None or wanted in card.capabilities:
        return wanted
    own = (name for name in card.capabilities if name not in ("text", "vision"))
    return next(own, wanted)


def answer_of(request: ChatRequest, result: Result, *, is_direct: bool) -> ChatAnswer:
    """The chat answer of a result, of a graph or of one model (`is_direct`).

    A result without an answer is a refusal that says why.
    """
    content = _content(result, is_direct=is_direct)
    refusal = None if content is not None else _why_not(result)
    last = result.calls[-1] if result.calls else None
    message = AnswerMessage(
        content=content,
        refusal=refusal,
        reasoning_content=(last.thinking or None) if last else None,
    )
    length = last is not None and last.finish == "length"
    return ChatAnswer(
        id=_new_id(),
        created=int(time.time()),
        model=request.model,
        choices=[ChatChoice(message=message, finish_reason="length" if length else "stop")],
        usage=_usage(result),
        orchestra=_extension(request, result),
    )


def _content(result: Result, *, is_direct: bool) -> str | None:
    """The text of the answer: what the model wrote, or a graph's answer or fields as JSON.

    A graph that waits answers with what it asks.
    """
    if is_direct:
        return result.calls[-1].raw if result.calls else None
    if result.status == "waiting":
        return "\n".join(question.text for question in result.questions)
    if result.answer is not None:
        return result.answer
    if not any(field.answered for field in result.fields.values()):
        return None
    values = {n: field.value if field.answered else None for n, field in result.fields.items()}
    return json.dumps(values, ensure_ascii=False)


def _usage(result: Result) -> TokenUsage:
    """Tokens of all calls; the prompts of those that somebody else paid for are cached ones."""
    sent = sum(call.input_tokens for call in result.calls)
    written = sum(call.output_tokens for call in result.calls)
    reused = sum(call.input_tokens for call in result.calls if call.reused)
    return TokenUsage(
        prompt_tokens=sent,
        completion_tokens=written,
        total_tokens=sent + written,
        prompt_tokens_details=CachedTokens(cached_tokens=reused),
    )


def _extension(request: ChatRequest, result: Result) -> AnswerExtension:
    """Orchestra's own part of the answer."""
    return AnswerExtension(
        status=result.status,
        cost_usd=float(result.cost_usd),
        saved_usd=float(result.saved_usd),
        cached=result.cached,
        models=list(dict.fromkeys(call.model for call in result.calls)),
        seconds=result.seconds,
        notes=[*result.notes, *_notes(request)],
        fields=dict(result.fields),
        plan=dict(result.plan),
        thread_id=result.thread_id,
        questions=list(result.questions),
    )


class ChatChunks:
    """Chunks of one answer: the same id and time in each."""

    def __init__(self, request: ChatRequest) -> None:
        self._model = request.model
        self._usage = bool(request.stream_options and request.stream_options.include_usage)
        self._id, self._created = _new_id(), int(time.time())

    def delta(self, delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
        """One chunk with a change to the message."""
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return self._whole([choice])

    def ending(self, answer: ChatAnswer, *, is_heard: bool) -> list[dict[str, Any]]:
        """The last chunks: what was not told yet, why it ended, and the usage if asked for."""
        choice = answer.choices[0]
        rest: dict[str, Any] = {}
        if choice.message.refusal is not None:
            rest["refusal"] = choice.message.refusal
        elif not is_heard:
            rest["content"] = choice.message.content
        chunks = [self.delta(rest)] if rest else []
        last = self.delta({}, choice.finish_reason)
        last["orchestra"] = answer.orchestra.model_dump(mode="json")
        chunks.append(last)
        if self._usage:
            chunks.append(self._whole([]) | {"usage": answer.usage.model_dump()})
        return chunks

    def event(self, chunk: dict[str, Any]) -> str:
        """One server-sent event."""
        return f"data: {json.dumps(chunk, ensure_ascii=False)}\n\n"

    def _whole(self, choices: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "id": self._id,
            "object": "chat.completion.chunk",
            "created": self._created,
            "model": self._model,
            "choices": choices,
        }


def _new_id() -> str:
    """An id as OpenAI's look."""
    return f"chatcmpl-{uuid.uuid4().hex}"


def _notes(request: ChatRequest) -> list[str]:
    """What had no effect, by the reason why."""
    ignored: dict[str, list[str]] = {}
    for name, why in NO_EFFECT.items():
        asked = getattr(request, name)
        if asked is not None and asked not in ASKS_NOTHING.get(name, ()):
            ignored.setdefault(why, []).append(name)
    return [f"{', '.join(names)} had no effect: {why}" for why, names in ignored.items()]


def _schema(request: ChatRequest) -> dict[str, Any] | None:
    form = request.response_format
    if form is None or form.type == "text":
        return None
    if form.type == "json_object":
        raise InvalidSchema(
            "response_format 'json_object' names no schema to hold the answer to. Use "
            "{'type': 'json_schema', 'json_schema': {'name': ..., 'schema': {...}}}."
        )
    if form.json_schema is None:
        raise InvalidSchema(
            "response_format 'json_schema' has no json_schema. Give name and schema."
        )
    schema = form.json_schema.schema_
    if not isinstance(schema.get("properties"), dict):
        raise InvalidSchema(
            f"The schema {form.json_schema.name!r} is of type {schema.get('type')!r} and has no "
            "properties. Wrap it: {'type': 'object', 'properties': {...}}."
        )
    return schema


def _text(message: ChatMessage) -> str:
    if not isinstance(message.content, list):
        return message.content or message.refusal or ""
    return "\n".join(
        part.refusal if isinstance(part, RefusalPart) else part.text
        for part in message.content
        if not isinstance(part, ImagePart)
    )


def _images(message: ChatMessage) -> list[str]:
    if not isinstance(message.content, list):
        return []
    return [part.image_url.url for part in message.content if isinstance(part, ImagePart)]


def _why_not(result: Result) -> str:
    if result.errors:
        return result.errors[0].message
    notes = [field.note for field in result.fields.values() if field.note]
    return notes[0] if notes else "No model could tell."
