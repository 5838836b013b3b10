"""Reads a cell as its writer meant it: Excel's `="007"`, text that was encoded twice, a mark of
encoding where files were joined. Pure."""

from __future__ import annotations

import re

FORMULA_TEXT = re.compile(r'\s*="+([^"]*)"+\s*')
TWICE = re.compile(
    "[Â-ß][\x80-\xbf€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ]|[à-ôâ][\x80-¿€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ]{2}"
)
MARK = "\ufeff"
FOOTNOTE = re.compile(r"[A-ZÀ-ß][¹²³](?![\w€‚„…†‡ˆ‰‹])")


def as_meant(cell: str) -> str:
    """The cell's text; the same where nothing is wrong with it."""
    if cell.startswith("=") or '="' in cell[:4]:
        found = FORMULA_TEXT.fullmatch(cell)
        if found is not None:
            return found[1]
    return cell if cell.isascii() else undone(cell.lstrip(MARK))


def undone(text: str) -> str:
    """`text` without a second encoding: `GrÃ¼n` is `Grün`."""
    if not TWICE.search(text) or (FOOTNOTE.search(text) and len(TWICE.findall(text)) == 1):
        return text
    import ftfy  # few tables need it, and all would wait for it

    return ftfy.fix_encoding(text)
