"""Which types of error a run takes up again."""

from __future__ import annotations

import pytest

from orchestra.batch.retry import PASSING, retried_kinds
from orchestra.core.errors import OrchestraError, UsageError


def test_what_may_pass_by_itself_is_always_taken_up() -> None:
    assert retried_kinds(False) == retried_kinds(()) == PASSING == {"ImageUnavailable"}


def test_a_type_holds_those_under_it() -> None:
    found = retried_kinds(["ModelUnavailable", "ImageError"])
    assert {"ModelUnavailable", "RateLimited", "ImageNotFound", "ImageError"} <= found
    assert "AnswerInvalid" not in found


def test_all_are_all_there_are() -> None:
    found = retried_kinds(True)
    assert OrchestraError.__name__ in found and "GraphFailed" in found and "DiskFull" in found


@pytest.mark.parametrize(("name", "cure"), [("RateLimitd", "'RateLimited'"), ("x", "errors.jsonl")])
def test_a_type_that_there_is_not_is_refused_with_a_cure(name: str, cure: str) -> None:
    with pytest.raises(UsageError, match=f"{name!r}.*{cure}"):
        retried_kinds([name])
