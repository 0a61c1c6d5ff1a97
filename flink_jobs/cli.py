"""`settle jobs`: what runs on Flink, bringing it up and taking it down."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.table import Table

from flink_jobs import catalog
from flink_jobs import deploy as deployment
from flink_jobs.errors import JobsError
from flink_jobs.rest import Cluster, Run
from flink_jobs.settings import jobs_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["jobs"]

_as_json = click.option("--json", "as_json", is_flag=True, help="The same as data.")


@contextmanager
def _sentences() -> Iterator[None]:
    """What is expected to go wrong becomes one sentence and exit status 1."""
    try:
        yield
    except JobsError as error:
        raise click.ClickException(str(error)) from error


def _teller(as_json: bool) -> Callable[[str], None]:
    return lambda text: None if as_json else click.echo(f"  {text}", err=True)


@click.group()
def jobs() -> None:
    """The Flink jobs: enrichment, reconciliation, staging."""


@jobs.command("list")
@_as_json
def list_jobs(as_json: bool) -> None:
    """Which jobs there are and what each reads and writes."""
    with _sentences():
        known = catalog.load_jobs()
    if as_json:
        click.echo(json.dumps([one.model_dump() for one in known.values()], indent=2))
        return
    table = Table("job", "what it makes", "statements")
    for one in known.values():
        table.add_row(one.name, one.about, str(len(one.inserts)))
    Console().print(table)


@jobs.command()
@click.argument("names", nargs=-1)
@click.option("--fresh", is_flag=True, help="From the beginning of the topics, whatever state there is.")
@click.option(
    "--timeout", default=180.0, show_default=True, help="Seconds until each must have a checkpoint."
)
@_as_json
def deploy(names: tuple[str, ...], fresh: bool, timeout: float, as_json: bool) -> None:
    """Bring jobs up (all, or those named); one that runs is left alone."""
    with _sentences():
        done = deployment.deploy(names, fresh=fresh, timeout=timeout, tell=_teller(as_json))
    if as_json:
        click.echo(json.dumps([one.as_dict() for one in done], indent=2))
        return
    for one in done:
        what = "submitted" if one.submitted else "was running"
        click.echo(f"{one.name}: {what}, {one.checkpoints} checkpoints, job {one.job_id}")


@jobs.command()
@_as_json
def status(as_json: bool) -> None:
    """What runs now; exit status 1 when a job of ours does not."""
    with _sentences():
        cluster = Cluster(jobs_settings().flink_url)
        rows = [_row(cluster, name) for name in catalog.load_jobs()]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
    else:
        table = Table("job", "state", "tasks", "checkpoints", "failed", "size", "last took", "restarts from")
        for row in rows:
            table.add_row(*(str(row[key]) for key in _COLUMNS))
        Console().print(table)
    if any(row["state"] != "RUNNING" for row in rows):
        raise click.exceptions.Exit(1)


_COLUMNS = (
    "job",
    "state",
    "tasks",
    "checkpoints",
    "failed_checkpoints",
    "state_bytes",
    "last_ms",
    "restored_from",
)


def _row(cluster: Cluster, name: str) -> dict[str, Any]:
    run: Run | None = cluster.newest(name)
    row: dict[str, Any] = dict.fromkeys(_COLUMNS, "-") | {"job": name, "state": "NOT THERE", "job_id": None}
    if run is None:
        return row
    row |= {
        "job_id": run.job_id,
        "state": run.state,
        "tasks": f"{run.tasks.get('running', 0)}/{run.tasks.get('total', 0)}",
    }
    if run.alive:
        found = cluster.checkpoints(run.job_id)
        latest = found["latest"].get("completed") or {}
        row |= {
            "checkpoints": found["counts"]["completed"],
            "failed_checkpoints": found["counts"]["failed"],
            "state_bytes": latest.get("state_size", "-"),
            "last_ms": latest.get("end_to_end_duration", "-"),
            "restored_from": (found["latest"].get("restored") or {}).get("external_path", "-"),
        }
    return row


@jobs.command()
@click.argument("name")
@click.option(
    "--savepoint", is_flag=True, help="Take a savepoint first: state that outlives the cluster's own."
)
@click.option("--timeout", default=180.0, show_default=True)
def stop(name: str, savepoint: bool, timeout: float) -> None:
    """End a job; `deploy` goes on from where it was."""
    with _sentences():
        place = deployment.stop(name, savepoint=savepoint, timeout=timeout, tell=_teller(as_json=False))
    click.echo(f"{name}: stopped" + (f", savepoint {place}" if place else ""))


@jobs.command()
@click.argument("names", nargs=-1)
@_as_json
def logs(names: tuple[str, ...], as_json: bool) -> None:
    """Failures of jobs, newest first; the servers' own logs are in `settle logs taskmanager`."""
    with _sentences():
        cluster = Cluster(jobs_settings().flink_url)
        runs = [run for name in names or tuple(catalog.load_jobs()) if (run := cluster.newest(name))]
        found = {run.name: cluster.exceptions(run.job_id) for run in runs}
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    for name, failures in found.items():
        click.echo(f"{name}: {len(failures)} failures")
        for failure in failures:
            click.echo(f"  {failure['exceptionName']} in {failure.get('taskName') or 'the job'}")
            click.echo("    " + "\n    ".join(failure["stacktrace"].splitlines()[:12]))
