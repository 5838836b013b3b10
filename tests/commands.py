"""Runs `orchestra` as a user does, in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

LIMIT_S = 280


def command(folder: Path, *arguments: str | Path, code: int = 0, limit_s: float = LIMIT_S) -> str:
    """Run `orchestra` in `folder`; its stdout. A traceback never reaches a user."""
    done = subprocess.run(
        [sys.executable, "-m", "orchestra", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=limit_s,
        check=False,
        cwd=folder,
    )
    assert "Traceback" not in done.stderr, done.stderr
    assert done.returncode == code, done.stderr
    return done.stdout
