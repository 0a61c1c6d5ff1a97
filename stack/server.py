"""What the supervisor must know about one server; the modules of `stack.servers` fill it in."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import requests

from stack import environment, install, secrets
from stack.errors import StackError, UnwellError
from stack.home import CHECKOUT
from stack.ports import LOOPBACK, Ports

if TYPE_CHECKING:
    from pathlib import Path

    from stack.home import Home

SETTLE_SECONDS = 300  # a few seconds alone, and nothing is gained by giving up early
HEALTH_SECONDS = 5  # one answer may take this long on a machine that is busy starting everything else


@dataclass(frozen=True)
class Context:
    """One stack: where its state is, which ports it has, what its passwords are."""

    home: Home
    ports: Ports

    @property
    def secrets(self) -> dict[str, str]:
        return secrets.load(self.home)

    @property
    def environment(self) -> dict[str, str]:
        return environment.variables(self.home, self.ports)

    def folder(self, name: str) -> Path:
        path = self.home.data / name
        path.mkdir(parents=True, exist_ok=True)
        return path

    def write(self, name: str, text: str) -> Path:
        """A generated configuration file; it may hold a password, so only its owner reads it."""
        path = self.home.run / name
        path.parent.mkdir(parents=True, exist_ok=True)
        # Two servers may share a file and start at the same moment.
        part = path.with_name(f".{path.name}.{threading.get_ident()}.part")
        part.touch(mode=0o600)
        part.write_text(text)
        part.replace(path)
        return path


@dataclass(frozen=True, slots=True)
class Command:
    argv: list[str]
    environment: dict[str, str] = field(default_factory=dict)
    user: str | None = None


class Server:
    """A real server as a child process."""

    name: str
    title: str
    needs: tuple[str, ...] = ()  # must be healthy before this one starts
    asked_through: tuple[str, ...] = ()  # others that answer its health check
    ports: tuple[str, ...] = ()  # the first is the one shown
    stop_signal: signal.Signals = signal.SIGTERM
    stop_seconds: float = 20  # then it is killed; every server here survives that by design

    def prepare(self, context: Context) -> None:
        """Before every start: write configuration, make what must exist. Must be repeatable."""

    def command(self, context: Context) -> Command:
        raise NotImplementedError

    def check(self, context: Context) -> None:
        """Ask over the server's own protocol; any exception means not healthy, but UnwellError not silent."""
        raise NotImplementedError

    def after_start(self, context: Context) -> None:
        """After the first healthy answer of every start and before dependents start. Must be repeatable."""


def http_get(context: Context, port: str, path: str) -> requests.Response:
    answer = requests.get(f"{context.ports.url(port)}{path}", timeout=HEALTH_SECONDS)
    if not answer.ok:
        raise UnwellError(f"{path} answered {answer.status_code}: {' '.join(answer.text.split())[:200]}")
    return answer


def java(*arguments: str, heap: str, serial: bool = False) -> list[str]:
    """A JVM with its heap set on purpose.

    Serial collection for the small: half the threads and memory. Parallel for the others: on few cores the
    concurrent collectors take from the work more than their shorter pauses give.
    """
    return [
        str(install.JAVA_HOME / "bin" / "java"),
        f"-Xmx{heap}",
        "-XX:+UseSerialGC" if serial else "-XX:+UseParallelGC",
        f"-XX:SharedArchiveFile={install.shared_classes()}",
        "-Xshare:auto",
        "-XX:-UsePerfData",
        "-XX:+ExitOnOutOfMemoryError",  # a server that lost memory half-way is worse than a restarted one
        "-Djava.awt.headless=true",
        "-Djava.net.preferIPv4Stack=true",
        *arguments,
    ]


def settle(context: Context, *arguments: str) -> None:
    """One of our own commands as a step of starting up, in a process of its own: it may be slow or broken."""
    done = subprocess.run(
        [sys.executable, "-m", "settle", *arguments],
        cwd=CHECKOUT,
        env=python_environment(context),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=SETTLE_SECONDS,
    )
    if done.returncode != 0:
        said = " ".join((done.stderr or done.stdout).split())
        raise StackError(f"settle {' '.join(arguments)} failed: {said[-400:]}")


def python_environment(context: Context) -> dict[str, str]:
    """For our own parts: the stack's addresses, and this checkout before anything installed."""
    return {
        **inherited(),
        **context.environment,
        "PYTHONPATH": str(CHECKOUT),
        "PYTHONUNBUFFERED": "1",
        # Idle threads of numeric libraries cost memory, and nothing here uses more than one.
        "OMP_NUM_THREADS": "1",
        "MALLOC_ARENA_MAX": "2",
    }


def inherited() -> dict[str, str]:
    """What children get of our own environment: no SETTLE_* of another stack, no secret of the user's."""
    keep = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "USER", "LOGNAME", "COVERAGE_PROCESS_START")
    return {name: os.environ[name] for name in keep if name in os.environ}


__all__ = [
    "LOOPBACK",
    "Command",
    "Context",
    "Server",
    "http_get",
    "inherited",
    "java",
    "python_environment",
    "settle",
]
