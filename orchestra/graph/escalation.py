"""A second ask, of a better model, about the fields in doubt and no others. Pure.

In doubt is what the policy's cascade says is too unsure, and what photo and text contradict each
other on. A second answer takes the place of the first, which is kept beside it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace

from orchestra.core.ask import Ask
from orchestra.core.errors import OrchestraError
from orchestra.core.job import Field
from orchestra.core.state import Outcome
from orchestra.quality.policy import Policy
from orchestra.quality.verdict import Verdict, verdict
from orchestra.routing.plan import NodePlan, Plan

UNSURE = "it was too unsure"
CLASH = "photo and text contradict each other"


def in_doubt(policy: Policy | None, planned: NodePlan, outcome: Outcome) -> list[str]:
    """The fields of a first answer that go on to the better model.

    What was left open is not asked again: there the confidence is that nothing is said.
    """
    cascade = None if policy is None else policy.cascade_at(planned.node)
    if cascade is None or planned.escalation is None or outcome.call is None:
        return []
    if outcome.call.model != cascade.models[0]:
        return []  # a fallback answered, of which the policy knows nothing
    return [
        name
        for name, rule in cascade.fields.items()
        if (field := outcome.fields.get(name)) is not None
        and field.answered
        and rule.is_due(field.confidence)
    ]


def side_in_doubt(
    policy: Policy | None,
    plan: Plan,
    nodes: Sequence[str],
    outcomes: Mapping[str, Outcome],
    name: str,
) -> str | None:
    """Of the nodes that contradict each other on `name`, the one whose better model is asked.

    It is the one less likely to be right, unknown first; None where no better model is planned,
    or it has answered already.
    """
    sides: list[tuple[float, str]] = []
    for node in plan.nodes:
        found = outcomes[node.node].fields.get(name) if node.node in outcomes else None
        if node.node not in nodes or node.escalation is None or found is None:
            continue
        cascade = None if policy is None else policy.cascade_at(node.node)
        if cascade is None or not cascade.settles(name):
            continue
        if not found.answered or found.model == node.escalation.model:
            continue
        known = None
        if policy is not None:
            known = policy.probability(node.node, found.model or "", name, found.confidence)
        sides.append((-1.0 if known is None else known[1], node.node))
    return min(sides)[1] if sides else None


def narrowed(ask: Ask, names: Sequence[str]) -> Ask:
    """`ask` for these of its fields alone."""
    schema = json.loads(ask.schema_json or "{}")
    schema["properties"] = {n: shape for n, shape in schema["properties"].items() if n in names}
    if "required" in schema:
        schema["required"] = [name for name in schema["required"] if name in names]
    return replace(ask, schema_json=json.dumps(schema, ensure_ascii=False))


def with_second(
    first: Outcome,
    second: Outcome,
    failure: OrchestraError | None,
    model: str,
    names: Sequence[str],
    why: str,
) -> Outcome:
    """`first` with what the better model answered; a failed second ask is a note."""
    asked = f"{model} was asked again for {', '.join(names)}, as {why}"
    if failure is not None:
        vain = f"{asked}, in vain ({failure.kind}: {failure})"
        return first.model_copy(update={"notes": (*first.notes, vain)})
    fields = dict(first.fields)
    for name in names:
        found = second.fields.get(name)
        if found is not None and found.answered:
            fields[name] = instead(found, first.fields.get(name), why)
    notes = (*first.notes, *second.notes, asked)
    return first.model_copy(update={"fields": fields, "notes": notes})


def instead(second: Field, first: Field | None, why: str) -> Field:
    """`second` in the place of `first`, which is kept beside it where it holds a value."""
    if first is None or not first.answered:
        others = () if first is None else first.alternatives
        note = f"{second.model} was asked, as {why}"
        return second.model_copy(
            update={"alternatives": (*second.alternatives, *others), "note": second.note or note}
        )
    sure = "" if first.confidence is None else f" ({first.confidence:.2f})"
    note = f"{second.model} was asked, as {why}; {first.model} had said {first.value!r}{sure}"
    return second.model_copy(
        update={"alternatives": (first, *first.alternatives), "note": second.note or note}
    )


def with_probability(
    policy: Policy | None, node: str, outcome: Outcome, *, is_cascade: bool = False
) -> Outcome:
    """`outcome` with each answer's probability, and whether it is promised or in doubt."""
    if policy is None:
        return outcome
    fields: dict[str, Field] = {}
    for name, field in outcome.fields.items():
        known = policy.probability(node, field.model or "", name, field.confidence)
        if known is None or not field.answered:
            fields[name] = field
            continue
        judged = verdict(policy, node, name, field, is_cascade=is_cascade) or Verdict()
        update = {"promised": judged.promised, "doubt": judged.doubt}
        fields[name] = field.model_copy(update={**update, "probability": round(known[1], 6)})
    return outcome.model_copy(update={"fields": fields})
