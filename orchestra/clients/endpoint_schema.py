"""What a public server is told of a response schema, the check of its answer, and its confidence.

Our schemas hold private keywords (`x-span`, `x-choice`) that no server knows: they are
translated into plain JSON Schema, and the answer is checked here against the schema as it was,
so that a server that ignores a keyword cannot pass anything by it. Pure.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from orchestra.clients.endpoint_json import escaped_once, object_in
from orchestra.core.answers.choices import indexed
from orchestra.core.answers.leaves import Leaf, leaves
from orchestra.core.errors import AnswerInvalid, InvalidSchema
from orchestra.core.schema import Schema, inner, resolved
from orchestra.core.text import find_span

Token = tuple[bytes, float]  # its spelling, and its log-probability
LEAST_LOGPROB = -69.0  # 1e-30: a server writes -9999 for a token that it would never choose
DECODER = json.JSONDecoder()
JSON_RULE = "Answer with one JSON object and nothing else. It must match this JSON schema:"
VERBATIM = "Copied word for word from the data."
# Bounds that some servers refuse; the check below holds them whether they are sent or not.
BOUNDS = ("maxLength", "minLength", "pattern", "minItems", "maxItems", "minimum", "maximum")
TYPES: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "null": type(None),
    "array": list,
    "object": dict,
}


def public_schema(schema: Schema, without: Iterable[str] = ()) -> dict[str, Any]:
    """`schema` in plain JSON Schema, objects closed and every key required.

    `without` names keywords that the server refused. Raises `InvalidSchema` for a broken `$ref`.
    """
    return _public(schema, schema, frozenset(without), ())


def schema_words(schema: Schema, without: Iterable[str] = ()) -> str:
    """What a prompt says of `schema`: the rule, and the schema as a server is told it."""
    return f"{JSON_RULE}\n{json.dumps(public_schema(schema, without), ensure_ascii=False)}"


def _public(
    schema: Schema, root: Schema, without: frozenset[str], refs: tuple[str, ...]
) -> dict[str, Any]:
    schema, refs = resolved(schema, root, refs)
    if "enum" in schema:
        return _listed(schema["enum"])
    if "anyOf" in schema:
        options = [_public(option, root, without, refs) for option in schema["anyOf"]]
        return {"anyOf": options} | _description(schema)
    public = {key: schema[key] for key in ("type", "format") if key in schema}
    public |= {key: schema[key] for key in BOUNDS if key in schema and key not in without}
    if schema.get("x-grounded"):
        public.pop("pattern", None)  # what is written is checked against its facts later
    if "items" in schema:
        public["items"] = _public(schema["items"], root, without, refs)
    if "properties" in schema:
        parts = {n: _public(s, root, without, refs) for n, s in schema["properties"].items()}
        public |= {"type": "object", "properties": parts, "required": list(parts)}
        public["additionalProperties"] = False
    return public | _description(schema)


def _description(schema: Schema) -> dict[str, str]:
    parts = [str(schema["description"])] if schema.get("description") else []
    parts += [VERBATIM] if schema.get("x-span") and "anyOf" not in schema else []
    return {"description": " ".join(parts)} if parts else {}


def _listed(values: Iterable[Any]) -> dict[str, Any]:
    """An enumeration with its types, which strict servers ask for."""
    listed = list(values)
    types = [name for name in TYPES if any(_is(name, value) for value in listed)]
    if "integer" in types and "number" in types:
        types.remove("integer" if any(type(value) is float for value in listed) else "number")
    return {"type": types[0] if len(types) == 1 else types, "enum": listed}


class _Unfit(ValueError):
    """A value outside its schema, or a span that does not stand in the data: its part abstains."""


def read_answer(schema: Schema, text: str, data: str) -> tuple[dict[str, Any], dict[str, str]]:
    """The object in `text`, held to `schema`, and why some of its parts abstain.

    `data` is what spans must stand in, and lend their spelling. A part whose value is outside its
    schema, or is a span that does not stand in the data, is None, whatever the schema allows, and
    all beside it stands; its reason names the value, and has the key of its property, within an
    object or list that of its place (`maker.country`, `parts[0]`). A key that may be null and is
    left out is null; keys that were not asked for are left out. Raises `AnswerInvalid` where `text`
    holds no object of the schema's keys.
    """
    properties = resolved(schema, schema, ())[0].get("properties", {})
    answer = object_in(text, set(properties))
    if answer is None:
        raise AnswerInvalid(
            f"The answer {text[-80:]!r} holds no whole JSON object of the schema's keys. Set "
            "hosting.endpoint.structured to 'json_schema' or 'json_object' where the server can, "
            "or use another model."
        )
    check = _Check(schema, data)
    parts = properties.items()
    value = {name: check.part(answer.get(name), shape, name, ()) for name, shape in parts}
    return value, check.abstained


@dataclass(frozen=True, slots=True)
class _Check:
    """Holds values to the parts of `root`; `data` is what spans must stand in.

    With `is_strict` no part abstains: the whole is unfit instead.
    """

    root: Schema
    data: str
    is_strict: bool = False
    abstained: dict[str, str] = field(default_factory=dict)

    def part(self, value: Any, schema: Schema, place: str, refs: tuple[str, ...]) -> Any:
        """A property or an item; a value that does not fit costs that part alone."""
        try:
            return self.value(value, schema, place, refs)
        except _Unfit as unfit:
            if self.is_strict:
                raise
            self.abstained[place] = "the model left it out" if value is None else str(unfit)
            return None

    def value(self, value: Any, schema: Schema, place: str, refs: tuple[str, ...]) -> Any:
        schema, refs = resolved(schema, self.root, refs)
        if "anyOf" in schema:
            return self._any(value, schema["anyOf"], place, refs)
        if "enum" in schema:
            return _listed_one(value, schema["enum"])
        kinds = schema.get("type", "object" if "properties" in schema else list(TYPES))
        kinds = [kinds] if isinstance(kinds, str) else kinds
        kind = next((kind for kind in kinds if _is(kind, value)), None)
        if kind is None:
            raise _unfit(value, f"is not of type {' or '.join(kinds)}")
        return self._typed(kind, value, schema, place, refs)

    def _any(self, value: Any, options: Sequence[Schema], place: str, refs: tuple[str, ...]) -> Any:
        """The value by the first option that it fits whole, else by that it fits most of."""
        wrong: list[_Unfit] = []
        for is_strict in (True,) if self.is_strict else (True, False):
            fits: list[tuple[int, Any, dict[str, str]]] = []
            for option in options:
                trial = _Check(self.root, self.data, is_strict)
                try:
                    found = trial.value(value, option, place, refs)
                except _Unfit as unfit:
                    wrong.append(unfit)
                    continue
                fits.append((len(trial.abstained), found, trial.abstained))
            if fits:
                _, found, abstained = min(fits, key=lambda fit: fit[0])
                self.abstained.update(abstained)
                return found
        # The option of the value's own type says best what is wrong with it.
        raise next((e for e in wrong if "is not of type" not in str(e)), wrong[0])

    def _typed(
        self, kind: str, value: Any, schema: Schema, place: str, refs: tuple[str, ...]
    ) -> Any:
        if kind == "string":
            return self._string(value, schema)
        if kind in ("integer", "number"):
            _check_number(value, schema)
        if kind == "array":
            _check_size(len(value), schema, ("minItems", "maxItems"), "items", value)
            items = schema.get("items", {})
            return [self.part(v, items, f"{place}[{n}]", refs) for n, v in enumerate(value)]
        if kind == "object":
            parts = schema.get("properties", {})
            return {n: self.part(value.get(n), s, f"{place}.{n}", refs) for n, s in parts.items()}
        return value

    def _string(self, value: str, schema: Schema) -> str:
        if schema.get("x-span") and value:
            span = find_span(value, self.data) or find_span(_reread(value), self.data)
            if span is None:
                raise _Unfit(f"the model said {value[:80]!r}, which the text does not")
            value = span.text or value
        _check_size(len(value), schema, ("minLength", "maxLength"), "characters", value)
        pattern = None if schema.get("x-grounded") else schema.get("pattern")
        if pattern is not None and not _matches(pattern, value):
            raise _unfit(value, f"does not match {pattern!r}")
        return value


def _listed_one(value: Any, listed: Sequence[Any]) -> Any:
    """The listed value that `value` is, whatever its case and form."""
    for said in (value, _reread(value)):
        if any(said == one and type(said) is type(one) for one in listed):
            return said
    choices = tuple(one for one in listed if isinstance(one, str))
    meant = indexed(choices).find(value) if isinstance(value, str) else None
    if meant is None:
        raise _unfit(value, f"is not one of {json.dumps(listed, ensure_ascii=False)}")
    return meant


def _reread(value: Any) -> Any:
    """`value` as it was meant, where a model escaped it twice."""
    return escaped_once(value) if isinstance(value, str) else value


def _is(kind: str, value: Any) -> bool:
    """Whether `value` is of the JSON type `kind`; true and false are no numbers."""
    if isinstance(value, bool):
        return kind == "boolean"
    return isinstance(value, TYPES.get(kind, ()))


def _matches(pattern: str, value: str) -> bool:
    try:
        return re.search(pattern, value) is not None
    except re.error as error:
        raise InvalidSchema(
            f"pattern {pattern!r} cannot be read: {error}. Use a plain regular expression."
        ) from error


def _check_size(size: int, schema: Schema, names: tuple[str, str], unit: str, value: Any) -> None:
    least, most = schema.get(names[0], 0), schema.get(names[1])
    if size < least or (most is not None and size > most):
        bounds = f"{least} to {most}" if most is not None else f"{least} or more"
        raise _unfit(value, f"has {size} {unit}, and the schema asks for {bounds}")


def _check_number(value: float, schema: Schema) -> None:
    for name, breaks in (
        ("minimum", lambda limit: value < limit),
        ("maximum", lambda limit: value > limit),
        ("exclusiveMinimum", lambda limit: value <= limit),
        ("exclusiveMaximum", lambda limit: value >= limit),
    ):
        if schema.get(name) is not None and breaks(schema[name]):
            raise _unfit(value, f"breaks {name}={schema[name]!r}")


def _unfit(value: Any, why: str) -> _Unfit:
    return _Unfit(f"the model said {str(value)[:80]!r}, which {why:.200}")


def tokens_of(content: Any) -> list[Token]:
    """(bytes, log-probability) of each token of `choices[0].logprobs.content`; [] without it."""
    found: list[Token] = []
    try:
        for entry in content or ():
            raw, token = entry.get("bytes"), entry.get("token", "")
            spelt = bytes(raw) if raw is not None else str(token).encode(errors="replace")
            found.append((spelt, max(float(entry["logprob"]), LEAST_LOGPROB)))
    except (KeyError, TypeError, AttributeError, ValueError):
        return []  # an answer is not lost for want of a confidence
    return found


def confidences(schema: Mapping[str, Any], tokens: Sequence[Token]) -> dict[str, float]:
    """Confidence of each property that stands in the tokens' JSON object, and of leaves under it.

    A leaf of an object or list is named by its place, as in `maker.country`. The tokens that touch
    a value decide: their product for choices, spans, numbers and null, their geometric mean for
    free strings, lists and objects, as the bundled engines do. A server's probabilities are those
    of its own sampling, not renormalised over what the schema allows, so they are at most as high.
    The object may follow a thought or a fence. Without tokens, or without
    an object in them, nothing is known and the mapping is empty.
    """
    raw = b"".join(spelt for spelt, _ in tokens)
    text = raw.decode(errors="replace")
    if len(text.encode()) != len(raw):
        return {}  # a character was cut between tokens: places cannot be told
    after = max(text.rfind("</think>"), 0)
    start = text.find("{", after)
    found: dict[str, float] = {}
    properties = schema.get("properties", {})
    for name, value, begin, end in _values(text, start):
        if name not in properties:
            continue
        parts = [Leaf(name, (), value, begin, end)]
        if isinstance(value, dict | list) and value:
            parts += leaves(text, begin, name)
        for part in parts:
            span = (len(text[: part.begin].encode()), len(text[: part.end].encode()))
            logs = _touching(span, tokens)
            if logs:
                shape = properties[name]
                for step in part.steps:
                    shape = inner(shape, schema, step)
                is_free = _is_free(part.value, resolved(shape, schema, ())[0])
                found[part.place] = math.exp(min(0.0, sum(logs) / (len(logs) if is_free else 1)))
    return found


def _values(text: str, start: int) -> list[tuple[str, Any, int, int]]:
    """(key, value, begin, end) of each member of the object that begins at `start`."""
    members: list[tuple[str, Any, int, int]] = []
    try:
        at = _past_space(text, start + 1)
        while start >= 0 and text[at] == '"':
            name, at = DECODER.raw_decode(text, at)
            begin = _past_space(text, _past_space(text, at) + 1)
            value, end = DECODER.raw_decode(text, begin)
            members.append((name, value, begin, end))
            at = _past_space(text, end)
            at = _past_space(text, at + 1) if text[at] == "," else at
    except (json.JSONDecodeError, IndexError):
        return []
    return members


def _past_space(text: str, at: int) -> int:
    while text[at].isspace():
        at += 1
    return at


def _touching(span: tuple[int, int], tokens: Sequence[Token]) -> list[float]:
    touching: list[float] = []
    at = 0
    for spelt, logprob in tokens:
        if at < span[1] and at + len(spelt) > span[0]:
            touching.append(logprob)
        at += len(spelt)
    return touching


def _is_free(value: Any, shape: Mapping[str, Any]) -> bool:
    """Whether a value is written rather than chosen: its length must not lower its confidence."""
    if isinstance(value, list | dict):
        return True
    words = set(shape).union(*shape.get("anyOf", ()))
    return isinstance(value, str) and not {"enum", "const", "x-choice", "x-span"} & words
