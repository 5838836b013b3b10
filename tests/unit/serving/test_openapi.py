"""The document of the HTTP face and what it does, against each other: schemathesis, bounded."""

from __future__ import annotations

import asyncio
from typing import Any

import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi import checks

from graphs.answer import build
from orchestra.serving.http import make_app
from orchestra.serving.service import Service
from tests.asking_graphs import asking, told
from tests.scripted import scripted_fleet


def no_fault_of_ours(ctx: Any, response: Any, case: Any) -> None:
    """No 500: a model, a photo's server and a deadline may fail otherwise."""
    assert response.status_code != 500, response.text


# `positive_data_acceptance` is not among them: a schema cannot say that a model must be one of the
# fleet's, or a photo's address one of a photo.
CHECKS = [
    no_fault_of_ours,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
    checks.negative_data_rejection,
    checks.unsupported_method,
    checks.use_after_free,
    checks.missing_required_header,
]


SLOW = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]
BOUNDED = settings(max_examples=12, suppress_health_check=SLOW, database=None, derandomize=True)


async def test_every_route_does_what_its_document_says() -> None:
    fleet, _ = scripted_fleet(told, told)
    app = make_app(Service(fleet, {"answer": build, "asking": asking}))
    document: Any = await asyncio.to_thread(schemathesis.openapi.from_asgi, "/openapi.json", app)
    operations = [found.ok() for found in document.get_all_operations()]
    assert len(operations) > 10
    wrong = [fault for one in operations if (fault := await asyncio.to_thread(fault_of, one))]
    assert not wrong, "\n".join(wrong)
    await fleet.close()


def fault_of(operation: Any) -> str | None:
    """What the route does against its document, or None."""

    @BOUNDED
    @given(
        case=operation.as_strategy(generation_mode=GenerationMode.POSITIVE)
        | operation.as_strategy(generation_mode=GenerationMode.NEGATIVE)
    )
    def check(case: Any) -> None:
        case.call_and_validate(checks=CHECKS)

    try:
        check()
    except (Exception, BaseExceptionGroup) as fault:  # the others are looked at as well
        return f"{operation.label}: {fault}"
    return None
