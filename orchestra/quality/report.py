"""Writes a fitted policy as a person reads it: a table in text, and curves as SVG."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from orchestra.core.text_table import aligned
from orchestra.quality.calibrate import Fitted
from orchestra.quality.held_out import JudgedFit
from orchestra.quality.learned.text_quality import TextQuality
from orchestra.quality.policy import Cascade
from orchestra.quality.readings import Place

SIDE = 240
MARGIN = 42
COLUMNS = 3


def text_of_fit(fitted: Fitted) -> str:
    """What was learnt, what is promised, and what is refused."""
    policy = fitted.policy
    header = ["node", "model", "field", "rows", "right", "answered", "fit", "ECE", "calibrated"]
    rows = [
        [
            one.node,
            one.model,
            one.field,
            str(one.right.rows),
            str(one.right),
            f"{one.covered:.3f}",
            one.method,
            f"{one.ece_before:.3f}",
            f"{one.ece_after:.3f}",
        ]
        for one in policy.calibration
    ]
    lines = aligned([header, *rows])
    for place, found in fitted.fits.items():
        if found.refuses is None:
            lines += ["", *_reliability(place, found)]
    if fitted.proven:
        lines += ["", f"thresholds that keep {policy.target_quality:g} with 95% confidence:"]
    lines += [
        f"  {'/'.join(place)}: confidence {one.threshold:.4f} and more: {one.kept:.1%} of the "
        f"answers, {one.right} of {one.right.rows} right"
        for place, one in fitted.proven.items()
    ]
    for cascade in policy.cascades:
        lines += ["", *_cascade_lines(cascade)]
    for learned in policy.routing:
        lines += ["", *_learned_lines(learned)]
    if fitted.refused:
        lines += ["", "not claimed:", *(f"  {line}" for line in fitted.refused)]
    return "\n".join(lines)


def _learned_lines(learned: TextQuality) -> Iterator[str]:
    """What routing by the text is worth, on texts left out."""
    known = learned.evidence
    gain, lift = known.gain, known.lift
    by = f"cues and vectors of {learned.encoder}" if learned.encoder else "cues"
    yield (
        f"{learned.node}: which of {', '.join(learned.models)} answers a text well, by its {by}, "
        f"learned from {known.texts} texts; on texts left out:"
    )
    yield (
        f"  asking the model of the best estimate gains {gain.value:+.3f} "
        f"[{gain.low:+.3f}, {gain.high:+.3f}] over {known.best} alone"
    )
    yield (
        f"  spending on the texts where {known.best} gains most, {lift.value:+.3f} "
        f"[{lift.low:+.3f}, {lift.high:+.3f}] over spending as much at random"
    )


def _reliability(place: Place, found: JudgedFit) -> Iterator[str]:
    low, middle, high = found.gain
    yield (
        f"{'/'.join(place)} on rows held out: log loss saved {middle:+.3f} "
        f"[{low:+.3f}, {high:+.3f}]"
    )
    header = ["  confidence", "calibrated", "right", "rows"]
    rows = [
        [
            f"  {one.confidence:.3f}",
            f"{one.probability:.3f}",
            str(one.right),
            str(one.right.rows),
        ]
        for one in found.bins
    ]
    yield from aligned([header, *rows])


def _cascade_lines(cascade: Cascade) -> Iterator[str]:
    first, second = cascade.models
    yield (
        f"{cascade.node}: {first}, then {second} for {cascade.escalated:.1%} of the rows; "
        f"right {cascade.right or 'unknown'}"
    )
    if cascade.contradictions:
        names = ", ".join(cascade.contradictions)
        yield f"  {names}: also where photo and text contradict each other"
    for name, one in cascade.fields.items():
        rule = {"always": "always", "never": "never"}.get(
            one.ask, f"under confidence {one.min_confidence:.4f}"
        )
        promise = "" if one.promised is None else f", promised {one.promised:g}"
        yield f"  {name}: {rule}; right {one.right or 'unknown'}{promise} ({one.why})"


def picture(fitted: Fitted) -> str:
    """Held-out reliability curves as SVG: what was predicted against the share that was right."""
    panels = list(fitted.fits.items())
    cell = SIDE + 2 * MARGIN
    columns = min(COLUMNS, max(1, len(panels)))
    height = cell * -(-len(panels) // columns)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{cell * columns}" height="{height}" '
        'font-family="system-ui, sans-serif" font-size="12">',
        f'<rect width="{cell * columns}" height="{height}" fill="white"/>',
    ]
    for at, (place, found) in enumerate(panels):
        left, top = at % columns * cell + MARGIN, at // columns * cell + MARGIN
        parts.append(f'<g transform="translate({left},{top})">')
        parts += _panel(place, found)
        parts.append("</g>")
    return "\n".join([*parts, "</svg>", ""])


def _panel(place: Place, found: JudgedFit) -> Iterator[str]:
    yield f'<rect width="{SIDE}" height="{SIDE}" fill="none" stroke="#888"/>'
    yield f'<line x1="0" y1="{SIDE}" x2="{SIDE}" y2="0" stroke="#bbb" stroke-dasharray="4"/>'
    yield f'<text x="0" y="-22" font-weight="600">{escape(" / ".join(place))}</text>'
    verdict = found.refuses.partition(":")[0] if found.refuses else f"fit: {found.method}"
    error = f"ECE {found.ece_before:.3f}, calibrated {found.ece_after:.3f}"
    yield f'<text x="0" y="-7" fill="#555">{escape(verdict)}; {error}</text>'
    for value in (0, 0.5, 1):
        yield f'<text x="{value * SIDE:.0f}" y="{SIDE + 14}" text-anchor="middle">{value:g}</text>'
        yield f'<text x="-5" y="{(1 - value) * SIDE + 4:.0f}" text-anchor="end">{value:g}</text>'
    yield f'<text x="{SIDE / 2}" y="{SIDE + 28}" text-anchor="middle">predicted</text>'
    for one in found.bins:
        raw, x = one.confidence * SIDE, one.probability * SIDE
        right = one.right
        y, low, high = ((1 - share) * SIDE for share in (right.share, right.low, right.high))
        yield f'<circle cx="{raw:.1f}" cy="{y:.1f}" r="4" fill="none" stroke="#c07a1c"/>'
        yield f'<line x1="{x:.1f}" y1="{low:.1f}" x2="{x:.1f}" y2="{high:.1f}" stroke="#2f4f86"/>'
        yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="#2f4f86"/>'
    yield '<text x="6" y="16" fill="#c07a1c">as the model says</text>'
    yield '<text x="6" y="31" fill="#2f4f86">calibrated, 95%</text>'
