"""`in_turn`: an ask that looks at one photo of a job after the other, as long as fields are open.

Which photos those are `core.fan_out` says. Which fields go on, and where later answers
then stand, is decided here; pure.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from orchestra.core.ask import Ask, InTurn
from orchestra.core.errors import BookError, InvalidGraph, OrchestraError
from orchestra.core.fan_out import looked_at
from orchestra.core.job import ErrorRecord, Field, Job
from orchestra.core.state import Outcome
from orchestra.graph.escalation import narrowed
from orchestra.routing.plan import NodePlan


def in_turn(ask: Ask, *, most: int = 3, least: float = 0.0) -> Ask:
    """`ask`, shown one photo a call: the main one, then others for what is open, `most` in all.

    Open is a field without a value, or with a confidence under `least`. An answer of an earlier
    photo stands; what a later one says is taken where that left the field open, with the photo in
    its evidence and its note. Photos of variants and swatches are not looked at beside others. The
    plan's ceiling holds `most` calls; where only fewer fit a budget, it holds fewer.

    Raises `InvalidGraph` for an ask without a schema or photos, and for bounds out of range.
    """
    if not ask.fields or ask.reads != "image":
        raise InvalidGraph(
            "in_turn(...) has an ask without a schema, or one that reads no photo, so nothing says "
            "whether the next photo is needed. Give it a schema: in_turn(ask('vision', ..., "
            "schema=Facts))."
        )
    if most < 1:
        raise InvalidGraph(f"in_turn(...) has most={most!r}; it must be 1 or more photos.")
    if not 0 <= least <= 1:
        raise InvalidGraph(f"in_turn(...) has least={least!r}; it is a confidence from 0 to 1.")
    return replace(ask, turn=InTurn(most, least))


def photos_held(ask: Ask, job: Job, planned: NodePlan) -> int:
    """How many photos one visit looks at, at most: as many as its plan holds calls."""
    if ask.turn is None:
        return 1
    return max(1, min(ask.turn.most, len(job.images), planned.visits))


async def look_in_turn(
    ask: Ask, job: Job, most: int, ask_about: Callable[[Ask, Job], Awaitable[Outcome]]
) -> Outcome:
    """What `most` of the job's photos came to, the next one asked for what is still open.

    A later photo that fails is a note. Raises what `ask_about` raises of the first, or `BookError`.
    """
    least = 0.0 if ask.turn is None else ask.turn.least
    main, *others = places = looked_at(len(job.images), job.roles, len(job.images))
    outcome = await ask_about(ask, _job_of(job, main))
    for place in others[: most - 1]:
        names = still_open(ask, outcome, least)
        if not names or outcome.error is not None:
            return outcome
        try:
            found = await ask_about(narrowed(ask, names), _job_of(job, place))
        except BookError:
            raise
        except OrchestraError as error:  # no time is left for it
            found = Outcome(error=ErrorRecord.of("photo", error))
        outcome = with_next(outcome, found, names, least, _named(job, place))
    left = still_open(ask, outcome, least) if outcome.error is None else []
    if not left or len(places) <= most:
        return outcome
    told = f"{len(places) - most} of {len(job.images)} photos were not looked at"
    note = f"{', '.join(left)}: {told}, as the plan holds {most} a product"
    return outcome.model_copy(update={"notes": (*outcome.notes, note)})


def _job_of(job: Job, place: int) -> Job:
    """The job with one of its photos."""
    return job.model_copy(
        update={"images": (job.images[place],), "roles": job.roles[place : place + 1]}
    )


def still_open(ask: Ask, outcome: Outcome, least: float) -> list[str]:
    """The fields that the next photo is asked for."""
    return [name for name in ask.fields if _is_open(outcome.fields.get(name), least)]


def _is_open(field: Field | None, least: float) -> bool:
    if field is None or not field.answered:
        return True
    return field.promised is None and field.confidence is not None and field.confidence < least


def with_next(
    first: Outcome, second: Outcome, names: Sequence[str], least: float, told: str
) -> Outcome:
    """`first` with what a later photo says of the fields `names`; `told` is which photo that is.

    An answer that is as unsure as the one before it stays beside it.
    """
    if second.error is not None:
        why = f"{told} was looked at in vain ({second.error.type}: {second.error.message})"
        return first.model_copy(update={"notes": (*first.notes, why)})
    fields = dict(first.fields)
    for name in names:
        found, before = second.fields.get(name), first.fields.get(name)
        if found is None or not found.answered:
            continue
        said = found.model_copy(update={"note": found.note or f"{told} shows it"})
        if before is None or not before.answered:
            fields[name] = said
        elif _is_open(said, least):
            kept = {"alternatives": (*before.alternatives, said)}
            fields[name] = before.model_copy(update=kept)
        else:
            others = (before.model_copy(update={"alternatives": ()}), *before.alternatives)
            fields[name] = said.model_copy(update={"alternatives": (*said.alternatives, *others)})
    return first.model_copy(update={"fields": fields, "notes": (*first.notes, *second.notes)})


def _named(job: Job, place: int) -> str:
    """A photo as a note names it, as in `photo 2 of 3 (detail)`."""
    role = f" ({job.roles[place]})" if job.roles else ""
    return f"photo {place + 1} of {len(job.images)}{role}"
