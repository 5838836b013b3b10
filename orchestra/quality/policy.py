"""A policy as a file: what is known of each model's answers, and when a better model is asked.

One format for `replay`, `plan`, `run` and `batch`. `calibrate` writes it; parts of it may be
written by hand. It knows no batch and makes no call.
"""

from __future__ import annotations

import bisect
import hashlib
import math
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field as Attribute
from pydantic import ValidationError, model_validator

from orchestra.core.errors import InvalidPolicy, InvalidRecipe
from orchestra.core.files.atomic import write_text
from orchestra.core.files.yaml_file import load_yaml, yaml_text
from orchestra.core.job import Word, first_problem
from orchestra.core.stats import wilson
from orchestra.quality.learned.text_quality import TextQuality

VERSION = 1
Share = Annotated[float, Attribute(ge=0, le=1, allow_inf_nan=False)]
Knot = tuple[Share, Share, Share, Share]


class FieldPolicy(Word):
    """Nodes in the order asked; the first answer of at least `min_confidence` stands.

    It is one confidence for all nodes or, as confidences of models differ, one for each. A model
    that reports no confidence is taken at any threshold of 0 only.
    """

    order: tuple[str, ...] = Attribute(min_length=1)
    min_confidence: Share | Mapping[str, Share] = 0.0

    @model_validator(mode="after")
    def _names_its_nodes(self) -> Self:
        if isinstance(self.min_confidence, Mapping):
            missing = [node for node in self.order if node not in self.min_confidence]
            if missing:
                raise ValueError(f"min_confidence says nothing of node {missing[0]!r}")
        return self

    def least(self, node: str) -> float:
        """How sure an answer of `node` has to be."""
        bound = self.min_confidence
        return bound.get(node, 0.0) if isinstance(bound, Mapping) else bound


class Gate(Word):
    """What a replay must reach; an absent bound does not bind. Accuracy is of answered rows."""

    min_accuracy: Share | None = None
    min_coverage: Share | None = None
    max_cost_usd_per_row: Annotated[Decimal, Attribute(ge=0)] | None = None


def as_share(value: float) -> float:
    """A share as it is written: rounded, and from 0 to 1."""
    return min(1.0, max(0.0, round(value, 6)))


class Accuracy(Word):
    """The share of answers that is right with its 95% interval, from `rows` labelled rows."""

    share: Share
    low: Share
    high: Share
    rows: int = Attribute(ge=0)

    @classmethod
    def of(cls, share: float, effective: float, rows: int) -> Self:
        """The accuracy of `rows` rows that say as much as `effective` independent ones."""
        low, high = wilson(share * effective, effective) or (0.0, 1.0)
        return cls(share=as_share(share), low=as_share(low), high=as_share(high), rows=rows)

    def __str__(self) -> str:
        return f"{self.share:.3f} [{self.low:.3f}, {self.high:.3f}]"


class Calibration(Word):
    """How often one model's answers to one field of one node are right, by confidence.

    `knots` are (confidence, probability, low, high), joined by lines. `refuses` says why the
    confidence tells nothing; then the probability is the same for all. `prompt` is the wording
    that was answered. From the confidence `least` on the policy's target is proven to be kept.
    `spread` are confidences of its answers, least first, each standing for as many.
    """

    node: str
    model: str
    field: str
    prompt: str
    method: Literal["rate", "platt", "isotonic"]
    right: Accuracy
    covered: Share
    knots: tuple[Knot, ...] = Attribute(min_length=1)
    gain: tuple[float, float, float]
    ece_before: Share
    ece_after: Share
    refuses: str | None = None
    least: Share | None = None
    spread: tuple[Share, ...] = ()

    def sure(self, least: float) -> float | None:
        """The share of rows whose answer was as likely to be right as `least`; None if unknown."""
        if not least:
            return self.covered
        if not self.spread:
            return None
        likely = sum(self.probability(confidence)[1] >= least for confidence in self.spread)
        return self.covered * likely / len(self.spread)

    def probability(self, confidence: float) -> Knot:
        """(confidence, probability, low, high) at a confidence; the ends hold beyond them."""
        places = [knot[0] for knot in self.knots]
        at = bisect.bisect_right(places, confidence)
        if at == 0 or at == len(places):
            return (confidence, *self.knots[min(at, len(places) - 1)][1:])
        before, after = self.knots[at - 1], self.knots[at]
        part = (confidence - before[0]) / (after[0] - before[0])
        p, low, high = (x + part * (y - x) for x, y in zip(before[1:], after[1:], strict=True))
        return confidence, p, low, high


class Escalation(Word):
    """When one field goes on to the better model, and what the answers then come to.

    `ask` is `unsure` (under `min_confidence`), `always` or `never`; `why` says what it rests on.
    `promised` is the share that is right with 95% confidence, where it was proven.
    """

    ask: Literal["unsure", "always", "never"]
    min_confidence: Share = 0.0
    promised: Share | None = None
    right: Accuracy | None = None
    why: str = ""

    def is_due(self, confidence: float | None) -> bool:
        """Whether an answer of this confidence goes on; an unknown one is unsure."""
        if self.ask == "unsure":
            return confidence is None or confidence < self.min_confidence
        return self.ask == "always"


class Cascade(Word):
    """At `node` the first of `models` answers, and the second what it was unsure of.

    `escalated` is the share of rows that go on. Where photo and text contradict each other on one
    of `contradictions` (None: on any field), that field goes on, too.
    """

    node: str
    models: tuple[str, str]
    fields: Mapping[str, Escalation] = Attribute(min_length=1)
    escalated: Share
    right: Accuracy | None = None
    contradictions: tuple[str, ...] | None = None

    def settles(self, field: str) -> bool:
        """Whether a contradiction on `field` is put to the second model."""
        return self.contradictions is None or field in self.contradictions


class Policy(Word):
    """A policy as it stands in YAML. `models` are fingerprints of those it was fitted on.

    `learned` is what was learnt of nodes from labelled texts, for each text by itself.
    """

    version: int = VERSION
    fleet: str = ""
    models: Mapping[str, str] = Attribute(default_factory=dict)
    target_quality: Share | None = None
    fields: Mapping[str, FieldPolicy] = Attribute(default_factory=dict)
    cascades: tuple[Cascade, ...] = ()
    calibration: tuple[Calibration, ...] = ()
    learned: tuple[TextQuality, ...] = ()
    gate: Gate = Gate()

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not (self.fields or self.cascades or self.calibration or self.learned):
            raise ValueError("it has neither fields nor cascades nor calibration nor learned")
        nodes = [cascade.node for cascade in self.cascades]
        if len(set(nodes)) < len(nodes):
            raise ValueError("two cascades are of one node")
        learned = [one.node for one in self.learned]
        if len(set(learned)) < len(learned):
            raise ValueError("two learned parts are of one node")
        return self

    @property
    def fingerprint(self) -> str:
        """Hash of the whole policy."""
        parts = [self.model_dump_json(exclude={"learned"}), *(one.digest for one in self.learned)]
        return hashlib.sha256("".join(parts).encode()).hexdigest()[:16]

    def cascade_at(self, node: str) -> Cascade | None:
        """The cascade of `node`."""
        return next((cascade for cascade in self.cascades if cascade.node == node), None)

    @property
    def routing(self) -> tuple[TextQuality, ...]:
        """What texts are routed by: what was learnt, where it gains beyond noise."""
        return tuple(one for one in self.learned if one.refuses is None)

    def calibrations(self, node: str, model: str) -> list[Calibration]:
        """What is known of a model at a node, a field each."""
        return [one for one in self.calibration if (one.node, one.model) == (node, model)]

    def knows(self, node: str) -> bool:
        """Whether any model of the node was judged."""
        return any(one.node == node for one in self.calibration)

    def probability(
        self, node: str, model: str, field: str, confidence: float | None
    ) -> Knot | None:
        """The calibrated probability of an answer, or None where nothing is known."""
        if confidence is None:
            return None
        found = (one for one in self.calibrations(node, model) if one.field == field)
        known = next(found, None)
        return None if known is None else known.probability(confidence)

    def unsure(self, node: str, fields: Sequence[str], least: float) -> float | None:
        """The share of rows in which `node` left one of `fields` open, or under `least`.

        It is that of the model that leaves most, of those whose every field is known, as if fields
        were open independently; None where there is none.
        """
        shares: list[float] = []
        for model in {one.model for one in self.calibration if one.node == node}:
            known = {one.field: one.sure(least) for one in self.calibrations(node, model)}
            sure = [known.get(name) for name in fields]
            if None not in sure:
                shares.append(1.0 - math.prod(share for share in sure if share is not None))
        return max(shares, default=None)

    def quality(self, node: str, model: str) -> Accuracy | None:
        """The share of a model's answers at a node that is right, all fields together."""
        known = [one.right for one in self.calibrations(node, model)]
        return None if not known else mean(known)

    def check(self, have: Mapping[str, str], fleet: str) -> None:
        """Raise `InvalidPolicy` unless the fleet, with these fingerprints, is the one it is of."""
        for model, expected in self.models.items():
            found = have.get(model)
            if found == expected:
                continue
            difference = f"has no model {model!r} (it has: {', '.join(sorted(have))})"
            if found is not None:
                difference = (
                    f"has another model {model!r}: its fingerprint is {found}, not {expected} "
                    "(of weights, worker, endpoint, revision, sampling and thinking tokens)"
                )
            raise InvalidPolicy(
                f"The policy was fitted on the fleet {self.fleet!r}, and the fleet {fleet!r} "
                f"{difference}. What is known of one model says nothing of another: run "
                "`orchestra calibrate` on a batch of this fleet, or use the fleet it was fitted on."
            )


def mean(known: list[Accuracy]) -> Accuracy:
    """The plain mean of several fields; as their rows are the same, so is its width."""
    count = len(known)
    return Accuracy(
        share=sum(one.share for one in known) / count,
        low=sum(one.low for one in known) / count,
        high=sum(one.high for one in known) / count,
        rows=max(one.rows for one in known),
    )


def parse_policy(raw: Any, *, origin: str) -> Policy:
    """Validate a policy read from YAML. Raises `InvalidRecipe` naming the place.

    `InvalidPolicy` is raised for one of another version.
    """
    version = raw.get("version", VERSION) if isinstance(raw, Mapping) else VERSION
    if version != VERSION:
        raise InvalidPolicy(
            f"{origin} is a policy of version {version!r}, and this Orchestra reads version "
            f"{VERSION}. Fit it again with `orchestra calibrate`."
        )
    try:
        return Policy.model_validate(raw)
    except ValidationError as error:
        raise InvalidRecipe(
            f"{origin} is not a policy: {first_problem(error, Policy)}. "
            "Give fields: {NAME: {order: [NODE, ...], min_confidence: 0.5}} and, to check, gate, "
            "or take the file that `orchestra calibrate` writes."
        ) from error


def load_policy(path: Path) -> Policy:
    """The policy in a YAML or JSON file. Raises as `parse_policy` does."""
    return parse_policy(load_yaml(path, what="policy", error=InvalidRecipe), origin=str(path))


def save_policy(policy: Policy, path: Path) -> None:
    """Write a policy, whole or not at all; as JSON where the file is called so."""
    if path.suffix == ".json":
        text = policy.model_dump_json(indent=2, exclude_none=True) + "\n"
    else:
        raw = policy.model_dump(mode="json", exclude_none=True)
        text = yaml_text(raw)
    write_text(path, text)
