"""`cascade`: an ask that is made where a node before it was unsure, for those fields alone.

The cheap node answers first, the better one what that left open. Which fields go on, and where the
second answers then stand, is decided here; pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from orchestra.core.ask import After, Ask, Said
from orchestra.core.errors import InvalidGraph
from orchestra.core.job import Field
from orchestra.core.state import Outcome
from orchestra.graph.escalation import instead, with_second
from orchestra.graph.waiting import left_open, reason_to_spare
from orchestra.routing.condition import condition_after

OPEN = "it was open or too unsure"


def cascade(ask: Ask, *, after: str, least: float = 0.0, share: float | None = None) -> Ask:
    """`ask`, made only about the fields that the node `after` leaves open or is unsure of.

    Unsure is under `least`: of the calibrated probability where a policy knows it, else of the
    confidence, and what is unknown is unsure. With 0 only open fields are asked for. A second
    answer takes the place of the first, which is kept as an alternative. `after` is an ask, the
    branches of one, or a join before this node. `share` is the part of jobs in which the call is
    expected, where no policy knows better; the plan's ceiling holds it anyway.

    Raises `InvalidGraph` for an ask without a schema, and for a bound or share out of range.
    """
    if not ask.fields:
        raise InvalidGraph(
            f"cascade(..., after={after!r}) has an ask without a schema, so there is no field to "
            "be unsure of. Give it one."
        )
    if not 0 <= least <= 1:
        raise InvalidGraph(f"cascade(...) has least={least!r}; it is a confidence from 0 to 1.")
    if share is not None and not 0 < share <= 1:
        raise InvalidGraph(
            f"cascade(...) has share={share!r}; it is the part of jobs that go on, over 0 and at "
            "most 1. Leave it out if it is not known."
        )
    return replace(ask, after=After(after, least, share))


@dataclass(frozen=True, slots=True)
class Before:
    """What the node before a cascade came to: its branches, or the fields that it joined."""

    after: After
    outcomes: Mapping[str, Outcome]
    fields: Mapping[str, Field]

    @property
    def readings(self) -> Mapping[str, Outcome]:
        """Outcomes by name; joined fields as one of the node's own."""
        return self.outcomes or {self.after.node: Outcome(fields=self.fields)}

    def in_doubt(self, ask: Ask) -> list[str]:
        """The fields of `ask` that go on."""
        return left_open(condition_after(ask, self.readings), self.readings)

    def reason(self, ask: Ask) -> str:
        """Why none of them does."""
        return reason_to_spare(condition_after(ask, self.readings), self.readings) or ""

    def with_second(self, name: str, second: Outcome, names: Sequence[str]) -> Said:
        """What stands once the branch `name` of the cascade came to `second` about `names`."""
        if not second.fields or second.error is not None or second.call is None:
            return Said({name: second}, None)
        answered = [n for n in names if n in second.fields and second.fields[n].answered]
        own = second.model_copy(update={"fields": {}})
        if len(self.outcomes) == 1:
            (before, first), *_ = self.outcomes.items()
            changed = with_second(first, second, None, second.call.model, names, OPEN)
            return Said({name: own.model_copy(update={"notes": ()}), before: changed}, changed)
        if self.fields and not self.outcomes:
            joined = {n: instead(second.fields[n], self.fields.get(n), OPEN) for n in answered}
            return Said({name: own}, Outcome(fields={**self.fields, **joined}), joined)
        return Said({name: self._beside(second, answered)}, second)

    def _beside(self, second: Outcome, names: Sequence[str]) -> Outcome:
        """A reading of its own beside several branches, whose readings it keeps."""
        fields = dict(second.fields)
        for name in names:
            found = (outcome.fields.get(name) for outcome in self.outcomes.values())
            kept = tuple(each for each in found if each is not None and each.answered)
            fields[name] = fields[name].model_copy(update={"alternatives": kept})
        return second.model_copy(update={"fields": fields})
