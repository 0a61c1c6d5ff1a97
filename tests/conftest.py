"""The `stack` fixture: every real server, started once for all tests under integration/ and e2e/.

It has its own home in a temporary folder and its ports moved by 7000, so it runs beside a stack in use.
To try a test against servers that already run (their data stays), name their home: SETTLE_TEST_HOME=…
"""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from stack import environment, state
from stack.home import Home
from stack.ports import BASE_PORTS, Ports
from stack.servers import SERVERS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PORT_OFFSET = int(os.environ.get("SETTLE_TEST_PORT_OFFSET", "7000"))
PATIENCE = 300.0  # seconds; a guard against hanging, not a claim about speed


def wait_for(condition: Callable[[], bool], what: str, seconds: float = PATIENCE) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"waited {seconds:.0f} s for {what}")
        time.sleep(0.05)


@dataclass(frozen=True)
class Stack:
    home: Home
    ports: Ports

    @property
    def addresses(self) -> dict[str, str]:
        """Server → host:port."""
        return {name: self.ports.address(name) for name in BASE_PORTS}

    @property
    def environment(self) -> dict[str, str]:
        # Two of every operator, so that what belongs together has to find together.
        return {**environment.variables(self.home, self.ports), "SETTLE_JOBS_PARALLELISM": "2"}

    def server(self, name: str) -> state.ServerState:
        told = state.read_state(self.home)
        found = told.server(name) if told else None
        if found is None:
            pytest.fail(f"{name} is not part of the running stack")
        return found

    def pid(self, name: str) -> int:
        pid = self.server(name).pid
        if pid is None:
            pytest.fail(f"{name} has no process now")
        return pid

    def kill(self, name: str, sig: signal.Signals = signal.SIGKILL) -> int:
        """Send a real signal to the real process; returns the pid it had once that one is gone."""
        process = psutil.Process(self.pid(name))
        process.send_signal(sig)
        if sig in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT):
            wait_for(lambda: self._noticed(name, process.pid), f"the end of {name}")
        return process.pid

    def _noticed(self, name: str, pid: int) -> bool:
        return self.server(name).pid != pid

    def wait_healthy(self, names: list[str] | tuple[str, ...] | str | None = None) -> None:
        wanted = [names] if isinstance(names, str) else list(names or SERVERS)
        for name in wanted:
            wait_for(lambda name=name: self.server(name).state == state.HEALTHY, f"{name} to be healthy")  # type: ignore[misc]

    def restart(self, name: str) -> None:
        """Stop it as `down` would; the supervisor starts it again."""
        if self.server(name).pid is not None:  # else it is on its way up already
            self.kill(name, SERVERS[name].stop_signal)
        self.wait_healthy(name)


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    from stack import cli

    told = os.environ.get("SETTLE_TEST_HOME")
    home = Home(Path(told).resolve() if told else tmp_path_factory.mktemp("stack").resolve())
    before = dict(os.environ)
    os.environ["SETTLE_HOME"] = str(home.path)
    try:
        offset = environment.known_offset(home) if told else None
        ports = Ports(PORT_OFFSET if offset is None else offset)
        if not told:
            cli.start(list(SERVERS), ports.offset)
        running = Stack(home, ports)
        os.environ.update(running.environment)
        yield running
    finally:
        if not told:
            if state.is_running(home):
                cli.stop(home)
            cli.wipe(home)
        os.environ.clear()
        os.environ.update(before)
