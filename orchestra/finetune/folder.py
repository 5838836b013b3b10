"""The folder that a fine-tuning run writes: made, and known again when the run is finished."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from orchestra.core.errors import OutputMismatch, UsageError

REPORT = "finetune.json"


def prepare(out: Path) -> None:
    """Make `out`. Raises `UsageError` where it cannot be written."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        probe = out / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise UsageError(
            f"The folder {str(out)!r} cannot be written: {error.strerror}. Give another --out."
        ) from error


def finished(out: Path, name: str) -> dict[str, Any] | None:
    """The report of the run `name` in `out`; None where it is not finished.

    Raises `OutputMismatch` where another run is.
    """
    path = out / REPORT
    if not path.is_file():
        return None
    report = json.loads(path.read_text(encoding="utf-8"))
    if report.get("name") != name:
        raise OutputMismatch(
            f"{str(out)!r} holds the result of another run (base {report.get('base')!r}, "
            f"data {report.get('data')!r}). Give another --out."
        )
    return report
