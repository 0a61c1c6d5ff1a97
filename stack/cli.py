"""`settle up | down | status | logs | reset | fetch`."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.live import Live
from rich.table import Table

from stack import environment, processes, state
from stack.errors import AlreadyRunningError, NotRunningError, StackError, StartError
from stack.home import CHECKOUT, Home
from stack.servers import ALIASES, SERVERS, with_needs
from stack.state import FAILED, HEALTHY

if TYPE_CHECKING:
    from stack.state import StackState

UP_SECONDS = 600  # the supervisor gives up on a server sooner and says why; this only guards against itself
DOWN_SECONDS = 120
COLOURS = {HEALTHY: "green", FAILED: "red", "unhealthy": "red", "stopped": "dim", "waiting": "dim"}

console = Console(stderr=True)


class Border(click.ClickException):
    """A StackError as the command line shows it."""

    def __init__(self, error: StackError) -> None:
        super().__init__(str(error))


def _names(only: str | None) -> list[str]:
    names = [n.strip() for n in only.split(",") if n.strip()] if only else list(SERVERS)
    unknown = [n for n in names if n not in SERVERS and n not in ALIASES]
    if unknown:
        raise click.BadParameter(f"no server {', '.join(unknown)}; there are {', '.join(SERVERS)} and flink")
    return with_needs(names)


@click.command()
@click.option("--only", help="Start these servers and what they need, separated by commas.")
@click.option("--port-offset", type=int, help="Move every port by this much; remembered for this home.")
@click.option("--foreground", is_flag=True, help="Stay; Ctrl-C stops everything in order.")
def up(only: str | None, port_offset: int | None, foreground: bool) -> None:
    """Start the servers, or those of them that are not running, and wait until they are healthy."""
    try:
        start(_names(only), port_offset, foreground=foreground)
    except StackError as exc:
        raise Border(exc) from exc


def start(names: list[str], port_offset: int | None, *, foreground: bool = False) -> None:
    """Bring these servers up; returns when all are healthy (in the foreground: when stopped)."""
    from stack.install import install

    home = Home.current()
    home.make()
    known = environment.known_offset(home)
    offset = known or 0 if port_offset is None else port_offset
    running = state.is_running(home)
    if running and offset != (known or 0):
        raise AlreadyRunningError(
            f"The stack in {home.path} runs with --port-offset {known or 0}; `settle down` first to move it."
        )
    install(console)
    state.write_offset(home, offset)
    began = time.monotonic()
    if running:
        state.write_wanted(home, sorted({*state.read_wanted(home), *names}))
        _wait(home, names, began, None)
        return
    state.write_wanted(home, names)
    (home.run / "state.json").unlink(missing_ok=True)
    process = _launch(home)
    try:
        _wait(home, names, began, process)
        if foreground:
            console.print("Ctrl-C stops everything.")
            process.wait()
    except KeyboardInterrupt:
        console.print("stopping …")
        process.send_signal(signal.SIGTERM)
        process.wait(DOWN_SECONDS)
        raise


def _launch(home: Home) -> subprocess.Popen[bytes]:
    with (home.logs / "supervisor.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "stack.supervisor"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd="/",
            env={
                **os.environ,
                "PYTHONPATH": str(CHECKOUT),
                "SETTLE_HOME": str(home.path),
                "MALLOC_ARENA_MAX": "2",  # its many idle threads would each keep a heap of their own
            },
            start_new_session=True,
        )


def _wait(home: Home, names: list[str], began: float, process: subprocess.Popen[bytes] | None) -> None:
    with Live(console=console, refresh_per_second=4, transient=True) as live:
        while True:
            told = state.read_state(home)
            if told is not None:
                if told.error:
                    raise StartError(told.error)
                if console.is_terminal:
                    live.update(_table(told))
                mine = [s for s in told.servers if s.name in names]
                if len(mine) == len(names) and all(s.state == HEALTHY for s in mine):
                    break
                failed = [s for s in mine if s.state == FAILED]
                waiting = [s for s in mine if s.state not in (HEALTHY, FAILED) and not _blocked(told, s.name)]
                if failed and not waiting:
                    raise StartError("\n".join(_why(home, s.name, s.detail) for s in failed))
            if process is not None and process.poll() is not None and (told is None or not told.error):
                raise StartError(f"the supervisor ended: {_tail(home, 'supervisor', 3)}")
            if time.monotonic() - began > UP_SECONDS:
                raise StartError(f"not all healthy after {UP_SECONDS} s; `settle status` shows which.")
            time.sleep(0.1)
    console.print(f"{len(names)} servers healthy in {time.monotonic() - began:.0f} s")


def _blocked(told: StackState, name: str) -> bool:
    """Waits for something that has failed."""
    servers = [told.server(need) for need in SERVERS[name].needs]
    return any(s is not None and (s.state == FAILED or _blocked(told, s.name)) for s in servers)


def _why(home: Home, name: str, detail: str) -> str:
    return (
        f"{name} did not start: {detail}\n{_tail(home, name, 6)}\nThe rest is up; see `settle logs {name}`."
    )


def _tail(home: Home, name: str, lines: int) -> str:
    try:
        text = (home.logs / f"{name}.log").read_text(errors="replace")
    except FileNotFoundError:
        return ""
    return "\n".join(f"  {line}" for line in text.splitlines()[-lines:])


@click.command()
def down() -> None:
    """Stop everything in order. Data stays."""
    home = Home.current()
    if not state.is_running(home):
        console.print("nothing is running")
        return
    try:
        stop(home)
    except StackError as exc:
        raise Border(exc) from exc
    console.print("stopped")


def stop(home: Home) -> None:
    told = state.read_state(home)
    if told is None:
        raise NotRunningError("The supervisor has only just begun; try again.")
    os.kill(told.supervisor, signal.SIGTERM)
    deadline = time.monotonic() + DOWN_SECONDS
    with console.status("stopping"):
        while state.is_running(home):
            if time.monotonic() > deadline:
                raise StackError(
                    f"The supervisor (pid {told.supervisor}) does not stop; see `settle logs supervisor`."
                )
            time.sleep(0.1)


def snapshot(home: Home) -> dict[str, object]:
    """What `status --json` prints."""
    told = state.read_state(home) if state.is_running(home) else None
    servers: list[dict[str, object]] = []
    total = 0.0
    for name in SERVERS:
        shown = told.server(name) if told else None
        if shown is None:
            servers.append({"name": name, "state": "stopped"})
            continue
        memory = processes.memory_mib(shown.pid) if shown.pid else 0.0
        total += memory
        servers.append(
            {
                "name": name,
                "state": shown.state,
                "pid": shown.pid,
                "port": shown.port,
                "uptime_seconds": round(time.time() - shown.since, 1) if shown.pid else None,
                "restarts": shown.restarts,
                "rss_mib": round(memory, 1),
                "detail": shown.detail,
            }
        )
    own = processes.memory_mib(told.supervisor, family=False) if told else 0.0
    return {
        "home": str(home.path),
        "supervisor": told.supervisor if told else None,
        "supervisor_rss_mib": round(own, 1),
        "port_offset": environment.known_offset(home) or 0,
        "rss_mib": round(total + own, 1),
        "servers": servers,
    }


@click.command()
@click.option("--json", "as_json", is_flag=True, help="As data.")
@click.option("--watch", is_flag=True, help="Keep showing it until Ctrl-C.")
def status(as_json: bool, watch: bool) -> None:
    """Show every server: state, pid, port, uptime, restarts, memory. Exit code 3 when one is not healthy."""
    home = Home.current()
    if watch:
        with suppress(KeyboardInterrupt), Live(console=Console(), refresh_per_second=2) as live:
            while True:
                live.update(_status_table(snapshot(home)))
                time.sleep(1)
        return
    shown = snapshot(home)
    if as_json:
        click.echo(json.dumps(shown, indent=2))
    else:
        Console().print(_status_table(shown))
    servers = shown["servers"]
    assert isinstance(servers, list)  # noqa: S101 - for the type checker
    states = {s["state"] for s in servers} - {"stopped"}
    if states != {HEALTHY}:
        raise SystemExit(3)


def _status_table(shown: dict[str, object]) -> Table:
    table = Table(box=None, header_style="bold")
    for column in ("server", "state", "pid", "port", "up", "restarts", "MiB", ""):
        table.add_column(
            column, justify="right" if column in ("pid", "port", "up", "restarts", "MiB") else "left"
        )
    servers = shown["servers"]
    assert isinstance(servers, list)  # noqa: S101 - for the type checker
    for s in servers:
        colour = COLOURS.get(s["state"], "yellow")
        up_for = s.get("uptime_seconds")
        table.add_row(
            s["name"],
            f"[{colour}]{s['state']}[/]",
            str(s.get("pid") or ""),
            str(s.get("port") or ""),
            _duration(up_for) if up_for is not None else "",
            str(s.get("restarts") or ""),
            f"{s['rss_mib']:.0f}" if s.get("rss_mib") else "",
            s.get("detail") or "",
        )
    if shown["supervisor"]:
        table.add_row(
            "supervisor", "", str(shown["supervisor"]), "", "", "", f"{shown['supervisor_rss_mib']:.0f}"
        )
        table.add_section()
        table.add_row("total", "", "", "", "", "", f"{shown['rss_mib']:.0f}", style="bold")
    return table


def _table(told: StackState) -> Table:
    table = Table(box=None, show_header=False)
    for s in told.servers:
        colour = COLOURS.get(s.state, "yellow")
        table.add_row(SERVERS[s.name].title, f"[{colour}]{s.state}[/]", str(s.port or ""), s.detail[:60])
    return table


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02d}m" if hours else f"{minutes}m{rest:02d}s"


@click.command()
@click.argument("name")
@click.option("--follow", "-f", is_flag=True, help="Keep printing what is added.")
@click.option("--lines", "-n", default=200, show_default=True, help="How many of the last lines.")
def logs(name: str, follow: bool, lines: int) -> None:
    """Print the end of a server's log (or `supervisor`)."""
    home = Home.current()
    path = home.logs / f"{name}.log"
    if not path.exists():
        known = ", ".join(sorted(p.stem for p in home.logs.glob("*.log"))) or "none yet"
        raise click.ClickException(f"There is no log of {name}; there are: {known}.")
    with suppress(KeyboardInterrupt), path.open(errors="replace") as file:
        for line in file.readlines()[-lines:]:
            click.echo(line, nl=False)
        while follow:
            line = file.readline()
            if line:
                click.echo(line, nl=False)
            else:
                time.sleep(0.2)


@click.command()
@click.option("--yes", is_flag=True, help="Do not ask.")
def reset(yes: bool) -> None:
    """Stop everything and delete this home's data, logs and secrets. Downloads stay."""
    home = Home.current()
    if not yes:
        click.confirm(f"Delete all data of the local stack in {home.path}?", abort=True)
    if state.is_running(home):
        try:
            stop(home)
        except StackError as exc:
            raise Border(exc) from exc
    wipe(home)
    console.print("deleted")


def wipe(home: Home) -> None:
    """Delete what this home has made and nothing else; leftovers of a killed supervisor are ended first."""
    for record in (home.run / "children").glob("*.json"):
        process = processes.recorded(record)
        if process is not None:
            processes.end(process, 15)
    for folder in (home.data, home.logs, home.run, home.secrets, home.postgres):
        shutil.rmtree(folder, ignore_errors=True)


@click.command()
def fetch() -> None:
    """Download and install the servers without starting them."""
    from stack.install import install

    try:
        install(console)
    except StackError as exc:
        raise Border(exc) from exc
    console.print("everything is here")
