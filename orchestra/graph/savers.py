"""Graphs as a fleet runs them: a node's failure its own, and checkpoints where a run may stop."""

from __future__ import annotations

import base64
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.errors import NodeCancelledError, NodeError
from langgraph.graph.state import CompiledStateGraph

from orchestra.core.ask import CURRENT_RUN
from orchestra.core.errors import BookError, Cancelled, GraphFailed, InvalidGraph
from orchestra.routing.compiled import guarded
from orchestra.routing.introspect import may_wait

Graph = CompiledStateGraph[Any, Any, Any, Any]
MOST_GRAPHS = 256
HELD = "held"
WRITTEN = JsonPlusSerializer()


class HeldOrWritten(JsonPlusSerializer):
    """Holds a value that has no written form as it is, for the one segment that it is needed in.

    A run that never waits may have anything in its state, as under bare LangGraph.
    """

    def dumps_typed(self, obj: Any) -> tuple[str, Any]:
        """The written form of a value, or the value."""
        try:
            return super().dumps_typed(obj)
        except TypeError:
            return HELD, obj

    def loads_typed(self, data: tuple[str, Any]) -> Any:
        """The value."""
        kind, kept = data
        return kept if kind == HELD else super().loads_typed(data)


class Savers:
    """The graphs of a fleet as they are run: guarded, and with a checkpointer if they may wait."""

    def __init__(self) -> None:
        self.own = InMemorySaver(serde=HeldOrWritten())
        self._graphs: dict[Graph, Any] = {}

    def ready(self, graph: Graph) -> Graph:
        """`graph` with each node's failure its own, and checkpoints where a run may stop."""
        known = self._graphs.get(graph)
        if known is None:
            known = guarded(graph, note_failure)
            if graph.checkpointer is None and may_wait(graph):
                known = known.copy() if known is graph else known
                known.checkpointer = self.own
            if len(self._graphs) >= MOST_GRAPHS:  # of who compiles one for each job
                self._graphs.clear()
            known = self._graphs.setdefault(graph, known)
        return known

    def dump(self, thread_id: str) -> str | None:
        """The checkpoints of a thread of ours, to be kept; None where there are none.

        Raises `InvalidGraph` for a state that cannot be written.
        """
        found = list(self.own.list({"configurable": {"thread_id": thread_id}}))
        if not found:
            return None
        kept = [
            {
                "ns": each.config["configurable"]["checkpoint_ns"],
                "parent": ((each.parent_config or {}).get("configurable") or {}).get(
                    "checkpoint_id"
                ),
                "checkpoint": each.checkpoint,
                "metadata": each.metadata,
                "writes": list(each.pending_writes or ()),
            }
            for each in found
        ]
        try:
            kind, raw = WRITTEN.dumps_typed(kept)
        except TypeError as cause:
            raise InvalidGraph(
                f"The run {thread_id!r} asks a question, and its state cannot be kept until the "
                f"answer comes: {cause}. Keep such a value out of the state and of interrupt(...), "
                "or compile the graph with a checkpointer that can hold it."
            ) from cause
        return f"{kind}:{base64.b64encode(raw).decode()}"

    def load(self, thread_id: str, kept: str) -> None:
        """Take over what `dump` gave, in this process or in another one."""
        kind, _, raw = kept.partition(":")
        for each in reversed(self.own.serde.loads_typed((kind, base64.b64decode(raw)))):
            checkpoint = each["checkpoint"]
            place = {"thread_id": thread_id, "checkpoint_ns": each["ns"]}
            before = {**place, "checkpoint_id": each["parent"]} if each["parent"] else place
            versions = checkpoint["channel_versions"]
            self.own.put({"configurable": before}, checkpoint, each["metadata"], versions)
            here = RunnableConfig(configurable={**place, "checkpoint_id": checkpoint["id"]})
            tasks: dict[str, list[tuple[str, Any]]] = {}
            for task, channel, value in each["writes"]:
                tasks.setdefault(task, []).append((channel, value))
            for task, writes in tasks.items():
                self.own.put_writes(here, writes, task)

    def forget(self, thread_id: str) -> None:
        """Drop the checkpoints of a thread of ours."""
        self.own.delete_thread(thread_id)


async def note_failure(state: Any, error: NodeError) -> None:
    """What a node's failure goes to: it is noted in the run, and ends its branch."""
    run, cause = CURRENT_RUN.get(), _raised(error)
    # The book itself failed: nothing may go on as if it had not.
    if run is None or isinstance(cause, BookError) or not isinstance(cause, Exception):
        raise cause
    run.fail(error.node, cause)


def _raised(error: NodeError) -> BaseException:
    """What a node raised; of one that did before the run waited, a checkpoint has the text."""
    if isinstance(error.error, NodeCancelledError):  # Ray does that to what nobody waits for
        return Cancelled(
            f"What the node {error.node!r} waited for was cancelled, as where who asked has left. "
            "Ask again."
        )
    if isinstance(error.error, BaseException):
        return error.error
    return GraphFailed(
        f"The node {error.node!r} raised {error.error} before the run waited. Mend the node; what "
        "the others answered is kept."
    )
