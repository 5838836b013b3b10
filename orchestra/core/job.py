"""The shared words of a job and its result; it knows no model, graph or file.

All of them are frozen pydantic models, because they cross boundaries: the graph's state,
the book, HTTP and the command line all carry them as JSON.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from decimal import Decimal, InvalidOperation
from pathlib import PurePath
from typing import Annotated, Any, Literal, Self, TypeVar, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    PlainSerializer,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic import Field as Attribute
from pydantic.fields import FieldInfo
from pydantic_core import from_json, to_json

from orchestra.core.answers.typed import read_as
from orchestra.core.errors import InvalidBudget, OrchestraError, named
from orchestra.core.money import MOST_MICRO, MOST_USD
from orchestra.core.spelling import did_you_mean
from orchestra.core.tags import problem
from orchestra.core.view.result import field_line, result_html, result_lines

T = TypeVar("T")
Source = Literal["photo", "text", "both", "derived", "person", "none"]
Status = Literal["complete", "partial", "review", "failed", "waiting"]
Language = Literal["en", "zh", "auto"]  # to write in
PhotoRole = Literal["main", "additional", "packaging", "lifestyle", "detail", "variant", "swatch"]


def plain_json(value: Any) -> Any:
    """`value` as JSON has it; what JSON has no form for is its text, and bytes are base64."""
    try:
        return _as_json(value)
    except ValueError:  # it holds itself, or half of a character: only that part is its text
        return _part_by_part(value, ())


def _as_json(value: Any) -> Any:
    return from_json(to_json(value, fallback=str, bytes_mode="base64", inf_nan_mode="strings"))


def _part_by_part(value: Any, above: tuple[int, ...]) -> Any:
    """`plain_json` of each part; `above` are those that hold this one."""
    if id(value) not in above:
        above = (*above, id(value))
        if isinstance(value, Mapping):
            return {_whole(key): _part_by_part(part, above) for key, part in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [_part_by_part(part, above) for part in value]
        if not isinstance(value, str):
            with suppress(ValueError):
                return _as_json(value)
    return _whole(value)


def _whole(value: Any) -> str:
    """The text of a value, with a half of a character as its escape."""
    return str(value).encode(errors="backslashreplace").decode()


# Decimal inside, a JSON number outside: micro-dollars survive the trip exactly.
Usd = Annotated[Decimal, PlainSerializer(float, when_used="json")]

LIMIT_UNITS = {
    "cost_usd": "US dollars",
    "latency_ms": "milliseconds",
    "memory_gib": "GiB",
    "tokens": "tokens",
}


class Word(BaseModel):
    """Base of the shared words: frozen, and no unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def first_problem(error: ValidationError, of: type[BaseModel]) -> str:
    """What is wrong first with what is no `of`: the place, the fault, and the value.

    A key that there is not is told before the one that it leaves missing, with what it may mean.
    """
    first = min(error.errors(), key=lambda entry: entry["type"] != "extra_forbidden")
    fault = first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        *above, key = first["loc"]
        fault = f"there is no such key. {did_you_mean(key, _keys(of, above))}".rstrip(".")
    place = "".join(f"{part}." for part in first["loc"]).rstrip(".")
    return f"{place}: " * bool(place) + f"{fault} (got {first.get('input')!r:.80})"


def _keys(of: type[BaseModel], place: Sequence[int | str]) -> list[str]:
    """The keys that may stand at `place` in an `of`, as YAML writes them."""
    here: list[Any] = [of]
    for part in place:
        inside = [kind for entry in here for kind in _parts(entry)]
        named = {key: info for kind in inside for key, info in _fields(kind).items()}
        # A place in a list or a mapping goes by the type of what is in it.
        here = [named[str(part)].annotation] if str(part) in named else inside
    return [key for entry in here for kind in _parts(entry) for key in _fields(kind)]


def _parts(annotation: Any) -> list[type[BaseModel]]:
    """The models that a type is made of, as `Price` in `dict[str, Price] | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [kind for part in get_args(annotation) for kind in _parts(part)]


def _fields(kind: type[BaseModel]) -> dict[str, FieldInfo]:
    return {info.alias or name: info for name, info in kind.model_fields.items()}


class Budget(Word):
    """Limits of a job, a batch or a tenant; an absent limit does not bind.

    `cost_usd` and `tokens` are spent and so held by the book; `latency_ms` is a deadline;
    `memory_gib` is what hosting may take. Raises `InvalidBudget` for a negative, NaN, infinite
    or absurd limit (over $1e9, or 1e15 of another unit), a part of a token, and a limit that there
    is not.
    """

    cost_usd: Usd | None = None
    latency_ms: float | None = None
    memory_gib: float | None = None
    tokens: int | None = None

    def __init__(self, **limits: Any) -> None:
        super().__init__(**{name: _limit(name, value) for name, value in limits.items()})


def _limit(name: str, value: Any) -> Any:
    """Read one limit exactly; a float of dollars goes through its shortest decimal form."""
    if name not in LIMIT_UNITS:
        raise InvalidBudget(
            f"Budget has no limit {name!r} (got {value!r}). {did_you_mean(name, LIMIT_UNITS)}"
        )
    if value is None:
        return value
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite() or number < 0:
        raise InvalidBudget(
            f"Budget {name}={value!r} is not a limit: it must be a number of "
            f"{LIMIT_UNITS[name]} that is 0 or more. Leave it out for no limit."
        )
    most = MOST_USD if name == "cost_usd" else MOST_MICRO
    if number > most:
        raise InvalidBudget(
            f"Budget {name}={value!r} is more than is counted: {most:,} {LIMIT_UNITS[name]} at "
            "most. Leave it out for no limit."
        )
    if name == "tokens":
        if number % 1:
            raise InvalidBudget(
                f"Budget tokens={value!r} is no whole number, and tokens are counted one by one. "
                f"Give {math.ceil(number)}."
            )
        return int(number)
    return number if name == "cost_usd" else float(number)


class Job(Word):
    """One unit of work: text, images, or both, with what is asked and what it may cost.

    `images` holds paths, URLs, data URIs or, once taken in, content hashes; `roles` what each of
    them shows, where that is known (else the first is the main one). `text` is data, and
    never instructions, unless a node declares it to be the user's question. `language` is the
    language to write in. `data` = "local" forbids models that run elsewhere. With `cache` false no
    reply is taken from a cache that the fleet has, or kept there. `tags` are noted in the book with
    what the job spends: a client, a campaign, a ticket.
    """

    text: str | None = None
    images: tuple[str, ...] = ()
    roles: tuple[PhotoRole, ...] = ()
    language: Language = "auto"
    budget: Budget = Budget()
    data: Literal["any", "local"] = "any"
    cache: bool = True
    tags: Mapping[str, str] = Attribute(default_factory=dict)
    id: str | None = None

    def __init__(self, **values: Any) -> None:
        if isinstance(values.get("images"), list | tuple):  # what else is given is refused below
            values["images"] = tuple(
                str(image) if isinstance(image, PurePath) else image for image in values["images"]
            )
        super().__init__(**values)

    @model_validator(mode="after")
    def _roles_are_of_images(self) -> Self:
        if self.roles and len(self.roles) != len(self.images):
            raise ValueError(
                f"roles names {len(self.roles)} photos, and images {len(self.images)}; give each "
                "photo one, or leave roles out"
            )
        return self

    @field_validator("tags")
    @classmethod
    def _tags_are_short(cls, tags: Mapping[str, str]) -> Mapping[str, str]:
        wrong = problem(tags)
        if wrong is not None:
            raise ValueError(wrong)
        return tags


class Evidence(Word):
    """What a value rests on: a span of the text, or a region of an image.

    `start` and `end` count characters of the job's text; a label that the whole text was given has
    neither, nor a `text`. `box` is (left, top, right, bottom)
    as fractions of the image; the whole image is (0, 0, 1, 1), and `text` what was read there, of
    models that read. `heat` says how much each part of
    the image counted: rows of digits from the top, `/` between them, 9 the most. `cached`: the
    reply that rests on it came from the cache. `leaf` is the part of an object or list that rests
    on it, as in `country` or `[0].name`; None where the whole value does.
    """

    kind: Literal["text", "image"]
    text: str | None = None
    start: int | None = None
    end: int | None = None
    image: str | None = None
    box: tuple[float, float, float, float] | None = None
    heat: str | None = Attribute(default=None, pattern=r"^[0-9]+(/[0-9]+)*$", max_length=400)
    cached: bool = False
    leaf: str | None = None


class Decided(Word):
    """What a person decided of a field: `by` whom, `at` what time (UTC), why, in which state.

    An `edit` gave the value, an `approve` locked the one that stood, a `reject` emptied it.
    """

    action: Literal["edit", "approve", "reject"]
    by: str
    at: str
    why: str = ""
    state: int


class Field(Word):
    """One value with where it comes from.

    A value may be an object or a list: in an object a leaf without evidence is None, in a list it
    is left out, and `note` says why. Its confidence is that of its least sure leaf.

    `confidence` is the probability of the value's tokens under the constraint, as the model
    gives it; it is not calibrated on the user's data, and None where a model reports none.
    `probability` is: how often such answers were right on labelled rows, where a policy knows.
    `promised` is the share of such answers that the policy proved to be right, where the answer is
    sure enough for that; `doubt` says why it is not, and sends the job to review.
    `note` says why a field abstains, or what to know of its value. A contradiction keeps the
    other reading in `alternatives`. `shares` says how likely a model took each choice to be; a
    field that was joined has none. `decided` is what a person said of it; where that is another
    value (source `person`), the model's own reading is the first of `alternatives`.
    """

    value: Any = None
    source: Source = "none"
    confidence: float | None = None
    evidence: tuple[Evidence, ...] = ()
    model: str | None = None
    prompt_hash: str | None = None
    note: str | None = None
    probability: float | None = None
    promised: float | None = None
    doubt: str | None = None
    contradiction: bool = False
    alternatives: tuple[Field, ...] = ()
    shares: Mapping[str, float] = Attribute(default_factory=dict)
    decided: Decided | None = None

    @property
    def answered(self) -> bool:
        """Whether the field holds a value rather than abstaining."""
        return self.source != "none"

    def __repr__(self) -> str:
        return f"Field({field_line(self)})"

    __str__ = __repr__


class ErrorRecord(Word):
    """One typed error: where it happened, its type, and a message with the cure."""

    stage: str
    type: str
    message: str

    @classmethod
    def of(cls, stage: str, error: OrchestraError) -> ErrorRecord:
        """Record `error` as raised at `stage`."""
        return cls(stage=stage, type=error.kind, message=str(error))

    def error(self) -> OrchestraError:
        """The error that was recorded, to be raised."""
        return named(self.type, self.message)


class CallRecord(Word):
    """One model call as it was made: prompt, raw reply, metered work and price.

    `reused`: somebody else paid for the reply; `cached`: that was another run, whose cache gave it,
    and `saved_usd` is what it would have cost. `presumed`: nobody reported what it used, so tokens
    and price are its worst case. `overrun_usd` is the part of `cost_usd` above its worst case.
    `modality_weights` are the parts of text and image in the answer, of models that tell.
    `model_seconds` is the part of `seconds` that the model had the call, its batch awaited.
    `said` is what was read in the reply, by field: a choice by its name, and nothing without
    evidence; None where no fields were asked for, or the reply could not be read.
    """

    node: str
    model: str
    instruction: str
    data: str | None = None
    images: tuple[str, ...] = ()
    raw: str | None = None
    thinking: str = ""
    finish: Literal["stop", "length"] = "stop"
    said: Mapping[str, Any] | None = None
    confidence: Mapping[str, float] = Attribute(default_factory=dict)
    modality_weights: Mapping[str, float] = Attribute(default_factory=dict)
    prompt_hash: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    image_count: int = 0
    cpu_s: float = 0.0
    cost_usd: Usd = Decimal(0)
    reused: bool = False
    cached: bool = False
    saved_usd: Usd = Decimal(0)
    presumed: bool = False
    overrun_usd: Usd = Decimal(0)
    seconds: float = 0.0
    model_seconds: float = 0.0
    error: ErrorRecord | None = None


class Question(Word):
    """What a run waits for: the value that `interrupt()` was given, as JSON, and its id.

    A breakpoint of the graph has no id: it names the node that it stops before or after.
    """

    id: str = ""
    value: Any = None
    node: str | None = None

    @property
    def text(self) -> str:
        """What is asked, for a person: a text as it is, another value as JSON."""
        if not self.id:
            return f"The run stops at {self.node!r}, and waits to be told to go on."
        if isinstance(self.value, str):
            return self.value
        return json.dumps(self.value, ensure_ascii=False)


class Spend(Word):
    """What a run has spent so far, and its guaranteed ceilings."""

    cost_usd: Usd
    tokens: int
    ceiling_usd: Usd
    ceiling_tokens: int


class Result(Word):
    """What a job came to.

    `branches` holds what each branch of a fan-out answered, by its name (`look[2]`); `state` the
    keys of a state of the user's own. `images` are the content hashes of the photos that could be
    read, `roles` what each of them shows, where the job says so. A run that is `waiting` has asked
    `questions`, and goes on with `Fleet.resume(build, thread_id, answer)`.

    `intake_seconds` went by before `seconds` began: photos and text were taken in. In
    `model_seconds` of `seconds` at least one model was at work on the job.
    """

    status: Status
    fields: Mapping[str, Field] = Attribute(default_factory=dict)
    answer: str | None = None
    branches: Mapping[str, Mapping[str, Field]] = Attribute(default_factory=dict)
    state: Annotated[
        Mapping[str, Any], PlainSerializer(plain_json, when_used="json", return_type=dict)
    ] = Attribute(default_factory=dict)
    thread_id: str | None = None
    questions: tuple[Question, ...] = ()
    errors: tuple[ErrorRecord, ...] = ()
    notes: tuple[str, ...] = ()
    calls: tuple[CallRecord, ...] = ()
    images: tuple[str, ...] = ()
    roles: tuple[PhotoRole, ...] = ()
    plan: Mapping[str, Any] = Attribute(default_factory=dict)
    cost_usd: Usd = Decimal(0)
    tokens: int = 0
    seconds: float = 0.0
    intake_seconds: float = 0.0
    model_seconds: float = 0.0

    def answer_as(self, kind: type[T]) -> T:
        """The fields as one `kind`, a pydantic model or a dataclass.

        Without fields it is read from the answer's own JSON. A field that abstained is None, or its
        default where None does not fit. Raises `AnswerAbstained` naming a field that has neither,
        and `AnswerInvalid` for an answer that is no such value.
        """
        return read_as(kind, self.fields, self.answer)

    def __repr__(self) -> str:
        return result_lines(self)

    __str__ = __repr__

    def _repr_html_(self) -> str:
        return result_html(self)

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why the job is not complete, a text each: what went wrong, and fields in doubt."""
        told = [f"{error.stage}: {error.message}" for error in self.errors]
        for name, field in self.fields.items():
            if field.doubt or field.contradiction:
                told.append(f"{name}: {field.doubt or field.note or 'the readings differ'}")
        return tuple(dict.fromkeys(told))

    @property
    def contradictions(self) -> int:
        """How many fields photo and text disagree on."""
        return sum(field.contradiction for field in self.fields.values())

    @property
    def cached(self) -> int:
        """How many calls the cache answered."""
        return sum(call.cached for call in self.calls)

    @property
    def saved_usd(self) -> Decimal:
        """What the calls that the cache answered would have cost."""
        return sum((call.saved_usd for call in self.calls), Decimal(0))

    @property
    def overrun_usd(self) -> Decimal:
        """What of the cost lies above the worst case of its calls."""
        return sum((call.overrun_usd for call in self.calls), Decimal(0))

    @property
    def presumed_usd(self) -> Decimal:
        """What of the cost nobody reported, so that the worst case is counted."""
        return sum((call.cost_usd for call in self.calls if call.presumed), Decimal(0))

    @property
    def reused(self) -> bool:
        """Whether a photo's answer was taken over from an identical earlier call."""
        return any(call.reused and call.images for call in self.calls)
