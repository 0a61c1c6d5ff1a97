"""`settle gateways`: what came in, what was missed, read reports and lists now, read dead letters again."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import asdict
from datetime import datetime
from itertools import groupby
from typing import TYPE_CHECKING, Any, TypeVar

import click
from rich.console import Console
from rich.table import Table

from bus.errors import BusError
from bus.loop_producer import LoopProducer
from settlement.gateways import Gateway
from webhook_intake.config import IntakeSettings, load_settings
from webhook_intake.errors import IntakeError
from webhook_intake.gap_ledger import GapLedger
from webhook_intake.gaps import Closed, GapCloser
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
    """Payment gateways: webhooks taken, reports and lists read, gaps shown, dead letters replayed."""


@gateways.command()
@_AS_JSON
def status(as_json: bool) -> None:
    """Per gateway: events and lines taken, what was missed, waits or is dead, how the last polls went."""
    rows = _translated(lambda: _status(load_settings()))
    titles = {
        "gateway": "gateway",
        "events": "events",
        "events_waiting": "waiting",
        "events_dead": "dead",
        "missed": "missed",
        "lists_read_to": "lists read to",
        "lines": "lines",
        "lines_waiting": "waiting",
        "cursor": "read up to",
        "problem": "problem",
    }
    _show(rows, titles, as_json=as_json)


@gateways.command()
@click.argument("gateway", required=False, type=click.Choice([one.value for one in Gateway]))
@_AS_JSON
def poll(gateway: str | None, as_json: bool) -> None:
    """Read settlement reports and lists now: every day from the cursors less the overlap, due or not.

    Exits with 1 when a gateway could not be read; what was read is published all the same.
    """
    with Console(stderr=True).status("reading reports and lists"):
        rows = _translated(lambda: _poll(load_settings(), gateway))
    names = ("gateway", "day", "days", "lines", "published", "dead", "listed", "missed", "problem")
    _show(rows, {name: name for name in names}, as_json=as_json)
    if any(row["problem"] for row in rows):
        sys.exit(1)


@gateways.command()
@_AS_JSON
def gaps(as_json: bool) -> None:
    """What no webhook told and the gateways' lists did, by gateway and day, with when it was noticed."""
    rows = _translated(lambda: asyncio.run(_gaps(load_settings())))
    titles = {
        "gateway": "gateway",
        "day": "day",
        "missed": "missed",
        "dead": "dead",
        "first_noticed": "noticed from",
        "last_noticed": "to",
    }
    _show(rows, titles, as_json=as_json)


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
    listed = {row["gateway"]: row for row in asyncio.run(_gap_cursors(settings))}
    lines = LineLedger(settings.dsn.get_secret_value())
    try:
        lines.setup()
        cursors = {row["gateway"]: row for row in lines.cursors()}
        counts = {row[0]: row for row in lines.event_counts()}
    finally:
        lines.close()
    rows = []
    for name in (one.value for one in Gateway):
        _, events, waiting, dead, last, missed = counts.get(name, (name, 0, 0, 0, None, 0))
        polled, looked = cursors.get(name, {}), listed.get(name, {})
        rows.append(
            {
                "gateway": name,
                "events": events,
                "events_waiting": waiting,
                "events_dead": dead,
                "last_event": last,
                "missed": missed,
                "lists_read_to": looked.get("read_to"),
                "lists_polled_at": looked.get("polled_at"),
                "lines": polled.get("live", 0),
                "lines_waiting": polled.get("unpublished", 0),
                "cursor": polled.get("day"),
                "polled_at": polled.get("polled_at"),
                "problem": _both(polled.get("problem"), looked.get("problem")),
            }
        )
    return rows


def _poll(settings: IntakeSettings, gateway: str | None) -> list[dict[str, Any]]:
    names = [gateway] if gateway else None
    poller = Poller(settings, Metrics())
    try:
        polled = poller.poll_once(names)
    finally:
        poller.stop()
    closed = {one.gateway: one for one in asyncio.run(_look(settings, names))}
    rows = []
    for one in polled:
        look = closed.get(one.gateway, Closed(one.gateway))
        said = {"read_to": look.read_to, "listed": look.listed, "missed": look.missed}
        rows.append({**asdict(one), **said, "problem": _both(one.problem, look.problem)})
    return rows


async def _look(settings: IntakeSettings, names: list[str] | None) -> list[Closed]:
    metrics = Metrics()
    ledger = Ledger(settings.dsn.get_secret_value())
    producer = LoopProducer(client_id="webhook_intake-gaps")
    try:
        await ledger.open()
        await asyncio.to_thread(producer.prepare, [TOPIC, DEAD_TOPIC])
        pipeline = Pipeline(ledger, producer, metrics)
        closer = GapCloser(settings, ledger, pipeline, metrics)
        try:
            return await closer.look(names, everything=True)
        finally:
            await pipeline.drain()
            await asyncio.to_thread(closer.close)
    finally:
        await asyncio.to_thread(producer.close)
        await ledger.close()


async def _gap_cursors(settings: IntakeSettings) -> list[dict[str, Any]]:
    ledger = Ledger(settings.dsn.get_secret_value())
    try:
        await ledger.open()
        return await GapLedger(ledger).cursors()
    finally:
        await ledger.close()


async def _gaps(settings: IntakeSettings) -> list[dict[str, Any]]:
    ledger = Ledger(settings.dsn.get_secret_value())
    try:
        await ledger.open()
        found = await GapLedger(ledger).missed()
    finally:
        await ledger.close()
    rows = []
    for (name, day), group in groupby(found, key=lambda one: (one.gateway, one.day)):
        those = list(group)
        rows.append(
            {
                "gateway": name,
                "day": day,
                "missed": len(those),
                "dead": sum(one.outcome == "DEAD" for one in those),
                "first_noticed": those[0].noticed_at,
                "last_noticed": those[-1].noticed_at,
                "payments": [
                    {"payment": one.payment, "noticed_at": one.noticed_at, "outcome": one.outcome}
                    for one in those
                ],
            }
        )
    return rows


def _both(*problems: str | None) -> str | None:
    return "; ".join(problem for problem in problems if problem) or None


async def _replay(settings: IntakeSettings) -> tuple[int, int]:
    ledger = Ledger(settings.dsn.get_secret_value())
    producer = LoopProducer(client_id="webhook_intake-replay")
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


def _show(rows: Sequence[dict[str, Any]], titles: dict[str, str], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(rows, indent=2, default=str))
        return
    table = Table()
    for title in titles.values():
        table.add_column(title)
    for row in rows:
        table.add_row(*("" if row[name] is None else _cell(row[name]) for name in titles))
    Console().print(table)


def _cell(value: object) -> str:
    return value.strftime("%Y-%m-%d %H:%M:%S") if isinstance(value, datetime) else str(value)
