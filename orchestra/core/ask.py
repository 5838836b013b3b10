"""`ask`: a node that asks a capability for an answer, by the run that it belongs to.

It names no model and holds no client: the run, which every node of it finds, has the plan.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal, Protocol

from langgraph.config import get_config
from langgraph.runtime import Runtime
from pydantic import BaseModel

from orchestra.core.card import Answers, Capability, capability_word
from orchestra.core.errors import InvalidGraph, InvalidSchema
from orchestra.core.job import Field, Job
from orchestra.core.opening import opener
from orchestra.core.place import Place
from orchestra.core.placeholders import KNOWN, unfilled
from orchestra.core.schema import resolved
from orchestra.core.spelling import nearest
from orchestra.core.state import Context, JobState, Outcome, json_of, outcome_json

Reads = Literal["image", "text", "facts"]
DataOf = Callable[[Any], str | None]  # of the graph's state, whatever that is
ShapeOf = Callable[[Any], Mapping[str, Any]]
DEFAULT_STRING_CHARS = 120
READING = "read"  # the capability of models that read what is printed on a photo
SEEING = frozenset({"vision", READING})  # capabilities that are shown the photo unless said else
DEEPEST = 8  # an engine refuses schemas that are nested deeper


@dataclass(frozen=True, slots=True)
class After:
    """What the second ask of a cascade waits for.

    It is made about the fields that `node` left open or is less sure of than `least`, and not
    without one. `share` is the part of jobs that is expected of.
    """

    node: str
    least: float
    share: float | None = None


@dataclass(frozen=True, slots=True)
class InTurn:
    """How an ask goes through a job's photos, one a call.

    After the first, `most - 1` further ones are looked at, as long as a field has no answer, or one
    that is less sure than `least`.
    """

    most: int
    least: float


@dataclass(frozen=True, slots=True)
class Ask:
    """One question to a model, as a graph node; frozen, so a planner can read it.

    `reads` is what the node needs of a job: its image, its text, or facts that earlier nodes
    left in the state (`data` renders them). `shape` narrows the schema to one job. `derived`
    marks answers that are written rather than read off, so they carry no span. With `question`
    the job's text is the instruction. With `regions` its values carry the part of the photo that
    decided them. Without `cache` its replies are never shared by runs. `key` names what in a state
    of the user's own takes the answer. With `after` it is the second of a cascade,
    with `turn` it goes through the photos one by one.
    """

    capability: Capability
    instruction: str
    schema_json: str | None
    max_tokens: int
    reads: Reads
    data: DataOf | None = None
    shape: ShapeOf | None = None
    derived: bool = False
    question: bool = False
    max_visits: int | None = None
    regions: bool = False
    cache: bool = True
    key: str | None = None
    after: After | None = None
    turn: InTurn | None = None

    @property
    def is_fine(self) -> bool:
        """Whether it needs the photo's small print, and so its own pixels."""
        return self.capability == READING and self.reads == "image"

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields it answers; none where its answer is free."""
        return _properties(self.schema_json)

    @property
    def wants(self) -> Answers:
        """Fields that are read off what it shows, fields that are written, or a free answer."""
        if self.schema_json is None or self.question:
            return "questions"
        return "writing" if self.derived else "fields"

    async def __call__(self, state: JobState, runtime: Runtime[Context]) -> dict[str, Any]:
        """Ask, and return the outcome under the name of this branch; failures are values."""
        run = await run_of(runtime.context)
        place = Place.of(get_config())
        if self.after is not None:
            return self._update(await run.ask_again(place, self, self.after, state))
        name, outcome = await run.ask(place, self, state)
        return self._update(Said({name: outcome}, outcome))

    def _update(self, said: Said) -> dict[str, Any]:
        kept = {name: outcome_json(outcome) for name, outcome in said.outcomes.items()}
        update: dict[str, Any] = {"outcomes": kept}
        if said.fields:
            update["fields"] = json_of(said.fields)
        if self.key is not None and said.whole is not None and said.whole.answered:
            update[self.key] = said.whole.plain
        return update


@dataclass(frozen=True, slots=True)
class Said:
    """What an ask leaves: outcomes by branch, joined fields that it takes the place of, and all
    that is known by now of what it was asked about."""

    outcomes: Mapping[str, Outcome]
    whole: Outcome | None
    fields: Mapping[str, Field] = field(default_factory=dict)


class Run(Protocol):
    """What a node needs of the run it belongs to."""

    @property
    def job(self) -> Job:
        """The job that is run, with its photos as content hashes."""
        ...

    async def ask(self, place: Place, ask: Ask, state: JobState) -> tuple[str, Outcome]:
        """Make the call that `ask` describes, within the run's plan, budget and deadline.

        The name of the branch, and what it came to.
        """
        ...

    async def ask_again(self, place: Place, ask: Ask, after: After, state: JobState) -> Said:
        """Make the call of a cascade for what `after` leaves open, or skip it with the reason."""
        ...

    def fail(self, node: str, error: Exception) -> None:
        """Note what a node of the user's own raised."""
        ...

    def outcomes(self, state: JobState) -> dict[str, Outcome]:
        """What the nodes came to, by branch: all of the run, whatever keys its state has."""
        ...

    async def settle(
        self, names: Sequence[str], nodes: Sequence[str], state: JobState
    ) -> dict[str, Outcome]:
        """Ask a better model again about the fields `names`, which `nodes` contradict on.

        The outcomes that changed, by node; none where no better model is planned.
        """
        ...


def ask(
    capability: Capability,
    prompt: str,
    *,
    schema: type[BaseModel] | Mapping[str, Any] | None = None,
    reads: Literal["image", "text"] | None = None,
    max_tokens: int | None = None,
    data: DataOf | None = None,
    shape: ShapeOf | None = None,
    derived: bool = False,
    question: bool = False,
    max_visits: int | None = None,
    regions: bool = False,
    cache: bool = True,
    key: str | None = None,
) -> Ask:
    """A node that asks whichever model of the fleet offers `capability`.

    `schema` is a pydantic model or JSON schema of an object, which may hold others. `reads` says
    what of the job the model is shown: its image (as 'vision' and 'read' are), or its text.
    `max_tokens` bounds the answer; without it, the schema's longest answer does. `max_visits`
    bounds a node in a loop. `regions` asks which part of a photo decided each value; that takes
    longer than the answer. With `cache` false its replies are never shared by runs. A state of your
    own needs no key of ours; `key` names the one of yours that takes the answer: values by field,
    or the text.

    Raises `InvalidGraph` for a capability that is no lower-case word, a prompt that is empty or has
    a placeholder left in it, `reads` that is none or beside `data`, a bound under 1, or `regions`
    where there are no values or no photo, and `InvalidSchema` for a schema without properties.
    """
    seen = _reads(capability, reads, data)
    _check_prompt(capability, prompt)
    for name, bound in (("max_tokens", max_tokens), ("max_visits", max_visits)):
        if bound is not None and bound < 1:
            raise InvalidGraph(f"ask(...) has {name}={bound!r}; it must be 1 or more.")
    if regions and (seen != "image" or schema is None):
        raise InvalidGraph(
            f"ask({capability!r}, ...) has regions=True, which marks values in a photo. Ask "
            "'vision' with a schema (or give reads='image'), or leave it out."
        )
    own = _schema_of(schema)
    return Ask(
        capability=capability,
        instruction=prompt,
        schema_json=None if own is None else json.dumps(own, ensure_ascii=False),
        max_tokens=max_tokens or _longest_answer_tokens(own),
        reads=seen,
        data=data,
        shape=shape,
        derived=derived,
        question=question,
        max_visits=max_visits,
        regions=regions,
        cache=cache,
        key=key,
    )


def _reads(capability: str, given: str | None, data: DataOf | None) -> Reads:
    """What a node reads of a job. Raises `InvalidGraph` for what it cannot."""
    try:
        capability_word(capability)
    except (TypeError, ValueError) as wrong:
        raise InvalidGraph(
            f"ask({capability!r}, ...) names no capability: {wrong}. An ask names what it needs, "
            "never a model."
        ) from None
    if given not in (None, "image", "text"):
        near = nearest(given, ("image", "text")) or "image"
        raise InvalidGraph(
            f"ask({capability!r}, ...) has reads={given!r}; a node reads the job's 'image' or its "
            f"'text'. Did you mean {near!r}?"
        )
    if data is not None:
        if given is not None:
            raise InvalidGraph(
                f"ask({capability!r}, ...) has reads={given!r} and data={data!r}; a node with data "
                "is shown that alone. Leave one out."
            )
        return "facts"
    return given or ("image" if capability in SEEING else "text")


def _check_prompt(capability: str, prompt: str) -> None:
    """Raise `InvalidGraph` for a prompt that says nothing, or that nobody filled in."""
    if not prompt.strip():
        raise InvalidGraph(f"ask({capability!r}, {prompt!r}) has an empty prompt. Say what to do.")
    for name in unfilled(prompt):
        near = nearest(name, (KNOWN,))
        cure = f"Did you mean {{{near}}}?" if near else "Fill it in, or give the value by data=."
        raise InvalidGraph(
            f"ask({capability!r}, ...) has {{{name}}} left in its prompt {prompt[:60]!r}, and only "
            f"{{{KNOWN}}} is filled in. {cure} To send the braces, write {{{{{name}}}}}."
        )


def _schema_of(schema: type[BaseModel] | Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The JSON schema of an answer. Raises `InvalidSchema` for one that is not of an object."""
    if schema is None:
        return None
    if isinstance(schema, type) and issubclass(schema, BaseModel):
        own = schema.model_json_schema()
    elif isinstance(schema, Mapping):
        own = dict(schema)
    else:
        raise InvalidSchema(
            f"ask(...) has schema={schema!r}, which is neither a pydantic model nor a JSON schema. "
            "Write a class Answer(BaseModel) with a field for each value."
        )
    properties = own.get("properties")
    if not isinstance(properties, Mapping):  # a recipe may ask a photo, or a text, nothing
        inner = json.dumps(own, ensure_ascii=False, default=str)[:80]
        raise InvalidSchema(
            f"ask(...) has schema={inner}, which has no properties, and each property is a field "
            'of the answer. Wrap it: {"type": "object", "properties": {"answer": ...}}, or leave '
            "the schema out for free text."
        )
    for name, shape in properties.items():
        if not isinstance(shape, Mapping):
            raise InvalidSchema(
                f"ask(...) has a schema whose property {name!r} is {shape!r}, not a schema. Write "
                'it as in {"type": "string"}.'
            )
    return own


def _longest_answer_tokens(schema: Mapping[str, Any] | None) -> int:
    """Tokens that hold the longest answer: half its characters, as byte-level BPE needs fewer."""
    if schema is None:
        return 128
    return max(32, min(384, round(_longest_value(schema, schema, 0) / 2)))


def _longest_value(shape: Mapping[str, Any], root: Mapping[str, Any], depth: int) -> int:
    """Characters of the longest value under `shape`; `root` holds the definitions it refers to."""
    if depth > DEEPEST:
        return DEFAULT_STRING_CHARS
    if "x-choice" in shape:
        return max((len(term) for terms in shape["x-choice"].values() for term in terms), default=0)
    shape, _ = resolved(shape, root, ())
    if "enum" in shape:
        return max((len(str(value)) for value in shape["enum"]), default=0)
    if "anyOf" in shape:
        return max(_longest_value(option, root, depth + 1) for option in shape["anyOf"])
    kinds = shape.get("type")
    if isinstance(kinds, list):
        kind = next((known for known in kinds if known != "null"), "null")
        return _longest_value({**shape, "type": kind}, root, depth + 1)
    if "properties" in shape:
        properties = shape["properties"].items()
        return sum(len(name) + 6 + _longest_value(p, root, depth + 1) for name, p in properties)
    if kinds == "array":
        item = _longest_value(shape.get("items", {}), root, depth + 1)
        return (item + 3) * shape.get("maxItems", 8)
    if kinds in ("integer", "number", "boolean", "null"):
        return 16
    return shape.get("maxLength", DEFAULT_STRING_CHARS)


@lru_cache(maxsize=256)
def _properties(schema_json: str | None) -> tuple[str, ...]:
    return tuple(json.loads(schema_json or "{}").get("properties", ()))


def prompt_hash(ask: Ask) -> str:
    """Identifies the wording and the schema that produced a value, not the data."""
    return _prompt_hash(ask.instruction, ask.schema_json)


@lru_cache(maxsize=256)
def _prompt_hash(instruction: str, schema_json: str | None) -> str:
    return hashlib.sha256(f"{instruction}\0{schema_json}".encode()).hexdigest()[:12]


# The run under way: nodes' tasks and threads inherit it. It stands here rather than in the context,
# which is the user's own, or comes from JSON (LangGraph Studio, remote graphs, checkpointers).
CURRENT_RUN: ContextVar[Run | None] = ContextVar("orchestra_run", default=None)


async def run_of(context: Any) -> Run:
    """The run under way; where nobody prepared one (Studio), the fleet of `context` opens one."""
    run = CURRENT_RUN.get()
    if run is not None:
        return run
    if isinstance(context, dict):
        context = Context(**context)
    if not isinstance(context, Context):
        context = Context()
    open_run = opener()
    if open_run is not None:
        return await open_run(context.fleet)
    raise InvalidGraph(
        f"The graph was invoked without a run, and nothing here opens the fleet {context.fleet!r}. "
        "Run it with Fleet.run, or import orchestra."
    )
