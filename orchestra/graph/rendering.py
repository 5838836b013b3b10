"""Makes the call of an ask: instruction, data, schema, within a model's context; and what to note.

It knows no run, no plan and no money.
"""

from __future__ import annotations

from dataclasses import replace

from orchestra.core.ask import Ask
from orchestra.core.call import Call, Client, Reply
from orchestra.core.job import Job
from orchestra.core.schema import narrow, parsed
from orchestra.core.state import JobState
from orchestra.core.text import clip, sanitise
from orchestra.graph.paid import Ticket


def usage_notes(reply: Reply, ticket: Ticket) -> tuple[str, ...]:
    """What makes the cost of a call less than certain; a price must not be wrong in silence."""
    usage, model = reply.usage, ticket.card.name
    if usage.is_bound:
        return (f"{model} reports no usage, so the most that the call can have used is counted",)
    most = ticket.ceiling.input_tokens
    if usage.input_tokens <= most:
        return ()
    return (
        f"{model} counted {usage.input_tokens} prompt tokens, and the plan {most} at most: raise "
        "limits.image_tokens on its card, or budgets will not hold",
    )


def instruction_of(ask: Ask, job: Job) -> str:
    """What the model is told to do; the job's own text where that is the question."""
    if ask.question:
        return job.text or ask.instruction
    return ask.instruction.replace("{language}", job.language)


def data_of(ask: Ask, state: JobState, job: Job) -> str | None:
    """The text a call is given as data, or None."""
    if ask.data is not None:
        rendered = ask.data(state)
        return None if rendered is None else sanitise(rendered)
    return None if ask.question or ask.reads == "image" else job.text


async def fit(
    call: Call, room: int, client: Client, *, is_counted_whole: bool = False
) -> tuple[Call, tuple[str, ...]]:
    """Cut data that does not fit the context, and say so; the instruction is never cut.

    A prompt that is short in bytes is not counted at all, unless more than instruction and data
    is in it (`is_counted_whole`).
    """
    text = call.text
    bound = len(call.instruction.encode()) + len((text or "").encode())
    if text is None or (bound < room - 64 and not is_counted_whole):
        return call, ()
    fitted = call
    while fitted.text and (tokens := await client.count_tokens(fitted)) > room:
        keep = int(len(fitted.text) * min(0.95, room / tokens))
        fitted = replace(fitted, text=clip(fitted.text, keep))
    if fitted.text == text:
        return call, ()
    read = len(fitted.text or "")
    return fitted, (f"the model read the first {read} of {len(text)} characters of the text",)


def constrained(call: Call, ask: Ask, state: JobState) -> Call:
    """`call` with the ask's schema, narrowed to the call's text where it is read off."""
    if ask.schema_json is None:
        return call
    if ask.shape is not None:
        return replace(call, schema=ask.shape(state))
    read_off = not ask.derived and ask.capability == "text"
    schema = narrow(ask.schema_json, call.text or "") if read_off else parsed(ask.schema_json)
    return replace(call, schema=schema)
