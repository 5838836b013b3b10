"""Graph `maths`: one question to the model that does maths; it refuses what it did not learn."""

from __future__ import annotations

from langgraph.graph import END, START, StateGraph
from pydantic import BaseModel

from orchestra import Context, JobState, ask, serve


class Answer(BaseModel):
    """What the model is asked for."""

    answer: str


def build() -> StateGraph[JobState, Context]:
    """Wire the graph: one node."""
    graph = StateGraph(JobState, context_schema=Context)
    work_out = ask("maths", "Work it out.", schema=Answer, derived=True, question=True)
    graph.add_node("work_out", work_out)
    graph.add_edge(START, "work_out")
    graph.add_edge("work_out", END)
    return graph


app = serve(build)
