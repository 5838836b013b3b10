"""Writes a response schema as an llguidance grammar; knows no tokenizer and no model.

The answer is compact JSON: keys in schema order, all present, none else, no spaces. A span
is any run of whole words of one clause of the call's text, so it can only quote.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from llguidance import LLMatcher, regex_to_lark

from orchestra.core.errors import AnswerInvalid, InvalidSchema
from workers.decoding.finite import longest_word
from workers.decoding.shape import MAX_FRACTION_DIGITS, MAX_INTEGER_DIGITS, ValueShape, read_schema

# Scripts without spaces between words: there each character is a word of its own.
UNSPACED = r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
CHUNK = re.compile(rf"[{UNSPACED}]|(?:(?![{UNSPACED}])\w)+|[^\w]")
# A span runs over no label and into no next clause: "brand: X; made of: Y".
CLAUSE_END = re.compile(r"[^\s,;:：，；。]{1,20}[:：]|[\n;；。！？|，]")
CHAR = r'(?:[^"\\\x00-\x1F\x7F-\x9F]|\\["\\nt])'
PLAIN_CHAR = r'[^"\\\x00-\x1F\x7F-\x9F]'
# Few enough integers are simply listed, which holds both bounds exactly.
LISTED_INTEGERS = 1000


@dataclass(frozen=True, slots=True)
class Grammar:
    """A schema as a grammar: `lark` is its text, `shape` what its answers look like."""

    lark: str
    shape: ValueShape

    def check(self, value: Any) -> None:
        """Raise AnswerInvalid where a number breaks a bound that the grammar only nears."""
        for name, options in self.shape.properties:
            if not any(_within(value[name], option) for option in options):
                raise AnswerInvalid(
                    f"{name!r} is {value[name]!r}, outside the schema's bounds "
                    f"{[(o.least, o.most) for o in options]!r}. Widen them or ask another model."
                )


def compile_schema(schema: Mapping[str, Any], text: str | None = None) -> Grammar:
    """The grammar of `schema`; spans are taken from `text` (sanitised).

    Raises InvalidSchema where a keyword cannot be held, or a span that may not be null is
    asked of an empty text.
    """
    shape = read_schema(schema)
    writer = _Writer(text or "")
    start = writer.object(shape)
    lark = "\n".join([f"start: {start}", *writer.terminals.values()])
    try:
        lark.encode()
    except UnicodeEncodeError as error:
        raise InvalidSchema(
            f"The schema holds {lark[error.start]!r}, half of a character. Repair its encoding."
        ) from error
    return Grammar(lark, shape)


def words_of(line: str) -> list[str]:
    """`line` cut into words, marks and spaces; joined they are `line` again."""
    return CHUNK.findall(line)


@dataclass(slots=True)
class _Writer:
    text: str
    terminals: dict[str, str] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    spans: dict[tuple[int, int], str] = field(default_factory=dict)

    def object(self, shape: ValueShape) -> str:
        parts = []
        for at, (name, options) in enumerate(shape.properties):
            key = f"{',' if at else '{'}{_json(name)}:"
            parts += [json.dumps(key, ensure_ascii=False), self.value(options)]
        return " ".join([*parts, '"}"'])

    def value(self, options: tuple[ValueShape, ...]) -> str:
        """Alternatives as a rule; those a text cannot give are left out."""
        written = [rule for rule in map(self._option, options) if rule]
        if not written:
            raise InvalidSchema(
                "A span is asked of a text without words. Allow null, or give the call a text."
            )
        return written[0] if len(written) == 1 else f"({' | '.join(written)})"

    def _option(self, shape: ValueShape) -> str:
        match shape.kind:
            case "object":
                return f"({self.object(shape)})"
            case "array":
                return self._array(shape)
            case "span":
                return self._span(shape)
            case "enum":
                return self._terminal(" | ".join(_literal(value) for value in shape.values))
            case "string":
                return self._terminal(_string(shape))
            case "integer" | "number":
                return self._terminal(_number(shape))
            case "boolean":
                return self._terminal('"true" | "false"')
            case _:
                return '"null"'

    def _array(self, shape: ValueShape) -> str:
        least, most = int(shape.least or 0), int(shape.most or 0)
        if not most:
            return '"[]"'
        item = self.value(shape.items)
        more = f' ("," {item}){{{max(least - 1, 0)},{most - 1}}}' if most > 1 else ""
        listed = f"{item}{more}"
        return f'("[" {listed} "]")' if least else f'("[" ({listed})? "]")'

    def _span(self, shape: ValueShape) -> str:
        bounds = (max(int(shape.least or 0), 1), int(shape.most or 0))
        if bounds not in self.spans:
            self.spans[bounds] = self._runs_of_words(*bounds)
        return self.spans[bounds]

    def _runs_of_words(self, least: int, most: int) -> str:
        lines = dict.fromkeys(part for part in CLAUSE_END.split(self.text) if part.strip())
        if not lines or most < least:
            return ""
        runs = [self._terminal(_run(line)) for line in lines]
        if most == 1:
            edges = r"/\S/"
        elif least == 1 and max(map(len, lines)) <= most:
            edges = r"/\S(.*\S)?/"  # a run is no longer than its line: there is nothing to count
        elif least == 1:
            edges = rf"/\S(.{{0,{most - 2}}}\S)?/"
        else:
            edges = rf"/\S.{{{least - 2},{most - 2}}}\S/"
        return self._terminal(rf'"\"" (({" | ".join(runs)}) & {edges}) "\""')

    def _terminal(self, body: str) -> str:
        """Name `body` once, however often it is used: equal lexemes are shared."""
        if body not in self.names:
            name = f"T{len(self.names)}"
            self.names[body] = name
            self.terminals[name] = f"{name}: {body}"
        return self.names[body]


def validate(grammar: Grammar, matcher: LLMatcher) -> None:
    """Raise InvalidSchema when llguidance refused the grammar (a pattern it cannot read)."""
    if matcher.is_error():
        reason = matcher.get_error().strip().splitlines()[0]
        patterns = [o.pattern for _, options in grammar.shape.properties for o in options]
        raise InvalidSchema(
            f"The schema gives no grammar: {reason!r} (patterns: "
            f"{[p for p in patterns if p]!r}). Simplify the pattern or lower the lengths."
        )


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _literal(value: Any) -> str:
    return json.dumps(_json(value), ensure_ascii=False)


def _run(line: str) -> str:
    return "%regex " + json.dumps({"substring_chunks": words_of(line)}, ensure_ascii=False)


def _string(shape: ValueShape) -> str:
    least, most = int(shape.least or 0), int(shape.most or 0)
    if shape.pattern is None:
        return rf'"\"" /{CHAR}{{{least},{most}}}/ "\""'
    body = shape.pattern
    body = body[1:] if body.startswith("^") else f"(?s:.*)(?:{body})"
    ends = body.endswith("$") and not body.endswith(r"\$")
    body = f"(?:{body[:-1]})" if ends else f"(?:{body})(?s:.*)"
    try:
        escaped = regex_to_lark(body, "dw")
    except ValueError as error:
        raise InvalidSchema(
            f"pattern {shape.pattern!r} cannot be read: {error}. Use plain regex without "
            "lookaround or back-references."
        ) from error
    longest = longest_word(body)
    if longest is not None and longest <= most and not least:
        return rf'"\"" /{escaped}/ "\""'
    return rf'"\"" (/{escaped}/ & /{PLAIN_CHAR}{{{least},{most}}}/) "\""'


def _number(shape: ValueShape) -> str:
    sign = "" if shape.least is not None and shape.least >= 0 else "-?"
    if shape.kind == "integer" and shape.least is not None and shape.most is not None:
        low, high = int(-(-shape.least // 1)), int(shape.most // 1)
        low += shape.open_least and low == shape.least
        high -= shape.open_most and high == shape.most
        if high < low:
            raise InvalidSchema(
                f"No integer lies between {shape.least!r} and {shape.most!r}. Widen the bounds."
            )
        if high - low < LISTED_INTEGERS:
            return " | ".join(f'"{number}"' for number in range(low, high + 1))
    digits = MAX_INTEGER_DIGITS
    if shape.most is not None and shape.least is not None:
        digits = max(len(str(int(abs(shape.most)))), len(str(int(abs(shape.least)))))
    whole = rf"{sign}(0|[1-9][0-9]{{0,{digits - 1}}})"
    return (
        f"/{whole}/"
        if shape.kind == "integer"
        else (rf"/{whole}(\.[0-9]{{1,{MAX_FRACTION_DIGITS}}})?/")
    )


def _within(value: Any, shape: ValueShape) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if shape.kind not in ("integer", "number"):
        return not is_number or shape.kind == "enum"
    if not is_number:
        return False
    return shape.is_within(value)
