"""Finds and ends exactly the processes that a supervisor of this home has started, whoever runs now."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING, Any

import psutil

from stack.child import start_time

if TYPE_CHECKING:
    from pathlib import Path


def recorded(record: Path) -> psutil.Process | None:
    """The process of a record, if it still is that very one."""
    try:
        known = json.loads(record.read_text())
        process = psutil.Process(known["pid"])
    except (FileNotFoundError, ValueError, KeyError, psutil.Error):
        return None
    if known["started"] == "unknown":  # no /proc here: the program's name must do
        return process if known["program"] in _command(process) else None
    if known["started"] != start_time(process.pid) or process.status() == psutil.STATUS_ZOMBIE:
        return None
    return process


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def end(process: psutil.Process, seconds: float) -> None:
    """Ask, wait, kill. What it had started (Postgres' backends) goes with it."""
    try:
        family = [*process.children(recursive=True), process]
        process.terminate()
        _, alive = psutil.wait_procs([process], timeout=seconds)
        for one in alive:
            one.kill()
        _, alive = psutil.wait_procs(family, timeout=5)
        for one in alive:
            one.kill()
    except psutil.NoSuchProcess:
        return


def listener(port: int) -> str | None:
    """Who listens on a port, in words; None when nobody does."""
    try:
        found = [(c, c.pid) for c in psutil.net_connections(kind="tcp")]
    except psutil.AccessDenied:  # macOS shows other people's sockets to root only
        found = [(c, p.pid) for p in psutil.process_iter() for c in _connections(p)]
    for connection, pid in found:
        if connection.status == psutil.CONN_LISTEN and connection.laddr and connection.laddr.port == port:
            return _in_words(pid)
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        return "a process of another user" if probe.connect_ex(("127.0.0.1", port)) == 0 else None


def _connections(process: psutil.Process) -> list[Any]:
    try:
        return list(process.net_connections(kind="tcp"))
    except psutil.Error:
        return []


def _in_words(pid: int | None) -> str:
    if pid is None:
        return "a process of another user"
    try:
        process = psutil.Process(pid)
        return f"{process.name()} (pid {pid}, user {process.username()})"
    except psutil.Error:
        return f"pid {pid}"


def memory_mib(pid: int, *, family: bool = True) -> float:
    """Resident memory of a process with its children; pages they share are counted once where Linux tells."""
    try:
        process = psutil.Process(pid)
        children = process.children(recursive=True) if family else []
        if not children:
            return float(process.memory_info().rss) / 2**20
        total = 0.0
        for one in (process, *children):
            info = one.memory_full_info()
            total += getattr(info, "pss", info.rss)
        return total / 2**20
    except psutil.Error:
        return 0.0


def cpu_seconds(pid: int | None) -> float:
    try:
        spent = psutil.Process(pid).cpu_times()
    except psutil.Error:
        return 0.0
    return float(spent.user + spent.system)
