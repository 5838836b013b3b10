"""Graphs as a fleet runs them: a node's failure its own, and checkpoints where a run may stop."""

from __future__ import annotations

import base64
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.errors import NodeError
from langgraph.graph.state import CompiledStateGraph

from orchestra.core.ask import CURRENT_RUN
from orchestra.core.errors import BookError
from orchestra.routing.introspect import guarded, may_wait

Graph = CompiledStateGraph[Any, Any, Any, Any]


class Savers:
    """The graphs of a fleet as they are run: guarded, and with a checkpointer if they may wait."""

    def __init__(self) -> None:
        self.own = InMemorySaver()
        self._graphs: dict[Graph, Any] = {}

    def ready(self, graph: Graph) -> Graph:
        """`graph` with each node's failure its own, and checkpoints where a run may stop."""
        known = self._graphs.get(graph)
        if known is None:
            known = guarded(graph, note_failure)
            if graph.checkpointer is None and may_wait(graph):
                known = known.copy() if known is graph else known
                known.checkpointer = self.own
            known = self._graphs.setdefault(graph, known)
        return known

    def dump(self, thread_id: str) -> str | None:
        """The checkpoints of a thread of ours, to be kept; None where there are none."""
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
        kind, raw = self.own.serde.dumps_typed(kept)
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
    run, cause = CURRENT_RUN.get(), error.error
    # The book itself failed: nothing may go on as if it had not.
    if run is None or isinstance(cause, BookError) or not isinstance(cause, Exception):
        raise cause
    run.fail(error.node, cause)
