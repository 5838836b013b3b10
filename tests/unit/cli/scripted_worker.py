"""A worker for fleet files of tests: answers as `first_allowed` does, without weights."""

from __future__ import annotations

from pathlib import Path

from orchestra.core.call import Call
from orchestra.testing import ScriptedEngine
from tests.scripted import first_allowed


class ScriptedWorker:
    """Loaded by its name, as a fleet loads every worker."""

    @classmethod
    def load(cls, checkpoint: Path, *, threads: int) -> ScriptedEngine:
        """An engine; there is nothing to load."""
        return ScriptedEngine(first_allowed)


class SilentWorker:
    """Leaves every value open."""

    @classmethod
    def load(cls, checkpoint: Path, *, threads: int) -> ScriptedEngine:
        """An engine that sees nothing."""
        return ScriptedEngine(_nothing)


def _nothing(call: Call) -> dict[str, None]:
    return dict.fromkeys((call.schema or {})["properties"])
