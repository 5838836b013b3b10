"""Cards and fleets: what a model takes, needs, costs and promises; no model is loaded here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, ValidationError, model_validator

from orchestra.core.errors import InvalidFleet
from orchestra.core.job import Word, first_problem
from orchestra.core.latency import Amount, Latency, Overhead, WholeJobs
from orchestra.core.spelling import nearest
from orchestra.core.web.address import is_loopback
from orchestra.core.web.redact import redacted

CAPABILITY = re.compile(r"[^\W\d_][\w-]*")


def capability_word(name: str) -> str:
    """`name` as it is. Raises `ValueError` where it is not one lower-case word."""
    if CAPABILITY.fullmatch(name) is None or name != name.lower():
        raise ValueError(
            f"a capability is one lower-case word, as 'text', 'vision' or 'speech', and {name!r} "
            "is none; write it so"
        )
    return name


# What models offer and nodes ask for. `text`, `vision` and `maths` are those of the bundled models.
Capability = Annotated[str, AfterValidator(capability_word)]
# What an ask wants: fields that are read off, fields that are written, or a free answer.
Answers = Literal["fields", "writing", "questions"]
Origin = Literal["article", "vendor", "measured", "estimated", "unknown"]
# A negative or infinite figure would make a plan that no budget can hold.
Dollars = Annotated[Decimal, Field(ge=0, allow_inf_nan=False)]


class Price(Word):
    """What calls cost, with the date the price was read.

    A card says `price: free` where nobody bills its calls, and `price: unknown` where nobody has
    said what they cost: then no budget in dollars lets it work. So it is of a server elsewhere
    whose price names no figure; what runs on this machine is free without one.
    """

    as_of: date | None
    unknown: bool = False
    usd_per_million_input_tokens: Dollars = Decimal(0)
    usd_per_million_output_tokens: Dollars = Decimal(0)
    usd_per_image: Dollars = Decimal(0)
    usd_per_cpu_second: Dollars = Decimal(0)
    usd_per_hour: Dollars = Decimal(0)

    @model_validator(mode="after")
    def _figures_are_of_a_day(self) -> Self:
        figures = self.model_dump(include={name for name in Price.model_fields if "usd" in name})
        if self.as_of is None and any(figures.values()):
            raise ValueError("as_of is the day on which the price was read; say it, or price: free")
        return self

    @property
    def is_paid(self) -> bool:
        """Whether calls are, or may be, billed by somebody else (tokens or images)."""
        return bool(
            self.unknown
            or self.usd_per_million_input_tokens
            or self.usd_per_million_output_tokens
            or self.usd_per_image
        )


class Profile(Word):
    """How long a call takes: a fixed part, and a part for each token and image.

    The same figures rate a local model's CPU seconds, so that a price per CPU-second is
    known before the call and the same each time (docs/adr/0003).
    """

    origin: Origin
    fixed_ms: Amount = 0.0
    ms_per_input_token: Amount = 0.0
    ms_per_output_token: Amount = 0.0
    ms_per_image: Amount = 0.0

    def milliseconds(self, input_tokens: int, output_tokens: int, images: int) -> float:
        """Latency of one call in ms."""
        return (
            self.fixed_ms
            + self.ms_per_input_token * input_tokens
            + self.ms_per_output_token * output_tokens
            + self.ms_per_image * images
        )


class Sampling(Word):
    """How tokens are drawn. Temperature 0 is greedy, so the same call has the same answer."""

    temperature: float = Field(default=0.0, ge=0, le=2, allow_inf_nan=False)
    top_p: float = Field(default=1.0, gt=0, le=1, allow_inf_nan=False)
    seed: int = 0


class Endpoint(Word):
    """A model behind an OpenAI-compatible server.

    `url` ends before `/chat/completions`; `model` is the server's name for it. The key is read
    from the environment variable `api_key_env`, so that no key stands in a fleet file. `structured`
    is how the server is held to a schema: by `response_format`, by `json_object` with the schema
    in the prompt, or by the prompt alone. `tools` is how it is offered tools: in the request's own
    words (`native`), or by a schema, for models that were not trained on them. `attempts` is how
    often a request is sent that the server turns away, and how often a batch runs a row on which it
    fails while it answers others. After `failures_in_row` failed connections the model counts as
    unavailable for `rest_s` seconds, so that fallbacks are asked at once.
    """

    url: str = Field(pattern=r"^https?://[^\s/]+")
    model: str = Field(min_length=1)
    api_key_env: str | None = None
    structured: Literal["json_schema", "json_object", "prompt"] = "json_schema"
    tools: Literal["native", "schema"] = "native"
    logprobs: bool = True
    connect_timeout_s: float = Field(default=5.0, gt=0, allow_inf_nan=False)
    timeout_s: float = Field(default=60.0, gt=0, allow_inf_nan=False)
    attempts: int = Field(default=3, ge=1, le=10)
    failures_in_row: int = Field(default=5, ge=1)
    rest_s: float = Field(default=10.0, gt=0, allow_inf_nan=False)

    @property
    def shown_url(self) -> str:
        """The server's address as messages name it: without a password or a key in it."""
        return redacted(self.url)


class Scaling(Word):
    """Replicas of a model on a cluster: a fixed number, or a range that follows the load.

    `max_ongoing` is how many calls a replica takes at once; the engine joins them into batches of
    at most `hosting.max_batch`. `cpus` and `gpus` are what one replica reserves of its node. In a
    range there are as many replicas as have `target_ongoing` calls each (default: half of
    `max_ongoing`), those that wait counted, after the seconds of a delay.
    """

    replicas: int = Field(default=1, ge=1)
    max_replicas: int | None = Field(default=None, ge=1)
    max_ongoing: int = Field(default=32, ge=1)
    target_ongoing: float | None = Field(default=None, gt=0)
    upscale_delay_s: float = Field(default=5.0, ge=0)
    downscale_delay_s: float = Field(default=300.0, ge=0)
    cpus: Amount = 1.0
    gpus: Amount = 0.0
    resources: dict[str, Amount] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _range_is_upward(self) -> Self:
        if self.max_replicas is not None and self.max_replicas < self.replicas:
            raise ValueError(
                f"max_replicas={self.max_replicas} is under replicas={self.replicas}; "
                "raise it, or leave it out for a fixed number"
            )
        return self


class Hosting(Word):
    """Where a model runs: `worker` is `module:Class` here, `endpoint` a server that runs already.

    Without either the card is for planning only. `schema_in_prompt`: the model reads the schema
    as well as being held to it; not so for models that were trained without. `revision` tells
    apart what a server calls by one name: change it with the model, and cached replies miss.
    `cache`: whether replies may be shared by runs (default: where no tokens are drawn).
    """

    memory_gib: Amount
    worker: str | None = None
    checkpoint: str | None = None
    max_batch: int = Field(default=16, ge=1)
    device: str = "cpu"
    sampling: Sampling = Sampling()
    schema_in_prompt: bool = True
    revision: str = ""
    cache: bool | None = None
    endpoint: Endpoint | None = None
    scaling: Scaling = Scaling()

    @model_validator(mode="after")
    def _one_host(self) -> Self:
        if self.worker is not None and self.endpoint is not None:
            raise ValueError(
                f"hosting names the worker {self.worker!r} and the endpoint "
                f"{self.endpoint.shown_url!r}; a model runs in one place, so remove one of them"
            )
        return self


class Limits(Word):
    """Bounds of one call, and of the calls of a minute; an absent rate does not bind.

    `thinking_tokens` is the room for what a reasoning model writes before its answer, beside
    the answer's own bound. It counts in every ceiling. Without it thoughts take from the answer.
    """

    context_tokens: int = Field(ge=1)
    thinking_tokens: int = Field(default=0, ge=0)
    image_tokens: int = Field(default=0, ge=0)
    max_images: int = Field(default=0, ge=0)
    requests_per_minute: int | None = Field(default=None, ge=1)
    tokens_per_minute: int | None = Field(default=None, ge=1)

    @property
    def is_paced(self) -> bool:
        """Whether a minute bounds calls or tokens."""
        return self.requests_per_minute is not None or self.tokens_per_minute is not None

    @model_validator(mode="after")
    def _thoughts_fit(self) -> Self:
        if self.thinking_tokens >= self.context_tokens:
            raise ValueError(
                f"thinking_tokens={self.thinking_tokens} leaves no room in "
                f"context_tokens={self.context_tokens}; lower it, or raise the context if the "
                "model's is larger"
            )
        return self


class Quality(Word):
    """A score on one task, 0 to 100, with where the figure comes from."""

    score: float | None = Field(default=None, ge=0, le=100, allow_inf_nan=False)
    origin: Origin = "unknown"
    measure: str = ""


class Card(Word):
    """One model of a fleet.

    One that `classifies` gives labels to a whole text, which need not hold their words: what it
    chooses from a schema is kept. Of any other model a value that it read stands in the text, or
    its field abstains (docs/adr/0041). `answers` are the asks that it takes, where it does not take
    all. `reads` are the fields that it was taught to read off a text: others are another model's,
    where the fleet has one (docs/adr/0049). One that `settles` is shown other texts of a batch's
    table beside a row's choices, which mean what they mean there (docs/adr/0062). `example` is a
    question that it can answer, for checks.
    """

    name: str = Field(min_length=1)
    role: str
    about: str = ""
    capabilities: tuple[Capability, ...] = Field(min_length=1)
    classifies: bool = False
    answers: tuple[Answers, ...] = ()
    reads: tuple[str, ...] = ()
    settles: bool = False
    price: Price
    profile: Profile
    latency: Latency | None = None  # measured; without it the profile tells the time as well
    hosting: Hosting
    limits: Limits
    quality: dict[str, Quality] = Field(default_factory=dict)
    data_goes_to: str = "local"
    fallback: str | None = None
    can: str = ""
    cannot: str = ""
    example: str = ""
    scores: tuple[str, ...] = ()
    estimated: tuple[str, ...] = ()
    suits: tuple[Literal["research"], ...] = ()  # what no figure says; `orchestra advise` reads it

    @model_validator(mode="before")
    @classmethod
    def _price_is_said(cls, raw: Any) -> Any:
        if not isinstance(raw, Mapping):
            return raw
        return {**raw, "price": _stated(raw.get("price"), raw.get("hosting"))}

    @model_validator(mode="after")
    def _vision_takes_images(self) -> Self:
        seeing = [word for word in self.capabilities if word in ("vision", "read")]
        if seeing and not self.limits.max_images:
            raise ValueError(
                f"model {self.name!r} offers {seeing[0]!r} but limits.max_images is 0; set it to 1"
            )
        return self

    @model_validator(mode="after")
    def _estimates_are_on_the_card(self) -> Self:
        for path in self.estimated:
            part: Any = self
            for name in path.split("."):
                part = getattr(part, name, None)
            if part is None:
                raise ValueError(
                    f"model {self.name!r} marks {path!r} as estimated, which its card does not "
                    "have; name a key, as in 'price' or 'hosting.memory_gib'"
                )
        return self

    @property
    def sees(self) -> bool:
        """Whether a call of the model takes photos."""
        return self.limits.max_images > 0

    @property
    def is_hosted(self) -> bool:
        """Whether the card says how to reach the model, not only what it would cost."""
        return self.hosting.worker is not None or self.hosting.endpoint is not None


def _stated(price: Any, hosting: Any) -> Any:
    """`price`, saying whether it is known: without a figure it is where nobody else can bill."""
    if price == "free":
        return {"as_of": None}
    if price == "unknown":
        return {"as_of": None, "unknown": True}
    if price is None:
        return {"as_of": None, "unknown": not _is_here(hosting)}
    if not isinstance(price, Mapping) or any(str(key).startswith("usd_") for key in price):
        return price
    return {"unknown": _is_elsewhere(hosting), **price}


def _is_here(hosting: Any) -> bool:
    """Whether a card's hosting, not validated yet, is this machine."""
    return bool(_part(hosting, "worker") or _url(hosting)) and not _is_elsewhere(hosting)


def _is_elsewhere(hosting: Any) -> bool:
    url = _url(hosting)
    return isinstance(url, str) and not is_loopback(url)


def _url(hosting: Any) -> Any:
    return _part(_part(hosting, "endpoint"), "url")


def _part(raw: Any, name: str) -> Any:
    return raw.get(name) if isinstance(raw, Mapping) else getattr(raw, name, None)


class FleetFile(Word):
    """A fleet as it stands in YAML: cards by name.

    `machines` is how many of them host the models: on one all stand side by side, on a cluster a
    limit of memory is that of each node.
    """

    name: str
    about: str = ""
    domain: str = ""
    models: tuple[Card, ...] = Field(min_length=1)
    overhead: Overhead | None = None
    whole_jobs: WholeJobs | None = None
    machines: int = Field(default=1, ge=1)

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        names = [card.name for card in self.models]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two cards are called {twice[0]!r}; give each model its own name")
        return self

    @model_validator(mode="after")
    def _fallbacks_are_cards(self) -> Self:
        names = {card.name for card in self.models}
        for card in self.models:
            if card.fallback is not None and card.fallback not in names - {card.name}:
                raise ValueError(
                    f"model {card.name!r} falls back on {card.fallback!r}, which is no other model "
                    f"of the fleet (it has: {', '.join(sorted(names))}); name one of those"
                )
        return self

    @property
    def local(self) -> frozenset[str]:
        """Models that share the fleet's machines; the others are servers elsewhere."""
        return frozenset(card.name for card in self.models if card.hosting.endpoint is None)

    @property
    def unbilled(self) -> frozenset[str]:
        """Models on the fleet's machines whose calls nobody else bills: they cost time at most."""
        return self.local - {card.name for card in self.models if card.price.is_paid}

    def card(self, name: str) -> Card:
        """The card called `name`."""
        for card in self.models:
            if card.name == name:
                return card
        names = [card.name for card in self.models]
        near, have = nearest(name, names), ", ".join(map(repr, names))
        raise InvalidFleet(
            f"The fleet {self.name!r} has no model {name!r} (it has: {have})."
            f"{f' Did you mean {near!r}?' if near else ''}"
        )


def parse_fleet(raw: Any, *, origin: str) -> FleetFile:
    """Validate a fleet read from YAML; `origin` names the file in errors."""
    try:
        return FleetFile.model_validate(raw)
    except ValidationError as error:
        raise InvalidFleet(
            f"{origin} is not a fleet: {first_problem(error, FleetFile)}. "
            "See workers/fleets/mini.yaml for an example."
        ) from error
