"""Reads what servers report of a call's tokens, in the places and words that they use for it.

Where a report contradicts itself the larger reading counts, because a server bills all it did.
Shapes follow OpenAI's `usage`; Gemini's compatible API leaves thoughts out of
`completion_tokens`, Groq (`x_groq`) and Moonshot report streams in places of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from orchestra.core.usage import Usage

MOST_TOKENS = 10**9  # of one call; a larger figure cannot be one, and could not be booked
SENT, WRITTEN = ("prompt_tokens", "input_tokens"), ("completion_tokens", "output_tokens")
TOTAL = ("total_tokens",)
IMPOSSIBLE = -1  # stands for a negative or absurd count
DETAILS = ("completion_tokens_details", "output_tokens_details")


def reported_in(body: Any) -> Mapping[str, Any] | None:
    """The usage in a completion or an event of a stream; None where there is none."""
    if not isinstance(body, Mapping):
        return None
    choices = body.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    own = (value for name, value in body.items() if str(name).startswith("x_"))
    for place in (body, first, *own):
        found = place.get("usage") if isinstance(place, Mapping) else None
        if isinstance(found, Mapping) and found:
            return found
    return None


def fuller(
    before: Mapping[str, Any] | None, now: Mapping[str, Any] | None
) -> Mapping[str, Any] | None:
    """Of two reports on one stream the one of more tokens; the later of equal ones."""
    if before is None or now is None:
        return now or before
    return before if _sum(before) > _sum(now) else now


def usage_of(reported: Any, most: Usage, *, answered: bool = True) -> Usage:
    """What a call used by its server's report; `most` stands in for what that does not say.

    `answered`: the model wrote something, so that 0 tokens cannot be true.
    """
    if not isinstance(reported, Mapping):
        return most
    sent, written, total = (_count(reported, *names) for names in (SENT, WRITTEN, TOTAL))
    if IMPOSSIBLE in (sent, written):
        why = f"reports a use that cannot be ({str(reported)[:120]}): the most is counted"
        return _doubted(most, why)
    if total is not None and sent is None and written is not None:
        sent = max(0, total - written)
    elif total is not None and written is None and sent is not None:
        written = max(0, total - sent)
    if sent is None and written is None:
        return most if total is None or total < 1 else _of_total(total, most)
    known = replace(most, is_bound=False)
    known = _inputs(known, sent, answered)
    known = _outputs(known, written, hidden_tokens(reported), answered)
    if total is not None and total > known.input_tokens + known.output_tokens:
        beyond = total - known.input_tokens - known.output_tokens
        known = _doubted(
            replace(known, output_tokens=known.output_tokens + beyond),
            f"reports total_tokens={total}, {beyond} more than its parts: they count as output",
        )
    above = known.input_tokens > most.input_tokens or known.output_tokens > most.output_tokens
    return replace(known, is_bound=False) if above else known


def _of_total(total: int, most: Usage) -> Usage:
    """The dearest split of a total whose parts nobody says; what no part has room for is output."""
    beyond = max(0, total - most.input_tokens - most.output_tokens)
    written = min(total, most.output_tokens) + beyond
    split = replace(most, input_tokens=total - written, output_tokens=written, is_bound=beyond == 0)
    why = f"reports total_tokens={total} without its parts: what can be output counts as that"
    return _doubted(split, why)


def hidden_tokens(reported: Any) -> int:
    """Tokens of thoughts that a server counts, though it may not show them."""
    if not isinstance(reported, Mapping):
        return 0
    details = [reported.get(place) for place in DETAILS]
    counts = [_count(d, "reasoning_tokens") for d in details if isinstance(d, Mapping)]
    return max((count for count in counts if count is not None), default=0)


def _inputs(known: Usage, sent: int | None, answered: bool) -> Usage:
    if sent is None or (sent == 0 and answered):
        why = "no prompt_tokens" if sent is None else "0 prompt tokens beside an answer"
        bound = replace(known, is_bound=True)
        return _doubted(bound, f"reports {why}: the most that it can have read is counted")
    return replace(known, input_tokens=sent)


def _outputs(known: Usage, written: int | None, hidden: int, answered: bool) -> Usage:
    if written is None or (written == 0 and answered):
        why = "no completion_tokens" if written is None else "0 tokens beside an answer"
        bound = replace(known, is_bound=True)
        return _doubted(bound, f"reports {why}: the most that it can have written is counted")
    if hidden > written:
        return _doubted(
            replace(known, output_tokens=written + hidden),
            f"counts {hidden} tokens of thoughts beside completion_tokens={written}: "
            "both are counted",
        )
    return replace(known, output_tokens=written)


def _doubted(usage: Usage, doubt: str) -> Usage:
    return replace(usage, doubts=(*usage.doubts, doubt))


def _count(reported: Any, *names: str) -> int | None:
    """The count under the first of `names` that is there, or `IMPOSSIBLE`; None without one."""
    found = next((reported[name] for name in names if reported.get(name) is not None), None)
    try:
        count = None if found is None else int(IMPOSSIBLE if isinstance(found, bool) else found)
    except (TypeError, ValueError, OverflowError):
        return IMPOSSIBLE
    return count if count is None or 0 <= count <= MOST_TOKENS else IMPOSSIBLE


def _sum(reported: Mapping[str, Any]) -> int:
    parts = (_count(reported, *SENT) or 0) + (_count(reported, *WRITTEN) or 0)
    return max(parts, _count(reported, *TOTAL) or 0)
