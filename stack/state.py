"""What the supervisor tells the commands, and they it: files in SETTLE_HOME/run, each replaced whole."""

from __future__ import annotations

import fcntl
import json
import os
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from stack.home import Home

HEALTHY = "healthy"
FAILED = "failed"


@dataclass(slots=True)
class ServerState:
    name: str
    state: str = "waiting"
    pid: int | None = None
    port: int | None = None
    since: float = 0.0  # epoch seconds of the last start
    restarts: int = 0
    detail: str = ""  # why it is not healthy, in one line


@dataclass(slots=True)
class StackState:
    supervisor: int = 0
    port_offset: int = 0
    error: str = ""  # why nothing could be started
    servers: list[ServerState] = field(default_factory=list)

    def server(self, name: str) -> ServerState | None:
        return next((s for s in self.servers if s.name == name), None)


def _write(path: Path, value: Any) -> None:
    part = path.with_name(f".{path.name}.{os.getpid()}")
    part.write_text(json.dumps(value, indent=1))
    part.replace(path)


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return None


def write_state(home: Home, state: StackState) -> None:
    _write(home.run / "state.json", asdict(state))


def read_state(home: Home) -> StackState | None:
    raw = _read(home.run / "state.json")
    if raw is None:
        return None
    return StackState(**{**raw, "servers": [ServerState(**s) for s in raw["servers"]]})


def write_wanted(home: Home, names: list[str]) -> None:
    _write(home.run / "wanted.json", names)


def read_wanted(home: Home) -> list[str]:
    return _read(home.run / "wanted.json") or []


def write_offset(home: Home, offset: int) -> None:
    _write(home.run / "stack.json", {"port_offset": offset})


class Lock:
    """Held by the one live supervisor of a home; the kernel lets go of it however that one ends."""

    def __init__(self, home: Home) -> None:
        home.make()
        self._file = (home.run / "supervisor.lock").open("a")

    def take(self) -> bool:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def release(self) -> None:
        self._file.close()


def is_running(home: Home) -> bool:
    if not (home.run / "supervisor.lock").exists():
        return False
    lock = Lock(home)
    free = lock.take()
    lock.release()
    return not free
