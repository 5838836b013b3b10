"""Learning curves as a table and as a picture; it knows no policy and no environment."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from itertools import pairwise
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

WIDTH, HEIGHT, TWICE = 900, 480, 2  # drawn twice as large, then made smaller: smooth lines
LEFT, RIGHT, TOP, BOTTOM = 70, 30, 50, 60
INK, GRID, FAINT = "#222222", "#dddddd", "#888888"


@dataclass(frozen=True, slots=True)
class Point:
    """Rates after `episodes` episodes of one seed.

    `played` is the share solved of the last episodes, as they were played for learning. `training`
    and `kept_out` are the shares that the likeliest actions solve of either side's problems; None
    where there is nothing to measure.
    """

    seed: int
    episodes: int
    played: float | None
    training: float
    kept_out: float | None


SERIES = {
    "played": ("episodes as they were played", "#c2571a"),
    "training": ("training problems, likeliest answer", "#2a6fb0"),
    "kept_out": ("problems kept out of training, likeliest answer", "#2b8a3e"),
}


def write_table(points: Sequence[Point], path: Path) -> None:
    """One row a point, rates with four places."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow([field.name for field in fields(Point)])
        for point in points:
            writer.writerow(["" if v is None else _shown(v) for v in astuple(point)])


def _shown(value: float) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def draw_curve(points: Sequence[Point], path: Path, *, title: str, random_rate: float) -> None:
    """Each seed as a thin line, the mean of the seeds as a thick one; random play dashed."""
    chart = _Chart(max(point.episodes for point in points), title)
    chart.dashed(random_rate, f"random play {random_rate:.1%}")
    shown = [name for name in SERIES if any(getattr(p, name) is not None for p in points)]
    for at, name in enumerate(shown):
        label, colour = SERIES[name]
        for seed in sorted({point.seed for point in points}):
            chart.line(_curve([p for p in points if p.seed == seed], name), colour, 1)
        chart.line(_curve(points, name), colour, 4)
        chart.legend(label, colour, at)
    chart.save(path)


def _curve(points: Sequence[Point], name: str) -> list[tuple[int, float]]:
    """(episodes, mean rate) where the points have one."""
    known = [(p.episodes, rate) for p in points if (rate := getattr(p, name)) is not None]
    places = sorted({episodes for episodes, _ in known})
    means: list[tuple[int, float]] = []
    for place in places:
        here = [rate for episodes, rate in known if episodes == place]
        means.append((place, sum(here) / len(here)))
    return means


class _Chart:
    """Axes of episodes against rates from 0 to 1."""

    def __init__(self, episodes: int, title: str) -> None:
        self._episodes = max(1, episodes)
        self._image = Image.new("RGB", (WIDTH * TWICE, HEIGHT * TWICE), "white")
        self._draw = ImageDraw.Draw(self._image)
        self._font = ImageFont.load_default(13 * TWICE)
        self._text((LEFT, 16), title, ImageFont.load_default(16 * TWICE))
        for tenth in range(0, 11, 2):
            y = self._place(0, tenth / 10)[1]
            self._draw.line([(LEFT * TWICE, y), ((WIDTH - RIGHT) * TWICE, y)], GRID, TWICE)
            self._draw.text(((LEFT - 8) * TWICE, y), f"{tenth * 10}%", INK, self._font, "rm")
        for fifth in range(6):
            x, y = self._place(self._episodes * fifth / 5, 0)
            label = f"{self._episodes * fifth // 5:,}"
            self._draw.text((x, y + 8 * TWICE), label, INK, self._font, "ma")
        middle = ((LEFT + WIDTH - RIGHT) * TWICE // 2, (HEIGHT - 24) * TWICE)
        self._draw.text(middle, "episodes", INK, self._font, "ma")

    def _place(self, episodes: float, rate: float) -> tuple[float, float]:
        x = LEFT + (WIDTH - LEFT - RIGHT) * episodes / self._episodes
        y = HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * rate
        return x * TWICE, y * TWICE

    def _text(
        self, at: tuple[int, int], text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont
    ) -> None:
        self._draw.text((at[0] * TWICE, at[1] * TWICE), text, INK, font)

    def line(self, points: Sequence[tuple[int, float]], colour: str, width: int) -> None:
        """One curve; `width` in pixels of the finished picture."""
        places = [self._place(*point) for point in points]
        self._draw.line(places, colour, width * TWICE, joint="curve")

    def dashed(self, rate: float, label: str) -> None:
        """A level across the chart, named at its right end."""
        steps = [self._place(self._episodes * at / 80, rate) for at in range(81)]
        for at, (start, end) in enumerate(pairwise(steps)):
            if at % 2 == 0:
                self._draw.line([start, end], FAINT, TWICE)
        x, y = steps[-1]
        self._draw.text((x, y - 4 * TWICE), label, FAINT, self._font, "rb")

    def legend(self, label: str, colour: str, at: int) -> None:
        """One line of the legend, from the bottom right upwards."""
        x, y = (WIDTH - RIGHT - 330) * TWICE, (HEIGHT - BOTTOM - 120 + 22 * at) * TWICE
        self._draw.line([(x, y), (x + 24 * TWICE, y)], colour, 4 * TWICE)
        self._draw.text((x + 32 * TWICE, y), label, INK, self._font, "lm")

    def save(self, path: Path) -> None:
        """Write the PNG, with few colours: a third of the size."""
        small = self._image.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)
        small.quantize(64).save(path, optimize=True)
