"""Which facts a written listing states, and whether its inputs support them.

An independent judge of `benchmarks.listing_copy`: it knows no recipe and shares no code or words
with what writes and checks listings in the library. It takes a text apart into the product's
name and brand, amounts, countries, colours, kinds of product, and all other words. A word that it
does not know, and that the input does not hold, is a fact without support.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Literal

Verdict = Literal["supported", "unsupported", "unknown"]
COLOURS = {
    "red": "红", "orange": "橙", "yellow": "黄", "green": "绿", "blue": "蓝", "purple": "紫",
    "pink": "粉", "brown": "棕", "black": "黑", "white": "白", "grey": "灰", "beige": "米色",
}  # fmt: skip
COUNTRIES = {
    "Argentina": "阿根廷", "Australia": "澳大利亚", "Belgium": "比利时", "Brazil": "巴西",
    "Chile": "智利", "China": "中国", "Colombia": "哥伦比亚", "Costa Rica": "哥斯达黎加",
    "Denmark": "丹麦", "Ecuador": "厄瓜多尔", "Egypt": "埃及", "Finland": "芬兰", "France": "法国",
    "Germany": "德国", "Greece": "希腊", "Israel": "以色列", "Italy": "意大利", "Japan": "日本",
    "Kenya": "肯尼亚", "Mexico": "墨西哥", "Morocco": "摩洛哥", "Netherlands": "荷兰",
    "New Zealand": "新西兰", "Norway": "挪威", "Peru": "秘鲁", "Poland": "波兰",
    "Portugal": "葡萄牙", "South Africa": "南非", "Spain": "西班牙", "Sweden": "瑞典",
    "Thailand": "泰国", "Turkey": "土耳其", "USA": "美国", "Vietnam": "越南",
}  # fmt: skip
KINDS = {
    "Apple": "苹果", "Asparagus": "芦笋", "Aubergine": "茄子", "Avocado": "牛油果",
    "Banana": "香蕉", "Cabbage": "卷心菜", "Carrots": "胡萝卜", "Cucumber": "黄瓜",
    "Garlic": "大蒜", "Ginger": "生姜", "Juice": "果汁", "Kiwi": "猕猴桃", "Leek": "韭葱",
    "Lemon": "柠檬", "Lime": "青柠", "Mango": "芒果", "Melon": "甜瓜", "Milk": "牛奶",
    "Mushroom": "蘑菇", "Nectarine": "油桃", "Oat Milk": "燕麦奶", "Oatghurt": "燕麦酸奶",
    "Onion": "洋葱", "Orange": "橙子", "Papaya": "木瓜", "Passion Fruit": "百香果",
    "Peach": "桃子", "Pear": "梨", "Pepper": "甜椒", "Pineapple": "菠萝", "Plum": "李子",
    "Pomegranate": "石榴", "Potato": "土豆", "Red Beet": "甜菜根", "Red Grapefruit": "红西柚",
    "Satsumas": "蜜橘", "Sour Cream": "酸奶油", "Sour Milk": "酸乳", "Soy Milk": "豆奶",
    "Soyghurt": "大豆酸奶", "Tomato": "番茄", "Yoghurt": "酸奶", "Zucchini": "西葫芦",
    "dress": "连衣裙", "hat": "帽子", "longsleeve": "长袖衫", "outwear": "外套", "pants": "裤子",
    "shirt": "衬衫", "shoes": "鞋子", "shorts": "短裤", "skirt": "半身裙", "t-shirt": "T恤",
}  # fmt: skip
# Words that claim nothing of a product.
PLAIN = {
    "a", "an", "the", "is", "are", "it", "they", "this", "these", "here", "meet", "from", "come",
    "comes", "of", "in", "and", "with", "brand", "origin", "colour", "material", "quantity",
}  # fmt: skip
PLAIN_ZH = (
    "为您带来", "这是", "产自", "颜色为", "材质为", "品牌为",
    "品牌", "产地", "颜色", "材质", "规格", "色", "的", "和", "是",
)  # fmt: skip
AMOUNT = re.compile(r"(?:ca\.?\s*)?\d+(?:[.,]\d+)?\s*(?:kg|g|ml|cl|dl|l|%)?(?![A-Za-z])", re.I)
WORD = re.compile(r"[^\W\d_\u3400-\u9fff]+(?:['’-][^\W\d_\u3400-\u9fff]+)*")
HAN = re.compile(r"[\u3400-\u9fff]+")
SENTENCE = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])")


@dataclass(frozen=True, slots=True)
class Claim:
    """One fact that a text states: its kind, its words, and whether the inputs support it."""

    kind: str
    words: str
    verdict: Verdict


def claims(
    text: str, given: str, truth: Mapping[str, str | None], names: Iterable[str]
) -> Iterator[Claim]:
    """The facts that `text` states of a product, which the input calls by one of `names`.

    `given` is the input text, `truth` holds what is known of category, colour, origin and brand.
    """
    names = sorted(filter(None, names), key=len, reverse=True)
    held = _flat(given)
    for sentence in filter(None, map(str.strip, SENTENCE.split(text))):
        if len(sentence.split()) > 3 and _flat(sentence).rstrip(".。") in held:
            yield Claim("quote", sentence, "supported")
            continue
        left = sentence
        brand = truth.get("brand")
        for kind, words in [
            *(("name", name) for name in names),
            *([("brand", brand)] if brand else []),
        ]:
            if _flat(words) in _flat(left):
                yield Claim(kind, words, "supported")
                left = re.sub(re.escape(words), " ", left, flags=re.I)
        yield from _amounts(left, held)
        left = AMOUNT.sub(" ", left)
        for kind, lexicon, known in (
            ("origin", COUNTRIES, truth.get("origin")),
            ("category", KINDS, truth.get("category")),
            ("colour", COLOURS, truth.get("colour")),
        ):
            for term in _found(left, tuple(lexicon.items())):
                if kind == "category" and term == "Orange" and known != term:
                    continue  # the word is a colour, too, and is judged as one below
                verdict = _verdict(kind, term, lexicon, known, held)
                yield Claim(kind, term, verdict)
                left = _without(left, term, lexicon[term])
        yield from _rest(left, held)


def _amounts(text: str, held: str) -> Iterator[Claim]:
    squeezed = held.replace(" ", "")
    for found in AMOUNT.finditer(text):
        is_held = re.sub(r"\s", "", found[0]).casefold() in squeezed
        yield Claim("quantity", found[0].strip(), "supported" if is_held else "unsupported")


def _verdict(
    kind: str, term: str, lexicon: Mapping[str, str], known: str | None, held: str
) -> Verdict:
    """By what is known to be true; else by the input's words; a colour may be the photo's."""
    if known is not None and term.casefold() == known.casefold():
        return "supported"
    says = bool(_pattern(term).search(held)) or lexicon[term] in held
    if kind == "category" and known is not None:
        return "unsupported"  # a kind that is merely mentioned is not what the product is
    if says:
        return "supported"
    return "unknown" if kind == "colour" and known is None else "unsupported"


def _found(text: str, lexicon: tuple[tuple[str, str], ...]) -> Iterator[str]:
    """Terms in `text`, longer ones first, a place counted once."""
    left = text
    for term, zh in sorted(lexicon, key=lambda pair: -len(pair[0])):
        if _pattern(term).search(left) or _han_holds(left, zh, lexicon):
            yield term
            left = _without(left, term, zh)


def _han_holds(text: str, zh: str, lexicon: tuple[tuple[str, str], ...]) -> bool:
    """Whether Chinese `zh` stands in `text` other than inside a longer term."""
    for longer in sorted((other for _, other in lexicon if zh in other and zh != other), key=len):
        text = text.replace(longer, " ")
    return zh in text


def _without(text: str, term: str, zh: str) -> str:
    return _pattern(term).sub(" ", text).replace(f"{zh}色", " ").replace(zh, " ")


@cache
def _pattern(term: str) -> re.Pattern[str]:
    plain = re.escape(term.casefold().removesuffix("es").removesuffix("s"))
    return re.compile(rf"(?<![^\W_]){plain}(?:e?s)?(?![^\W_])", re.I)


def _rest(text: str, held: str) -> Iterator[Claim]:
    words = set(WORD.findall(held))
    for word in WORD.findall(text):
        low = word.casefold()
        if low not in PLAIN:
            yield Claim("word", word, "supported" if low in words else "unsupported")
    for run in HAN.findall(text):
        for plain in PLAIN_ZH:
            run = run.replace(plain, " ")
        for piece in run.split():
            yield Claim("word", piece, "supported" if piece in held else "unsupported")


def _flat(text: str) -> str:
    """As texts are compared: no case, single spaces; quotes as data carries them."""
    text = text.replace("\xa0", " ").replace('"', "'").replace("\\", "/")
    return " ".join(text.casefold().split())
