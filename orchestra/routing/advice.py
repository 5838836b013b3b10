"""Ranks the models of a fleet, alone and in pairs, for what a user needs; it calls no model.

Pure arithmetic on cards. It knows no graph and no job: figures are those of a typical call, which
the advice states. What `plan` chooses for one job may differ, since a job has its own length.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from orchestra.core.card import Capability, Card, FleetFile
from orchestra.core.errors import NoFeasiblePlan, NoModel
from orchestra.core.identity import snapshot
from orchestra.core.money import dollars, usd
from orchestra.core.pricing import Work, cost_micro, latency_ms
from orchestra.routing.plan import Rejected

Modality = Literal["text", "image", "both"]
Deployment = Literal["edge", "server", "cluster"]
Aim = Literal["accuracy", "cost", "balance", "research"]

TYPICAL = {"text": 400, "vision": 100, "maths": 100}  # prompt tokens beside those of a photo
ANSWER_TOKENS = 100
CALLS = 1000  # prices are shown for so many
EDGE_MEMORY_GIB = 8.0  # the largest Raspberry Pi 4B
AS_GOOD_POINTS = 3.0  # a balanced choice saves money among models that are this close
ONE_MODEL_POINTS = 10.0  # what seeing text and photo together, and hosting one model, is worth

RULES: dict[Aim, str] = {
    "accuracy": "best quality first, then the cheapest",
    "cost": "cheapest call first, then the best quality",
    "balance": (
        f"one model that reads everything, unless two are over {ONE_MODEL_POINTS:g} points better; "
        f"then the cheapest within {AS_GOOD_POINTS:g} points of the best; then by quality"
    ),
    "research": "models whose card says that they suit research first, then by quality",
}

NEEDS: dict[Modality, tuple[Capability, ...]] = {
    "text": ("text",),
    "image": ("vision",),
    "both": ("text", "vision"),
}
READS: dict[Capability, str] = {"text": "the text", "vision": "the photo", "maths": "sums"}
UNITS = {"latency_ms": "ms", "memory_gib": "GiB"}
EDGE_DEVICES = ("edge", "cpu")


@dataclass(frozen=True, slots=True)
class Need:
    """What a user has to do and may use; an absent limit does not bind.

    `memory_gib` is that of one machine: of a server, which hosts all models, or of each node of a
    cluster, which hosts one.
    """

    modality: Modality = "text"
    aim: Aim = "balance"
    deployment: Deployment = "server"
    latency_ms: float | None = None
    memory_gib: float | None = None

    @property
    def limits(self) -> dict[str, float]:
        """The limits that bind, by figure: an edge device has one of memory in any case."""
        memory_gib = self.memory_gib
        if self.deployment == "edge":
            memory_gib = min(EDGE_MEMORY_GIB, memory_gib or EDGE_MEMORY_GIB)
        limits = {"latency_ms": self.latency_ms, "memory_gib": memory_gib}
        return {figure: most for figure, most in limits.items() if most is not None}


@dataclass(frozen=True, slots=True)
class Suggestion:
    """One model, or two that share the work, by what each reads; cost is that of one job."""

    cards: tuple[tuple[Capability, Card], ...]
    quality: float | None
    latency_ms: float
    cost_micro: int
    memory_gib: float
    reasons: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The models, as in `r1 + vl`."""
        return " + ".join(dict.fromkeys(card.name for _, card in self.cards))

    @property
    def is_single(self) -> bool:
        """Whether one model does all of the work."""
        return len({card.name for _, card in self.cards}) == 1

    @property
    def suits_research(self) -> bool:
        """Whether all of its models are meant for research."""
        return all("research" in card.suits for _, card in self.cards)

    def public(self) -> dict[str, Any]:
        """As it stands in `advise --json`."""
        return {
            "models": {reads: card.name for reads, card in self.cards},
            "name": self.name,
            "quality": self.quality,
            "scores": {reads: score_of(card, reads) for reads, card in self.cards},
            "latency_ms": round(self.latency_ms, 3),
            "cost_usd_per_1000": float(usd(self.cost_micro * CALLS)),
            "memory_gib": self.memory_gib,
            "reasons": list(self.reasons),
        }


@dataclass(frozen=True, slots=True)
class Advice:
    """Options that fit a need, best first, and what was left out and why."""

    need: Need
    ranked: tuple[Suggestion, ...]
    left_out: tuple[Rejected, ...]
    fleet: str
    snapshot: str

    def public(self) -> dict[str, Any]:
        """As printed by `advise --json`."""
        return {
            "need": asdict(self.need),
            "rule": RULES[self.need.aim],
            "ranked": [option.public() for option in self.ranked],
            "left_out": [asdict(entry) for entry in self.left_out],
            "typical_call": {"prompt_tokens": TYPICAL, "answer_tokens": ANSWER_TOKENS},
            "fleet": self.fleet,
            "snapshot": self.snapshot,
        }


def score_of(card: Card, reads: Capability) -> float | None:
    """The card's score for what it reads, or None where there is none."""
    found = card.quality.get(reads) if reads in card.capabilities else None
    return None if found is None else found.score


def render(advice: Advice, shown: int) -> str:
    """The advice as a person reads it: the first `shown` options."""
    need = advice.need
    needs = [f"{need.modality}, {need.deployment}, aim {need.aim}"]
    needs += [f"at most {most:g} {UNITS[figure]}" for figure, most in need.limits.items()]
    lines = [f"need      {', '.join(needs)}", f"fleet     {advice.fleet}"]
    lines += [f"order     {RULES[need.aim]}", ""]
    for place, option in enumerate(advice.ranked[:shown], 1):
        quality = "unknown" if option.quality is None else f"{option.quality:g}"
        lines.append(
            f"{place}. {option.name}: quality {quality}, {option.latency_ms:.0f} ms, "
            f"{option.memory_gib:g} GiB, {dollars(option.cost_micro * CALLS)} for {CALLS} jobs"
        )
        lines += [f"   - {reason}" for reason in option.reasons]
    more = len(advice.ranked) - shown
    lines += [f"({more} more: --top {len(advice.ranked)})"] if more > 0 else []
    lines += [f"left out  {entry.option}: {entry.reason}" for entry in advice.left_out]
    lines.append(
        f"counted   for a text of {TYPICAL['text']} tokens, a question of {TYPICAL['vision']} to a "
        f"photo, answers of {ANSWER_TOKENS}; without queueing"
    )
    return "\n".join([*lines, f"snapshot  {advice.snapshot}"])


def advise(need: Need, fleet: FleetFile) -> Advice:
    """Rank what of `fleet` can do `need`.

    Raises `NoModel` when no card reads the modality, `NoFeasiblePlan` when those that do break a
    limit: it names the tightest one and the value that would do.
    """
    left_out: list[Rejected] = []
    able = _able(need, fleet, left_out)
    options: list[Suggestion] = []
    broken: list[tuple[Suggestion, dict[str, float]]] = []
    for option in _options(need, able):
        over = _over(option, need)
        if over:
            whys = (
                f"{name} {value:g} is over {need.limits[name]:g}" for name, value in over.items()
            )
            left_out.append(Rejected(option.name, "; ".join(whys)))
            broken.append((option, over))
        else:
            options.append(option)
    if not options:
        raise _nothing_fits(need, fleet, broken, left_out)
    options.sort(key=_order(need, options))
    ranked = tuple(_reasoned(option, options, need) for option in options)
    return Advice(need, ranked, tuple(left_out), fleet.name, snapshot(fleet))


def _able(need: Need, fleet: FleetFile, left_out: list[Rejected]) -> dict[Capability, list[Card]]:
    """Cards by what they can read of the need; the others go to `left_out`."""
    able: dict[Capability, list[Card]] = {task: [] for task in NEEDS[need.modality]}
    for card in fleet.models:
        reads: list[Capability] = [task for task in able if task in _offers(card, need)]
        if not reads:
            takes = ", ".join(card.capabilities)
            left_out.append(Rejected(card.name, f"takes {takes}, and {need.modality} is needed"))
        elif why := _unhosted(card, need):
            left_out.append(Rejected(card.name, why))
        else:
            for task in reads:
                able[task].append(card)
    missing: list[Capability] = [task for task, cards in able.items() if not cards]
    if missing:
        why = "; ".join(f"{entry.option}: {entry.reason}" for entry in left_out)
        raise NoModel(
            f"No model of the fleet {fleet.name!r} reads {READS[missing[0]]} on "
            f"{need.deployment!r} ({why}). {_part(able)}Choose another deployment or fleet."
        )
    return able


def _part(able: dict[Capability, list[Card]]) -> str:
    """What could be done of a need that cannot be met as a whole."""
    done = [f"{READS[r]} alone: {cards[0].name}" for r, cards in able.items() if cards]
    return f"There is a model for {'; '.join(done)}. " if done else ""


def _offers(card: Card, need: Need) -> tuple[Capability, ...]:
    """What a card reads; for research a model of sums alone reads text, though only sums."""
    if need.aim == "research" and "research" in card.suits and "maths" in card.capabilities:
        return (*card.capabilities, "text")
    return card.capabilities


def _unhosted(card: Card, need: Need) -> str | None:
    if need.deployment != "edge":
        return None
    if card.hosting.endpoint is not None:
        return f"is a server elsewhere ({card.hosting.endpoint.shown_url}), not on the device"
    if card.hosting.device not in EDGE_DEVICES:
        return f"needs {card.hosting.device}, which an edge device does not have"
    return None


def _options(need: Need, able: dict[Capability, list[Card]]) -> Iterator[Suggestion]:
    for chosen in itertools.product(*able.values()):
        pairs = tuple(zip(able, chosen, strict=True))
        yield _option(need, pairs)


def _option(need: Need, pairs: tuple[tuple[Capability, Card], ...]) -> Suggestion:
    scores = [score_of(card, reads) for reads, card in pairs]
    known = [score for score in scores if score is not None]
    cards = {card.name: card for _, card in pairs}
    works = {name: Work(0, ANSWER_TOKENS) for name in cards}
    for reads, card in pairs:
        photo = card.limits.image_tokens if reads == "vision" else 0
        so_far = works[card.name]
        works[card.name] = Work(
            so_far.input_tokens + TYPICAL[reads] + photo,
            ANSWER_TOKENS,
            so_far.images + (reads == "vision"),
        )
    memory = [card.hosting.memory_gib for card in cards.values()]
    return Suggestion(
        cards=pairs,
        quality=round(sum(known) / len(known), 2) if len(known) == len(scores) else None,
        latency_ms=max(latency_ms(cards[name], work) for name, work in works.items()),
        cost_micro=sum(cost_micro(cards[name], work) for name, work in works.items()),
        memory_gib=round(max(memory) if need.deployment == "cluster" else sum(memory), 3),
    )


def _over(option: Suggestion, need: Need) -> dict[str, float]:
    """Limits that `option` breaks, each with what it would take."""
    takes = {figure: getattr(option, figure) for figure in need.limits}
    return {figure: takes[figure] for figure, most in need.limits.items() if takes[figure] > most}


def _order(need: Need, options: list[Suggestion]) -> Callable[[Suggestion], tuple[Any, ...]]:
    best = max((o.quality for o in options if o.quality is not None), default=0.0)

    def key(option: Suggestion) -> tuple[Any, ...]:
        quality = -1.0 if option.quality is None else option.quality
        cheap = (option.cost_micro, option.memory_gib, option.latency_ms)
        if need.aim == "cost":
            return (*cheap, -quality, option.name)
        if need.aim == "accuracy":
            return (-quality, *cheap, option.name)
        if need.aim == "research":
            return (not option.suits_research, -quality, *cheap, option.name)
        # Balance. Unknown quality is no reason to refuse a model where none is known.
        is_one = len(option.cards) > 1 and option.is_single and quality >= best - ONE_MODEL_POINTS
        as_good = quality >= best - AS_GOOD_POINTS
        return (not is_one, not as_good, *(cheap if as_good else (-quality, *cheap)), option.name)

    return key


def _reasoned(option: Suggestion, options: list[Suggestion], need: Need) -> Suggestion:
    reasons = [*_fit(option, need), *_work(option), *_standing(option, options)]
    return replace(option, reasons=tuple(reasons))


def _fit(option: Suggestion, need: Need) -> Iterator[str]:
    limit = need.limits.get("memory_gib")
    if limit is not None:
        where = "an edge device" if need.deployment == "edge" else f"the {need.deployment}"
        yield f"takes {option.memory_gib:g} of {limit:g} GiB on {where}"
    if need.latency_ms is not None:
        yield f"answers in {option.latency_ms:.0f} of {need.latency_ms:g} ms"
    if need.aim == "research":
        said = "says" if option.suits_research else "does not say"
        yield f"its card {said} that it suits research"


def _work(option: Suggestion) -> Iterator[str]:
    if len(option.cards) > 1 and option.is_single:
        yield (
            "reads text and photo in one call, so that it can weigh them together, and one model "
            "is hosted"
        )
    elif len(option.cards) > 1:
        halves = " and ".join(f"{card.name} reads {READS[reads]}" for reads, card in option.cards)
        yield f"{halves}, side by side; their answers are merged with the evidence of each"
    for reads, card in option.cards:
        task = reads if reads in card.capabilities else "maths"
        score = card.quality.get(task)
        if score is None or score.score is None:
            yield f"{card.name}: quality on {READS[task]} unknown; measure it"
        else:
            measure = f", {score.measure}" if score.measure else ""
            yield f"{card.name}: {score.score:g} on {READS[task]} ({score.origin}{measure})"


def _standing(option: Suggestion, options: list[Suggestion]) -> Iterator[str]:
    """How it compares with the others that fit."""
    if len(options) == 1:
        yield "the only one that fits"
        return
    best = max((o.quality for o in options if o.quality is not None), default=None)
    if best is not None and option.quality is not None:
        under = best - option.quality
        yield "the best quality" if not under else f"{under:.1f} points under the best quality"
    for figure, word in (
        ("latency_ms", "the fastest"),
        ("cost_micro", "the cheapest"),
        ("memory_gib", "the least memory"),
    ):
        values = [getattr(other, figure) for other in options]
        if getattr(option, figure) == min(values) < max(values):
            yield word


def _nothing_fits(
    need: Need,
    fleet: FleetFile,
    broken: list[tuple[Suggestion, dict[str, float]]],
    left_out: list[Rejected],
) -> NoFeasiblePlan:
    nearest, over = min(broken, key=lambda pair: (len(pair[1]), *pair[1].values()))
    needs = ", ".join(f"{name}={value:g}" for name, value in over.items())
    return NoFeasiblePlan(
        f"No model of the fleet {fleet.name!r} fits the limits; the nearest is {nearest.name}, "
        f"which needs {needs}. Raise the limit, or choose a fleet with a smaller model.",
        tightest=next(iter(over)),
        smallest={name: f"{value:g}" for name, value in over.items()},
        rejected=[asdict(entry) for entry in left_out],
    )
