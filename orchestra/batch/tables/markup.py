"""Turns a cell into the words that it says: HTML read by a parser, filler and labels left out.

Pure. What is no markup stays as it is: `a < b`, `<3` and `32"` are text.
"""

from __future__ import annotations

import html
import re
from html.parser import HTMLParser

BLOCK_TAGS = """
address article aside blockquote br caption dd details div dl dt fieldset figcaption figure footer
form h1 h2 h3 h4 h5 h6 header hr li main nav ol option p pre section summary table tbody tfoot thead
title tr ul
"""
INLINE_TAGS = """
a abbr acronym area b base bdi bdo big body button center cite code col colgroup data del dfn em
embed font html i iframe img input ins kbd label link map mark meta o:p param picture q s samp small
source span strike strong sub sup time tt u var video wbr
"""
SILENT_TAGS = "head math noscript object script select style svg template textarea"
BLOCKS, SILENT = frozenset(BLOCK_TAGS.split()), frozenset(SILENT_TAGS.split())
INLINE, CELLS = frozenset(INLINE_TAGS.split()), frozenset(("td", "th"))
TAGS = BLOCKS | CELLS | INLINE | SILENT
TAG = re.compile(
    rf"<!--|<!doctype|</?(?:{'|'.join(map(re.escape, sorted(TAGS, key=len, reverse=True)))})"
    r"(?=[\s/>])",
    re.IGNORECASE,
)
ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
MOST_DECODED = 3  # times that entities were written as text of other entities
INVISIBLE = dict.fromkeys(map(ord, "\u00ad\u200b\u2060\ufeff"))
FILLER = re.compile(
    r"[\W_]*(?:n/?a|none|null|nil|nan|undefined|tbd|tba|todo|dummy text|default title|"
    r"no description(?: available)?|description(?: goes here| here| coming soon)|coming soon|"
    r"your (?:text|description|content)(?: goes)? here|暂无(?:描述|简介)?|无|待补充|说明文字"
    r")?[\W_]*",
    re.IGNORECASE,
)
# Words of the placeholder that printers have used since 1500.
LATIN = """
lorem ipsum dolor sit amet consectetur consectetuer adipiscing adipisicing elit sed eiusmod tempor
incididunt labore dolore magna aliqua aliquam enim minim veniam quis nostrud exercitation ullamco
laboris nisi aliquip commodo consequat duis aute irure reprehenderit voluptate velit esse cillum
fugiat nulla pariatur excepteur sint occaecat cupidatat proident sunt culpa officia deserunt mollit
anim laborum diam nonummy nibh euismod tincidunt laoreet erat volutpat wisi suscipit lobortis iriure
vel eum hendrerit vulputate molestie illum eu feugiat facilisis vero eros accumsan iusto odio
dignissim ut et in ad id est non qui do a ex ea
"""
LOREM = frozenset(LATIN.split())
LOREM_STARTS = re.compile(r"\b(?:lorem[\s,]+ipsum|dolor[\s,]+sit[\s,]+amet)\b", re.IGNORECASE)
# Sentences of the shop and not of the product; one that says more, after a comma, stays.
SHOP_TALK = re.compile(
    r"(?:free (?:worldwide |uk |us |express )?(?:shipping|delivery|returns?)"
    r"|ships? (?:within|in) \d"
    r"|(?:fast|same[- ]day) (?:shipping|delivery|dispatch)|add to (?:cart|basket|bag)"
    r"|buy now|shop now"
    r"|(?:read|learn|show) more|click here"
    r"|(?:see|view) (?:more|our|the) (?:details|size|shipping)"
    r"|(?:\d+[- ]days? )?(?:money[- ]back|returns? (?:policy|accepted|within))|all rights reserved"
    r"|terms (?:and|&) conditions|(?:contact|call|email) us|follow us|subscribe to|share this"
    r"|images? (?:are |is )?for illustration|colou?rs? may (?:vary|differ|appear)"
    r"|包邮|免运费|全场包邮|[七7]天无理由|加入购物车|立即购买|关注店铺|联系客服|图片仅供参考)",
    re.IGNORECASE,
)
SHOP_SENTENCE = re.compile(rf"\W*{SHOP_TALK.pattern}[^,;:，；：]{{0,60}}", re.IGNORECASE)
WORD = re.compile(r"[^\W\d_]+")
SENTENCE = re.compile(r"[^.!?。！？]+[.!?。！？]*\s*")


def words_of(cell: str, label: str = "") -> str:
    """The text of a cell, a line a block of its HTML; "" where it says nothing.

    A cell that repeats the `label` of its column loses it, and filler is none.
    """
    text = _without_markup(cell)
    lines = [" ".join(line.split()) for line in text.split("\n")]
    kept = [line for line in map(_without_filler, lines) if line]
    text = _without_label("\n".join(kept), label)
    return "" if FILLER.fullmatch(text) else text


def _without_markup(cell: str) -> str:
    """Blocks on lines of their own; line ends of what is no markup are spaces."""
    text = cell
    if "&" in text and not TAG.search(text):
        text = _decoded(text)  # markup may have been written as entities
    if "<" in text and TAG.search(text):
        reader = _ShownText()
        reader.feed(text)
        reader.close()
        text = _decoded(reader.text)
        if TAG.search(text):  # it was escaped inside what was markup already
            reader = _ShownText()
            reader.feed(text)
            reader.close()
            text = reader.text
    else:
        text = text.replace("\n", " ").replace("\r", " ")
    return text if text.isascii() else text.translate(INVISIBLE).replace("\xa0", " ")


def _decoded(text: str) -> str:
    """Entities as what they stand for, also where they were written twice."""
    for _ in range(MOST_DECODED):
        if not ENTITY.search(text):
            break
        text = ENTITY.sub(lambda found: html.unescape(found[0]), text)
    return text


class _ShownText(HTMLParser):
    """Gathers what a browser would show; tags of no HTML are text as they stand."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._parts: list[str] = []
        self._silent: list[str] = []

    @property
    def text(self) -> str:
        return "".join(self._parts)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in SILENT:
            self._silent.append(tag)
        elif tag in BLOCKS:
            self._parts.append("\n")
        elif tag in CELLS:
            self._parts.append(" ")
        elif tag not in TAGS and not self._silent:
            self._parts.append(self.get_starttag_text() or "")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in SILENT:
            self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        if tag in self._silent:
            while self._silent and self._silent.pop() != tag:
                pass
        elif tag in BLOCKS:
            self._parts.append("\n")

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self._parts.append(data.replace("\n", " ").replace("\r", " "))


def _without_filler(line: str) -> str:
    """A line without sentences of placeholder Latin, and of the shop alone."""
    has_lorem, has_shop = LOREM_STARTS.search(line), SHOP_TALK.search(line)
    if not has_lorem and not has_shop:
        return line
    kept = [
        sentence
        for sentence in SENTENCE.findall(line)
        if not (has_lorem and _is_lorem(sentence))
        and not (has_shop and SHOP_SENTENCE.fullmatch(sentence))
    ]
    return "".join(kept).strip()


def _is_lorem(sentence: str) -> bool:
    words = [word.casefold() for word in WORD.findall(sentence)]
    return bool(words) and sum(word in LOREM for word in words) * 3 >= len(words) * 2


def _without_label(text: str, label: str) -> str:
    """`Description: green` in the column of descriptions is `green`."""
    name = label.strip().casefold()
    if not name or not text.casefold().startswith(name):
        return text
    rest = text[len(name) :].lstrip()
    if not rest:
        return ""
    return rest[1:].lstrip() if rest[0] in ":：" else text
