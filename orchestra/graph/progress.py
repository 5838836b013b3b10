"""What a run comes to while it goes on: calls, outcomes, visits, failures and the limit it met.

It outlives the state of the graph, so that whatever ends a run, what was paid for is in its result.
"""

from __future__ import annotations

import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestra.core.errors import (
    BudgetExceeded,
    DeadlineExceeded,
    GraphFailed,
    OrchestraError,
    VisitsExceeded,
)
from orchestra.core.job import CallRecord, ErrorRecord
from orchestra.core.place import Branches, Place, branches_of
from orchestra.core.state import Outcome, outcomes_of
from orchestra.observe.log import log_bug

Tell = Callable[[str, Any], None]
# What no further visit can mend: a graph that goes round on it would go round for ever.
LIMITS = (BudgetExceeded, DeadlineExceeded, VisitsExceeded)
LIMIT_TYPES = frozenset(kind.__name__ for kind in LIMITS)


class CallLog(list[CallRecord]):
    """The calls of a run in the order they were made; `tell` hears of each."""

    def __init__(self, calls: tuple[CallRecord, ...] = (), tell: Tell | None = None) -> None:
        super().__init__(calls)
        self.tell = tell

    def append(self, record: CallRecord) -> None:
        """Note a call that was made."""
        super().append(record)
        if self.tell is not None:
            self.tell("call", record)

    def extend(self, records: Iterable[CallRecord]) -> None:
        """Note calls that were made."""
        for record in records:
            self.append(record)


@dataclass(eq=False, slots=True)
class Progress:
    """What came of a run so far. `limit` is the first limit that it met."""

    calls: CallLog = field(default_factory=CallLog)
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    branches: Branches = field(default_factory=Branches)
    visits: Counter[str] = field(default_factory=Counter)
    failures: list[ErrorRecord] = field(default_factory=list)
    limit: ErrorRecord | None = None
    raised: Exception | None = None

    def visit(self, place: Place) -> tuple[str, int]:
        """Count a visit: the name of its branch, and how many the node has had with it."""
        self.visits[place.node] += 1
        return self.branches.name(place), self.visits[place.node]

    def note(self, name: str, outcome: Outcome) -> Outcome:
        """Keep what a branch came to; an error leaves standing what it answered before."""
        before = self.outcomes.get(name)
        if outcome.error is not None:
            self._meet(outcome.error)
            if before is not None and before.answered:
                error = outcome.error
                if before.error is not None and before.error.type == error.type:
                    error = before.error  # it was told already
                update = {"error": error, "visit": outcome.visit}
                outcome = before.model_copy(update=update)
        self.outcomes[name] = outcome
        return outcome

    def joined(self, state: Mapping[str, Any]) -> dict[str, Outcome]:
        """All outcomes by branch; those of `state` stand where no later visit has come to one.

        A later visit may stand in no state: that of an ask in a graph which a node called itself.
        """
        found = dict(self.outcomes)
        for name, outcome in outcomes_of(state).items():
            if name not in found or outcome.visit >= found[name].visit:
                found[name] = outcome
        return found

    def fail(self, node: str, error: Exception) -> None:
        """Keep what a node of the user's own raised; it costs its own branch.

        A run that goes on is told again of a node that failed beside the one that asked.
        """
        if isinstance(error, GraphFailed) and any(each.stage == node for each in self.failures):
            return
        self.raised = self.raised or error
        if not isinstance(error, OrchestraError):
            log_bug(error)
        record = failure(node, error)
        self.failures.append(record)
        self._meet(record)

    def stop_part(self, error: ErrorRecord, is_whole: bool) -> None:
        """Note what a conversation had no room or time for; unless `is_whole`, others may have."""
        if is_whole:
            self.stop(error)
        elif not any((e.stage, e.type) == (error.stage, error.type) for e in self.failures):
            self.failures.append(error)

    def stop(self, error: ErrorRecord) -> None:
        """Note what ended the graph before its end."""
        self.limit = self.limit or error

    def _meet(self, error: ErrorRecord) -> None:
        if self.limit is None and error.type in LIMIT_TYPES:
            self.limit = error

    def go_on(self, outcomes: Mapping[str, Outcome]) -> None:
        """Take over what an earlier part of the run left, in this process or in another one."""
        self.outcomes = {**self.outcomes, **outcomes}
        for node in {name.partition("[")[0] for name in self.outcomes}:
            found = branches_of(self.outcomes, node).values()
            self.visits[node] = max(self.visits[node], *(outcome.visit for outcome in found))


def failure(node: str, error: Exception) -> ErrorRecord:
    """The record of what a node raised, with the place where it did."""
    if isinstance(error, OrchestraError):
        return ErrorRecord.of(node, error)
    frames = traceback.extract_tb(error.__traceback__)
    place = f" (at {Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    return ErrorRecord(
        stage=node,
        type="GraphFailed",
        message=f"The node {node!r} raised {type(error).__name__}: {error}{place}. Mend the node; "
        "what the others answered is kept.",
    )
