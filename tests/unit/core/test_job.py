"""A job's words as JSON: what has no form there keeps what it can."""

from __future__ import annotations

from typing import Any

from orchestra import Result


def test_a_state_holds_half_a_character_and_itself_and_still_goes_through_json() -> None:
    round_and_round: list[Any] = [1]
    round_and_round.append(round_and_round)
    state = {"cut": "\ud83d", "loop": round_and_round, "nan": float("nan"), "n": 1}
    result = Result(status="complete", state=state)
    again = Result.model_validate_json(result.model_dump_json())
    assert again.state == {"cut": "\\ud83d", "loop": [1, "[1, [...]]"], "nan": "NaN", "n": 1}
