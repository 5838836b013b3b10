"""Names of colours: shades people have words for, each within one of twelve basic colours.

The values are those of CSS's named colours and of the garment trade's usual words, in sRGB. A basic
colour has the words of the default recipe and a few more; knows no photo.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np

from orchestra.core.answers.choices import Choices
from workers.vision.lab import Array, floats, lab_of

BASIC: Mapping[str, str] = {
    "red": "红色 红 红的 大红 röd rojo rouge rot",
    "orange": "橙色 橙 橘色 橘红色 橘黄色 naranja",
    "yellow": "黄色 黄 gul amarillo jaune gelb",
    "green": "绿色 绿 grön verde vert grün",
    "blue": "蓝色 蓝 blå azul bleu blau",
    "purple": "紫色 紫 violet lila 紫罗兰色",
    "pink": "粉色 粉红 粉红色 rosa 粉",
    "brown": "棕色 棕 褐色 brun marron braun 咖啡色 啡色",
    "black": "黑色 黑 svart negro noir schwarz",
    "white": "白色 白 vit blanco blanc weiß",
    "grey": "灰色 灰 gray grå gris grau",
    "beige": "米色 米黄色 杏色",
}
MULTI = "multicolour"
MULTI_WORDS = (
    "multicolour multicolor multicoloured multicolored multi-colour multi-coloured multi-color "
    "multi multiple colourful colorful mixed several assorted patterned various "
    "多色 彩色 花色 拼色 五颜六色 混色 杂色 撞色"
)
# The basic colour that it is within, the shade, sRGB in hex, other words.
SHADES: tuple[tuple[str, str, str, str], ...] = (
    ("red", "red", "c8222a", ""),
    ("red", "scarlet", "e02c20", "猩红"),
    ("red", "crimson", "a8142e", "深红, 深红色"),
    ("red", "burgundy", "6e1a2c", "maroon, wine, bordeaux, 酒红, 酒红色, 枣红色"),
    ("red", "coral", "f0685a", "珊瑚色"),
    ("red", "brick", "9a3c2e", "砖红色, rust, 铁锈色"),
    ("orange", "orange", "f0861e", ""),
    ("orange", "tangerine", "e8641c", ""),
    ("orange", "apricot", "f8b06c", "peach"),
    ("yellow", "yellow", "f4d432", ""),
    ("yellow", "lemon", "f4ee7a", "柠檬黄"),
    ("yellow", "mustard", "cda032", "ochre, 芥末黄, 姜黄色"),
    ("yellow", "gold", "d8b04a", "golden, 金色, 金黄色"),
    ("green", "green", "4a983e", ""),
    ("green", "lime", "a4cc3c", "lime green, 青柠色"),
    ("green", "mint", "a8dcc0", "mint green, 薄荷绿"),
    ("green", "olive", "6c6c34", "olive green, army green, 橄榄绿, 军绿, 军绿色"),
    ("green", "dark green", "1c4a30", "forest green, bottle green, 深绿色, 墨绿色"),
    ("green", "emerald", "1c8c64", "翠绿, 翠绿色, 祖母绿"),
    ("green", "sage", "9cac8c", "豆绿色"),
    ("green", "leaf", "86a84c", "草绿色"),
    ("blue", "blue", "2c5cc0", ""),
    ("blue", "navy", "1e2848", "navy blue, dark blue, 深蓝色, 藏青色, 藏青, 海军蓝"),
    ("blue", "sky blue", "8cc0e8", "light blue, baby blue, 浅蓝色, 天蓝色"),
    ("blue", "turquoise", "38b4b8", "aqua, cyan, 青色, 绿松石色"),
    ("blue", "teal", "1c6c78", "petrol, 孔雀蓝, 蓝绿色"),
    ("blue", "denim", "4c6488", "denim blue, 牛仔蓝"),
    ("blue", "ice blue", "b8cede", ""),
    ("blue", "royal blue", "1c34a0", "cobalt, 宝蓝色"),
    ("purple", "purple", "682c82", ""),
    ("purple", "lilac", "bca0d0", "lavender, 淡紫色, 丁香紫"),
    ("purple", "plum", "5a2444", "aubergine, 紫红色, 深紫色"),
    ("purple", "indigo", "40347c", "靛蓝"),
    ("purple", "mauve", "94688c", ""),
    ("pink", "pink", "f28eb2", ""),
    ("pink", "pale pink", "ecc4c8", "light pink, blush, 浅粉色, rose quartz"),
    ("pink", "hot pink", "d8307c", "fuchsia, magenta, 玫红色, 桃红色"),
    ("pink", "dusty pink", "c48c94", "rose, 豆沙色"),
    ("pink", "salmon", "f09c90", "三文鱼色"),
    ("brown", "brown", "7a4c2e", ""),
    ("brown", "dark brown", "44302a", "chocolate, 深棕色, 巧克力色"),
    ("brown", "chestnut", "8c4828", ""),
    ("brown", "tan", "b4885c", "camel, 驼色, caramel, 焦糖色"),
    ("brown", "taupe", "7c6a5c", ""),
    ("black", "black", "222226", ""),
    ("black", "pure black", "080808", "jet black"),
    ("white", "white", "f3f1ec", ""),
    ("white", "off-white", "e8e2d4", "ivory, 米白色, 乳白色, 象牙白"),
    ("white", "shaded white", "d6d6d8", ""),
    ("grey", "grey", "8c8f93", ""),
    ("grey", "charcoal", "4a4c50", "dark grey, dark gray, anthracite, 深灰色, 炭灰色"),
    ("grey", "light grey", "b8babc", "light gray, silver, 浅灰色, 银色"),
    ("beige", "beige", "dec8a4", ""),
    ("beige", "khaki", "b0a07c", "卡其色, 卡其"),
    ("beige", "cream", "ece0c0", "cream-coloured, 奶油色"),
    ("beige", "sand", "c8b090", "沙色"),
)
# Fitted to garments, groceries and drawings (`benchmarks/photos/colours.py`): how wide a name is in
# Lab, how much light, chroma and hue count, and what has a name more or less often (log odds).
WIDTH = 9.8
LIGHT, CHROMA, HUE = 0.74, 1.02, 1.58
OFTEN = {"yellow": -0.7, "green": 0.66, "black": 0.57, "grey": 0.1, "beige": -0.2}


@dataclass(frozen=True, slots=True)
class Shade:
    """One shade: the basic colour that it is within, its name and its Lab."""

    basic: str
    name: str
    lab: tuple[float, float, float]


@cache
def shades() -> tuple[Shade, ...]:
    """Every shade, in the order of the table."""
    found = []
    for basic, name, code, _ in SHADES:
        lab = lab_of(np.array([int(code[at : at + 2], 16) for at in (0, 2, 4)], dtype=np.uint8))
        found.append(Shade(basic, name, (float(lab[0]), float(lab[1]), float(lab[2]))))
    return tuple(found)


@cache
def words() -> Choices:
    """Every word for a colour, of a shade or basic, by what it means."""
    meant = {word: basic for basic, others in BASIC.items() for word in others.split()}
    for basic, name, _, others in SHADES:
        if name != basic:
            meant |= {word: name for word in others.split(", ") if word}
    meant |= {word: MULTI for word in MULTI_WORDS.split()}
    return Choices([*BASIC, *(name for _, name, *_ in SHADES), MULTI], meant)


def shade_shares(lab_K3: Array) -> Array:
    """How likely each of K colours is called by each shade, (K, S); a row is 1 together."""
    known = np.array([shade.lab for shade in shades()], dtype=np.float32)
    often = np.array([OFTEN.get(shade.basic, 0.0) for shade in shades()], dtype=np.float32)
    odds = often - _apart(lab_K3[:, None], known[None]) / (2 * WIDTH**2)
    share = np.exp(odds - odds.max(axis=1, keepdims=True))
    return floats(share / share.sum(axis=1, keepdims=True))


def _apart(one: Array, other: Array) -> Array:
    """Squared distance after CIE94: of strong colours, chroma and hue count for less."""
    chroma = [np.hypot(lab[..., 1], lab[..., 2]) for lab in (one, other)]
    apart = chroma[0] - chroma[1]
    hue = (one[..., 1] - other[..., 1]) ** 2 + (one[..., 2] - other[..., 2]) ** 2 - apart**2
    mean = np.sqrt(chroma[0] * chroma[1])
    return floats(
        (LIGHT * (one[..., 0] - other[..., 0])) ** 2
        + (CHROMA * apart / (1 + 0.03 * mean)) ** 2
        + HUE * np.maximum(hue, 0) / (1 + 0.01 * mean) ** 2
    )
