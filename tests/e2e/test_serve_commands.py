"""The serving commands as a user types them, each on a Ray cluster of its own."""

from __future__ import annotations

import base64
import io
import json
import re
import shutil
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from orchestra.cluster.processes import descendants
from tests.processes import (
    PATIENCE_S,
    ROOT,
    Running,
    free_port,
    is_loopback,
    left_of,
    listening,
    running,
)
from tests.serving_workers import (
    BrokenWorker,
    DyingWorker,
    EndlessWorker,
    SlowWorker,
    write_fleet,
)
from workers.synthetic.drawn import RESERVED_SEED, draw_product

pytestmark = [pytest.mark.ray, pytest.mark.timeout(400)]
RUN_PORT = 8000  # `serve run` has no option for another
GO_ON = {"model": "endless", "messages": [{"role": "user", "content": "Go on"}]}
IMPORTABLE = {"PYTHONPATH": str(ROOT)}  # the replicas import the workers of these tests


def apple() -> str:
    """A drawn green apple as a data URI."""
    buffer = io.BytesIO()
    image = draw_product("Apple", "green", seed=RESERVED_SEED, size=128)
    image.convert("RGB").save(buffer, "PNG")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def rows_of(metrics_url: str, model: str) -> dict[str, float]:
    """Rows that the replicas of `model` ended, by outcome, as Ray tells Prometheus."""
    text = httpx.get(metrics_url, timeout=30).text
    found: dict[str, float] = {}
    for labels, value in re.findall(r"^ray_orchestra_engine_rows_total\{(.*)\} (\S+)$", text, re.M):
        if f'model="{model}"' in labels:
            outcome = re.search(r'outcome="(\w+)"', labels)
            assert outcome is not None
            found[outcome[1]] = found.get(outcome[1], 0.0) + float(value)
    return found


def ended_rows(told: dict[str, str], count: float) -> dict[str, float]:
    """The rows of `endless` by outcome, once `count` of them ended."""
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        rows = rows_of(told["replica_metrics"], "endless")
        if sum(rows.values()) >= count:
            return rows
        time.sleep(0.2)
    raise AssertionError(f"fewer than {count} rows ended")


def test_serve_run_answers_text_and_photo_from_any_folder(tmp_path: Path) -> None:
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", RUN_PORT)) == 0:
            pytest.skip(f"another program listens on {RUN_PORT}, which `serve run` always takes")
    command = ["serve", "run", "--address", "local", "graphs.listing:app", "fleet=mini"]
    url = f"http://127.0.0.1:{RUN_PORT}"
    with running(command, tmp_path) as serve:
        serve.wait_for(f"{url}/readyz")
        job = {"text": "Brand: Brandal. Origin: Italy.", "images": [apple()]}
        answer = httpx.post(url, json=job, timeout=60)
        assert answer.status_code == 200, answer.text
        fields = answer.json()["fields"]
        assert (fields["origin"]["value"], fields["origin"]["source"]) == ("Italy", "text")
        assert fields["origin"]["evidence"][0]["text"] == "Italy"
        assert (fields["colour"]["value"], fields["colour"]["source"]) == ("green", "photo")
        assert fields["colour"]["evidence"][0]["image"]
        assert {host for host, _ in listening(serve.process.pid) if not is_loopback(host)} == set()
        code, left = serve.interrupt()
    assert (code, left) == (0, [])


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, dict[str, str]]]:
    """`orchestra serve` when it is ready, and the addresses it tells."""
    folder = tmp_path_factory.mktemp("serve")
    fleet = write_fleet(folder, EndlessWorker, name="endless", mini=True)
    command = ["orchestra", "serve", "--json", "--fleet", str(fleet), "--port", str(free_port())]
    for name in ("shop", "more"):  # graphs of a user's own, in files beside where it is started
        shutil.copy(ROOT / "graphs" / "answer.py", folder / f"{name}.py")
    for graph in ("shop.py:build", "listing", "more.py:build"):
        command += ["--graph", graph]
    command += ["--traces", str(folder / "spans.jsonl"), "--service-name", "shop"]
    soon = {"RAY_metrics_report_interval_ms": "500"}
    with running(command, folder, IMPORTABLE | soon) as serve:
        until = time.monotonic() + PATIENCE_S
        while '"replica_metrics"' not in serve.said and time.monotonic() < until:
            assert serve.process.poll() is None, serve.said
            time.sleep(0.2)
        told = serve.said[serve.said.index("{") :]
        yield serve, json.JSONDecoder().raw_decode(told)[0]


def test_a_client_that_hangs_up_stops_the_decoding_on_the_replica(
    served: tuple[Running, dict[str, str]],
) -> None:
    _, told = served
    url = f"{told['openai']}/chat/completions"
    with httpx.stream("POST", url, json=GO_ON | {"stream": True}, timeout=60) as live:
        heard = next(line for line in live.iter_lines() if "word" in line)
    assert '"content": "word "' in heard
    # Left alone, a row would end "answered".
    assert ended_rows(told, 1) == {"Cancelled": 1.0}
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(url, json=GO_ON, timeout=2)
    assert ended_rows(told, 2) == {"Cancelled": 2.0}
    ingress = httpx.get(told["metrics"], timeout=30).text
    assert 'orchestra_problems_total{type="Cancelled"} 2.0' in ingress


def test_the_end_of_the_deadline_stops_the_decoding_on_the_replica(
    served: tuple[Running, dict[str, str]],
) -> None:
    _, told = served
    before = sum(rows_of(told["replica_metrics"], "endless").values())
    # 8 tokens fit the plan; that the engine tells more is the test's.
    asked = GO_ON | {"max_tokens": 8, "orchestra": {"budget": {"latency_ms": 1500}}}
    late = httpx.post(f"{told['openai']}/chat/completions", json=asked, timeout=60)
    assert (late.status_code, late.json()["error"]["code"]) == (504, "DeadlineExceeded")
    assert "Raise latency_ms" in late.json()["error"]["message"]
    assert set(ended_rows(told, before + 1)) == {"Cancelled"}


@pytest.mark.parametrize("graph", [None, "shop", "more"])
def test_graphs_in_files_are_served_under_their_files_names(
    served: tuple[Running, dict[str, str]], graph: str | None
) -> None:
    _, told = served
    assert told["graphs"] == ["shop", "listing", "more"]
    job = {"text": "Origin: Italy. Where is it from?"} | ({"graph": graph} if graph else {})
    answer = httpx.post(f"{told['url']}/v1/jobs", json=job, timeout=60)
    assert answer.status_code == 200, answer.text
    assert "answer" in answer.json()["fields"]


def test_a_request_is_one_trace_from_http_to_the_replicas_engine(
    served: tuple[Running, dict[str, str]],
) -> None:
    serve, told = served
    job = {"text": "A red cashmere-jumper-91 from Italy."}
    sent = {"traceparent": "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01"}
    answer = httpx.post(f"{told['url']}/v1/jobs", json=job, headers=sent, timeout=60)
    assert answer.status_code == 200, answer.text
    text = (serve.log.parent / "spans.jsonl").read_text(encoding="utf-8")
    spans = [json.loads(line) for line in text.splitlines()]
    mine = [one for one in spans if one["context"]["trace_id"] == "0x" + sent["traceparent"][3:35]]
    assert {one["name"] for one in mine} >= {f"orchestra.{n}" for n in ("http", "job", "engine")}
    assert {one["resource"]["attributes"]["service.name"] for one in mine} == {"shop"}
    assert "cashmere" not in text


def test_orchestra_serve_listens_on_loopback_and_leaves_nothing(
    served: tuple[Running, dict[str, str]],
) -> None:
    serve, told = served
    job = {"text": "A red apple from Italy.", "images": [apple()], "graph": "listing"}
    answer = httpx.post(f"{told['url']}/v1/jobs", json=job, timeout=60)
    assert answer.status_code == 200, answer.text
    assert answer.json()["fields"]["origin"]["value"] == "Italy"
    sockets = listening(serve.process.pid)
    assert len(sockets) > 5  # proxy, replicas and Ray's own
    assert {(host, port) for host, port in sockets if not is_loopback(host)} == set()


def test_its_log_is_json_lines_without_what_was_asked(
    served: tuple[Running, dict[str, str]],
) -> None:
    serve, told = served
    httpx.post(f"{told['url']}/v1/jobs", json={"text": "A cashmere-jumper-92."}, timeout=60)
    until = time.monotonic() + PATIENCE_S
    while "job ended" not in serve.said.splitlines()[-1] and time.monotonic() < until:
        time.sleep(0.1)
    line = json.loads(serve.said.splitlines()[-1])
    assert (line["message"], line["service"], line["level"]) == ("job ended", "shop", "INFO")
    assert len(line["trace"]) == 32
    assert "cashmere" not in serve.said


def test_sigterm_finishes_what_is_under_way_takes_nothing_new_and_leaves_nothing(
    served: tuple[Running, dict[str, str]],
) -> None:
    serve, told = served
    family = descendants(serve.process.pid)
    brief = GO_ON | {"messages": [{"role": "user", "content": "Briefly"}], "stream": True}
    url = f"{told['openai']}/chat/completions"
    with httpx.stream("POST", url, json=brief, timeout=60) as live:
        lines = live.iter_lines()
        assert next(line for line in lines if "word" in line)
        serve.process.send_signal(signal.SIGTERM)
        until = time.monotonic() + PATIENCE_S
        while httpx.get(f"{told['url']}/readyz", timeout=30).status_code == 200:
            assert time.monotonic() < until
        late = httpx.post(url, json=brief, timeout=60)
        rest = list(lines)
    assert (late.status_code, late.json()["error"]["code"]) == (503, "Stopping")
    assert late.headers["Retry-After"] == "5"
    assert '"finish_reason": "stop"' in "".join(rest) and "data: [DONE]" in rest
    assert (serve.process.wait(PATIENCE_S), left_of(family)) == (0, []), serve.said
    assert serve.said.endswith("stopped\n")


@pytest.mark.parametrize(
    ("worker", "told"),
    [
        (BrokenWorker, ("RuntimeError: weights of layer 3", "Check memory and the checkpoint")),
        (DyingWorker, ("process died while the model loaded", "Free memory")),
    ],
)
def test_a_worker_that_crashes_on_load_is_named_with_cause_and_cure(
    tmp_path: Path, worker: type, told: tuple[str, ...]
) -> None:
    fleet = write_fleet(tmp_path, worker, name="broken")
    command = ["orchestra", "serve", "--fleet", str(fleet), "--port", str(free_port())]
    with running(command, tmp_path, IMPORTABLE) as serve:
        family, code = serve.end()
    error = serve.said[serve.said.index("ModelUnavailable:") :]
    assert (code, left_of(family)) == (1, [])
    assert family and "Traceback" not in serve.said
    assert "broken" in error and all(part in error for part in told)


def test_ctrl_c_while_a_model_loads_ends_it_at_once_and_leaves_nothing(tmp_path: Path) -> None:
    fleet = write_fleet(tmp_path, SlowWorker, name="slow", checkpoint=str(tmp_path))
    command = ["orchestra", "serve", "--fleet", str(fleet), "--port", str(free_port())]
    with running(command, tmp_path, IMPORTABLE) as serve:
        until = time.monotonic() + PATIENCE_S
        while not (tmp_path / "loading").exists() and time.monotonic() < until:
            assert serve.process.poll() is None, serve.said
            time.sleep(0.2)
        code, left = serve.interrupt()
    assert (code, left) == (0, []), serve.said
    assert "stopped before the models were loaded" in serve.said
    assert "Traceback" not in serve.said


@pytest.mark.parametrize("part", ["raylet", "serve"])
def test_a_cluster_that_is_killed_ends_it_with_a_code_to_start_it_again_and_leaves_nothing(
    tmp_path: Path, part: str
) -> None:
    fleet = write_fleet(tmp_path, SlowWorker, name="slow", checkpoint=str(tmp_path))
    command = ["orchestra", "serve", "--fleet", str(fleet), "--port", str(free_port())]
    with running(command, tmp_path, IMPORTABLE) as serve:
        until = time.monotonic() + PATIENCE_S
        while not (tmp_path / "loading").exists() and time.monotonic() < until:
            assert serve.process.poll() is None, serve.said
            time.sleep(0.2)
        family = descendants(serve.process.pid)
        if part == "serve":
            serve.process.kill()
        else:
            next(one for one in family if one.title.split("\0")[0].endswith("/raylet")).kill()
        code = serve.process.wait(PATIENCE_S)
        assert left_of(family) == [], serve.said
    if part == "serve":
        assert code == -signal.SIGKILL and "stopped before the models" in serve.said
    else:
        assert code == 75 and "the cluster died: the node's raylet ended with -9" in serve.said


def test_a_fleet_that_the_machine_has_no_room_for_is_told_at_once(tmp_path: Path) -> None:
    scaling = {"gpus": 64}
    fleet = write_fleet(tmp_path, EndlessWorker, name="large", scaling=scaling)
    command = ["orchestra", "serve", "--fleet", str(fleet), "--port", str(free_port())]
    with running(command, tmp_path, IMPORTABLE) as serve:
        family, code = serve.end()
    assert (code, left_of(family)) == (1, []), serve.said
    assert "ModelUnavailable: This machine cannot host the fleet 'tested'" in serve.said
    assert "64 GPU and there is" in serve.said and "Traceback" not in serve.said
