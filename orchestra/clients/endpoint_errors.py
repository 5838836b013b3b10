"""What a server's refusal means: HTTP status and body into the typed errors, each with its cure.

Pure. Statuses follow OpenAI's and vLLM's use of them. A key that a server echoes is masked.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from orchestra.core.card import Endpoint
from orchestra.core.errors import (
    AccessRefused,
    InvalidFleet,
    InvalidSchema,
    ModelError,
    ModelUnavailable,
    OrchestraError,
    PromptTooLong,
    RateLimited,
)

MOST_SAID_CHARS = 300
CONTEXT = re.compile(
    r"context[ _](length|window|size)|maximum context|too many tokens|prompt is too long"
    r"|available context|max_model_len|maximum (input|prompt) length",
    re.IGNORECASE,
)
SCHEMA = re.compile(
    r"response_format|json_schema|json schema|invalid schema|grammar", re.IGNORECASE
)
NO_CREDIT = re.compile(r"insufficient_quota|insufficient balance|exceeded your current quota", re.I)


@dataclass(frozen=True, slots=True)
class Refusal:
    """One answer that is no success: status, what the server said, and its Retry-After in s."""

    status: int
    said: str
    retry_after_s: float | None = None

    @classmethod
    def of(cls, status: int, body: bytes, headers: Mapping[str, str], key: str | None) -> Refusal:
        """Read a refusal; `key` is masked wherever the server repeats it."""
        said = _said(body.decode(errors="replace"))
        if key:
            said = said.replace(key, "***")
        return cls(status, said[:MOST_SAID_CHARS], _seconds(headers.get("retry-after")))

    @property
    def may_try_again(self) -> bool:
        """Whether the request was turned away before any work, and may fit later."""
        return self.status in (429, 503) and not NO_CREDIT.search(self.said)


def _said(text: str) -> str:
    """The message of an error body, in OpenAI's, FastAPI's or plain form."""
    try:
        body: Any = json.loads(text)
    except json.JSONDecodeError:
        return " ".join(re.sub(r"<[^>]*>", " ", text).split()) or "nothing"
    if isinstance(body, Mapping):
        inner = body.get("error", body.get("detail", body))
        if isinstance(inner, Mapping):
            words = [inner.get("code"), inner.get("message", inner)]
            return ": ".join(str(word) for word in words if word)
        return str(inner)
    return str(body)


def _seconds(header: str | None) -> float | None:
    """Retry-After in seconds; a date is not read, because clocks differ."""
    try:
        return None if header is None else max(0.0, float(header))
    except ValueError:
        return None


def error_of(refusal: Refusal, endpoint: Endpoint, models: list[str]) -> OrchestraError:
    """The typed error of `refusal`; `models` are those the server lists, for an unknown one."""
    status, said = refusal.status, refusal.said
    where = f"The server {endpoint.url!r}"
    if status in (401, 403):
        return AccessRefused(f"{where} refuses access ({status}: {said!r}). {_key_cure(endpoint)}")
    if status == 402 or NO_CREDIT.search(said):
        return AccessRefused(
            f"{where} says that there is no credit ({status}: {said!r}). Top it up."
        )
    if status == 404:
        return InvalidFleet(_unknown(where, said, endpoint, models))
    if status == 413 or (status == 400 and CONTEXT.search(said)):
        return PromptTooLong(
            f"The prompt is too long for {endpoint.model!r} at {endpoint.url!r} ({status}: "
            f"{said!r}). Shorten the text, send smaller photos, or lower limits.context_tokens on "
            "the card to what the server takes."
        )
    if status == 429:
        return RateLimited(
            f"{where} takes no more calls now ({said!r}{_later(refusal)}). Set "
            "limits.requests_per_minute on the card to what the server allows, or try later."
        )
    if status == 503:
        return ModelUnavailable(
            f"{where} is not ready (503: {said!r}{_later(refusal)}). Try later."
        )
    if status >= 500 or status == 408:
        return ModelUnavailable(
            f"{where} failed ({status}: {said!r}). Look at its log; the call may have been billed.",
            may_have_spent=True,
        )
    return _not_understood(where, refusal, endpoint)


def _later(refusal: Refusal) -> str:
    after = refusal.retry_after_s
    return "" if after is None else f", again in {after:g} s"


def _key_cure(endpoint: Endpoint) -> str:
    if endpoint.api_key_env is None:
        return "Name the environment variable of its key as hosting.endpoint.api_key_env."
    return f"Check the key in the environment variable {endpoint.api_key_env!r}."


def _unknown(where: str, said: str, endpoint: Endpoint, models: list[str]) -> str:
    listed = ", ".join(map(repr, models[:12])) or "it lists none"
    return (
        f"{where} has no model {endpoint.model!r}, or no '/chat/completions' (404: {said!r}; "
        f"models: {listed}). Mend hosting.endpoint.model or its url on the card."
    )


def _not_understood(where: str, refusal: Refusal, endpoint: Endpoint) -> OrchestraError:
    status, said = refusal.status, refusal.said
    if 300 <= status < 400:
        return InvalidFleet(f"{where} is elsewhere ({status}). Set hosting.endpoint.url to there.")
    if "logprobs" in said:
        return InvalidFleet(
            f"{where} gives no log-probabilities ({status}: {said!r}). Set "
            "hosting.endpoint.logprobs: false on the card; confidences are unknown then."
        )
    if SCHEMA.search(said):
        return InvalidSchema(
            f"{where} cannot be held to this schema by structured={endpoint.structured!r} "
            f"({status}: {said!r}). Set hosting.endpoint.structured to 'json_object' or 'prompt', "
            "or simplify the schema."
        )
    return ModelError(
        f"{where} does not take the request ({status}: {said!r}). Check hosting.endpoint and "
        f"hosting.sampling of the card for {endpoint.model!r}."
    )


def refused_part(
    refusal: Refusal, body: Mapping[str, Any], optional: tuple[str, ...]
) -> str | None:
    """What of `optional` the server names as unknown, so that the request may go without it."""
    if refusal.status not in (400, 422) or CONTEXT.search(refusal.said):
        return None
    sent = json.dumps({key: value for key, value in body.items() if key != "messages"})
    return next(
        (name for name in optional if f'"{name}"' in sent and _names(refusal.said, name)), None
    )


def _names(said: str, name: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(name)}(?!\w)", said) is not None
