"""Makes a policy from labelled rows of finished batches; it reads no file and prints nothing.

For each node, model and field: a curve from confidence to probability, judged on rows it has not
seen. With a target, thresholds that are proven to keep it; with two models at a node, when the
better one is asked, or without an aim which of them answers which text well. What the labels do not
show is refused in words.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from orchestra.core.errors import InvalidLabels, UsageError
from orchestra.core.job import Result
from orchestra.quality.cascades import cascades as fit_cascades
from orchestra.quality.held_out import Answers, JudgedFit, judge
from orchestra.quality.learned.text_quality import TextQuality
from orchestra.quality.policy import Calibration, Cascade, FieldPolicy, Policy, as_share
from orchestra.quality.promise import Proven, least_rows, selective
from orchestra.quality.readings import (
    Data,
    Judged,
    Place,
    Truths,
    call_costs,
    collect,
    judge_readings,
)
from orchestra.quality.texts import NamedEncoder, learn_texts

SPREAD = 20  # confidences that stand for the answers of a field


@dataclass(frozen=True, slots=True)
class Fitted:
    """A policy, with the evidence that its file leaves out."""

    policy: Policy
    fits: Mapping[Place, JudgedFit]
    proven: Mapping[Place, Proven]
    refused: tuple[str, ...]


def calibrate(
    batches: Sequence[Mapping[str, Result]],
    truths: Truths,
    *,
    fleet: str,
    models: Mapping[str, str],
    target: float | None = None,
    spend_usd: float | None = None,
    encoder: NamedEncoder | None = None,
    seed: int = 0,
) -> Fitted:
    """Fit a policy on results by row id and their true values.

    `models` are fingerprints. `encoder` reads the texts that routing is learnt from (None: by their
    cues alone). `target` is the share of a field's answers that has to be right,
    `spend_usd` what a row may cost on average, of which one may be given. Raises `UsageError` for
    both or a target out of range, `InvalidLabels` when no labelled row was answered.
    """
    _check(target, spend_usd)
    data = _data(batches, truths)
    claims = len(data.judged)
    fits = {
        place: judge(one.answers, claims=claims, seed=seed) for place, one in data.judged.items()
    }
    curves = {place: _calibration(place, data, found) for place, found in fits.items()}
    proven: dict[Place, Proven] = {}
    if target is not None:
        for place, one in data.judged.items():
            found = None if fits[place].refuses else selective(one.answers, target)
            found = found or _all_of(one.answers, target)
            if found is not None:
                proven[place] = found
    for place, one in proven.items():
        curves[place] = curves[place].model_copy(update={"least": as_share(one.threshold)})
    cascades = tuple(fit_cascades(data, fits, curves, target, spend_usd))
    learned: tuple[TextQuality, ...] = ()
    if target is None and spend_usd is None:
        learned = tuple(learn_texts(batches, data, truths, encoder=encoder, seed=seed))
    policy = Policy(
        fleet=fleet,
        models={name: models[name] for name in sorted({place[1] for place in curves})},
        target_quality=target,
        fields=_fields(data, proven, cascades),
        cascades=cascades,
        calibration=tuple(curves.values()),
        learned=learned,
    )
    return Fitted(policy, fits, proven, tuple(_refusals(fits, proven, data, target, learned)))


def _check(target: float | None, spend_usd: float | None) -> None:
    if target is not None and spend_usd is not None:
        raise UsageError(
            "A target quality and a spend were both given, and one threshold cannot be set for "
            "two aims. Give one of --target-quality and --spend-usd."
        )
    if target is not None and not 0 < target < 1:
        raise UsageError(
            f"The target quality {target!r} is no share between 0 and 1. Give one, as in 0.9."
        )


def _data(batches: Sequence[Mapping[str, Result]], truths: Truths) -> Data:
    recorded, weights = collect(batches), truths.weights
    judged: dict[Place, Judged] = {}
    for place, readings in recorded.items():
        one = judge_readings(readings, truths.field(place[2]), weights)
        if len(one.answers):
            judged[place] = one
    if not judged:
        fields = sorted({place[2] for place in recorded})
        raise InvalidLabels(
            "No labelled row has an answer with a confidence to judge (fields answered: "
            f"{', '.join(fields) or 'none'}; the labels' columns: {', '.join(truths.columns)}). "
            "Label this batch with `orchestra label`, or name the id with --id-column."
        )
    return Data(recorded, judged, call_costs(batches))


def _calibration(place: Place, data: Data, found: JudgedFit) -> Calibration:
    node, model, name = place
    one = data.judged[place]
    prompt = next(iter(data.recorded[place].values())).prompt
    return Calibration(
        node=node,
        model=model,
        field=name,
        prompt=prompt,
        method=found.method,
        right=one.answers.accuracy,
        covered=min(1.0, one.covered),
        knots=tuple(
            (as_share(c), as_share(p), as_share(x), as_share(y)) for c, p, x, y in found.knots
        ),
        gain=found.gain,
        ece_before=found.ece_before,
        ece_after=found.ece_after,
        refuses=found.refuses,
        spread=tuple(as_share(each) for each in one.answers.spread(SPREAD)),
    )


def _all_of(answers: Answers, target: float) -> Proven | None:
    """A threshold of 0, where all answers together prove the target without the confidence."""
    same = Answers(np.ones(len(answers)), answers.right, answers.weight, answers.group)
    found = selective(same, target)
    return None if found is None else Proven(0.0, found.right, 1.0)


def _fields(
    data: Data, proven: Mapping[Place, Proven], cascades: Sequence[Cascade]
) -> dict[str, FieldPolicy]:
    """For each field the nodes that keep the target, the one that answers most of them first.

    Where a node has two models, the first of its cascade counts, else the one that answers most.
    """
    found: dict[str, FieldPolicy] = {}
    first = {one.node: one.models[0] for one in cascades}
    for name in dict.fromkeys(place[2] for place in proven):
        nodes: dict[str, Proven] = {}
        for (node, model, field), one in proven.items():
            is_asked = first.get(node, model) == model
            if field == name and is_asked and (node not in nodes or one.kept > nodes[node].kept):
                nodes[node] = one
        order = sorted(nodes, key=lambda node: (-nodes[node].kept, node))
        least = {node: as_share(nodes[node].threshold) for node in order}
        if order:
            found[name] = FieldPolicy(order=tuple(order), min_confidence=least)
    return found


def _refusals(
    fits: Mapping[Place, JudgedFit],
    proven: Mapping[Place, Proven],
    data: Data,
    target: float | None,
    learned: Sequence[TextQuality],
) -> Iterator[str]:
    for place, found in fits.items():
        name = "/".join(place)
        if found.refuses:
            yield f"{name}: {found.refuses}"
        if target is not None and place not in proven:
            rows = len(data.judged[place].answers)
            yield (
                f"{name}: no threshold is proven to keep {target:g} on {rows} rows (it takes "
                f"{least_rows(target)} different answers that are all right)"
            )
    for one in learned:
        if one.refuses:
            yield f"{one.node}/{', '.join(one.models)}: routing by the text: {one.refuses}"
