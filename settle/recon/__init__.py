"""`settle recon`: what reconciliation found, and one settlement or payment from all sides."""

from __future__ import annotations

import json
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.table import Table

from settlement.money import format_rupees
from snowflake_loader import warehouse
from snowflake_loader.errors import LoaderError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from snowflake.connector import SnowflakeConnection

Row = dict[str, Any]

_HERE = Path(__file__).parent
_NONE_FOUND = 3  # exit code: the question was understood, nothing stands under that key
# The settlement bridge, in the order in which a payout is explained: column → sign in the sum.
_BRIDGE = (("gross", 1), ("fee", -1), ("tax", -1), ("refunds", -1), ("adjustments", 1))


@click.group()
def recon() -> None:
    """What reconciliation found: a summary, or one settlement or payment from all sides."""


@recon.command()
@click.option("--json", "as_json", is_flag=True, help="The same as data.")
def summary(as_json: bool) -> None:
    """Count and worth of every outcome, per level."""
    with _session() as session:
        rows = _ask(session, "summary")
    if as_json:
        _print_json(rows)
        return
    if not rows:
        click.echo("Nothing is reconciled yet: `settle load status` says what has arrived.")
        return
    table = Table("level", "outcome", box=None, header_style="bold")
    for name in ("found", "expected", "came", "difference"):
        table.add_column(name, justify="right")
    for row in rows:
        amounts = (format_rupees(row[name]) for name in ("expected_amount", "found_amount", "difference"))
        table.add_row(row["level"], row["outcome"], f"{row['found']:,}", *amounts)
    Console().print(table)


@recon.command()
@click.argument("key")
@click.option("--json", "as_json", is_flag=True, help="The same as data.")
def show(key: str, as_json: bool) -> None:
    """The three stories about KEY side by side: a UTR, a settlement id or a transaction id."""
    with _session() as session:
        story = _story(session, key.strip())
    if not story["results"]:
        click.echo(
            f"Nothing stands under {key!r}: give a UTR, a settlement id or a transaction id.", err=True
        )
        raise SystemExit(_NONE_FOUND)
    if as_json:
        _print_json(story)
        return
    console = Console()
    for result in story["results"]:
        _print_result(console, result)
    _print_rows(
        console,
        "ours",
        story["ours"],
        ("transaction_id", "merchant_id", "status", "amount", "refunded_amount"),
    )
    _print_rows(
        console,
        "the gateway's",
        story["gateway"],
        (
            "record_id",
            "line_type",
            "status",
            "settlement_id",
            "utr",
            "amount",
            "fee",
            "tax",
            "net",
            "refunded_amount",
        ),
    )
    _print_rows(
        console,
        "the bank's",
        story["bank"],
        ("file_name", "line_no", "direction", "amount", "value_date", "narration"),
    )


def _story(session: SnowflakeConnection, key: str) -> dict[str, list[Row]]:
    # UTRs are kept in upper case; ids of gateways and of ours are kept as they were given.
    results = _ask(session, "result", key)
    if not results and key != key.upper():
        key = key.upper()
        results = _ask(session, "result", key)
    return {
        "results": results,
        "ours": _ask(session, "our_transactions", key, key, key),
        "gateway": _ask(session, "gateway_payments", key) + _ask(session, "gateway_lines", key, key, key),
        "bank": _ask(session, "bank_lines", key, key),
    }


def _print_result(console: Console, result: Row) -> None:
    console.print(
        f"[bold]{result['level']} {result['match_key']}  {result['outcome']}[/bold]", highlight=False
    )
    console.print(f"  {result['reason']}", highlight=False)
    if result["gross"] is not None:
        parts = [
            f"{name} {format_rupees(result[name])}" if sign > 0 else f"− {name} {format_rupees(result[name])}"
            for name, sign in _BRIDGE
        ]
        console.print(f"  {'  '.join(parts)}  = {format_rupees(result['expected_amount'])}", highlight=False)
    console.print(
        f"  expected {format_rupees(result['expected_amount'])},"
        f" came {format_rupees(result['found_amount'])}, residual {format_rupees(result['difference'])}\n",
        highlight=False,
    )


def _print_rows(console: Console, title: str, rows: Sequence[Row], columns: Sequence[str]) -> None:
    shown = [name for name in columns if any(row.get(name) is not None for row in rows)]
    console.print(f"[bold]{title}[/bold]" + ("" if rows else ": nothing"))
    if not rows:
        return
    table = Table(box=None, header_style="dim", padding=(0, 1))
    for name in shown:
        table.add_column(name, justify="right" if isinstance(rows[0].get(name), Decimal) else "left")
    for row in rows:
        table.add_row(*("" if row.get(name) is None else str(row[name]) for name in shown))
    console.print(table)
    console.print()


@contextmanager
def _session() -> Iterator[SnowflakeConnection]:
    try:
        with warehouse.connect(query_tag="settlestream:recon") as session:
            yield session
    except LoaderError as error:
        raise click.ClickException(str(error)) from error


def _ask(session: SnowflakeConnection, name: str, *values: str) -> list[Row]:
    return warehouse.run(session, (_HERE / f"{name}.sql").read_text(), values).rows


def _print_json(data: object) -> None:
    click.echo(json.dumps(data, indent=2, default=str))
