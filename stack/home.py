"""Where things are: the state of one stack (SETTLE_HOME) and what is shared by all (SETTLE_CACHE)."""

from __future__ import annotations

import hashlib
import os
import platform
import sys
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent


def platform_name() -> str:
    machine = platform.machine().lower()
    machine = {"amd64": "x86_64", "aarch64": "aarch64"}.get(machine, machine)
    return f"{sys.platform}-{machine}"


def cache() -> Path:
    if told := os.environ.get("SETTLE_CACHE"):
        return Path(told).expanduser().resolve()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser().resolve() / "settlestream"


@dataclass(frozen=True, slots=True)
class Home:
    """One stack's state. Everything under it may be deleted by `settle reset`, nothing else is touched."""

    path: Path

    @classmethod
    def current(cls) -> Home:
        told = os.environ.get("SETTLE_HOME")
        return cls(Path(told).expanduser().resolve() if told else CHECKOUT / ".settle")

    @property
    def data(self) -> Path:
        return self.path / "data"

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @property
    def run(self) -> Path:
        return self.path / "run"

    @property
    def secrets(self) -> Path:
        return self.path / "secrets"

    @property
    def postgres(self) -> Path:
        """Postgres refuses root, and whom it drops to may not pass through root's folders."""
        if os.geteuid() != 0:
            return self.data / "postgres"
        return Path("/var/lib/settlestream") / hashlib.sha256(str(self.path).encode()).hexdigest()[:12]

    def make(self) -> None:
        for folder in (self.path, self.data, self.logs, self.run):
            folder.mkdir(parents=True, exist_ok=True)
        self.secrets.mkdir(mode=0o700, exist_ok=True)
        self.secrets.chmod(0o700)
