"""The status and body of every error there is."""

from __future__ import annotations

import pytest

from orchestra.core import errors
from orchestra.core.errors import OrchestraError, named
from orchestra.serving.problems import headers_of, problem

# What a client may rely on; a class that is not listed has its parent's status.
STATUSES = {
    "KeyRefused": 401, "NotAllowed": 403,
    "UsageError": 400, "TextTooLong": 413, "UnknownModel": 404, "UnknownThread": 404,
    "ThreadTaken": 409, "MissingExtra": 500, "InvalidFleet": 500, "ImageError": 400,
    "ImageUnavailable": 503, "PlanError": 422, "BudgetExceeded": 402, "DeadlineExceeded": 504,
    "Overloaded": 503, "QueueFull": 429,
    "ModelError": 500, "OutsideDomain": 422, "PromptTooLong": 400,
    "AnswerTruncated": 502, "AnswerInvalid": 502, "AnswerRefused": 422,
    "ModelUnavailable": 503, "RateLimited": 429, "AccessRefused": 502, "Cancelled": 499,
    "BookLocked": 503, "BookUnavailable": 503, "BookError": 500,
    "DiskFull": 507, "OrchestraError": 500,
}  # fmt: skip


def kinds() -> list[type[OrchestraError]]:
    found = [value for value in vars(errors).values() if isinstance(value, type)]
    return [kind for kind in found if issubclass(kind, OrchestraError)]


@pytest.mark.parametrize("kind", kinds(), ids=lambda kind: kind.__name__)
def test_every_error_has_a_status_and_openais_shape(kind: type[OrchestraError]) -> None:
    wanted = next(STATUSES[base.__name__] for base in kind.__mro__ if base.__name__ in STATUSES)
    status, body = problem(named(kind.__name__, "the fact and its cure"))
    assert status == wanted
    assert body == {
        "error": {
            "message": "the fact and its cure",
            "type": "invalid_request_error" if wanted < 500 else "server_error",
            "param": None,
            "code": kind.__name__,
        }
    }


def test_who_may_come_again_is_told_when() -> None:
    assert [bool(headers_of(status)) for status in (400, 429, 500, 503)] == [False, True] * 2
    assert int(headers_of(503)["Retry-After"]) > 0
