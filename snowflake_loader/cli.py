"""`settle load` and `settle warehouse`."""

from __future__ import annotations

import json
import logging
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.table import Table

from snowflake_loader import migrations
from snowflake_loader import warehouse as house
from snowflake_loader.datasets import DATASETS
from snowflake_loader.errors import LoaderError
from snowflake_loader.settings import LoaderSettings, StageSettings
from snowflake_loader.settings import load as read_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from snowflake.connector import SnowflakeConnection

_STATUS = """
select
    table_name,
    count_if(status = 'LOADED') as files,
    sum(case when status = 'LOADED' then row_count end) as row_count,
    sum(case when status = 'LOADED' then size_bytes end) as size_bytes,
    count_if(status = 'PARKED') as parked,
    max(case when status = 'LOADED' then noted_at end) as last_loaded_at
from load_files
group by table_name
"""
_OPEN = (
    "select table_name, count(*) as open_batches from load_audit where status = 'STARTED' group by table_name"
)
_AUDIT = """
select
    batch_id, table_name, status, file_count, size_bytes, rows_expected, rows_landed, rows_inserted,
    rows_updated, oldest_file_at, started_at, finished_at, duration_ms, loader, query_ids, files, error
from load_audit
where (? is null or status = ?) and (? is null or table_name = ?)
order by started_at desc
limit ?
"""


@contextmanager
def _session() -> Iterator[SnowflakeConnection]:
    """A session for one command; what is expected to go wrong becomes a sentence."""
    try:
        with house.connect(query_tag="settlestream:cli") as session:
            yield session
    except LoaderError as error:
        raise click.ClickException(str(error)) from error


def _show(rows: list[dict[str, Any]], columns: list[str], *, as_json: bool, empty: str) -> None:
    if as_json:
        click.echo(json.dumps(rows, default=str, indent=2))
    elif not rows:
        click.echo(empty)
    else:
        table = Table(*(name.replace("_", " ") for name in columns), box=None, pad_edge=False)
        for row in rows:
            table.add_row(*("" if row[name] is None else str(row[name]) for name in columns))
        # A pipe has no width to fit into.
        Console(width=None if sys.stdout.isatty() else 240).print(table)


@click.group()
def load() -> None:
    """Staged files into the warehouse: what was loaded, what failed, what is parked."""


@load.command()
@click.option("--json", "as_json", is_flag=True, help="Print data instead of a table.")
def status(as_json: bool) -> None:
    """Files and rows by table; exit code 1 while a file is parked."""
    with _session() as session:
        by_table = {row["table_name"]: row for row in house.run(session, _STATUS).rows}
        waiting = {row["table_name"]: row["open_batches"] for row in house.run(session, _OPEN).rows}
    columns = ["table_name", "files", "row_count", "size_bytes", "parked", "open_batches", "last_loaded_at"]
    rows = []
    for dataset in DATASETS:
        row = by_table.get(dataset.table, {})
        entry = {name: row.get(name, 0) or 0 for name in columns[:-1]}
        entry |= {
            "table_name": dataset.table.lower(),
            "open_batches": waiting.get(dataset.table, 0),
            "last_loaded_at": row.get("last_loaded_at"),
        }
        rows.append({name: int(value) if isinstance(value, bool) else value for name, value in entry.items()})
    _show(rows, columns, as_json=as_json, empty="nothing was loaded yet")
    if any(row["parked"] for row in rows):
        sys.exit(1)


@load.command()
@click.option("--once", is_flag=True, help="Load what is there now, then stop.")
def run(once: bool) -> None:
    """Load staged files, as `python -m snowflake_loader` does; exit code 1 if --once left a file parked."""
    from snowflake_loader.__main__ import main
    from snowflake_loader.service import Loader, connect_for_loading
    from snowflake_loader.staging import Stage

    if not once:
        sys.exit(main())
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(message)s")
    try:
        settings, where = read_settings(LoaderSettings), read_settings(StageSettings)
        loader = Loader(settings, Stage(where, settings.stage_bucket), connect_for_loading)
        if not loader.prepare():
            raise click.ClickException("the warehouse's tables are not there; run `settle warehouse apply`")
        loader.once()
    except LoaderError as error:
        raise click.ClickException(str(error)) from error
    loader.close()
    left = loader.state.health()[1]
    if left["parked_files"]:
        raise click.ClickException(
            f"{left['parked_files']} files are parked; see `settle load audit --status FAILED`"
        )
    if left["pending_files"]:
        raise click.ClickException(f"not loaded: {left['pending_files']}; see `settle load audit`")


@load.command()
@click.option("--json", "as_json", is_flag=True, help="Print data instead of a table.")
@click.option("--status", "wanted", type=click.Choice(["STARTED", "LOADED", "FAILED"]), help="Only these.")
@click.option("--table", "table", help="Only this table.")
@click.option("--last", default=20, show_default=True, help="So many batches, newest first.")
def audit(as_json: bool, wanted: str | None, table: str | None, last: int) -> None:
    """One line for each batch that was tried."""
    name = table.upper() if table else None
    with _session() as session:
        rows = house.run(session, _AUDIT, (wanted, wanted, name, name, last)).rows
    columns = ["started_at", "table_name", "status", "file_count", "rows_landed", "rows_inserted"]
    columns += ["rows_updated", "duration_ms", "error"]
    _show(rows, columns, as_json=as_json, empty="no batch was tried yet")


@load.command()
@click.argument("files", nargs=-1)
def retry(files: tuple[str, ...]) -> None:
    """Take parked FILES again, all of them when none is named; the running loader notices by itself."""
    sql = "update load_files set status = 'RETRY' where status = 'PARKED'"
    if files:
        sql += f" and file_name in ({', '.join('?' * len(files))})"
    with _session() as session:
        done = house.run(session, sql, files)
    count = done.rows[0]["number of rows updated"]
    click.echo(f"{count} files will be tried again")
    if files and count < len(files):
        raise click.ClickException("not all of the named files are parked; see `settle load audit`")


@click.group()
def warehouse() -> None:
    """The warehouse's tables, views and stage."""


@warehouse.command()
@click.option("--json", "as_json", is_flag=True, help="Print data instead of a table.")
def plan(as_json: bool) -> None:
    """Show which migrations apply would run; exit code 2 when there are any."""
    with _session() as session:
        shown = migrations.plan(session)
    rows: list[dict[str, Any]] = [{"migration": name, "state": "applied"} for name in shown.applied]
    rows += [{"migration": migration.name, "state": "pending"} for migration in shown.pending]
    _show(rows, ["migration", "state"], as_json=as_json, empty="no migrations")
    if shown.pending:
        sys.exit(2)


@warehouse.command()
def apply() -> None:
    """Run the migrations that were not run yet; twice is the same as once."""
    try:
        settings = read_settings(LoaderSettings)
    except LoaderError as error:
        raise click.ClickException(str(error)) from error
    values = {"stage_url": settings.stage_url, "storage_integration": settings.storage_integration}
    with _session() as session:
        shown = migrations.plan(session)
        migrations.apply(session, shown, values, lambda name: click.echo(f"applied {name}"))
    click.echo(f"{len(shown.pending)} applied, {len(shown.applied)} were there")
