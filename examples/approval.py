"""A product seen three times, written about, checked, and approved by a person: under one budget.

    python examples/approval.py                      # the whole story below, in four processes
    python examples/approval.py plan                 # what it would cost at most; spends nothing
    python examples/approval.py run  --out build/approval --thread shirt-7
    python examples/approval.py resume --out build/approval --thread shirt-7
    python examples/approval.py resume --out build/approval --thread shirt-7 --answer yes

Each photo goes along a branch of its own (`each_photo`), the branches and the text vote, a writer
and a critic go round until every fact is told, and a person is asked (`interrupt`). The run stands
in a book: kill it where you like, and `resume` goes on in another process with the same budget, and
pays for nothing twice.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any, Literal

from langgraph.graph import END, START, StateGraph
from langgraph.types import interrupt
from pydantic import BaseModel

from orchestra import Budget, Context, Fleet, Job, JobState, Result, ask, each_photo, vote
from orchestra.core.state import fields_of
from workers.synthetic.drawn import draw_product

TEXT = "Cotton shirt, made in Portugal. Colour: red."
SHOWN = (("shirt", "red"), ("shirt", "red"), ("dress", "blue"))  # the last is of another product
BUDGET = Budget(cost_usd="0.001", tokens=6000)
MOST_DRAFTS = 3


class Seen(BaseModel):
    """What is asked of each photo."""

    category: str | None
    colour: str | None


class Facts(Seen):
    """What is asked of the text."""

    material: str | None


class Draft(BaseModel):
    """What the writer writes."""

    description: str


class Approval(JobState, total=False):
    """The state: Orchestra's own keys, and those of this graph."""

    draft: dict[str, Any]
    missing: list[str]
    decision: str


def told(state: Approval) -> str:
    """The facts that the vote left, as the writer is given them, and what it forgot before."""
    facts = {name: field.value for name, field in fields_of(state).items() if field.answered}
    lines = [f"{name}: {value}" for name, value in facts.items()]
    if state.get("missing"):
        lines.append(f"mention: {', '.join(state['missing'])}")
    return "\n".join(lines)


def check(state: Approval) -> dict[str, Any]:
    """The critic: which facts the draft does not tell."""
    text = str(state.get("draft", {}).get("description") or "").casefold()
    facts = [field.value for field in fields_of(state).values() if field.answered]
    return {"missing": [str(fact) for fact in facts if str(fact).casefold() not in text]}


def content(state: Approval) -> Literal["write", "approve"]:
    """Round again while something is missing and the last round changed that."""
    drafts = state.get("outcomes", {}).get("write", {}).get("visit", MOST_DRAFTS)
    return "write" if state.get("missing") and drafts < MOST_DRAFTS else "approve"


def approve(state: Approval) -> dict[str, Any]:
    """Ask a person, who sees the draft and what it rests on."""
    asked = {
        "description": state.get("draft", {}).get("description"),
        "facts": {name: field.value for name, field in fields_of(state).items()},
        "not told": state.get("missing", []),
    }
    return {"decision": interrupt(asked)}


def build() -> StateGraph[Approval, Context]:
    """The graph, for Python, `orchestra serve` and `orchestra batch` alike."""
    graph = StateGraph(Approval, context_schema=Context)
    graph.add_node("look", ask("vision", "Describe the product shown.", schema=Seen))
    graph.add_node("read", ask("text", "Extract what the text states.", schema=Facts))
    graph.add_node("vote", vote("look", "read"), defer=True)
    writer = ask(
        "text",
        "Write one sentence that describes the product.",
        schema=Draft,
        data=told,
        derived=True,
        max_visits=MOST_DRAFTS,
        key="draft",
    )
    graph.add_node("write", writer)
    graph.add_node("critic", check)
    graph.add_node("approve", approve)
    graph.add_conditional_edges(START, each_photo("look"))
    graph.add_edge(START, "read")
    graph.add_edge("look", "vote")
    graph.add_edge("read", "vote")
    graph.add_edge("vote", "write")
    graph.add_edge("write", "critic")
    graph.add_conditional_edges("critic", content)
    graph.add_edge("approve", END)
    return graph


def job_in(out: Path) -> Job:
    """The product, its photos drawn into `out` where they are not there yet."""
    out.mkdir(parents=True, exist_ok=True)
    paths = [out / f"photo-{number}.png" for number in range(len(SHOWN))]
    for number, (path, (kind, colour)) in enumerate(zip(paths, SHOWN, strict=True)):
        if not path.exists():
            draw_product(kind, colour, seed=1_000_000 + number).save(path)
    return Job(text=TEXT, images=paths, budget=BUDGET)


async def run(out: Path, thread: str) -> Result:
    """Run the product, and print what happens as it does."""
    async with Fleet.open("mini", book=out / "book.sqlite") as fleet:
        return await _printed(fleet.astream(build, job_in(out), thread_id=thread))


async def resume(out: Path, thread: str, answer: str | None) -> Result:
    """Go on with it, in whatever process; with an `answer` where it waits for one."""
    async with Fleet.open("mini", book=out / "book.sqlite") as fleet:
        return await _printed(fleet.astream_resumed(build, thread, answer))


async def _printed(events: Any) -> Result:
    result: Result | None = None
    async for mode, event in events:
        if mode == "updates":
            print("step  ", ", ".join(event), flush=True)
        elif mode == "spend":
            print(
                f"spent  ${event.cost_usd:f} of at most ${event.ceiling_usd:f}, "
                f"{event.tokens} of {event.ceiling_tokens} tokens",
                flush=True,
            )
        elif mode == "result":
            result = event
    assert result is not None
    print(f"status {result.status}: {result.state.get('draft', {}).get('description')!r}")
    for name, field in result.fields.items():
        print(f"       {name}: {field.value!r} ({field.note or field.source})")
    for question in result.questions:
        print(f"asks   {question.value}")
    if result.state.get("decision"):
        print(f"said   {result.state['decision']}")
    print(f"cost   ${result.cost_usd:f}, {result.tokens} tokens")
    return result


def story(out: Path) -> None:
    """Plan; run, and be killed on the way; go on in a second process; answer in a third."""
    plan(out)
    me, place = [sys.executable, __file__], ["--out", str(out), "--thread", "shirt-7"]
    print("\n== run, and killed as soon as the writer has written", flush=True)
    first = subprocess.Popen([*me, "run", *place], stdout=subprocess.PIPE, text=True)
    for line in first.stdout or ():
        print(line, end="", flush=True)
        if line.split()[-1] == "write":
            first.kill()
            break
    first.wait()
    print("== resumed in another process", flush=True)
    subprocess.run([*me, "resume", *place], check=True)
    print("== answered in a third", flush=True)
    subprocess.run([*me, "resume", *place, "--answer", "approved by Ann"], check=True)


def plan(out: Path) -> None:
    """Print the plan, which holds every branch and every round of the loop."""
    print(Fleet.open("mini").plan(build, job_in(out)))


def main() -> None:
    """The story, or one part of it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("part", nargs="?", choices=("plan", "run", "resume"))
    parser.add_argument("--out", type=Path, default=Path("build/approval"))
    parser.add_argument("--thread", default="shirt-7")
    parser.add_argument("--answer")
    wanted = parser.parse_args()
    if wanted.part is None:
        story(wanted.out)
    elif wanted.part == "plan":
        plan(wanted.out)
    elif wanted.part == "run":
        asyncio.run(run(wanted.out, wanted.thread))
    else:
        asyncio.run(resume(wanted.out, wanted.thread, wanted.answer))


if __name__ == "__main__":
    main()
