"""A worker for fleets of tests: answers obediently, after a short while, without weights."""

from __future__ import annotations

from pathlib import Path

from orchestra.testing import ScriptedEngine
from tests.scripted import first_allowed

FLEET = """
name: stub
models:
  - name: r1
    role: R1
    capabilities: [text]
    profile: {origin: measured, ms_per_input_token: 0.2, ms_per_output_token: 2.0}
    hosting: {memory_gib: 0.1, worker: "tests.stub_worker:StubWorker", max_batch: 16}
    limits: {context_tokens: 1024}
    price: {as_of: 2026-11-01, usd_per_cpu_second: 0.0000139}
"""


class StubWorker:
    """Loads in no time."""

    @classmethod
    def load(cls, checkpoint: Path, *, threads: int) -> ScriptedEngine:
        """An engine that takes the first value each schema allows."""
        return ScriptedEngine(first_allowed, delay_s=0.004)


def write_fleet(folder: Path) -> Path:
    """The stub fleet's YAML in `folder`."""
    path = folder / "stub.yaml"
    path.write_text(FLEET, encoding="utf-8")
    return path
