"""Commands that run a script on a book in a process of its own."""

import sys
from pathlib import Path

import orchestra

# The book needs nothing that the package's front door imports, and that takes seconds.
_LEAN = """
import sys, types
sys.modules["orchestra"] = types.ModuleType("orchestra")
sys.modules["orchestra"].__path__ = [sys.argv[2]]
"""


def python(script: str, path: Path) -> list[str]:
    """The command that runs `script` with the book's path as `sys.argv[1]`."""
    package = next(iter(orchestra.__path__))
    return [sys.executable, "-c", _LEAN + script, str(path), package]
