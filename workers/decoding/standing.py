"""What becomes of an answer about photos that a model does not know; knows no library."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from orchestra.core.call import Reply


@dataclass(frozen=True, slots=True)
class Standing:
    """How likely a photo is of the known kinds, and why it is not taken for one, or None.

    `world` is the number of the set of kinds that it is nearest to (0: photos, 1: drawings).
    """

    likely: float
    reason: str | None
    world: int = 0


def outside(standings: Sequence[Standing]) -> str | None:
    """Why one of the photos is of no known kind; None where all are known."""
    return next((standing.reason for standing in standings if standing.reason), None)


def judged(reply: Reply, standings: Sequence[Standing]) -> Reply:
    """`reply` in the light of where its photos stand.

    A photo outside leaves no value of an object, only the reason; one inside makes each value as
    likely as the photo is known. A free text stays, with the reason under no name.
    """
    reason = outside(standings)
    if not isinstance(reply.value, Mapping):
        return reply if reason is None else replace(reply, abstained={"": reason})
    if not standings:
        return reply
    likely = min(standing.likely for standing in standings)
    sure = {name: share * likely for name, share in reply.confidence.items()}
    if reason is None:
        return replace(reply, confidence=sure)
    nothing = dict.fromkeys(reply.value)
    refused = dict.fromkeys(reply.value, reason)
    return replace(reply, value=nothing, confidence=sure, abstained=refused)
