"""What stands in braces in a prompt: `{language}` is filled in, and `{{word}}` is sent as `{word}`.

Anything else in braces was meant to be filled by whoever wrote the prompt. JSON and LaTeX in a
prompt are left alone.
"""

from __future__ import annotations

import re

KNOWN = "language"
# A word alone in braces; not `{{word}}`, `\text{word}`, `x_{word}` or `${word}`.
UNFILLED = re.compile(r"(?<![\\A-Za-z0-9_^$}{])\{([^\W\d]\w*)\}(?!\})")
FILLED = re.compile(r"\{(\{[^\W\d]\w*\})\}|\{language\}")
WORD = re.compile(r"\{[^\W\d]\w*\}")


def unfilled(prompt: str) -> list[str]:
    """The names in braces that nothing would fill in."""
    return [name for name in UNFILLED.findall(prompt) if name != KNOWN]


def filled(prompt: str, language: str) -> str:
    """`prompt` as a model is told it."""
    return FILLED.sub(lambda found: found[1] or language, prompt)


def escaped(text: str) -> str:
    """`text` as a prompt that says exactly this, whatever stands in braces in it."""
    return WORD.sub(lambda found: f"{{{found[0]}}}", text)
