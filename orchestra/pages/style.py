"""The style that all pages begin with."""

from __future__ import annotations

from functools import cache
from pathlib import Path


@cache
def base_style() -> str:
    """Colours, text and controls, and how evidence is shown: CSS, light and dark."""
    return (Path(__file__).parent / "base.css").read_text(encoding="utf-8")
