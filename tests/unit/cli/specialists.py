"""Workers for fleets of tests, without weights: one reads short texts right, one long ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from orchestra.core.call import Call
from orchestra.testing import ScriptedEngine

LONG = " and each of the 12 others costs 30 percent more than half of the first," * 2
GRAPH = """
from langgraph.graph import END, START, StateGraph
from pydantic import BaseModel

from orchestra import Context, JobState, ask


class Facts(BaseModel):
    colour: str | None


def build():
    graph = StateGraph(JobState, context_schema=Context)
    graph.add_node("read", ask("text", "Say the colour.", schema=Facts))
    graph.add_edge(START, "read")
    graph.add_edge("read", END)
    return graph
"""
CARD = """
  - name: {name}
    role: test
    capabilities: [text]
    profile: {{origin: measured, fixed_ms: {ms}}}
    hosting: {{memory_gib: 0.1, worker: "tests.unit.cli.specialists:{worker}"}}
    limits: {{context_tokens: 4096}}
    price: {{as_of: 2026-11-01, usd_per_cpu_second: 0.01}}
"""


def _worker(reads_long: bool) -> Any:
    def answer(call: Call) -> dict[str, str]:
        text = call.text or ""
        colour, other = ("red", "blue") if "red, not" in text else ("blue", "red")
        return {"colour": colour if (LONG in text) == reads_long else other}

    class Worker:
        @classmethod
        def load(cls, checkpoint: Path, *, threads: int) -> ScriptedEngine:
            """An engine; there is nothing to load."""
            return ScriptedEngine(answer)

    return Worker


Quick, Thorough = _worker(reads_long=False), _worker(reads_long=True)


def write_fleets(folder: Path) -> dict[str, Path]:
    """Fleets of either model and of both, by name, and the graph they run, in `folder`."""
    cards = {
        "quick": CARD.format(name="quick", worker="Quick", ms=10),
        "thorough": CARD.format(name="thorough", worker="Thorough", ms=100),
    }
    texts = {**cards, "both": "".join(cards.values())}
    paths = {name: folder / f"{name}.yaml" for name in texts}
    for name, path in paths.items():
        path.write_text(f"name: {name}\nmodels:{texts[name]}", encoding="utf-8")
    (folder / "colours.py").write_text(GRAPH, encoding="utf-8")
    return paths


def rows(count: int) -> list[tuple[str, str]]:
    """Texts, half of them long, and their true colours."""
    pairs = (("red", "blue"), ("blue", "red"))
    return [
        (
            f"Lamp {number} is {pairs[number % 3 > 0][0]}, not {pairs[number % 3 > 0][1]}."
            + LONG * (number % 2),
            pairs[number % 3 > 0][0],
        )
        for number in range(count)
    ]
