"""Sets what the source article claims beside what was measured here: `docs/claims.md`.

    python -m benchmarks.claims [--out docs/claims.md] [--markdown]

`benchmarks/claims.yaml` names for each claim the article's figure (most of them on the cards of the
fleet `article`) and where a measured one is kept: in a JSON file (`at`), or in the text that a
benchmark or a training printed (`find`). It measures nothing. A figure whose file is not there, or
does not hold it, is "not measured".
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field

from orchestra.fleet.source import load_fleet

ROOT = Path(__file__).parents[1]
SOURCE = Path(__file__).with_name("claims.yaml")
NOT_MEASURED = "not measured"
NAMES = ("model", "task", "kind", "rows", "name")
HEAD = """\
# Claims: the article's figures, and what was measured here

Made by `python -m benchmarks.claims`; do not edit. The article compares five model roles of 6.5B
to 34B parameters on an A100. The bundled fleet `mini` fills the same roles with models of a few
million parameters on a CPU, so its figures are **not** those of the article's models, and several
stand on other tests: each row says on what. "Not measured" means that no measurement is kept in
this repository. Figures of the article are the article's own; none was measured here.
"""


class Strict(BaseModel):
    """Settings as they stand in `claims.yaml`."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Source(Strict):
    """Where a figure is kept, and how it is shown.

    `at` walks a JSON file: keys, and for a list the entry that is named so. `find` is a pattern of
    named groups over a text. `fewer_errors` compares the accuracy `at` with that of another place.
    """

    file: str
    at: str | None = None
    find: str | None = None
    fewer_errors: str | None = None
    show: str


class Row(Strict):
    """One figure of a claim."""

    what: str
    article: str = "-"
    goal: str = "-"
    measured: tuple[Source, ...] = ()


class Claim(Strict):
    """A claim, its figures, and the commands that measure them again (none: nothing does)."""

    id: str
    title: str
    article: str
    rows: tuple[Row, ...] = Field(min_length=1)
    repeat: tuple[str, ...] = ()
    table: Literal["bench"] | None = None
    note: str = ""


def read_claims(path: Path = SOURCE) -> list[Claim]:
    """The claims of `claims.yaml`. Raises pydantic's ValidationError."""
    raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    return [Claim.model_validate(claim) for claim in raw["claims"]]


def said_by_article(text: str) -> str:
    """`text` with the figures of the article's cards, named as `{r1.quality[text].score:g}`."""
    file, _ = load_fleet("article")
    cards = {card.name.replace("-", "_"): card for card in file.models}
    return text.format_map(cards)


def measured(source: Source, root: Path) -> str | None:
    """The figure as `source` shows it; None where it is not kept."""
    path = root / source.file
    if not path.is_file():
        return None
    text = path.read_text(encoding="utf-8")
    if source.find is not None:
        found = re.search(source.find, text, re.MULTILINE)
        return None if found is None else source.show.format(**found.groupdict())
    document = json.loads(text)
    value = walk(document, source.at or "")
    if value is None:
        return None
    if source.fewer_errors is not None:
        other = walk(document, source.fewer_errors)
        if other is None or other >= 1:
            return None
        return source.show.format(1 - (1 - value) / (1 - other))
    return source.show.format(value) if not isinstance(value, dict) else source.show.format(**value)


def walk(document: Any, at: str) -> Any:
    """The part of a JSON document at `a/b/c`; None where there is none.

    In a list a key names the entries that are called so; further keys may narrow them down to one.
    """
    for key in filter(None, at.split("/")):
        if isinstance(document, list):
            named = [entry for entry in document if key in _names(entry)]
            document = named[0] if len(named) == 1 else named
        elif isinstance(document, Mapping):
            document = document if key in _names(document) else document.get(key)
        else:
            return None
    return None if isinstance(document, list) else document


def _names(entry: Mapping[str, Any]) -> list[Any]:
    return [entry[name] for name in NAMES if name in entry]


def page(claims: Sequence[Claim], root: Path = ROOT) -> str:
    """The whole document."""
    return "\n".join([HEAD, *(line for claim in claims for line in _section(claim, root))])


def _section(claim: Claim, root: Path) -> list[str]:
    lines = [f"## {claim.id}: {claim.title}", "", said_by_article(claim.article), ""]
    lines += ["| What | The article | Goal here | Measured here |", "|---|---|---|---|"]
    for row in claim.rows:
        found = [text for source in row.measured if (text := measured(source, root)) is not None]
        cells = (row.what, said_by_article(row.article), row.goal, "; ".join(found) or NOT_MEASURED)
        lines.append(f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |")
    if claim.table == "bench":
        lines += ["", *bench_table(root / "docs/measured/bench.json")]
    if claim.note:
        lines += ["", claim.note]
    if not claim.repeat:
        return [*lines, "", "No command measures it yet.", ""]
    return [*lines, "", "To repeat:", "```bash", *claim.repeat, "```", ""]


def bench_table(path: Path) -> list[str]:
    """The joint table of a bench as Markdown: a line for each model."""
    if not path.is_file():
        return [f"No bench is kept ({NOT_MEASURED})."]
    document = json.loads(path.read_text(encoding="utf-8"))
    rows = document["models"]
    tasks = list(dict.fromkeys(score["task"] for row in rows for score in row["scores"]))
    head = ["model", "role", *tasks, "p50 ms", "p95 ms", "memory MiB", "size MB"]
    lines = [_cells(head), _cells(["---"] * len(head))]
    for row in rows:
        found = {score["task"]: score for score in row["scores"]}
        shares = [_share(found.get(task)) for task in tasks]
        names = ("latency_p50_ms", "latency_p95_ms", "memory_mib", "size_mb")
        figures = ["-" if row[name] is None else f"{row[name]:.1f}" for name in names]
        lines.append(_cells([row["model"], row["role"], *shares, *figures]))
        if row["error"] is not None:
            lines.append(f"\n{row['model']}: {row['error']['type']}: {row['error']['message']}\n")
    machine = document["machine"]
    bound = document.get("per_kind")
    few = f", at most {bound} questions of each kind" if bound else ""
    return [
        *lines,
        "",
        f"Measured on {machine['cpus']} CPUs ({machine['machine']}), load {machine['load']} over "
        f"1, 5 and 15 minutes{few}. A busy machine makes latencies longer. Right answers, with "
        "95% intervals.",
    ]


def _share(score: Mapping[str, Any] | None) -> str:
    if score is None:
        return "-"
    low, high = score["interval"]
    return f"{score['accuracy']:.1%} [{low:.1%}, {high:.1%}] of {score['asked']}"


def _cells(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Parse the command line; write the page, or print it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "claims.md")
    parser.add_argument("--markdown", action="store_true", help="print the page; write nothing")
    given = parser.parse_args()
    claims = read_claims()
    text = page(claims)
    if given.markdown:
        print(text)
        return
    given.out.write_text(text, encoding="utf-8")
    missing = text.count(f"| {NOT_MEASURED} |")
    rows = sum(len(claim.rows) for claim in claims)
    print(f"{given.out}: {rows - missing} of {rows} figures are measured", file=sys.stderr)


if __name__ == "__main__":
    main()
