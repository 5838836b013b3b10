"""Reaches a model behind an OpenAI-compatible server: attempts, rate limits, deadline, answer.

A request is sent again only when the server cannot have worked on it: the connection was refused,
or the server turned it away (429, 503, 529) or did not take a part of it. Once it may have been
accepted, a failure says so (`may_have_spent`) and the book counts the worst case.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass, field, replace
from typing import Any

import httpx

from orchestra.clients.endpoint_answer import Spoken, billed, reply_of
from orchestra.clients.endpoint_connection import Connection, TurnedAway, deadline_passed
from orchestra.clients.endpoint_errors import (
    broken_off,
    error_of,
    may_not_list,
    names_no_model,
    refused_choice,
)
from orchestra.clients.endpoint_options import Part, refused_part
from orchestra.clients.endpoint_refusal import ErrorInside, Refusal
from orchestra.clients.endpoint_request import (
    BYTES_PER_TOKEN,
    most_usage,
    prompt_bytes,
    request_of,
)
from orchestra.clients.endpoint_stream import Stream
from orchestra.clients.endpoint_thoughts import THINK_CLOSE, Thoughts
from orchestra.clients.endpoint_vectors import VECTORS_ROUTE, vectors_of, vectors_request
from orchestra.clients.pace import Pace
from orchestra.core.call import Call, OnPiece, Reply, Usage
from orchestra.core.card import Card, Endpoint
from orchestra.core.errors import (
    AnswerInvalid,
    Cancelled,
    InvalidFleet,
    ModelUnavailable,
)
from orchestra.core.loops import SingleFlight

LOG = logging.getLogger(__name__)
NOT_READY = frozenset({401, 402, 403, 502, 503, 504})  # said by GET /models
CHAT_ROUTE = "chat/completions"
FIRST_PAUSE_S = 0.5  # doubles with each attempt, where the server does not say how long


@dataclass(eq=False)
class EndpointClient:
    """One model of a card with `hosting.endpoint`; shared by all calls, whatever their job.

    What a server refuses of a request and the card's author did not ask for is left out from then
    on; what he did ask for is an error, told again without asking the server again. Raises
    `InvalidFleet` for a card without an endpoint.
    """

    card: Card
    pace: Pace = field(init=False)
    _endpoint: Endpoint = field(init=False)
    _connection: Connection = field(init=False)
    _without: set[str] = field(default_factory=set)
    _refused_choices: dict[str, InvalidFleet] = field(default_factory=dict)
    _opens_inside: bool = False
    _is_ready: bool = False
    _asking: SingleFlight[None] = field(default_factory=SingleFlight)
    _closed: bool = False

    def __post_init__(self) -> None:
        if self.card.hosting.endpoint is None:
            raise InvalidFleet(
                f"The model {self.card.name!r} has no hosting.endpoint. Add one to its card."
            )
        self._endpoint = self.card.hosting.endpoint
        self._connection = Connection(self.card.name, self._endpoint)
        self.pace = Pace.of(self.card)

    async def prepare(self) -> None:
        """Ask for the server's models once, so that a missing key or server shows before any work.

        Raises `AccessRefused`, or `ModelUnavailable` when nothing answers there. A server that
        cannot list its models is taken as it is: `transformers serve` fails to on a fresh machine.
        """
        if not self._is_ready:
            await self._asking.do(self._ask_ready)

    async def _ask_ready(self) -> None:
        self._connection.breaker.check()
        answer = await self._get_models()
        if answer.status_code in NOT_READY and not may_not_list(self._connection.refusal(answer)):
            raise error_of(self._connection.refusal(answer), self._endpoint, [])
        self._is_ready = True

    def wait_ms(self) -> float:
        """How long the card's limits of a minute hold the next call back, up to a tenth second."""
        return self.pace.wait_ms()

    async def models(self) -> list[str]:
        """Names of the models that the server lists; none where it does not say."""
        answer = await self._get_models()
        try:
            return [str(entry["id"]) for entry in answer.json()["data"]]
        except (ValueError, KeyError, TypeError):
            return []

    async def complete(
        self, call: Call, *, left_s: float | None = None, on_piece: OnPiece | None = None
    ) -> Reply:
        """Answer one call within `left_s` and the card's `timeout_s`; streams with `on_piece`.

        Raises the typed error of what went wrong: `DeadlineExceeded`, `ModelUnavailable`,
        `RateLimited`, `AccessRefused`, `PromptTooLong`, `AnswerTruncated`, `AnswerInvalid`,
        `AnswerRefused`, `InvalidSchema`, `InvalidFleet`.
        """
        if self._closed:
            raise Cancelled(f"The model {self.card.name!r} was closed. Open the fleet again.")
        most = most_usage(call, self._endpoint, self.card.limits.image_tokens)
        until = None if left_s is None else _now() + left_s
        only_now: set[str] = set()  # what is left out of this call alone
        pauses = 0
        while True:
            self._connection.breaker.check()
            place = await self.pace.wait(most.input_tokens + most.output_tokens, _left(until))
            try:
                reply = await self._attempt(call, most, until, on_piece, only_now)
            except TurnedAway as turned:
                self.pace.settle(place, 0)
                if turned.part is not None:
                    only_now.add(turned.part)
                else:
                    pauses += 1
                    await self._pause(turned, pauses, until)
                continue
            self.pace.settle(place, reply.usage.input_tokens + reply.usage.output_tokens)
            return reply

    async def count_tokens(self, call: Call) -> int:
        """Prompt tokens of `call`, estimated from its bytes: the server's tokenizer is not here."""
        images = self.card.limits.image_tokens * len(call.images)
        return -(-prompt_bytes(call, self._endpoint) // BYTES_PER_TOKEN) + images

    async def close(self) -> None:
        """Close the connections; further calls end with `Cancelled`."""
        self._closed = True
        await self._connection.close()

    async def _attempt(
        self,
        call: Call,
        most: Usage,
        until: float | None,
        on_piece: OnPiece | None,
        only_now: set[str],
    ) -> Reply:
        """Send the request once. Raises `TurnedAway` when it may be sent again."""
        without = frozenset(self._without | only_now)
        body = await self._body(call, without, stream=on_piece is not None)
        for part, error in self._refused_choices.items():
            if part in body:
                raise InvalidFleet(str(error))
        left_s = _left(until)
        if left_s is not None and left_s <= 0:
            error = deadline_passed(self.card.name, left_s)
            error.may_have_spent = False  # nothing was sent
            raise error
        route = VECTORS_ROUTE if call.texts else CHAT_ROUTE
        async with self._connection.post(route, body, left_s) as answer:
            try:
                if answer.is_success and call.texts:
                    return vectors_of(self._read_json(await answer.aread()), call, most)
                if answer.is_success:
                    return reply_of(await self._heard(answer, on_piece or _nobody), call, most)
                await answer.aread()
                refusal = self._connection.refusal(answer)
            except ErrorInside as inside:
                refusal = self._connection.refusal_inside(inside.body)
                if inside.heard is not None:
                    error = broken_off(refusal, self._endpoint, inside.heard)
                    raise billed(error, inside.usage) from None
            raise await self._refused(refusal, body, without)

    async def _body(self, call: Call, without: frozenset[str], *, stream: bool) -> dict[str, Any]:
        if call.texts:
            return vectors_request(call, self._endpoint)

        def render() -> dict[str, Any]:
            sampling = self.card.hosting.sampling
            return request_of(call, self._endpoint, sampling, stream=stream, without=without)

        return await asyncio.to_thread(render) if call.images else render()

    async def _heard(self, answer: httpx.Response, on_piece: OnPiece) -> Spoken:
        """The answer in the form that the server chose, which is not always what was asked for."""
        spoken = await self._read(answer, on_piece)
        spoken.model = self._connection.without_key(spoken.model)
        return spoken

    async def _read(self, answer: httpx.Response, on_piece: OnPiece) -> Spoken:
        if "event-stream" in answer.headers.get("content-type", ""):
            return await self._listen(answer.aiter_bytes(), on_piece)
        raw = await answer.aread()
        if raw.lstrip().startswith((b"data:", b"event:", b": ")):
            return await self._listen(_one(raw), on_piece)
        spoken = Spoken.of(self._read_json(raw))
        if spoken.text:
            on_piece(spoken.text)
        return spoken

    def _read_json(self, raw: bytes) -> Any:
        text = self._connection.without_key(raw.decode("utf-8-sig", errors="replace"))
        try:
            return json.loads(text)
        except (ValueError, RecursionError) as error:
            raise AnswerInvalid(
                f"The server {self._endpoint.shown_url!r} answered {text[:80]!r}, which is not "
                "JSON. Check hosting.endpoint.url on the card."
            ) from error

    async def _listen(self, chunks: AsyncIterable[bytes], on_piece: OnPiece) -> Spoken:
        stream = Stream(on_piece, Thoughts(inside=self._opens_inside))
        spoken = await stream.collect(chunks)
        if THINK_CLOSE in spoken.text:
            # The template opens the thought: from now on it is held back until it is closed.
            self._opens_inside = True
            thought, _, text = spoken.text.partition(THINK_CLOSE)
            spoken = replace(spoken, thinking=thought.strip(), text=text)
        return spoken

    async def _refused(
        self, refusal: Refusal, body: dict[str, Any], without: frozenset[str]
    ) -> Exception:
        """What a refusal means: `TurnedAway` where the request may be sent again.

        `without` is what this request left out already. Another one may have been refused the
        same part meanwhile, and this one is sent again all the same.
        """
        part = refused_part(refusal, body, self.card)
        if part is not None and part.name not in without:
            return self._left_out(refusal, part)
        listed = await self._listed() if names_no_model(refusal) else []
        error = error_of(refusal, self._endpoint, listed)
        if refusal.may_try_again:
            return TurnedAway(error, after_s=refusal.retry_after_s)
        return error

    def _left_out(self, refusal: Refusal, part: Part) -> Exception:
        """What follows where `part` is refused: the request without it, or the card's error."""
        if not part.is_ours and not part.lasts:
            return error_of(refusal, self._endpoint, [])
        if not part.is_ours:
            error = refused_choice(refusal, part.name, self._endpoint)
            name = "response_format" if part.name == "json_schema" else part.name
            self._refused_choices[name] = error
            return error
        if part.lasts:
            self._without.add(part.name)
        LOG.warning(
            "%s does not take %r (%s); it is left out",
            self._endpoint.shown_url,
            part.name,
            refusal.said,
        )
        return TurnedAway(error_of(refusal, self._endpoint, []), part=part.name)

    async def _listed(self) -> list[str]:
        try:
            return await self.models()
        except ModelUnavailable:
            return []  # the refusal is told without them

    async def _pause(self, turned: TurnedAway, pauses: int, until: float | None) -> None:
        """Wait before the next attempt. Raises the server's error when none is left in time."""
        wait_s = FIRST_PAUSE_S * 2 ** (pauses - 1) if turned.after_s is None else turned.after_s
        most_s = self._endpoint.timeout_s if until is None else until - _now()
        if pauses >= self._endpoint.attempts or wait_s >= most_s:
            raise turned.error
        await asyncio.sleep(wait_s)

    async def _get_models(self) -> httpx.Response:
        try:
            return await self._connection.get_models()
        except TurnedAway as turned:
            raise turned.error from turned


def _nobody(piece: str) -> None:
    """Nobody hears the pieces."""


async def _one(raw: bytes) -> AsyncIterator[bytes]:
    yield raw


def _now() -> float:
    return asyncio.get_running_loop().time()


def _left(until: float | None) -> float | None:
    return None if until is None else until - _now()
