"""What is told of a cluster that dies, by parts that a test lets die."""

from __future__ import annotations

import socket
import threading
from urllib.parse import urlsplit

import pytest

from orchestra.cluster.watch import Watch, proxy_pulse
from tests.servers.fake_server import serving

PATIENCE_S = 30.0


class Heard:
    """What was told, once it was."""

    def __init__(self) -> None:
        self.why: list[str] = []
        self.told = threading.Event()

    def __call__(self, why: str) -> None:
        self.why.append(why)
        self.told.set()


def silent() -> None:
    """Answers nobody."""
    raise OSError("nobody is there")


def test_a_part_that_ended_is_told_once() -> None:
    heard = Heard()
    Watch(lambda: "the raylet ended with -9", {}, heard).begin()
    assert heard.told.wait(PATIENCE_S)
    assert heard.why == ["the raylet ended with -9"]


def test_who_does_not_answer_for_long_is_named_and_who_hangs_as_well() -> None:
    for ask in (silent, threading.Event().wait):
        heard = Heard()
        Watch(lambda: "", {"the proxy": ask}, heard, silent_s=0.2, pulse_s=0.05).begin()
        assert heard.told.wait(PATIENCE_S)
        assert heard.why == ["the proxy has not answered for 0.2 s"]


def test_who_answers_now_and_then_is_alive_and_an_end_that_is_meant_is_not_told() -> None:
    heard, answers = Heard(), threading.Semaphore(0)
    failures = iter([True, False] * 1000)

    def sometimes() -> None:
        if next(failures):
            raise OSError("busy")
        answers.release()

    watch = Watch(lambda: "", {"the proxy": sometimes}, heard, silent_s=10.0, pulse_s=0.01)
    watch.begin()
    for _ in range(20):
        assert answers.acquire(timeout=PATIENCE_S)
    watch.end()
    assert not heard.why


def test_any_answer_of_the_proxy_is_one() -> None:
    with serving() as server:
        address = urlsplit(server.url)
        assert address.hostname and address.port
        proxy_pulse(address.hostname, address.port)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free = probe.getsockname()[1]
    with pytest.raises(OSError):
        proxy_pulse("127.0.0.1", free)
