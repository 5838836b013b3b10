"""Reads labelled questions from a CSV; it learns nothing.

The columns are `prompt`, `weak_correct`, `strong_correct` (0 or 1) and, if there is one, `subject`.
"""

from __future__ import annotations

import csv
import gzip
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.parts.routing_curve import Floats
from orchestra.core.errors import InvalidTable

NEEDED = ("prompt", "weak_correct", "strong_correct")
GZIP = b"\x1f\x8b"
TRUTHS = {"1": 1.0, "0": 0.0, "1.0": 1.0, "0.0": 0.0, "true": 1.0, "false": 0.0}
LONGEST_PROMPT = 10_000_000


@dataclass(frozen=True, slots=True)
class Questions:
    """Prompts, whether each model was right (0 or 1), and subjects ("" where there are none)."""

    prompts: list[str]
    subjects: list[str]
    weak: Floats
    strong: Floats


def read_questions(path: Path) -> Questions:
    """Read a CSV, gzipped or not. Raises `InvalidTable` when it is no such table."""
    try:
        raw = path.read_bytes()
        text = (gzip.decompress(raw) if raw.startswith(GZIP) else raw).decode("utf-8-sig")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise InvalidTable(
            f"The questions {str(path)!r} cannot be read: {error}. Name a CSV in UTF-8."
        ) from error
    before = csv.field_size_limit(LONGEST_PROMPT)  # of the whole process, so it is put back
    try:
        rows = csv.DictReader(io.StringIO(text, newline=""))
        kept = list(rows)
    finally:
        csv.field_size_limit(before)
    missing = [name for name in NEEDED if name not in (rows.fieldnames or ())]
    if missing:
        raise InvalidTable(
            f"The questions {str(path)!r} have no column {missing[0]!r}. "
            f"The columns are {', '.join(NEEDED)} and, if you like, subject."
        )
    if not kept:
        raise InvalidTable(f"The questions {str(path)!r} are empty. Name a table with rows.")
    return Questions(
        prompts=[row["prompt"] for row in kept],
        subjects=[row.get("subject") or "" for row in kept],
        weak=_labels(kept, "weak_correct"),
        strong=_labels(kept, "strong_correct"),
    )


def _labels(rows: list[dict[str, str]], column: str) -> Floats:
    labels = np.empty(len(rows))
    for at, row in enumerate(rows):
        label = TRUTHS.get(str(row[column]).strip().lower())
        if label is None:
            raise InvalidTable(
                f"Row {at + 1} has {row[column]!r} in the column {column!r}. Write 1 or 0."
            )
        labels[at] = label
    return labels
