"""The rows of a bench as text: one table of all models, then one of each; it measures nothing."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]
NONE = "-"


def joint_table(rows: Sequence[Row]) -> list[str]:
    """A line for each model: the tasks that any of them was asked, latency, memory and size."""
    tasks = list(dict.fromkeys(score["task"] for row in rows for score in row["scores"]))
    head = ["model", "role", *tasks, "p50 ms", "p95 ms", "memory MiB", "size MB"]
    body = [[row["model"], row["role"], *_shares(row, tasks), *_figures(row)] for row in rows]
    return aligned([head, *body])


def model_table(row: Row) -> list[str]:
    """The lines of one model."""
    lines = [f"{row['model']} ({row['role']}; takes {', '.join(row['capabilities'])})"]
    if row["error"] is not None:
        return [*lines, f"  not measured: {row['error']['type']}: {row['error']['message']}"]
    if not row["scores"]:
        return [*lines, "  no question of the set is for it"]
    head = ["  task", "right", "95% interval", "asked", "commonest", "abstained", "p50 ms"]
    body: list[list[str]] = []
    for score in row["scores"]:
        body.append(_score_cells(score, score["task"]))
        parts = [part for part in row["parts"] if part["task"] == score["task"]]
        body += [_score_cells(part, f"  {part['kind']}") for part in parts]
    lines += aligned([head, *body])
    lines.append(
        f"  latency: p50 {_number(row['latency_p50_ms'])} ms, p95 {_number(row['latency_p95_ms'])} "
        f"ms, {row['calls']} calls one at a time after a first that is not counted"
    )
    if row["cpu_p50_ms"] is not None:
        lines.append(f"  CPU time: p50 {row['cpu_p50_ms']:.1f} ms a call")
    if row["memory"] is not None:
        lines.append(
            f"  memory: {row['memory_mib']:.0f} MiB more than its process had without it; "
            f"{row['memory']['peak_mib']:.0f} MiB the process at the most"
        )
    if row["size_mb"] is not None:
        lines.append(f"  size: {row['size_mb']:.2f} MB on disk")
    if row["failed"]:
        kind, message = next(iter(row["errors"].items()))
        lines.append(f"  failed: {row['failed']} calls, such as {kind}: {message}")
    return lines


def aligned(cells: Sequence[Sequence[str]]) -> list[str]:
    """Lines of columns two spaces apart; the first is set left, the others right."""
    widths = [max(map(_width, column)) for column in zip(*cells, strict=True)]
    return [
        "  ".join(
            _padded(cell, width, left=not at)
            for at, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in cells
    ]


def _shares(row: Row, tasks: Iterable[str]) -> list[str]:
    if row["error"] is not None:
        return [row["error"]["type"] if not at else NONE for at, _ in enumerate(tasks)]
    found = {score["task"]: f"{score['accuracy']:.1%}" for score in row["scores"]}
    return [found.get(task, NONE) for task in tasks]


def _figures(row: Row) -> list[str]:
    names = ("latency_p50_ms", "latency_p95_ms", "memory_mib", "size_mb")
    return [_number(row[name]) for name in names]


def _score_cells(score: Row, name: str) -> list[str]:
    low, high = score["interval"]
    return [
        f"  {name}",
        f"{score['accuracy']:.1%}",
        f"{low:.1%} to {high:.1%}",
        str(score["asked"]),
        f"{score['baseline']:.1%}",
        str(score["abstained"]),
        _number(score["p50_ms"]),
    ]


def _number(value: float | None) -> str:
    return NONE if value is None else f"{value:.1f}"


def _width(text: str) -> int:
    """Columns of a terminal: Chinese characters take two."""
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)


def _padded(text: str, width: int, *, left: bool) -> str:
    space = " " * (width - _width(text))
    return text + space if left else space + text
