"""settle connectors plan | apply | status | restart."""

from __future__ import annotations

import json
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.table import Table

from connectors.deploy import apply_plan, make_plan, wait_running
from connectors.desired import FOLDER, desired
from connectors.errors import ConfigError, ConnectorsError
from connectors.rest import Connect
from connectors.settings import load_settings
from connectors.status import refuse_gap, statuses

if TYPE_CHECKING:
    from collections.abc import Iterator

    from connectors.plan import Plan
    from connectors.status import Status

_SIGNS = {"create": "+", "change": "~", "keep": "="}
# `plan` answers 2 when there is something to do, so that a pipeline can tell without reading.
_PENDING = 2

folder_option = click.option(
    "--folder",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    default=FOLDER,
    help="Where the configs are; one JSON file per connector.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="The same as data.")
wait_option = click.option("--wait", default=90.0, show_default=True, help="Seconds to wait.")


@click.group()
def connectors() -> None:
    """Kafka Connect's connectors: desired configs, running ones, their slots."""


@connectors.command()
@folder_option
@json_option
def plan(folder: Path, as_json: bool) -> None:
    """Show what apply would change, validated by Connect. Exit 0: nothing, 2: something."""
    with _connect() as connect:
        found = make_plan(connect, desired(folder))
    _print_plan(found, as_json)
    if not found.empty:
        raise click.exceptions.Exit(_PENDING)


@connectors.command()
@folder_option
@json_option
@wait_option
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--plan", "expected", help="Apply only if the plan is still this one (its fingerprint).")
def apply(folder: Path, as_json: bool, wait: float, yes: bool, expected: str | None) -> None:
    """Show the plan, do exactly that, wait until the tasks run and first snapshots are over."""
    with _connect() as connect:
        found = make_plan(connect, desired(folder))
        if expected is not None and expected != found.fingerprint:
            raise click.ClickException(
                f"the plan is now {found.fingerprint}, not {expected}; look at it again"
            )
        _print_plan(found, as_json)
        if not found.empty and not yes and expected is None:
            click.confirm("Apply this?", abort=True, err=True)
        apply_plan(connect, found, wait=wait)


@connectors.command()
@folder_option
@json_option
def status(folder: Path, as_json: bool) -> None:
    """Connectors, tasks and replication slots. Exit 1 when one is not well."""
    with _connect() as connect:
        found = statuses(connect, desired(folder), load_settings().source_dsn.get_secret_value())
    if as_json:
        click.echo(json.dumps([one.shown() for one in found], indent=2))
    else:
        _print_statuses(found)
    if not all(one.healthy for one in found):
        raise click.exceptions.Exit(1)


@connectors.command()
@click.argument("name")
@folder_option
@wait_option
@click.option("--failed", is_flag=True, help="Only what has failed.")
def restart(name: str, folder: Path, wait: float, failed: bool) -> None:
    """Restart connector NAME and its tasks, and wait until they run; refused when rows would be skipped."""
    with _connect() as connect:
        wanted = desired(folder)
        if name not in wanted:
            raise click.ClickException(f"no connector {name}; there are: {', '.join(sorted(wanted))}")
        refuse_gap(connect, name, wanted[name], load_settings().source_dsn.get_secret_value())
        connect.restart(name, only_failed=failed)
        wait_running(connect, name, wait, config_put=True)
    click.echo(f"{name} runs")


@contextmanager
def _connect() -> Iterator[Connect]:
    """The border: this room's errors become sentences, exit 1."""
    try:
        connect = Connect(load_settings().url)
        try:
            yield connect
        finally:
            connect.close()
    except ConfigError as error:
        raise click.UsageError(str(error)) from error
    except ConnectorsError as error:
        raise click.ClickException(str(error)) from error


def _print_plan(found: Plan, as_json: bool) -> None:
    shown = found.shown()
    if as_json:
        click.echo(json.dumps(shown, indent=2))
        return
    for change in shown["changes"]:
        click.echo(f"{_SIGNS[change['action']]} {change['connector']}: {change['action']}")
        for field in change["fields"]:
            before = "" if field["before"] is None else f"{field['before']} → "
            after = "(removed)" if field["after"] is None else field["after"]
            click.echo(f"    {field['name']}: {before}{after}")
    for name in shown["foreign"]:
        click.echo(f"  {name}: runs without a file here; left alone")
    click.echo("nothing to do" if found.empty else f"plan {found.fingerprint}")


def _print_statuses(found: list[Status]) -> None:
    table = Table("connector", "state", "tasks", "slot", "lag", "WAL kept", "problem")
    for one in found:
        slot = one.slot
        reading = "-" if slot is None else ("read" if slot.active else "not read")
        table.add_row(
            one.connector,
            one.state,
            " ".join(one.tasks) or "-",
            reading,
            "-" if slot is None else _bytes(slot.lag_bytes),
            "-" if slot is None else _bytes(slot.retained_bytes),
            one.problem or "",
        )
    Console().print(table)


def _bytes(count: int | None) -> str:
    if count is None:
        return "-"
    value = float(count)
    for unit in ("B", "KiB", "MiB"):
        if value < 1024:
            return f"{value:.0f} {unit}"
        value /= 1024
    return f"{value:.1f} GiB"
