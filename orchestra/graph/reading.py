"""Turns a model's reply into fields with their source and evidence; no evidence, no value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestra.core.ask import Ask, prompt_hash
from orchestra.core.call import Box, Reply
from orchestra.core.errors import AnswerInvalid
from orchestra.core.job import Evidence, Field
from orchestra.core.schema import choice_terms, parsed
from orchestra.core.text import find_span
from orchestra.core.values import lower

LOOSE_ENDS = " ,;:-–"  # what a span may drag along from between two words
UNKNOWN = "its confidence is unknown: the model reports none"
WHOLE_IMAGE = (0.0, 0.0, 1.0, 1.0)


def read_fields(
    ask: Ask, reply: Reply, *, model: str, text: str | None, images: tuple[str, ...]
) -> dict[str, Field]:
    """Fields of one reply. `text` is what the model was shown, `images` the content hashes.

    Raises `AnswerInvalid` when a schema was asked for and the reply is not an object.
    """
    if ask.schema_json is None:
        return {}
    if not isinstance(reply.value, Mapping):
        raise AnswerInvalid(
            f"The model {model!r} answered {reply.text[:80]!r}, not the object its schema asks "
            "for. Use a model that can be held to a schema."
        )
    fields: dict[str, Field] = {}
    for name, shape in parsed(ask.schema_json)["properties"].items():
        value = reply.value.get(name)
        base = {
            "confidence": reply.confidence.get(name),
            "model": model,
            "prompt_hash": prompt_hash(ask),
        }
        if name in reply.abstained:
            fields[name] = Field(note=reply.abstained[name], **base)
        elif ask.derived:
            fields[name] = _derived(value, base)
        elif ask.capability == "vision":
            box = reply.regions.get(name, WHOLE_IMAGE)
            fields[name] = _seen(value, images, box, reply.heat.get(name), base)
        else:
            meaning = choice_terms(ask.schema_json, name) if "x-choice" in shape else ()
            fields[name] = _read(value, dict(meaning), text or "", base)
    if reply.cached:
        fields = {name: _from_cache(field) for name, field in fields.items()}
    return {name: _flagged(field) for name, field in fields.items()}


def _from_cache(field: Field) -> Field:
    marked = tuple(proof.model_copy(update={"cached": True}) for proof in field.evidence)
    return field.model_copy(update={"evidence": marked})


def _flagged(field: Field) -> Field:
    """`field`, with a note where nothing is known of how sure the model was."""
    if not field.answered or field.confidence is not None or field.note is not None:
        return field
    return field.model_copy(update={"note": UNKNOWN})


def _derived(value: Any, base: dict[str, Any]) -> Field:
    if value in (None, "", []):
        return Field(note="nothing was written", **base)
    return Field(value=value, source="derived", **base)


def _seen(
    value: Any, images: tuple[str, ...], box: Box, heat: str | None, base: dict[str, Any]
) -> Field:
    if value in (None, "", []) or not images:
        return Field(note="the photo does not show it", **base)
    evidence = tuple(Evidence(kind="image", image=key, box=box, heat=heat) for key in images)
    return Field(value=value, source="photo", evidence=evidence, **base)


def _read(value: Any, meaning: Mapping[str, str], text: str, base: dict[str, Any]) -> Field:
    if value is None or value == "":
        return Field(note="the text does not say", **base)
    if isinstance(value, str):
        value = value.rstrip(LOOSE_ENDS) or value
    span = find_span(str(value), text)
    if span is None:
        return Field(note=f"the model said {value!r}, which the text does not", **base)
    if isinstance(value, str):
        value = meaning.get(lower(value.strip()), span.text)
    return Field(value=value, source="text", evidence=(span,), **base)
