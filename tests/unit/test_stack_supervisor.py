"""The supervisor's rules, on small programs instead of servers."""

from __future__ import annotations

import os
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import psutil
import pytest

from stack.errors import StackError
from stack.home import Home
from stack.ports import Ports
from stack.server import Command, Context, Server
from stack.state import FAILED, HEALTHY
from stack.supervisor import CRASHES, Child

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

LOOPS = (
    "import signal, sys; signal.signal(15, lambda *_: sys.exit(0)); print('here', flush=True); signal.pause()"
)


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


@pytest.fixture
def context(tmp_path: Path) -> Context:
    home = Home(tmp_path)
    home.make()
    return Context(home, Ports())


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as pool:
        yield pool


def until(child: Child, condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, child.shown
        child.step(needs_healthy=True)
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
    context: Context, pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stack.supervisor.HEALTH_STEADY", 0.01)
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
