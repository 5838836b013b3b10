"""`serve(build)` on a real Ray Serve in this process: a job over HTTP, and bad requests."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from graphs.answer import build
from orchestra import serve
from tests.stub_worker import write_fleet

pytestmark = [pytest.mark.ray, pytest.mark.filterwarnings("ignore")]
ROOT = Path(__file__).parents[2]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    import ray
    from ray import serve as ray_serve

    os.environ["RAY_ENABLE_UV_RUN_RUNTIME_ENV"] = "0"
    os.environ["PYTHONPATH"] = str(ROOT)
    fleet = write_fleet(tmp_path_factory.mktemp("fleet"))
    port = free_port()
    ray.init(
        num_cpus=2,
        include_dashboard=False,
        _node_ip_address="127.0.0.1",
        log_to_driver=False,
        configure_logging=False,
    )
    ray_serve.start(http_options={"host": "127.0.0.1", "port": port})
    ray_serve.run(serve(build)({"fleet": str(fleet)}), name="answer")
    yield f"http://127.0.0.1:{port}/"
    ray_serve.shutdown()
    ray.shutdown()


def test_a_posted_job_gets_its_result(url: str) -> None:
    answer = httpx.post(url, json={"text": "A red apple from Italy."}, timeout=60)
    assert answer.status_code == 200
    result = answer.json()
    assert result["status"] == "complete"
    assert result["fields"]["answer"]["evidence"][0]["start"] == 0
    assert result["cost_usd"] > 0


def test_a_bad_request_says_what_to_do(url: str) -> None:
    unknown = httpx.post(url, json={"txt": "A red apple"}, timeout=60)
    assert unknown.status_code == 422
    assert "txt" in unknown.json()["error"]["message"]
    empty = httpx.post(url, json={"text": ""}, timeout=60)
    assert (empty.status_code, empty.json()["error"]["type"]) == (400, "EmptyJob")
    broken = httpx.post(url, content=b"{", timeout=60)
    assert broken.status_code == 400
