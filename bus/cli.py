"""`settle topics`: see what would change, change exactly that, and read what flows."""

from __future__ import annotations

import base64
import json
import logging
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from bus.client_log import client_log
from bus.cluster import Cluster
from bus.consumer import read_topic
from bus.errors import BrokerUnavailableError, BusError, RegistryUnavailableError
from bus.settings import bus_settings
from bus.topics import topics as known_topics

if TYPE_CHECKING:
    from bus.plan import Plan

# `plan --check` answers with this when something would change; 1 stays what errors give.
CHANGES = 3


class BusProblem(click.ClickException):
    """A named error of the bus, shown as a sentence or two; exit code 1."""

    def __init__(self, error: BusError) -> None:
        sentence = str(error)
        if isinstance(error, BrokerUnavailableError):
            sentence += (
                f"\nNo broker answers at {bus_settings().bootstrap_servers}: is it up, is that the address?"
            )
        if isinstance(error, RegistryUnavailableError):
            sentence += (
                f"\nNo registry answers at {bus_settings().registry_url}: is it up, is that the address?"
            )
        super().__init__(sentence)


@click.group()
def topics() -> None:
    """Topics, schemas and what is in them."""
    # The sentence at the end says what the client's own lines would say twenty times before.
    client_log.setLevel(logging.CRITICAL)


@topics.command()
@click.option("--json", "as_json", is_flag=True, help="The plan as data.")
@click.option("--check", is_flag=True, help=f"Exit {CHANGES} when something would change.")
def plan(as_json: bool, check: bool) -> None:
    """Show what `apply` would do: create, raise, set, register. It never deletes or lowers."""
    made = _plan()
    _show(made, as_json=as_json)
    if check and made.steps:
        raise SystemExit(CHANGES)


@topics.command()
@click.option("--json", "as_json", is_flag=True, help="The steps that were taken, as data.")
def apply(as_json: bool) -> None:
    """Make topics and schemas what bus/topics.yaml and schemas/avro say, by exactly the plan's steps."""
    try:
        cluster = Cluster()
        made = cluster.plan(known_topics().values())
        cluster.apply(made, lambda step: None if as_json else click.echo(f"done: {step}"))
    except BusError as error:
        raise BusProblem(error) from error
    if as_json:
        click.echo(json.dumps(made.as_data(), indent=2))
        return
    for sentence in made.refused:
        click.echo(f"left: {sentence}")
    if not made.steps:
        click.echo("nothing to do")


@topics.command()
@click.argument("topic")
@click.option("--from-start", is_flag=True, help="From the oldest record kept, not from now.")
@click.option("--max", "limit", type=click.IntRange(min=1), help="Stop after so many records.")
@click.option("--until-end", is_flag=True, help="Stop where the topic ends now.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")
def tail(topic: str, from_start: bool, limit: int | None, until_end: bool, as_json: bool) -> None:
    """Print a topic's committed records, decoded."""
    try:
        records = read_topic(topic, from_start=from_start, until_end=until_end)
        for record in islice(records, limit):
            if as_json:
                click.echo(json.dumps({**record._asdict()}, default=_plain, ensure_ascii=False))
                continue
            at = record.timestamp_ms
            when = f"{datetime.fromtimestamp(at / 1000, UTC):%Y-%m-%d %H:%M:%S}" if at else "-"
            value = json.dumps(record.value, default=_plain, ensure_ascii=False)
            click.echo(f"{when} {record.place} {json.dumps(record.key, default=_plain)} {value}")
    except BusError as error:
        raise BusProblem(error) from error
    except KeyboardInterrupt:
        raise SystemExit(130) from None


def _plan() -> Plan:
    try:
        return Cluster().plan(known_topics().values())
    except BusError as error:
        raise BusProblem(error) from error


def _show(made: Plan, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(made.as_data(), indent=2))
        return
    for step in made.steps:
        click.echo(f"would: {step}")
    for sentence in made.refused:
        click.echo(f"will not: {sentence}")
    if not made.steps:
        click.echo("nothing to do")


def _plain(value: Any) -> str:
    """What JSON has no word for: decimals keep their digits, bytes are text where they are text."""
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, date | datetime):
        return value.isoformat()
    if isinstance(value, bytes):
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError:
            return base64.b64encode(value).decode()
    raise TypeError(f"{type(value).__name__} has no plain form")
