"""What a CRF is told of each token: the word, its form, its neighbours, its group, known values."""

from __future__ import annotations

from collections.abc import Sequence

from workers.tagging.rows import TaggedRow
from workers.tagging.tokens import shape

EDGE = "<>"


def features_of(row: TaggedRow, known: Sequence[Sequence[str]]) -> list[list[str]]:
    """The features of every token; `known` are those of the gazetteer."""
    tokens, text, group = row.tokens, row.text, row.group
    words = [token.text.lower() for token in tokens]
    shapes = [shape(token.text) for token in tokens]
    padded = [EDGE, EDGE, *words, EDGE, EDGE]
    rows = []
    for at, token in enumerate(tokens):
        word, before, after = words[at], padded[at + 1], padded[at + 3]
        found = [
            "b",
            f"w={word}", f"s={shapes[at]}", f"w-1={before}", f"w+1={after}",
            f"w-2={padded[at]}", f"w+2={padded[at + 4]}",
            f"w-1,0={before}|{word}", f"w0,1={word}|{after}",
            f"p2={word[:2]}", f"p3={word[:3]}", f"e2={word[-2:]}", f"e3={word[-3:]}",
            f"pos={min(at, 4)}", f"end={min(len(tokens) - 1 - at, 3)}",
            f"g={group}", f"g,w={group}|{word}", f"g,s={group}|{shapes[at]}",
            f"g,pos={group}|{min(at, 3)}", f"g,w-1={group}|{before}", f"g,w+1={group}|{after}",
            f"third={3 * at // len(tokens)}",
        ]  # fmt: skip
        if at:
            found.append(f"s-1={shapes[at - 1]}")
            if token.start == tokens[at - 1].end:
                found.append("glued")
            found.append(f"s-1,0={shapes[at - 1]}|{shapes[at]}")
        if at + 1 < len(tokens):
            found.append(f"s+1={shapes[at + 1]}")
        inside = text.rfind("(", 0, token.start) > text.rfind(")", 0, token.start)
        if inside:
            found.append("inside")
        found += known[at]
        if at:
            found += [f"-1{name}" for name in known[at - 1] if name.startswith("gz")]
        if at + 1 < len(tokens):
            found += [f"+1{name}" for name in known[at + 1] if name.startswith("gz")]
        rows.append(found)
    return rows
