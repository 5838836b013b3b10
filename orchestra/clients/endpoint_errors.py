"""What a server's refusal means: its status and words into the typed errors, each with its cure.

Pure. Statuses follow OpenAI's and vLLM's use of them; where servers use one status for several
things, their words decide.
"""

from __future__ import annotations

import re

from orchestra.clients.endpoint_refusal import OVERLOADED, Refusal
from orchestra.core.card import Endpoint
from orchestra.core.errors import (
    AccessRefused,
    AnswerInvalid,
    AnswerRefused,
    InvalidFleet,
    InvalidSchema,
    ModelError,
    ModelUnavailable,
    OrchestraError,
    PromptTooLong,
    RateLimited,
)
from orchestra.core.values import duration

A_MINUTE_S = 60.0
CONTEXT = re.compile(
    r"context[ _](length|window|size)|maximum context|too many tokens|prompt is too long"
    r"|available context|max_model_len|maximum (input|prompt) length|range of input length",
    re.IGNORECASE,
)
SCHEMA = re.compile(
    r"response_format|json_schema|json schema|invalid schema|grammar|json mode", re.IGNORECASE
)
FILTERED = re.compile(
    r"content_filter|content_policy|content policy|content management policy|data_?inspection"
    r"|inappropriate content|content exists risk|moderation|flagged|safety system",
    re.IGNORECASE,
)
FILTERING = frozenset({400, 403, 422, 451})
KEY = re.compile(
    r"\bkey\b|api_key|token|credential|authenti|bearer|unauthori[sz]ed|^nothing$", re.I
)
ELSEWHERE = re.compile(r"country|region|territory", re.IGNORECASE)
NO_MODEL = re.compile(
    r"model.{0,60}(not found|not exist|is not available)|(invalid|unknown) model"
    r"|no models? (loaded|found|available)|model_not_found|no endpoints found",
    re.IGNORECASE,
)
SCOPE = re.compile(r"scope|permission", re.IGNORECASE)
A_MODEL = re.compile("model", re.IGNORECASE)
NO_ACCESS = re.compile(r"access to (the )?model|access model|model_access|call model", re.I)
NO_TOOLS = re.compile(
    r"not support (tools|function)|tools param|tool.?choice|tool-call-parser", re.IGNORECASE
)
NO_JSON = re.compile(r"json_validate_failed|failed_generation|failed to generate json", re.I)
NO_MEMORY = re.compile(r"more system memory|failed to load model", re.IGNORECASE)
WAYS = ("json_schema", "json_object", "prompt")
LOWER = re.compile(r"max_(completion_)?tokens", re.IGNORECASE)
TOO_LONG = frozenset({400, 413, 422, 500})


def error_of(refusal: Refusal, endpoint: Endpoint, models: list[str]) -> OrchestraError:
    """The typed error of `refusal`; `models` are those the server lists, for an unknown one."""
    status, said = refusal.status, refusal.said
    where = f"The server {endpoint.shown_url!r}"
    if status in FILTERING and refusal.names(FILTERED):
        return AnswerRefused(
            f"{where} refuses to answer this ({status}: {said!r}). Ask another model, or mend the "
            "text or photo."
        )
    if status == 402 or refusal.is_out_of_credit:
        return AccessRefused(
            f"{where} says that there is no credit ({status}: {said!r}). Top it up."
        )
    if status in (401, 403):
        cure = _key_cure(endpoint)
        return AccessRefused(
            f"{where} refuses access ({status}: {said!r}). {access_cure(refusal, cure)}"
        )
    if status in TOO_LONG and (status == 413 or refusal.names(CONTEXT)):
        return PromptTooLong(
            f"The prompt is too long for {endpoint.model!r} at {endpoint.shown_url!r} ({status}: "
            f"{said!r}). Shorten the text, send smaller photos, or lower limits.context_tokens on "
            "the card to what the server takes."
        )
    if names_no_model(refusal):
        return InvalidFleet(_unknown(where, refusal, endpoint, models))
    if status == 429:
        return RateLimited(
            f"{where} takes no more calls now ({said!r}{_later(refusal)}). Set "
            "limits.requests_per_minute on the card to what the server allows, or try later."
        )
    if status >= 500 and refusal.names(NO_TOOLS):
        return _not_understood(where, refusal, endpoint)
    if status >= 500 or status == 408:
        return _failed(where, refusal)
    return _not_understood(where, refusal, endpoint)


def names_no_model(refusal: Refusal) -> bool:
    """Whether the server has not the model; then those that it lists are told as well."""
    return refusal.status == 404 or (refusal.status == 400 and refusal.names(NO_MODEL))


def may_not_list(refusal: Refusal) -> bool:
    """Whether a refused list of models says nothing of calls: keys can be held to calls alone."""
    return refusal.status == 403 and refusal.names(SCOPE)


def _failed(where: str, refusal: Refusal) -> ModelUnavailable:
    status, said = refusal.status, refusal.said
    if status in (503, 529) or refusal.names(OVERLOADED):
        state = "is not ready" if status == 503 else "is overloaded"
        return ModelUnavailable(
            f"{where} {state} ({status}: {said!r}{_later(refusal)}). Try later."
        )
    if refusal.names(NO_MEMORY):
        return ModelUnavailable(
            f"{where} has no memory for the model ({status}: {said!r}). Free some there, or serve "
            "a smaller one."
        )
    return ModelUnavailable(
        f"{where} failed ({status}: {said!r}). Look at its log; the call may have been billed.",
        may_have_spent=True,
    )


def broken_off(refusal: Refusal, endpoint: Endpoint, heard: int) -> ModelError:
    """The error of an answer that ended, after `heard` characters, in what `refusal` says."""
    where, said = f"The server {endpoint.shown_url!r}", refusal.said
    if refusal.names(FILTERED):
        return AnswerRefused(
            f"{where} held the answer back after {heard} characters ({said!r}). Ask another model.",
            may_have_spent=True,
        )
    return ModelUnavailable(
        f"{where} broke off its answer after {heard} characters ({said!r}). Look at its log; the "
        "call may have been billed.",
        may_have_spent=True,
    )


def refused_choice(refusal: Refusal, part: str, endpoint: Endpoint) -> InvalidFleet:
    """The error where the server refuses `part` of each request, which the card asks for."""
    if part == "logprobs":
        return InvalidFleet(
            f"The server {endpoint.shown_url!r} gives no log-probabilities ({refusal.status}: "
            f"{refusal.said!r}). Leave out hosting.endpoint.logprobs, or set it to false; "
            "confidences are unknown then."
        )
    if part in ("json_schema", "response_format"):
        return InvalidFleet(
            f"The server {endpoint.shown_url!r} cannot be held to a schema by "
            f"hosting.endpoint.structured={endpoint.structured!r} ({refusal.status}: "
            f"{refusal.said!r}). {_other_ways(endpoint)}, or leave it out."
        )
    return InvalidFleet(
        f"The server {endpoint.shown_url!r} does not take the card's hosting.sampling.{part} "
        f"({refusal.status}: {refusal.said!r}). Set it to what {endpoint.model!r} takes, or leave "
        "it out."
    )


def _other_ways(endpoint: Endpoint) -> str:
    one, other = (way for way in WAYS if way != endpoint.structured)
    return f"Set hosting.endpoint.structured to {one!r} or {other!r}"


def _later(refusal: Refusal) -> str:
    after = refusal.retry_after_s
    if after is None:
        return ""
    return f", again in {f'{after:g} s' if after < A_MINUTE_S else duration(after)}"


def access_cure(refusal: Refusal, key_cure: str) -> str:
    """What helps against a 401 or 403: the key only where the words blame it, or say nothing."""
    is_model = refusal.names(NO_MODEL) or refusal.names(NO_ACCESS)
    if is_model or (refusal.names(A_MODEL) and not _blames_key(refusal)):
        return "Ask for access to the model, or name another one as hosting.endpoint.model."
    if refusal.names(ELSEWHERE):
        return "It does not serve this place. Use another server."
    if refusal.status == 403 and not _blames_key(refusal):
        return "The key was not what it blames: mend what it says, or ask whoever runs it."
    return key_cure


def _key_cure(endpoint: Endpoint) -> str:
    if endpoint.api_key_env is None:
        return "Name the environment variable of its key as hosting.endpoint.api_key_env."
    return f"Check the key in the environment variable {endpoint.api_key_env!r}."


def _blames_key(refusal: Refusal) -> bool:
    return KEY.search(refusal.said) is not None or "api_key" in refusal.kinds


def _unknown(where: str, refusal: Refusal, endpoint: Endpoint, models: list[str]) -> str:
    listed = ", ".join(map(repr, models[:12])) or "it lists none"
    return (
        f"{where} has no model {endpoint.model!r}, or no '/chat/completions' ({refusal.status}: "
        f"{refusal.said!r}; models: {listed}). Mend hosting.endpoint.model or its url on the card."
    )


def _not_understood(where: str, refusal: Refusal, endpoint: Endpoint) -> OrchestraError:
    status, said = refusal.status, refusal.said
    if 300 <= status < 400:
        return InvalidFleet(f"{where} is elsewhere ({status}). Set hosting.endpoint.url to there.")
    if refusal.names(NO_JSON):
        return AnswerInvalid(
            f"{where} gave up on a model that wrote no JSON ({status}: {said!r}). Use another "
            "model, or set hosting.endpoint.structured: prompt."
        )
    if SCHEMA.search(said) or refusal.param.startswith("response_format"):
        return InvalidSchema(
            f"{where} cannot be held to this schema by structured={endpoint.structured!r} "
            f"({status}: {said!r}). {_other_ways(endpoint)}, or simplify the schema."
        )
    if NO_TOOLS.search(said):
        return InvalidFleet(
            f"{where} takes no tools for {endpoint.model!r} ({status}: {said!r}). Set "
            "hosting.endpoint.tools: schema on the card, or serve the model with tools."
        )
    if LOWER.search(said) or LOWER.search(refusal.param):
        return ModelError(
            f"{where} does not take so many tokens of answer ({status}: {said!r}). Lower "
            "max_tokens of the ask, or limits.thinking_tokens on the card."
        )
    return ModelError(
        f"{where} does not take the request ({status}: {said!r}). Check hosting.endpoint and "
        f"hosting.sampling of the card for {endpoint.model!r}."
    )
