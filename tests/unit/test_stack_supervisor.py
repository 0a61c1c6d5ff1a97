"""The supervisor's rules, on small programs instead of servers."""

from __future__ import annotations

import os
import re
import signal
import socket
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import psutil
import pytest

from stack.errors import StackError, UnwellError
from stack.home import Home
from stack.ports import LOOPBACK, Ports
from stack.server import Command, Context, Server
from stack.servers import SERVERS
from stack.silence import DEAF_SECONDS, Silence
from stack.state import FAILED, HEALTHY
from stack.supervisor import CRASHES, Child, Supervisor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

LOOPS = (
    "import signal, sys; signal.signal(15, lambda *_: sys.exit(0)); print('here', flush=True); signal.pause()"
)


# Says "here" to everybody, or only so many times; then it lives on and says nothing.
ANSWERS = """
import socket
with socket.create_server(("127.0.0.1", 0)) as server:
    print("port", server.getsockname()[1], flush=True)
    for _ in range(%d):
        line, _ = server.accept()
        with line:
            line.sendall(b"here")
    nobody, _ = socket.socketpair()
    nobody.recv(1)
"""
ALWAYS = 1_000_000_000


class Program(Server):
    name = "program"
    title = "A program"

    def __init__(self, source: str = LOOPS) -> None:
        self.source = source
        self.trouble = ""
        self.finished = 0

    def command(self, context: Context) -> Command:  # noqa: ARG002
        return Command([sys.executable, "-c", self.source], {"PATH": os.environ["PATH"]})

    def check(self, context: Context) -> None:
        if self.trouble:
            raise StackError(self.trouble)
        if "here" not in (context.home.logs / "program.log").read_text():
            raise StackError("not yet")

    def after_start(self, context: Context) -> None:  # noqa: ARG002
        self.finished += 1


class Answering(Program):
    """Asked over a socket, as the real ones are."""

    stop_seconds = 0.2

    def __init__(self, answers: int = ALWAYS) -> None:
        super().__init__(ANSWERS % answers)
        self.hang_up: threading.Event | None = None

    def check(self, context: Context) -> None:
        if self.hang_up is not None:
            self.hang_up.wait(60)
        if self.trouble:
            raise UnwellError(self.trouble)
        ports = re.findall(r"port (\d+)", (context.home.logs / "program.log").read_text())
        if not ports:
            raise StackError("not yet")
        with socket.create_connection((LOOPBACK, int(ports[-1])), 0.2) as line:
            if line.recv(4) != b"here":
                raise StackError("not yet")


@pytest.fixture
def context(tmp_path: Path) -> Context:
    home = Home(tmp_path)
    home.make()
    return Context(home, Ports())


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as pool:
        yield pool


@pytest.fixture
def asked_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stack.supervisor.HEALTH_STEADY", 0.01)


def until(child: Child, condition: Callable[[], bool], *, others_well: bool = True) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, child.shown
        child.step(needs_healthy=True, others_well=others_well)
        time.sleep(0.01)


def test_waits_for_its_needs_then_becomes_healthy(context: Context, pool: ThreadPoolExecutor) -> None:
    program = Program()
    child = Child(program, context, pool)
    child.step(needs_healthy=False)
    assert child.shown.state == "waiting"
    until(child, lambda: child.shown.state == HEALTHY)
    assert program.finished == 1
    assert child.record.exists()
    child.stop()
    assert child.shown.pid is None
    assert not child.record.exists()


def test_a_killed_server_comes_back(context: Context, pool: ThreadPoolExecutor) -> None:
    program = Program()
    child = Child(program, context, pool)
    until(child, lambda: child.shown.state == HEALTHY)
    first = child.shown.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    until(child, lambda: child.shown.state == HEALTHY and child.shown.pid != first)
    assert child.shown.restarts == 1
    assert program.finished == 2
    child.stop()


def test_what_never_worked_is_given_up_with_its_reason(
    context: Context, pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stack.supervisor.BACKOFF", (0.0,))
    child = Child(Program("raise SystemExit(7)"), context, pool)
    until(child, lambda: child.shown.state == FAILED)
    assert child.shown.detail == "exit code 7"
    assert child.shown.restarts == CRASHES


def test_one_missed_answer_is_no_illness_three_are(
    context: Context, pool: ThreadPoolExecutor, asked_often: None
) -> None:
    program = Program()
    child = Child(program, context, pool)
    until(child, lambda: child.shown.state == HEALTHY)
    program.trouble = "too busy"
    until(child, lambda: child.misses == 1)
    assert child.shown.state == HEALTHY
    until(child, lambda: child.shown.state == "unhealthy")
    assert child.shown.detail == "too busy"
    program.trouble = ""
    until(child, lambda: child.shown.state == HEALTHY)
    child.stop()


def test_one_that_ignores_the_request_is_killed(context: Context, pool: ThreadPoolExecutor) -> None:
    program = Program(
        "import signal; signal.signal(15, signal.SIG_IGN); print('here', flush=True); signal.pause()"
    )
    program.stop_seconds = 0.1
    child = Child(program, context, pool)
    until(child, lambda: child.shown.state == HEALTHY)
    pid = child.shown.pid
    assert pid is not None
    child.stop()
    assert not psutil.pid_exists(pid)


def test_a_hung_server_is_killed_and_comes_back(
    context: Context, pool: ThreadPoolExecutor, asked_often: None, caplog: pytest.LogCaptureFixture
) -> None:
    child = Child(Answering(), context, pool, silent_seconds=2)
    until(child, lambda: child.shown.state == HEALTHY)
    hung = child.shown.pid
    assert hung is not None
    os.kill(hung, signal.SIGSTOP)  # it cannot follow a request to stop either
    until(child, lambda: child.shown.state == HEALTHY and child.shown.pid != hung)
    assert not psutil.pid_exists(hung)
    assert "program is ended: no answer for 2 s (timed out)" in caplog.messages
    assert "program did not stop within 0 s" in caplog.messages
    assert "program ended: killed by SIGKILL" in caplog.messages
    child.stop()


def test_a_server_that_goes_silent_is_asked_to_stop_first(
    context: Context, pool: ThreadPoolExecutor, asked_often: None, caplog: pytest.LogCaptureFixture
) -> None:
    server = Answering(answers=3)
    server.stop_seconds = 60
    child = Child(server, context, pool, silent_seconds=0.5)
    until(child, lambda: child.shown.restarts == 1)
    assert "program ended: killed by SIGTERM" in caplog.messages
    until(child, lambda: child.shown.state == HEALTHY)
    child.stop()


def test_a_check_that_never_returns_is_no_answer(
    context: Context, pool: ThreadPoolExecutor, asked_often: None
) -> None:
    server = Answering()
    child = Child(server, context, pool, silent_seconds=0.5)
    until(child, lambda: child.shown.state == HEALTHY)
    server.hang_up = threading.Event()
    until(child, lambda: child.shown.restarts == 1)
    server.hang_up.set()
    until(child, lambda: child.shown.state == HEALTHY)
    child.stop()


def test_what_says_that_it_is_unwell_is_left_alone(
    context: Context, pool: ThreadPoolExecutor, asked_often: None
) -> None:
    server = Answering()
    child = Child(server, context, pool, silent_seconds=1)
    until(child, lambda: child.shown.state == HEALTHY)
    first = child.shown.pid
    server.trouble = "/health answered 503"
    enough = time.monotonic() + 2
    until(child, lambda: time.monotonic() > enough)
    assert (child.shown.state, child.shown.pid) == ("unhealthy", first)
    child.stop()


def test_silence_counts_only_while_those_it_leans_on_are_well(
    context: Context, pool: ThreadPoolExecutor, asked_often: None
) -> None:
    child = Child(Answering(), context, pool, silent_seconds=0.5)
    until(child, lambda: child.shown.state == HEALTHY)
    hung = child.shown.pid
    assert hung is not None
    os.kill(hung, signal.SIGSTOP)
    enough = time.monotonic() + 1.5
    until(child, lambda: time.monotonic() > enough, others_well=False)
    assert (child.shown.state, child.shown.pid) == ("unhealthy", hung)
    until(child, lambda: child.shown.restarts == 1)
    child.stop()


@pytest.mark.parametrize(
    ("server", "others"), [("taskmanager", ("jobmanager", "zookeeper", "s3")), ("connect", ("kafka",))]
)
def test_a_server_is_not_blamed_for_another(context: Context, server: str, others: tuple[str, ...]) -> None:
    supervisor = Supervisor(context)
    supervisor.children = {name: Child(SERVERS[name], context, supervisor.pool) for name in (server, *others)}
    for child in supervisor.children.values():
        child.shown.state = HEALTHY
    assert supervisor.others_well(SERVERS[server])
    for other in others:
        supervisor.children[other].shown.state = "unhealthy"
        assert not supervisor.others_well(SERVERS[server])
        supervisor.children[other].shown.state = HEALTHY
    supervisor.pool.shutdown()


def test_a_supervisor_that_was_asleep_itself_blames_nobody() -> None:
    silence = Silence(limit=20)
    silence.asked(0)
    assert not silence.too_long(1, its_own=True)
    woken = 1 + DEAF_SECONDS + 1000
    assert not silence.too_long(woken, its_own=True)
    for second in range(1, 20):
        assert not silence.too_long(woken + second, its_own=True)
    assert silence.too_long(woken + 20, its_own=True)
    silence.broken()
    assert not silence.too_long(woken + 21, its_own=True)
