"""How the templates of all pages are read, and how values stand in them; it knows no page."""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from orchestra.core.values import CJK, dollars, duration, shown


def templates(package: str, folder: str, **filters: Callable[..., Any]) -> Environment:
    """The templates in a `folder` of a `package`, with its own `filters` beside those of all pages.

    What they are given is escaped, and a name that they are not given is an error.
    """
    environment = Environment(
        loader=PackageLoader(package, folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        dollars=dollars, duration=duration, lang=language_of, share=share, shown=shown, **filters
    )
    return environment


def inlined(path: Path) -> Markup:
    """A style or script of this distribution, to stand in a page as it is."""
    return Markup(path.read_text(encoding="utf-8"))  # nosec B704 # a file of a package


def script_hash(script: str) -> str:
    """How a content security policy names the one script that may run."""
    digest = hashlib.sha256(script.encode("utf-8")).digest()
    return "sha256-" + base64.b64encode(digest).decode("ascii")


def share(probability: float) -> str:
    """A probability with two digits, cut and not rounded: only certainty is 1.00."""
    return f"{math.floor(probability * 100 + 1e-9) / 100:.2f}"


def language_of(text: Any) -> str:
    """The language tag a browser needs to choose the right glyphs."""
    return "zh-Hans" if CJK.search(str(text)) else "en"
