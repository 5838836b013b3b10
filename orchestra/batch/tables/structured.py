"""Google's structured title and description: a text with how it was made.

Form: support.google.com/merchants/answer/6324415. In feeds of tabs `trained_algorithmic_media:`
goes before the content, which stands in double quotes where it holds a colon or a quote; in XML
both are elements. How a quote within quotes is written the page does not say: it is doubled here.
"""

from __future__ import annotations

import json
from typing import Any

AI = "trained_algorithmic_media"
KINDS = (AI, "default")
STRUCTURED = ("structured_title", "structured_description")


def structured(cell: str) -> tuple[str, bool]:
    """The content of a cell, and whether it says that generative AI wrote it."""
    kind, colon, content = cell.strip().partition(":")
    if colon and (kind in KINDS or not kind):
        return _unquoted(content), kind == AI
    if cell.startswith("{"):
        found = _object(cell)
        if found is not None:
            return found
    return _unquoted(cell.strip()), False


def structured_cell(content: str) -> str:
    """The cell of a text that generative AI wrote."""
    quoted = '"' + content.replace('"', '""') + '"'
    return f"{AI}:{quoted}"


def _object(cell: str) -> tuple[str, bool] | None:
    try:
        parts: Any = json.loads(cell)
    except ValueError:
        return None
    if not isinstance(parts, dict) or not isinstance(parts.get("content"), str):
        return None
    return parts["content"], parts.get("digital_source_type") == AI


def _unquoted(text: str) -> str:
    if len(text) > 1 and text[0] == text[-1] == '"':
        return text[1:-1].replace('""', '"')
    return text
