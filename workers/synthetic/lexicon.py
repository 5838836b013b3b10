"""The words that synthetic products are made of; knows the recipe, not the tasks.

Values, translations and synonyms come from the default recipe, so training and use agree.
Everything else here is written for this project; names are invented from syllables, and a
tenth of them is never trained on.
"""

from __future__ import annotations

import random
import re
import zlib
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import yaml

from orchestra.core import shipped

Split = Literal["train", "heldout"]
HAN = re.compile(r"[\u4e00-\u9fff]")


def _words(text: str) -> list[str]:
    return text.split()


CLOTHING = [
    "dress",
    "hat",
    "longsleeve",
    "outwear",
    "pants",
    "shirt",
    "shoes",
    "shorts",
    "skirt",
    "t-shirt",
]  # the rest are groceries
DRINKS_AND_DAIRY = (
    "Juice",
    "Milk",
    "Oat Milk",
    "Oatghurt",
    "Sour Cream",
    "Sour Milk",
    "Soy Milk",
    "Soyghurt",
    "Yoghurt",
)
PLURAL = ("Satsumas", "Carrots", "pants", "shoes", "shorts")
MASS = (*DRINKS_AND_DAIRY, "Garlic", "Ginger", "Asparagus", "outwear")

OTHER_PRODUCTS = {  # what no category covers: the model must say null
    "en": _words(
        """
    lamp chair notebook coffee tea bread cheese butter rice pasta soap candle mug pencil towel
    pillow backpack umbrella phone charger kettle knife honey chocolate salt flour shampoo
    toothpaste blanket watch wallet camera speaker vase puzzle doll
    """
    ),
    "zh": _words(
        """
    台灯 椅子 笔记本 咖啡 茶叶 面包 奶酪 大米 面条 肥皂 蜡烛 杯子 铅笔 毛巾 枕头 背包
    雨伞 手机 充电器 水壶 蜂蜜 巧克力 食盐 面粉 洗发水 牙膏 毯子 手表 钱包 相机 音箱
    """
    ),
}
PLACES = {  # countries beside the recipe's glossary, and Swedish names of some
    "en": _words(
        """
    Iran Serbia Croatia Tunisia Uruguay Honduras Latvia Estonia Senegal Ghana Nepal Danmark
    Norge Finland Spanien Italien Tyskland Frankrike Nederländerna Polen
    """
    ),
    "zh": _words(
        """
    伊朗 塞尔维亚 突尼斯 乌拉圭 新疆 云南 山东 海南 广西 四川 陕西 黑龙江 内蒙古 福建
    """
    ),
}
ADJECTIVES = _words(
    """
    sweet juicy firm soft crisp mild rich fresh creamy smooth light tender crunchy classic
    simple natural small large round long thin thick warm cool bright pleasant delicate nutty
    tart sour hearty plain modern casual elegant loose slim durable lovely popular aromatic
    fruity velvety fine ripe organic traditional handy sturdy quiet honest
    """
)
NOUNS = _words(
    """
    salad soup breakfast snack dessert picnic sauce grill oven sandwich lunch dinner kitchen
    family party summer winter spring autumn office weekend city beach holiday garden market
    cake pie stew smoothie porridge pasta curry cheese tray table walk evening morning school
    """
)
PARTS = [
    "pulp",
    "flesh",
    "core",
    "seeds",
    "texture",
    "stalk",
    "leaves",
    "kernel",
    "inside",
    "base",
    "stitching",
    "lining",
]
SKINS = ["peel", "skin", "shell", "rind", "surface", "outside"]
VARIETY_WORDS = _words(
    """
    Classic Royal Golden Natural Original Organic Smooth Premium Light Family Mild Extra Super
    Grand Little Sunny Nordic Alpine Summer Winter Lady Prince Queen Star Gold Fresh Daily Urban
    Slim Basic Regular Vintage Sport Relaxed Delight Cream Garden Valley Vanilla Strawberry
    Ecological Lactose Free-range Standard Medium Morning Sweet Baby Beef Vine
    """
)
SMALL_WORDS = _words(
    """
    the a an of and is are with in for to it can be used as very but also not from which has more
    than its that this may on or when most both each well often usually rather some other makes
    """
)
SWEDISH = _words(
    """
    naturell ekologisk färsk med utan och från koncentrat fruktkött jordgubb vanilj blåbär
    hallon laktosfri mild berikad svensk kruka påse burk klass odlad skivad rökt stor liten
    """
)
ZH_NAME_CHARS = (
    "阳光金红绿清甜鲜香田园山水云海星月春夏秋冬新东南西北华丽雅优品佳美乐福安康源泉天地谷丰"
    "果林森原野青翠玉珍宝皇冠公主王子小大嘉禾瑞祥和顺达美悦尚简约经典百年老街河湖江岸晨露雪"
    "花语木石火风雷雨晴空蓝银紫粉白黑棕米兰若思远方向阳葵荷梅竹菊松柏桂枫榕枣杏李桃梨橙柚"
)
ZH_ADJECTIVES = _words(
    """
    口感清甜 汁水丰富 果肉细腻 味道浓郁 质地柔软 香气宜人 营养丰富 做工精细 版型修身
    穿着舒适 简约大方 轻薄透气 手感柔软 爽脆可口 酸甜适中 奶香浓郁 入口顺滑 适合日常
    耐穿耐洗 款式经典
    """
)
ZH_USES = _words(
    """
    凉拌 炖汤 早餐 下午茶 烘焙 沙拉 榨汁 火锅 炒菜 上班 旅行 约会 运动 居家 送礼 野餐
    """
)


@dataclass(frozen=True, slots=True)
class Term:
    """One allowed value of a choice field: its zh name and what texts call it."""

    value: str
    zh: str
    latin: tuple[str, ...]
    han: tuple[str, ...]


@cache
def recipe() -> dict[str, Any]:
    """The default listing recipe as plain data."""
    text = (shipped.ROOT / "graphs" / "recipes" / "listing.yaml").read_text(encoding="utf-8")
    return yaml.safe_load(text)


@cache
def choices(field: str) -> dict[str, Term]:
    """The allowed values of a choice field of the default recipe, by value."""
    values = recipe()["fields"][field]["values"]
    found = {}
    for value, entry in values.items():
        words = [value, entry["zh"], *entry["synonyms"]]
        latin = tuple(dict.fromkeys(w for w in words if not HAN.search(w)))
        han = tuple(dict.fromkeys(w for w in words if HAN.search(w)))
        found[value] = Term(value, entry["zh"], latin, han)
    return found


def countries(lang: str) -> list[str]:
    """Country names a text in `lang` may hold."""
    glossary = recipe()["glossary"]
    known = list(glossary) if lang == "en" else list(glossary.values())
    return known * 2 + PLACES[lang]


ONSETS = _words(
    """
    b br c ch d dr f fl g gr h j k kl l m n p pr qu r s sk st t tr v w z
    """
)
VOWELS = ["a", "e", "i", "o", "u", "ai", "ea", "ie", "oo", "y", "å", "ö"]
CODAS = ["", "", "n", "r", "l", "s", "x", "ck", "nd", "rt", "lm", "th", "m", "t"]


def _syllable(rng: random.Random) -> str:
    return rng.choice(ONSETS) + rng.choice(VOWELS[: rng.choice((5, 12))]) + rng.choice(CODAS)


def _is_heldout(word: str) -> bool:
    return zlib.crc32(word.lower().encode()) % 10 == 0


def invented(rng: random.Random, lang: str, split: Split) -> str:
    """A made-up word; those of the two splits never meet."""
    while True:
        if lang == "zh":
            is_rare = rng.random() < 0.12  # characters that the vocabulary spells in bytes
            pool = [chr(rng.randint(0x4E00, 0x9FA5)) for _ in range(3)] if is_rare else None
            word = "".join(rng.choices(pool or ZH_NAME_CHARS, k=rng.choice((2, 2, 3))))
        else:
            word = "".join(_syllable(rng) for _ in range(rng.choice((1, 2, 2, 3)))).capitalize()
        if _is_heldout(word) == (split == "heldout"):
            return word


def brand_name(rng: random.Random, lang: str, split: Split) -> str:
    """A made-up brand of one or two words, sometimes in capitals."""
    word = invented(rng, lang, split)
    if lang == "zh":
        return word + rng.choice(("", "", "牌", "果园", "乳业", "服饰"))
    second = rng.choice(("", "", "", " Farm", " & Co", " Eko", " " + invented(rng, lang, split)))
    return (word + second).upper() if rng.random() < 0.3 else word + second


def odd_sentence(rng: random.Random, lang: str, split: Split) -> str:
    """A sentence without sense: whoever repeats it must copy, as no grammar foretells it."""
    if lang == "zh":
        parts = ["".join(rng.choices(ZH_NAME_CHARS, k=rng.randint(2, 7))) for _ in range(3)]
        return "，".join(parts[: rng.randint(1, 3)]) + "。"
    pools = (SMALL_WORDS, SMALL_WORDS, ADJECTIVES, NOUNS, PARTS, SWEDISH, OTHER_PRODUCTS["en"])
    words = [rng.choice(rng.choice(pools)) for _ in range(rng.randint(3, 16))]
    for at in range(len(words)):
        if rng.random() < 0.15:
            word = invented(rng, "en", split)
            words[at] = word if rng.random() < 0.4 else word.lower()
    if len(words) > 6 and rng.random() < 0.5:
        words[rng.randint(2, len(words) - 3)] += ","
    text = " ".join(words)
    return text[:1].upper() + text[1:] + "."
