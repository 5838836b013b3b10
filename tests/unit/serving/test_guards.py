"""In which order a request passes the guards, and what each of them must stand before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from graphs.answer import build
from orchestra.serving.admission.ingress import IngressAdmission
from orchestra.serving.admission.patience import Patience
from orchestra.serving.canary.guard import Canary
from orchestra.serving.canary.sharing import Sharing
from orchestra.serving.canary.trial import CanaryTrial
from orchestra.serving.guards.bodies import BodyLimit, NothingForeseen
from orchestra.serving.guards.draining import Draining
from orchestra.serving.guards.hosts import HostGuard
from orchestra.serving.guards.keys import KeyGuard
from orchestra.serving.guards.methods import Methods
from orchestra.serving.guards.once import Once
from orchestra.serving.guards.traced import Traced
from orchestra.serving.http import HttpSettings, make_app
from orchestra.serving.service import Service
from tests.keyed import JOB, KEYS, keyed_fleet, served
from tests.scripted import scripted_fleet

ORDER = [
    Traced,  # around all others, so that what they refuse is traced
    NothingForeseen,  # around all that may fail
    Draining,
    Patience,
    HostGuard,
    BodyLimit,  # before the key: a stranger's body is bounded as well
    KeyGuard,  # before whatever is a tenant's: its share of the queue, its idempotency keys
    IngressAdmission,
    Once,  # before the canary: an answer that is known is not made anew
    Methods,
    Canary,  # the last, as it has routes of its own
]


def test_the_guards_stand_in_this_order() -> None:
    fleet, _ = scripted_fleet()
    service = Service(fleet, {"answer": build})
    shared = Sharing(service, CanaryTrial(10))
    app = make_app(service, HttpSettings(access=KEYS, canary=shared))
    assert [guard.cls for guard in app.user_middleware] == ORDER
    unasked: list[Any] = [guard for guard in ORDER if guard not in (KeyGuard, Canary)]
    assert [guard.cls for guard in make_app(service).user_middleware] == unasked


async def test_a_strangers_headers_are_bounded_and_its_route_is_not_told(tmp_path: Path) -> None:
    async with served(keyed_fleet(tmp_path / "book.sqlite")) as http:
        many = {f"x-{number}": "1" for number in range(200)}
        assert (await http.post("/v1/jobs", json=JOB, headers=many)).status_code == 431
        assert (await http.post("/v1/no-such-route", json=JOB)).status_code == 401
