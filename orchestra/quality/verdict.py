"""Whether an answer keeps what a policy promises, by its calibrated threshold; pure.

It knows no recipe: of an answer that nothing is proven of it says nothing, and the rules that hold
without a policy stand.
"""

from __future__ import annotations

from dataclasses import dataclass

from orchestra.core.job import Field
from orchestra.quality.policy import Calibration, Policy


@dataclass(frozen=True, slots=True)
class Verdict:
    """The share that is `promised` of an answer, or the `doubt` that sends it to review."""

    promised: float | None = None
    doubt: str | None = None


def verdict(
    policy: Policy, node: str, name: str, field: Field, *, is_cascade: bool
) -> Verdict | None:
    """What the policy says of an answer of `node` to the field `name`; None where it is silent.

    In a cascade that promises, the promise is of both models together: what the first was sure
    enough of, and what the second answered. An answer of the first that should have gone on, and
    has no second answer, is in doubt.
    """
    curves = policy.calibrations(node, field.model or "")
    known = next((one for one in curves if one.field == name), None)
    if known is None or field.confidence is None or not field.answered:
        return None
    cascade = policy.cascade_at(node) if is_cascade else None
    rule = None if cascade is None else cascade.fields.get(name)
    if cascade is not None and rule is not None and rule.promised is not None:
        if field.model == cascade.models[1]:
            return Verdict(promised=rule.promised)
        return _judged(known, field, rule.min_confidence, rule.promised)
    if known.least is None or policy.target_quality is None:
        return None
    return _judged(known, field, known.least, policy.target_quality)


def _judged(known: Calibration, field: Field, least: float, promised: float) -> Verdict | None:
    if field.prompt_hash != known.prompt:
        return None  # the answer to another question
    sure = field.confidence or 0.0
    if sure >= least:
        return Verdict(promised=promised)
    own, bound = known.probability(sure)[1], known.probability(least)[1]
    doubt = f"calibrated {own:.2f} < {bound:.2f}"
    if f"{own:.2f}" == f"{bound:.2f}":  # a flat piece of the curve: there the confidence tells
        doubt = f"confidence {sure:.3f} < {least:.3f}"
    return Verdict(doubt=f"{doubt} promised {promised:g}")
