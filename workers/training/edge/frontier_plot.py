"""A frontier of loss against latency as an SVG, a panel for each task; knows no model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape  # nosec B406 # it writes

Point = tuple[float, float]
PANEL, GAP, TOP = 260, 60, 40  # pixels
DOT, LINE, INK = "#9aa7b5", "#c2571a", "#222"


def draw_frontier(
    points: Mapping[str, Sequence[Point]], best: Mapping[str, Sequence[Point]]
) -> str:
    """All (milliseconds, loss) of each task as dots, and those of `best` joined by a line."""
    width = GAP + len(points) * (PANEL + GAP)
    parts = [_panel(name, points[name], best[name], GAP + at * (PANEL + GAP))
             for at, name in enumerate(points)]  # fmt: skip
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {PANEL + TOP + 50}" '
        f'font-family="sans-serif" font-size="12" fill="{INK}">'
    )
    return "\n".join([head, *parts, "</svg>"]) + "\n"


def _panel(name: str, points: Sequence[Point], best: Sequence[Point], left: int) -> str:
    low, high = min(y for _, y in points), max(y for _, y in points)
    slow = max(x for x, _ in points)

    def place(point: Point) -> tuple[float, float]:
        rise = (point[1] - low) / ((high - low) or 1)
        return left + PANEL * point[0] / slow, TOP + PANEL * (1 - rise)

    dots = [
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{DOT}"/>' for x, y in map(place, points)
    ]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in map(place, best))
    bottom = TOP + PANEL
    return "\n".join([
        f'<text x="{left}" y="{TOP - 16}" font-size="14">{escape(name)}</text>',
        f'<path d="M{left} {TOP}V{bottom}H{left + PANEL}" fill="none" stroke="{INK}"/>',
        *dots,
        f'<polyline points="{line}" fill="none" stroke="{LINE}" stroke-width="2"/>',
        f'<text x="{left - 4}" y="{TOP + 8}" text-anchor="end">{high:.2f}</text>',
        f'<text x="{left - 4}" y="{bottom}" text-anchor="end">{low:.2f}</text>',
        f'<text x="{left + PANEL}" y="{bottom + 18}" text-anchor="end">{slow:.1f} ms</text>',
        f'<text x="{left}" y="{bottom + 18}">0; of a token; upwards: loss</text>',
    ])  # fmt: skip
