"""Writes the report of a batch as one self-contained HTML file; it knows no model and no graph.

The page makes no request: styles, script and pictures stand in the file, and its content
security policy allows nothing else. Product text is escaped by the template. Memory is bounded:
at most `max_rows` results are held, and one product's pictures at a time.
"""

from __future__ import annotations

import base64
import hashlib
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from orchestra.batch.output.report_view import view_row
from orchestra.batch.output.rows import REJECTED, OutputRow
from orchestra.batch.output.summary import promise_lines
from orchestra.batch.parked import WAITING
from orchestra.core.atomic import atomic_file
from orchestra.core.card import Card
from orchestra.core.values import CJK, dollars, duration

TABLE = "products.csv"
STATUSES = ("complete", "review", "partial", WAITING, "failed", REJECTED)


@dataclass(slots=True)
class _Selection:
    """The rows to show, chosen in one pass: those that need a person, then the first others."""

    max_rows: int
    total: int = 0
    needing: list[OutputRow] = field(default_factory=list)
    others: list[OutputRow] = field(default_factory=list)
    error_types: Counter[str] = field(default_factory=Counter)
    models: Counter[str] = field(default_factory=Counter)

    def add(self, row: OutputRow) -> None:
        self.total += 1
        self.error_types.update(error.type for error in row.outcome.errors)
        self.models.update({call.model for call in row.outcome.calls})
        if row.status in ("complete", REJECTED):
            if len(self.needing) + len(self.others) < self.max_rows:
                self.others.append(row)
        elif len(self.needing) < self.max_rows:
            self.needing.append(row)
            if len(self.needing) + len(self.others) > self.max_rows:
                self.others.pop()

    @property
    def whole(self) -> bool:
        return len(self.needing) + len(self.others) == self.total

    @property
    def shown(self) -> list[OutputRow]:
        if not self.whole:
            return self.needing + self.others
        return sorted(self.needing + self.others, key=lambda one: one.row.ordinal)


def write_report(
    path: Path,
    *,
    title: str,
    summary: Mapping[str, Any],
    rows: Iterable[OutputRow],
    models: Sequence[Card],
    thumbnail: Callable[[str], bytes | None],
    max_rows: int = 300,
) -> None:
    """Write the page to `path`, replacing it whole or not at all.

    `summary` is the content of summary.json. `rows` is read once; those without a result are left
    out. `models` say what they can and cannot do. `thumbnail` maps a content hash to a small
    picture (JPEG, PNG, WebP or GIF bytes), or None when there is none. A table of more than
    `max_rows` rows shows those that need a person first; the page says how many are missing.
    Raises `DiskFull`, or `OSError` when the file cannot be written for another reason.
    """
    selection = _Selection(max_rows)
    for row in rows:
        if row.result is not None:
            selection.add(row)
    shown, promise = selection.shown, summary["promise"]
    page = _environment().get_template("report.html.j2")
    stream = page.stream(
        title=title,
        summary=summary,
        statuses=STATUSES,
        selection=selection,
        shown=len(shown),
        table=TABLE,
        rows=(view_row(row, thumbnail) for row in shown),
        errors=[
            {"ordinal": row.row.ordinal, "row_id": row.row_id, "error": error}
            for row in shown
            for error in row.outcome.errors
        ],
        models=models,
        pending=summary["rows"] - sum(summary[status] for status in STATUSES),
        promised=promise_lines(promise, summary["rows"]) if promise else [],
    )
    stream.enable_buffering(64)
    with atomic_file(path, durable=False) as file:
        file.writelines(chunk.encode("utf-8") for chunk in stream)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("orchestra.batch.output", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        dollars=dollars,
        duration=duration,
        lang=language_of,
        lines=lines_of,
        share=share,
    )
    environment.globals["asset"] = _asset
    environment.globals["script_hash"] = _script_hash
    return environment


def _asset(name: str) -> Markup:
    """A style or script of this package, to stand in the page as it is."""
    return Markup(Path(__file__).with_name(name).read_text(encoding="utf-8"))


def _script_hash() -> str:
    """What the content security policy allows to run: our script and no other."""
    digest = hashlib.sha256(_asset("report.js").encode("utf-8")).digest()
    return "sha256-" + base64.b64encode(digest).decode("ascii")


def share(probability: float) -> str:
    """Show a probability with two digits, cut and not rounded: only certainty is 1.00."""
    return f"{math.floor(probability * 100 + 1e-9) / 100:.2f}"


def language_of(text: Any) -> str:
    """The language tag a browser needs to choose the right glyphs."""
    return "zh-Hans" if CJK.search(str(text)) else "en"


def lines_of(text: str) -> list[str]:
    """The items of a list that was written as text, without their bullets."""
    return [bare for line in text.splitlines() if (bare := line.strip(" -•*\t"))]
