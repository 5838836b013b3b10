"""Draws printed labels whose words are known, and photographs them; knows no reader.

The letters are those that OpenCV brings, Latin and Chinese, so that a seed gives the same label
wherever that is installed. One `random.Random` decides every choice.
"""

from __future__ import annotations

import io
import random
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]
Language = Literal["en", "zh"]
FACES = ("sans", "uni", "italic")
LEADING = 1.5  # from line to line, of the height of letters
LINE_LETTERS, LARGEST = 28, 0.07  # of a text in lines of one size; a share of the page
PAPERS = (
    (250, 248, 240),
    (236, 214, 120),
    (196, 222, 236),
    (30, 52, 92),
    (120, 24, 40),
    (24, 84, 60),
)
MAKERS = {
    "en": (
        "Norrvik",
        "Bellmont",
        "Casa Oliva",
        "Harrow",
        "Tindale",
        "Marivo",
        "Fjordal",
        "Kestrel",
    ),
    "zh": ("山泉", "麦香坊", "绿源", "金穗", "海悦", "晨光牧场"),
}
THINGS = {
    "en": (
        "Oat Drink",
        "Orange Juice",
        "Greek Yoghurt",
        "Dark Chocolate",
        "Basil Pesto",
        "Rye Crackers",
    ),
    "zh": ("燕麦牛奶", "鲜橙汁", "原味酸奶", "黑巧克力", "苏打饼干", "蜂蜜柚子茶"),
}
FLAVOURS = {
    "en": ("Vanilla", "Strawberry", "Sea Salt", "Blueberry", "Lemon", "Mango"),
    "zh": ("香草味", "草莓味", "海盐味", "蓝莓味", "柠檬味", "芒果味"),
}
AMOUNTS = {
    "en": ("500 g", "1 L", "250 ml", "1.5 kg", "330 ml", "75 cl"),
    "zh": ("净含量500克", "净含量1升", "净含量250毫升", "净含量1.5千克"),
}
SMALL_PRINT = {
    "en": (
        "Ingredients: water, oats, rapeseed oil, salt",
        "Keep refrigerated after opening",
        "Best before: see the top of the pack",
        "Packed in a protective atmosphere",
        "May contain traces of nuts and milk",
        "Produced in Denmark for Norrvik Foods",
        "Shake well and serve chilled",
        "Recycle the carton with paper",
    ),
    "zh": (
        "配料：水、燕麦、白砂糖、食用盐",
        "开启后请冷藏保存",
        "保质期：十二个月",
        "请置于阴凉干燥处",
        "产地：中国山东省",
        "饮用前请摇匀",
    ),
}


@dataclass(frozen=True, slots=True)
class Label:
    """A label: its photo, its lines from the top, and what the fields on it say."""

    photo: Image.Image
    lines: tuple[str, ...]
    fields: dict[str, str]

    @property
    def words(self) -> tuple[str, ...]:
        """All words; a line of Chinese is one."""
        return tuple(word for line in self.lines for word in line.split())


def drawn_label(seed: int, *, side_px: int = 1000, language: Language = "en") -> Label:
    """A flat label of `side_px` a side, as a printer would have it."""
    return _Printer(random.Random(f"label {seed} {language}"), side_px, language).label()


def drawn_text(text: str, seed: int, *, side_px: int = 900) -> Label:
    """A flat label that says `text` alone, in lines of one size."""
    choose = random.Random(f"text {seed}")
    lines = textwrap.wrap(text, LINE_LETTERS) or [""]
    page, ink = _paper(choose, side_px)
    size = min(LARGEST, 0.9 / len(lines) / LEADING)
    printer = _Printer(choose, side_px, "en")
    for number, line in enumerate(lines, start=1):
        printer.line(page, line, 0.03 + number * size * LEADING, size, ink)
    return Label(Image.fromarray(page), tuple(lines), {})


def photographed(label: Label, seed: int) -> Label:
    """`label` seen at an angle before a shelf, under uneven light, a little blurred and noisy."""
    choose = random.Random(f"photo {seed}")
    page = np.asarray(label.photo)
    side = page.shape[0]
    shelf = _shelf(choose, side)
    inner = [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)]
    placed = [
        (
            0.03 + 0.94 * x + choose.uniform(-1, 1) * 0.03,
            0.03 + 0.94 * y + choose.uniform(-1, 1) * 0.03,
        )
        for x, y in inner
    ]
    way = cv2.getPerspectiveTransform(_points(inner, side), _points(placed, side))
    shot = cv2.warpPerspective(
        page, way, (side, side), dst=shelf, flags=cv2.INTER_AREA, borderMode=cv2.BORDER_TRANSPARENT
    )
    lit = shot.astype(np.float32) * _light(choose, side)[:, :, None]
    lit = cv2.GaussianBlur(lit, (0, 0), choose.uniform(0.4, 1.1) * side / 1000)
    grain = np.random.default_rng(choose.getrandbits(32)).normal(0, choose.uniform(2, 6), lit.shape)
    file = io.BytesIO()
    Image.fromarray(np.clip(lit + grain, 0, 255).astype(np.uint8)).save(file, "JPEG", quality=85)
    return Label(Image.open(file).convert("RGB"), label.lines, label.fields)


@dataclass(slots=True)
class _Printer:
    choose: random.Random
    side: int
    language: Language

    def label(self) -> Label:
        page, ink = _paper(self.choose, self.side)
        fields = {
            "brand": self.choose.choice(MAKERS[self.language]),
            "name": self.choose.choice(THINGS[self.language]),
            "flavour": self.choose.choice(FLAVOURS[self.language]),
            "quantity": self.choose.choice(AMOUNTS[self.language]),
        }
        small = self.choose.sample(SMALL_PRINT[self.language], 4)
        sizes = (0.11, 0.075, 0.055, 0.05, *([self.choose.uniform(0.018, 0.03)] * len(small)))
        top, kept = 0.05, []
        for line, size in zip((*fields.values(), *small), sizes, strict=True):
            top += size * LEADING
            self.line(page, line, top, size, ink)
            kept.append(line)
            top += size * 0.5
        return Label(Image.fromarray(page), tuple(kept), fields)

    def line(self, page: Pixels, line: str, top: float, size: float, ink: Sequence[int]) -> None:
        """One line, set from a random margin, no wider than the page."""
        face: Any = cv2.FontFace(self.choose.choice(FACES))
        weight = self.choose.choice((400, 600, 800)) if size > 0.04 else 400
        px = max(6, round(size * self.side))
        room = round(0.94 * self.side)
        while (wide := _width(page, line, face, px, weight)) > room:
            px -= 1
        left = self.choose.randint(0, max(0, room - wide)) + round(0.03 * self.side)
        cv2.putText(page, line, (left, round(top * self.side)), tuple(ink), face, px, weight)


def _paper(choose: random.Random, side: int) -> tuple[Pixels, Sequence[int]]:
    """An empty page, and the colour of its letters."""
    paper = choose.choice(PAPERS)
    ink = (25, 25, 30) if sum(paper) > 380 else (245, 243, 235)
    return np.full((side, side, 3), paper, np.uint8), ink


def _width(page: Pixels, line: str, face: Any, px: int, weight: int) -> int:
    height, width = page.shape[:2]
    return int(cv2.getTextSize((width, height), line, (0, 0), face, px, weight)[2])


def _points(shares: Sequence[tuple[float, float]], side: int) -> NDArray[np.float32]:
    return np.array(shares, dtype=np.float32) * np.float32(side)


def _shelf(choose: random.Random, side: int) -> Pixels:
    """Something out of focus behind the label."""
    noise = np.random.default_rng(choose.getrandbits(32)).integers(40, 200, (8, 8, 3))
    return np.asarray(
        cv2.resize(noise.astype(np.uint8), (side, side), interpolation=cv2.INTER_CUBIC), np.uint8
    )


def _light(choose: random.Random, side: int) -> NDArray[np.float32]:
    """Light that falls off towards one side, as factors."""
    rows, columns = np.mgrid[0:side, 0:side].astype(np.float32) / side
    across, down = choose.uniform(-0.25, 0.25), choose.uniform(-0.25, 0.25)
    level = choose.uniform(0.75, 1.0)
    return (level + across * (columns - 0.5) + down * (rows - 0.5)).astype(np.float32)
