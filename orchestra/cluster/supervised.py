"""A process that stands outside of what it runs, so that every end of that is an end in order.

Ray aborts a driver whose cluster died, replaces its signal handlers, and leaves agents behind for
half a minute. So a server runs in a child: the process that was started stays, touches no Ray,
passes a stop on to the child, and knows what it is to do when the child ends, or does not.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import click

from orchestra.cluster.processes import descendants

CLUSTER_DIED = 75  # EX_TEMPFAIL of sysexits.h: the same command may succeed when it is run again
FORCED = 1  # a stop that did not come to its own end
INTERRUPTED = 130  # a second Ctrl-C
TEARDOWN_S = 30.0  # what an end takes beside the requests under way: replicas, actors, Ray
TERM_S = 2.0  # from SIGTERM to SIGKILL of what is left
KILL_S = 10.0  # for the kernel to end those; one that hangs in a driver of a device stays
LOOK_S = 1.0
STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36  # of Linux' prctl(2)


def go_on_in_child(grace_s: float, *, teardown_s: float = TEARDOWN_S) -> None:
    """Return in a child; this process stays to watch it, and exits as it ended.

    The child gets SIGINT for every first stop, has `grace_s` for requests under way and
    `teardown_s` for its own end, and is killed then. It gets one as well when this process is
    killed. Whatever is left of it, orphans included, ends with it (on Linux; elsewhere what stays
    in its process group). Exit codes: the child's own; 75 when it was killed or crashed; 1 when a
    stop had to be forced; 130 after a second stop.
    """
    own = os.getpid()
    with _held(STOPS):
        adopt_orphans()
        sys.stdout.flush()
        sys.stderr.flush()
        child = os.fork()
        if child:
            ended = _Supervisor(child, grace_s + teardown_s)
        else:
            os.setsid()  # a terminal's Ctrl-C comes to the supervisor alone
            _control(PR_SET_PDEATHSIG, signal.SIGINT)
            adopt_orphans()
            if os.getppid() != own:  # it ended before it could be followed
                os._exit(CLUSTER_DIED)
            return
    sys.exit(ended.wait())


def adopt_orphans() -> None:
    """Have every descendant whose parent dies become a child of this process."""
    _control(PR_SET_CHILD_SUBREAPER, 1)


def end_descendants(term_s: float = TERM_S) -> int:
    """End every process below this one, with SIGTERM first; how many had to be killed."""
    for process in descendants(os.getpid()):
        process.signal(signal.SIGTERM)
    until = time.monotonic() + term_s
    while (left := descendants(os.getpid())) and time.monotonic() < until:
        _reap()
        time.sleep(0.05)
    killed = len(left)
    until += KILL_S
    while left and time.monotonic() < until:  # what was begun meanwhile as well
        for process in left:
            process.kill()
        _reap()
        time.sleep(0.02)
        left = descendants(os.getpid())
    return killed


class _Supervisor:
    """Waits for one child; made while the stops are held back, so that none is missed."""

    def __init__(self, child: int, stop_s: float) -> None:
        self._child = child
        self._stop_s = stop_s
        self._stops = 0
        self._until = float("inf")
        self._awake, self._wakes = socket.socketpair()
        self._awake.setblocking(False)
        self._wakes.setblocking(False)
        signal.set_wakeup_fd(self._wakes.fileno(), warn_on_full_buffer=False)
        for number in STOPS:
            signal.signal(number, self._on_stop)
        signal.signal(signal.SIGCHLD, _on_child)

    def wait(self) -> int:
        """The exit code, when the child and all below it are gone."""
        while (status := _reap(self._child)) is None:
            select.select([self._awake], [], [], LOOK_S)
            with suppress(BlockingIOError):
                self._awake.recv(4096)
            if self._stops > 1:
                return self._end(INTERRUPTED, "stopped at once")
            if time.monotonic() > self._until:
                return self._end(FORCED, f"no end within {self._stop_s:g} s of the stop")
        code = os.waitstatus_to_exitcode(status)
        if code < 0 and not self._stops:
            name = signal.Signals(-code).name
            return self._end(CLUSTER_DIED, f"the server was killed or crashed ({name})")
        return self._end(FORCED if code < 0 else code)

    def _on_stop(self, number: int, frame: Any) -> None:
        self._stops += 1
        if self._stops == 1:
            self._until = time.monotonic() + self._stop_s
            with suppress(ProcessLookupError):
                os.kill(self._child, signal.SIGINT)

    def _end(self, code: int, why: str = "") -> int:
        killed = end_descendants(TERM_S if self._stops < 2 else 0.0)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._child, signal.SIGKILL)  # where there is no /proc to find them in
        if why:
            click.echo(f"{why}; {killed} processes were killed", err=True)
        return code


def _on_child(number: int, frame: Any) -> None:
    """Wakes the loop."""


def _reap(wanted: int | None = None) -> int | None:
    """Collect every child that ended, adopted ones too; the status of `wanted`."""
    found = None
    with suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            if pid == wanted:
                found = status
    return found


@contextmanager
def _held(signals: tuple[int, ...]) -> Iterator[None]:
    """Signals wait until the block ends."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _control(option: int, value: int) -> None:
    """Linux' prctl; elsewhere nothing."""
    if sys.platform == "linux":
        prctl: Callable[..., int] = ctypes.CDLL(None, use_errno=True).prctl
        if prctl(option, value, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
