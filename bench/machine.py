"""Which machine it was, and what each process used while something was measured."""

from __future__ import annotations

import platform
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import psutil

if TYPE_CHECKING:
    from collections.abc import Mapping

# Seconds between two looks at the memory: often enough for a peak, rare enough not to be one of the loads.
_LOOK = 0.5


def machine() -> dict[str, Any]:
    """What a reader needs to compare: processor, cores, memory, system, and how busy it was."""
    return {
        "processor": _processor(),
        "cores": psutil.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "load_before": round(psutil.getloadavg()[0], 2),
    }


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in text.splitlines() if line.startswith("model name")]
    return names[0] if names else platform.machine()


@dataclass(frozen=True, slots=True)
class Use:
    """What one part used: processor seconds, and the most memory it held."""

    cpu_seconds: float
    peak_mib: float


class Meter:
    """Measures the trees of some processes between `with` and its end."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        self._pids = dict(pids)
        self._before: dict[str, float] = {}
        self._peak: dict[str, float] = dict.fromkeys(pids, 0.0)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.used: dict[str, Use] = {}

    def __enter__(self) -> Self:
        self._before = {name: self._look(name)[0] for name in self._pids}
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        for name in self._pids:
            cpu, _memory = self._look(name)
            self.used[name] = Use(max(0.0, cpu - self._before[name]), self._peak[name] / 2**20)

    def _watch(self) -> None:
        while not self._stop.wait(_LOOK):
            for name in self._pids:
                self._look(name)

    def _look(self, name: str) -> tuple[float, float]:
        """Processor seconds and memory of the tree now; children that ended count through their parent."""
        cpu = memory = 0.0
        try:
            root = psutil.Process(self._pids[name])
            for process in (root, *root.children(recursive=True)):
                times = process.cpu_times()
                cpu += times.user + times.system
                if process == root:
                    cpu += times.children_user + times.children_system
                memory += _private(process)
        except psutil.Error:
            pass
        self._peak[name] = max(self._peak[name], memory)
        return cpu, memory


def _private(process: psutil.Process) -> float:
    """Resident memory without what is shared: a dozen Postgres backends share one buffer pool."""
    found = process.memory_info()
    return float(found.rss - getattr(found, "shared", 0)) or float(found.rss)
