"""`settle demo`: a whole world through the real doors, then the comparison with what was planned."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from typing import TYPE_CHECKING

import click
from rich.console import Console

from settlement.money import ZERO, format_rupees
from stack import environment, secrets, state
from stack.cli import start, stop, wipe
from stack.errors import StackError
from stack.home import Home
from stack.ports import Ports
from stack.servers import SERVERS
from world.errors import DemoError
from world.screen import Screen

if TYPE_CHECKING:
    from world.model import World
    from world.ready import Ready
    from world.story import Outcome


class Failed(click.ClickException):
    """The demo could not be played to its end."""

    exit_code = 2


@click.command()
@click.option("--seed", default=7, show_default=True, help="Another seed, another world.")
@click.option(
    "--scale", default=1.0, show_default=True, help="1.0 is 100,000 transactions of 15,000 merchants."
)
@click.option("--exit", "leave", is_flag=True, help="Stop everything at the end; 0 only if all is equal.")
@click.option("--fresh", is_flag=True, help="Delete what this home holds first (asks, unless --yes).")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="The result as data.")
@click.option("--port-offset", type=int, help="Move every port by this much.")
@click.option("--timeout", default=600.0, show_default=True, help="Seconds the playing may take.")
def demo(
    seed: int,
    scale: float,
    leave: bool,
    fresh: bool,
    yes: bool,
    as_json: bool,
    port_offset: int | None,
    timeout: float,
) -> None:
    """Play a day's work of merchants, gateways and banks; show reconciled money beside what was planned.

    Exit code 0: every count and every sum is equal. 1: something differs. 2: it could not be played.
    """
    if not 0 < scale <= 100:
        raise click.BadParameter("a number above 0 and at most 100", param_hint="--scale")
    home = Home.current()
    console = Console(stderr=True)
    began = time.monotonic()
    try:
        if fresh:
            _empty(home, yes)
        ready = _start(seed, scale, port_offset)
        outcome, screen, story_error = _play(ready, home, console, timeout)
        seconds = time.monotonic() - began
        if as_json:
            click.echo(json.dumps(_data(outcome, screen, ready.world, seconds), indent=2, ensure_ascii=False))
        elif outcome.comparison is not None:
            _show(outcome, ready.world, home, seconds, leave=leave)
        if story_error is not None:
            raise Failed(str(story_error))
    except StackError as error:
        raise Failed(str(error)) from error
    except KeyboardInterrupt:
        if leave and state.is_running(home):
            stop(home)
        else:
            click.echo("interrupted; what runs goes on running: `settle down` stops it", err=True)
        sys.stderr.flush()
        # The players' threads must not hold up somebody who wants to leave.
        os._exit(130)
    finally:
        if leave and state.is_running(home):
            stop(home)
    if not outcome.equal:
        raise click.exceptions.Exit(1)


def _empty(home: Home, yes: bool) -> None:
    if not yes:
        click.confirm(f"Delete all data of the local stack in {home.path}?", abort=True, err=True)
    if state.is_running(home):
        stop(home)
    wipe(home)


def _start(seed: int, scale: float, port_offset: int | None) -> Ready:
    """Bring the servers up; the world is made meanwhile."""
    from world.ready import make_ready

    made: list[Ready | Exception] = []

    def make() -> None:
        try:
            made.append(make_ready(seed, scale, secrets.load(Home.current())))
        except Exception as error:  # noqa: BLE001 - handed to the one who waits
            made.append(error)

    maker = threading.Thread(target=make, daemon=True)
    maker.start()
    start(list(SERVERS), port_offset)
    maker.join()
    ready = made[0]
    if isinstance(ready, ValueError):
        raise Failed(str(ready)) from ready
    if isinstance(ready, Exception):
        raise ready
    return ready


def _play(
    ready: Ready, home: Home, console: Console, timeout: float
) -> tuple[Outcome, Screen, DemoError | None]:
    ports = Ports(environment.known_offset(home) or 0)
    # The demo is played against the local stack, whatever the shell pointed at before.
    os.environ.update(environment.variables(home, ports))
    from world.story import Story

    with Screen(console) as screen:
        story = Story(ready, home, ports, screen, timeout)
        try:
            return story.play(), screen, None
        except DemoError as error:
            return story.outcome, screen, error


def _data(outcome: Outcome, screen: Screen, world: World, seconds: float) -> dict[str, object]:
    from world.story import as_data

    phases = [
        {"phase": phase.title, "seconds": phase.seconds and round(phase.seconds, 1), "note": phase.note}
        for phase in screen.phases
    ]
    about = {"seed": world.seed, "scale": world.scale, "seconds": round(seconds, 1)}
    return about | as_data(outcome) | {"phases": phases}


def _show(outcome: Outcome, world: World, home: Home, seconds: float, *, leave: bool) -> None:
    from world.showing import comparison_table, mirror_table, next_steps

    comparison = outcome.comparison
    assert comparison is not None  # noqa: S101 - the caller has looked
    console = Console(width=None if sys.stdout.isatty() else 140)
    console.print(comparison_table(comparison))
    console.print(mirror_table(outcome.mirrors))
    for line in comparison.wrong[:10]:
        console.print(f"  {line}", markup=False)
    if comparison.wrong_count > 10:
        console.print(f"  … {comparison.wrong_count} rows differ in all")
    if comparison.foreign:
        console.print(f"  {comparison.foreign} rows of other data in this warehouse were left aside")
    worth = sum((line.found.found for line in comparison.lines if line.level == "SETTLEMENT"), start=ZERO)
    verdict = "[green]equal to the paisa" if outcome.equal else "[red]not equal"
    console.print(f"{verdict}[/] in {seconds:.0f} s; {format_rupees(worth)} of bank credits looked at\n")
    if not leave:
        console.print(next_steps(world, home))
