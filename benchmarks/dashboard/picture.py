"""Draws the dashboard's panels as one page of SVG, from what Prometheus has of a time.

Grafana comes from none of the registries that a build here reaches, so its pictures are drawn by
this: the same panels, expressions and legends, read from the same file.
"""

from __future__ import annotations

import html
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.observed.prometheus import Panel

WIDTH, HEIGHT = 440, 150
LEFT, TOP, BOTTOM = 52, 8, 18
COLOURS = ("#3b7dd8", "#e08a1e", "#2f9e6b", "#c2455e", "#7a5cc4", "#8a7a1f", "#1d9aa8", "#777f8c")
MOST_LEGENDS = 8
LABEL = re.compile(r"{{(\w+)}}")
STYLE = """
body { margin: 0; padding: 16px 20px; width: 1400px; background: #f4f5f7; color: #22262d;
  font: 13px/1.35 "DejaVu Sans", "Noto Sans", sans-serif; }
h1 { font-size: 17px; margin: 0 0 2px; } p { margin: 0 0 6px; color: #5b6472; }
h2 { font-size: 13px; margin: 12px 0 6px; }
.row { display: grid; grid-template-columns: repeat(3, 1fr); gap: 10px; }
.panel { background: #fff; border: 1px solid #dfe3e8; border-radius: 4px; padding: 8px 8px 6px; }
.panel b { font-weight: 600; font-size: 12.5px; }
.legend { color: #48505c; font-size: 11px; margin-top: 2px; }
.legend i { display: inline-block; width: 10px; height: 3px; margin: 0 4px 3px 8px; }
svg text { font-size: 10px; fill: #5b6472; } .none { color: #8a93a0; padding: 60px 0; }
"""


@dataclass(frozen=True, slots=True)
class Line:
    """One series: its name in the legend, and its points (seconds, value)."""

    name: str
    points: tuple[tuple[float, float], ...]


def page(title: str, about: str, drawn: Sequence[tuple[Panel, Sequence[Line]]]) -> str:
    """The whole page, with a heading for each row."""
    parts = [f"<meta charset=utf-8><style>{STYLE}</style><h1>{title}</h1><p>{about}</p>"]
    row = ""
    for panel, lines in drawn:
        if panel.row != row:
            parts.append("</div>" * bool(row) + f"<h2>{panel.row}</h2><div class=row>")
            row = panel.row
        parts.append(_panel(panel, lines))
    return "".join(parts) + "</div>"


def legend(pattern: str, labels: Mapping[str, str]) -> str:
    """A legend as Grafana fills it in."""
    return LABEL.sub(lambda found: labels.get(found[1], ""), pattern)


def _panel(panel: Panel, lines: Sequence[Line]) -> str:
    named = sorted(lines, key=lambda line: -max(value for _, value in line.points))
    shown = named[:MOST_LEGENDS]
    head = f"<div class=panel><b>{html.escape(panel.title)}</b>"
    if not shown:
        return f"{head}<div class=none>nothing in this time</div></div>"
    legends = "".join(
        f"<i style='background:{colour}'></i>{html.escape(line.name)}"
        for line, colour in zip(shown, COLOURS, strict=False)
    )
    drawing = _drawing(panel, shown)
    return f"{head}{drawing}<div class=legend>{legends}</div></div>"


def _drawing(panel: Panel, lines: Sequence[Line]) -> str:
    times = [at for line in lines for at, _ in line.points]
    first, last = min(times), max(times)
    layers = _stacked(lines) if panel.is_stacked else [line.points for line in lines]
    top = _round_up(max((value for points in layers for _, value in points), default=1.0) or 1.0)
    wide, high = WIDTH - LEFT - 4, HEIGHT - TOP - BOTTOM

    def place(at: float, value: float) -> str:
        x = LEFT + wide * (at - first) / max(last - first, 1.0)
        return f"{x:.1f},{TOP + high * (1 - value / top):.1f}"

    parts = [f"<svg width={WIDTH} height={HEIGHT}>"]
    for part in range(5):
        y = TOP + high * (1 - part / 4)
        parts.append(f"<line x1={LEFT} x2={WIDTH - 4} y1={y:.1f} y2={y:.1f} stroke='#eceff2'/>")
        told = with_unit(top * part / 4, panel.unit)
        parts.append(f"<text x={LEFT - 5} y={y + 3:.1f} text-anchor=end>{told}</text>")
    for seconds in range(0, int(last - first) + 1, 30):
        x = LEFT + wide * seconds / max(last - first, 1.0)
        parts.append(f"<text x={x:.0f} y={HEIGHT - 4} text-anchor=middle>{seconds} s</text>")
    for points, colour in reversed(list(zip(layers, COLOURS, strict=False))):
        way = " ".join(place(*point) for point in points)
        if panel.is_stacked:
            base = f"{place(points[-1][0], 0)} {place(points[0][0], 0)}"
            for fill, share in (("#fff", 1), (colour, 0.45)):  # nothing shines through
                area = f"points='{way} {base}' fill='{fill}' fill-opacity={share}"
                parts.append(f"<polygon {area} />")
        parts.append(f"<polyline points='{way}' fill=none stroke='{colour}' stroke-width=1.6 />")
    return "".join(parts) + "</svg>"


def _stacked(lines: Sequence[Line]) -> list[tuple[tuple[float, float], ...]]:
    """Each line on top of those before it."""
    sums: dict[float, float] = {}
    layers: list[tuple[tuple[float, float], ...]] = []
    for line in lines:
        for at, value in line.points:
            sums[at] = sums.get(at, 0.0) + value
        layers.append(tuple((at, sums[at]) for at, _ in line.points))
    return layers


def _round_up(value: float) -> float:
    """The next number that makes a good top of an axis."""
    size = 10.0 ** math.floor(math.log10(value))
    return next(step * size for step in (1, 2, 4, 6, 8, 10) if step * size >= value * 0.999)


def with_unit(value: float, unit: str) -> str:
    """A number on an axis, as Grafana's unit of that name shows it."""
    match unit:
        case "s":
            return f"{value * 1000:.3g} ms" if 0 < value < 1 else f"{value:.3g} s"
        case "percentunit":
            return f"{value:.0%}"
        case "currencyUSD":
            return f"${value:.2g}"
        case _:
            return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"
