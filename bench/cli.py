"""settle bench: what there is to measure, and one measurement."""

from __future__ import annotations

import importlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.table import Table

from bench.errors import BenchError

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.figures import Report


@dataclass(frozen=True, slots=True)
class Bench:
    """One measurement: `run(progress, options)` in the module gives its report."""

    name: str
    module: str
    sentence: str
    # How many rows, where the command line does not say.
    rows: int


# A further bench is one module with `run` and one line here.
BENCHES = (
    Bench(
        "path",
        "bench.path",
        "rows through the whole way and each leg, latency at 1,000 rows/s, beside a bare reader",
        500_000,
    ),
    Bench(
        "files",
        "bench.files",
        "one large bank file and a thousand small ones, beside a bare transfer and a plain program",
        6_000_000,
    ),
    Bench(
        "webhooks",
        "bench.webhooks",
        "signed notices at the intake: rate, answer time, nothing lost when killed, beside plain handlers",
        60_000,
    ),
)


@click.command()
@click.argument("name", required=False, type=click.Choice([bench.name for bench in BENCHES]))
@click.option("--json", "as_json", is_flag=True, help="The same as data.")
@click.option(
    "--rows",
    type=click.IntRange(min=10_000),
    help="Changes in a backlog, lines of the large file, notices at full load. Without it as many as is good"
    " for the bench.",
)
@click.option(
    "--seconds",
    type=click.IntRange(min=5),
    default=60,
    show_default=True,
    help="How long latency is measured.",
)
@click.option("--here", is_flag=True, help="On the stack that runs now, instead of one of its own.")
def bench(name: str | None, as_json: bool, rows: int | None, seconds: int, here: bool) -> None:
    """Measure. Without NAME: what there is. Exit 0 when both sides were counted and are equal."""
    if name is None:
        _list(as_json)
        return
    found = next(one for one in BENCHES if one.name == name)
    run: Callable[..., Report] = importlib.import_module(found.module).run
    rows = rows or found.rows
    console = Console(stderr=True)
    try:
        report = run(lambda said: console.print(f"[dim]{said}[/]"), rows=rows, seconds=seconds, here=here)
    except BenchError as error:
        raise click.ClickException(str(error)) from error
    if as_json:
        click.echo(json.dumps(report.shown(), indent=2))
    else:
        _print(report)
    if not report.sound:
        raise click.exceptions.Exit(1)


def _list(as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps([{"name": b.name, "measures": b.sentence} for b in BENCHES], indent=2))
        return
    for found in BENCHES:
        click.echo(f"{found.name:10} {found.sentence}")


def _print(report: Report) -> None:
    machine = report.machine
    console = Console()
    console.print(
        f"{report.bench} on {machine['cores']} cores {machine['processor']}, {machine['memory_gib']} GiB, "
        f"{machine['system']}, Python {machine['python']}, "
        f"{report.began}, load before {machine['load_before']}"
    )
    table = Table("figure", "value", "unit", "against", "ratio", "aim", "met")
    for figure in report.shown()["figures"]:
        table.add_row(
            *(_cell(figure, column) for column in ("name", "value", "unit", "against", "ratio", "aim", "met"))
        )
    console.print(table)
    for count in report.counts:
        console.print(
            f"{count.what}: {count.sent:,} sent, {count.arrived:,} arrived {'=' if count.equal else '≠'}"
        )
    for note in report.notes:
        console.print(note)


def _cell(figure: dict[str, Any], column: str) -> str:
    value = figure[column]
    if value is None:
        return ""
    if column == "met":
        return "yes" if value else "no"
    if column == "against" and figure["against_value"] is not None:
        return f"{value} {figure['against_value']:,}"
    if column == "aim" and figure["aim_on"] == "ratio":
        return f"ratio {value:g}"
    return f"{value:,}" if isinstance(value, int | float) else str(value)
