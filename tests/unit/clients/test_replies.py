"""Each reply that a server was reported to give ends as its user would expect (`tests/replay`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from orchestra.core.call import Reply
from orchestra.core.errors import OrchestraError
from tests.replay.replies import (
    KEY,
    KEY_NAME,
    Case,
    Ended,
    calls_asked,
    cases,
    play,
    sent_with,
)

CASES = cases()
SERVERS = {"litellm", "vllm", "ollama", "llamacpp", "lmstudio", "openai", "deepseek", "qwen"}


def reply(ended: Ended) -> Reply:
    assert isinstance(ended.answer, Reply), ended.answer
    return ended.answer


def error(ended: Ended) -> OrchestraError:
    assert isinstance(ended.answer, OrchestraError), ended.answer
    return ended.answer


def words(ended: Ended) -> str:
    return str(ended.answer)


# How a case may end, each with how it is told.
ENDS: dict[str, Callable[[Ended, Any], bool]] = {
    "text": lambda ended, text: reply(ended).text == text,
    "value": lambda ended, value: reply(ended).value == value,
    "abstains": lambda ended, notes: dict(reply(ended).abstained) == notes,
    "thinking": lambda ended, thought: reply(ended).thinking == thought,
    "calls": lambda ended, calls: calls_asked(reply(ended)) == calls,
    "pieces": lambda ended, pieces: list(ended.heard) == pieces,
    "usage": lambda ended, usage: (
        [reply(ended).usage.input_tokens, reply(ended).usage.output_tokens] == usage
    ),
    "error": lambda ended, kind: error(ended).kind == kind,
    "spent": lambda ended, spent: error(ended).may_have_spent is spent,
    "says": lambda ended, said: all(each in words(ended) for each in said),
    "never": lambda ended, said: not any(each in words(ended) for each in said),
    "asked": lambda ended, count: len(ended.server.asked) == count,
    "leaves_out": lambda ended, part: (
        sent_with(ended.server, part)[0] and not sent_with(ended.server, part)[-1]
    ),
    "sends": lambda ended, part: sent_with(ended.server, part)[-1],
}


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.server}: {case.name}")
async def test_a_reported_reply_ends_as_its_user_would_expect(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY_NAME, KEY)
    ended = await play(case)
    wrong = {how: wanted for how, wanted in case.ends.items() if not ENDS[how](ended, wanted)}
    assert not wrong, (ended.answer, ended.heard, len(ended.server.asked))
    assert KEY not in words(ended)


def test_each_server_has_a_file_of_replies_and_no_case_is_there_twice() -> None:
    assert {case.server for case in CASES} >= SERVERS
    names = [(case.server, case.name) for case in CASES]
    assert len(names) == len(set(names))
