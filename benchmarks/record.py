"""Runs a benchmark and keeps what it prints in `docs/measured/NAME.txt`, for `benchmarks.claims`.

    python -m benchmarks.record attention -- python -m benchmarks.attention --checkpoint DIR

The file begins with the command, the day, and what else the machine was doing. A command that fails
leaves the file as it was.
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "docs" / "measured"


def record(name: str, command: list[str], folder: Path = FOLDER) -> Path:
    """Run `command`, which prints here as well, and write the file; returns its path.

    Raises `subprocess.CalledProcessError` when the command fails.
    """
    began, load = time.time(), os.getloadavg()[0]
    lines: list[str] = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, encoding="utf-8") as process:
        for line in process.stdout or ():
            sys.stdout.write(line)
            lines.append(line)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    day = time.strftime("%Y-%m-%d", time.gmtime(began))
    head = (
        f"# {shown(command)}\n# {day}, {time.time() - began:.0f} s, load {load:.1f} at the start\n"
    )
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.txt"
    path.write_text(head + "".join(lines), encoding="utf-8")
    return path


def shown(command: list[str]) -> str:
    """The command without the folders of this machine."""
    words = [Path(word).name if Path(word).is_absolute() else word for word in command]
    return shlex.join(words)


def main() -> None:
    """Parse the command line, and run what stands behind the name."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("name", help="the file's name, without .txt")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="behind --")
    given = parser.parse_args()
    command = given.command[1:] if given.command[:1] == ["--"] else given.command
    if not command:
        parser.error("no command stands behind the name. Write: record NAME -- COMMAND")
    try:
        path = record(given.name, command)
    except subprocess.CalledProcessError as error:
        sys.exit(error.returncode)
    print(f"kept in {path}", file=sys.stderr)


if __name__ == "__main__":
    main()
