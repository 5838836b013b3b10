"""How long the words can be that a pattern spells out; it knows no schema and no grammar.

A bound that a pattern keeps anyway costs a grammar dearly: each count of characters is another
state, in which every token has to be tried anew.
"""

from __future__ import annotations

import re

# One piece of a pattern: what spells itself, a mark behind a backslash, a group's edge, a choice,
# or how often the piece before it stands. What else there is, as a class of characters, is no word.
PIECE = re.compile(
    r"(?P<plain>[^\\\"\x00-\x1f\x7f-\x9f.^$*+?{}\[\]()|]+)"
    r"|(?P<escaped>\\ |\\[^\w\s\\\"\x00-\x1f\x7f-\x9f])"
    r"|(?P<opens>\((?:\?:)?(?!\?))|(?P<closes>\))|(?P<either>\|)"
    r"|(?P<times>\?|\{(?:\d{1,4},)?(?P<most>\d{1,4})\})"
)


def longest_word(pattern: str) -> int | None:
    """Characters of the longest text that `pattern` matches whole, where it only spells words.

    None for any other pattern, and for words that a JSON string would write with a backslash.
    """
    # Of each open group: its longest choice so far, this one, and what may be repeated of that.
    at, stack = 0, [(0, 0, 0)]
    while at < len(pattern):
        piece = PIECE.match(pattern, at)
        if piece is None:
            return None
        at = piece.end()
        longest, here, last = stack[-1]
        match piece.lastgroup:
            case "plain":
                stack[-1] = (longest, here + len(piece[0]), 1)
            case "escaped":
                stack[-1] = (longest, here + 1, 1)
            case "opens":
                stack.append((0, 0, 0))
                continue
            case "either":
                stack[-1] = (max(longest, here), 0, 0)
            case "closes":
                stack.pop()
                if not stack:
                    return None
                inner = max(longest, here)
                longest, here, _ = stack[-1]
                stack[-1] = (longest, here + inner, inner)
            case _ if last:
                more = last * (int(piece["most"] or 1) - 1)
                stack[-1] = (longest, here + max(more, 0), 0)
            case _:  # what is repeated is nothing, or was repeated already
                return None
    return None if len(stack) > 1 else max(stack[0][:2])
