"""A worker for fleet files of tests: answers as `first_allowed` does, without weights."""

from __future__ import annotations

import re
from pathlib import Path

from orchestra.core.call import Call
from orchestra.fleet.source import load_fleet
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


class SlowWorker:
    """Takes its time over every call, so that a batch can be ended under way."""

    @classmethod
    def load(cls, checkpoint: Path, *, threads: int) -> ScriptedEngine:
        """An engine of some calls a second."""
        return ScriptedEngine(first_allowed, delay_s=0.05)


def _nothing(call: Call) -> dict[str, None]:
    return dict.fromkeys((call.schema or {})["properties"])


def fleet_file(path: Path, worker: type = ScriptedWorker) -> Path:
    """Write to `path` the cards of `mini` with an engine that needs no weights."""
    shipped = (load_fleet("mini")[1] / "mini.yaml").read_text(encoding="utf-8")
    engines = r"workers\.(onnx\.|edge\.)?engine:\w+"
    path.write_text(re.sub(engines, f"{__name__}:{worker.__name__}", shipped), encoding="utf-8")
    return path
