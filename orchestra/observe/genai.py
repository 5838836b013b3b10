"""OpenTelemetry's words for calls of models: the GenAI semantic conventions of version 1.41.

They are marked "development" still, and may change; the names here are those of release 1.41.0
(docs/gen-ai), which the repository that has kept them since, `semantic-conventions-genai`, had not
renamed in November 2026. Its opt-in attributes, which hold messages, are never set: no text, photo
or key is put on a span.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any
from urllib.parse import urlsplit

from orchestra.core.call import Call, Reply
from orchestra.core.card import Card
from orchestra.core.job import Result
from orchestra.observe.trace import mark, span

OURS = "orchestra"  # the provider of models that run in our own engines
COMPATIBLE = "openai_compatible"  # of a server that is none of those below
MOST_CHARS = 128  # of a name that a server tells
# Providers' names in the conventions, by what their hosts end with.
PROVIDERS = {
    "openai.azure.com": "azure.ai.openai",
    "services.ai.azure.com": "azure.ai.inference",
    "openai.com": "openai",
    "anthropic.com": "anthropic",
    "deepseek.com": "deepseek",
    "mistral.ai": "mistral_ai",
    "groq.com": "groq",
    "x.ai": "x_ai",
    "perplexity.ai": "perplexity",
    "cohere.com": "cohere",
    "cohere.ai": "cohere",
    "moonshot.ai": "moonshot_ai",
    "moonshot.cn": "moonshot_ai",
    "generativelanguage.googleapis.com": "gcp.gemini",
    "aiplatform.googleapis.com": "gcp.vertex_ai",
    "amazonaws.com": "aws.bedrock",
}
DEFAULT_PORTS = {"http": 80, "https": 443}


def provider_of(card: Card) -> str:
    """Who answers for `card`, in the conventions' words where they have one."""
    endpoint = card.hosting.endpoint
    if endpoint is None:
        return OURS
    host = urlsplit(endpoint.url).hostname or ""
    found = (name for end, name in PROVIDERS.items() if host == end or host.endswith(f".{end}"))
    return next(found, COMPATIBLE)


def request_of(card: Card, call: Call, *, streams: bool) -> dict[str, Any]:
    """What is known of a call before it is made."""
    endpoint = card.hosting.endpoint
    told: dict[str, Any] = {
        "gen_ai.operation.name": operation_of(call),
        "gen_ai.provider.name": provider_of(card),
        "gen_ai.request.model": model_of(card),
        "orchestra.model": card.name,
    }
    if not call.texts:
        told["gen_ai.output.type"] = "text" if call.schema is None else "json"
        told["gen_ai.request.max_tokens"] = call.written_tokens
        told["gen_ai.request.stream"] = streams
    if endpoint is not None:
        address = urlsplit(endpoint.url)
        told["server.address"] = address.hostname or ""
        told["server.port"] = address.port or DEFAULT_PORTS[address.scheme]
    return told


def operation_of(call: Call) -> str:
    """The conventions' name for what a call does."""
    return "embeddings" if call.texts else "chat"


def model_of(card: Card) -> str:
    """The model that is asked for, by its server's name for it."""
    endpoint = card.hosting.endpoint
    return card.name if endpoint is None else endpoint.model


def inference_span(
    card: Card, call: Call, *, streams: bool, more: Mapping[str, Any]
) -> AbstractContextManager[Any]:
    """A span around one call: of a client, where the model runs in another process."""
    attributes = {**request_of(card, call, streams=streams), **more}
    name = f"{operation_of(call)} {model_of(card)}"
    kind = "internal" if card.hosting.endpoint is None else "client"
    return span(name, attributes, kind=kind)


def response_of(card: Card, reply: Reply) -> dict[str, Any]:
    """What a reply tells. Tokens are those of the model that wrote it, whoever paid."""
    told: dict[str, Any] = {
        "gen_ai.response.model": (reply.served.model or model_of(card))[:MOST_CHARS],
        "gen_ai.usage.input_tokens": reply.usage.input_tokens,
    }
    if reply.vectors is None:
        told["gen_ai.usage.output_tokens"] = reply.usage.output_tokens
        told["gen_ai.response.finish_reasons"] = (reply.finish,)
    else:
        told["gen_ai.embeddings.dimension.count"] = reply.vectors.shape[-1]
    return told


def workflow_span(name: str) -> AbstractContextManager[Any]:
    """A span around one run of a graph."""
    told = {"gen_ai.operation.name": "invoke_workflow", "gen_ai.workflow.name": name}
    return span(f"invoke_workflow {name}", told)


def note_result(seen: Any, result: Result) -> None:
    """What a run came to, on its span."""
    if seen is None:
        return
    seen.set_attribute("orchestra.status", result.status)
    seen.set_attribute("orchestra.cost_usd", float(result.cost_usd))
    if result.status == "failed" and result.errors:
        mark(seen, result.errors[0].type)
