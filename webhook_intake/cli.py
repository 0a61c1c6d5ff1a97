"""`settle gateways`: what came in, read the reports now, read dead letters again."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

import click
from rich.console import Console
from rich.table import Table

from bus.errors import BusError
from bus.producer import Producer
from settlement.gateways import Gateway
from webhook_intake.config import IntakeSettings, load_settings
from webhook_intake.errors import IntakeError
from webhook_intake.ledger import Ledger
from webhook_intake.lines import LineLedger
from webhook_intake.metrics import Metrics
from webhook_intake.pipeline import DEAD_TOPIC, TOPIC, Pipeline
from webhook_intake.poller import Poller

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

T = TypeVar("T")

_AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print data instead of a table.")


class GatewaysError(click.ClickException):
    """An expected problem as the command line shows it; exit code 1."""


@click.group()
def gateways() -> None:
    """Payment gateways: webhooks taken, settlement reports read, dead letters replayed."""


@gateways.command()
@_AS_JSON
def status(as_json: bool) -> None:
    """Per gateway: events and lines taken, what waits, what is dead, how the last poll went."""
    rows = _translated(lambda: _status(load_settings()))
    if as_json:
        click.echo(json.dumps(rows, indent=2, default=str))
        return
    titles = {
        "gateway": "gateway",
        "events": "events",
        "events_waiting": "waiting",
        "events_dead": "dead",
        "lines": "lines",
        "lines_waiting": "waiting",
        "cursor": "read up to",
        "problem": "problem",
    }
    _show(rows, titles)


@gateways.command()
@click.argument("gateway", required=False, type=click.Choice([one.value for one in Gateway]))
@_AS_JSON
def poll(gateway: str | None, as_json: bool) -> None:
    """Read settlement reports now: every day from the cursor less the overlap, due or not.

    Exits with 1 when a gateway could not be read; what was read is published all the same.
    """
    with Console(stderr=True).status("reading settlement reports"):
        rows = _translated(lambda: _poll(load_settings(), gateway))
    if as_json:
        click.echo(json.dumps(rows, indent=2, default=str))
    else:
        names = ("gateway", "day", "days", "lines", "published", "dead", "problem")
        _show(rows, {name: name for name in names})
    if any(row["problem"] for row in rows):
        sys.exit(1)


@gateways.command()
@_AS_JSON
def replay(as_json: bool) -> None:
    """Read the events that could not be understood again, after a fix.

    Exits with 1 when some are still not understood.
    """
    with Console(stderr=True).status("reading dead events again"):
        read, still = _translated(lambda: asyncio.run(_replay(load_settings())))
    if as_json:
        click.echo(json.dumps({"read": read, "published": read - still, "still_dead": still}))
    else:
        click.echo(f"{read} events read again, {read - still} published, {still} still not understood")
    if still:
        sys.exit(1)


def _status(settings: IntakeSettings) -> list[dict[str, Any]]:
    lines = LineLedger(settings.dsn.get_secret_value())
    try:
        lines.setup()
        cursors = {row["gateway"]: row for row in lines.cursors()}
        counts = {row[0]: row for row in lines.event_counts()}
    finally:
        lines.close()
    rows = []
    for name in (one.value for one in Gateway):
        _, events, waiting, dead, last = counts.get(name, (name, 0, 0, 0, None))
        polled = cursors.get(name, {})
        rows.append(
            {
                "gateway": name,
                "events": events,
                "events_waiting": waiting,
                "events_dead": dead,
                "last_event": last,
                "lines": polled.get("live", 0),
                "lines_waiting": polled.get("unpublished", 0),
                "cursor": polled.get("day"),
                "polled_at": polled.get("polled_at"),
                "problem": polled.get("problem"),
            }
        )
    return rows


def _poll(settings: IntakeSettings, gateway: str | None) -> list[dict[str, Any]]:
    poller = Poller(settings, Metrics())
    try:
        return [asdict(one) for one in poller.poll_once([gateway] if gateway else None)]
    finally:
        poller.stop()


async def _replay(settings: IntakeSettings) -> tuple[int, int]:
    ledger = Ledger(settings.dsn.get_secret_value())
    producer = Producer(client_id="webhook_intake-replay")
    try:
        await ledger.open()
        await asyncio.to_thread(producer.prepare, [TOPIC, DEAD_TOPIC])
        return await Pipeline(ledger, producer, Metrics()).replay()
    finally:
        await asyncio.to_thread(producer.close)
        await ledger.close()


def _translated(call: Callable[[], T]) -> T:
    """Expected problems in one sentence, without a traceback."""
    try:
        return call()
    except (IntakeError, BusError) as error:
        raise GatewaysError(str(error)) from error


def _show(rows: Sequence[dict[str, Any]], titles: dict[str, str]) -> None:
    table = Table()
    for title in titles.values():
        table.add_column(title)
    for row in rows:
        table.add_row(*("" if row[name] is None else _cell(row[name]) for name in titles))
    Console().print(table)


def _cell(value: object) -> str:
    return value.strftime("%Y-%m-%d %H:%M:%S") if isinstance(value, datetime) else str(value)
