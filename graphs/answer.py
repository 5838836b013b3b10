"""Graph `answer`: a question with or without a photo; the photo's answer stands when both do."""

from __future__ import annotations

from langgraph.graph import END, START, StateGraph
from pydantic import BaseModel

from orchestra import Context, JobState, ask, merge, serve


class Answer(BaseModel):
    """What both models are asked for; None where they cannot tell."""

    answer: str | None


def build() -> StateGraph[JobState, Context]:
    """Wire the graph: look and read side by side, then merge."""
    graph = StateGraph(JobState, context_schema=Context)
    graph.add_node("look", ask("vision", "What is this?", schema=Answer, question=True))
    graph.add_node("read", ask("text", "Answer the question from the text.", schema=Answer))
    graph.add_node("merge", merge("look", "read", prefer="image"), defer=True)
    graph.add_edge(START, "look")
    graph.add_edge(START, "read")
    graph.add_edge("look", "merge")
    graph.add_edge("read", "merge")
    graph.add_edge("merge", END)
    return graph


app = serve(build)
