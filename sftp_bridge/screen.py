"""How the command line shows files and banks: tables for people, JSON for programs."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import click
import orjson
from rich.console import Console
from rich.table import Table

from settlement.calendar import IST

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.status import Status

    from sftp_bridge.ledger import FileRow

# Characters of a line that nobody looks at on a screen.
_PIPE_WIDTH = 400


def brief(row: FileRow) -> dict[str, Any]:
    """A file's line in a list."""
    return {
        "no": row.seq,
        "file": row.file_id,
        "revision": row.revision,
        "state": row.state,
        "records": row.record_count,
        "credits": row.credit_total,
        "debits": row.debit_total,
        "retracted": row.retracted_count,
        "name": printable(row.remote_name),
        "why": f"{place(row)}{row.reason}" if row.reason else "",
    }


def place(row: FileRow) -> str:
    """Where in a file the reason lies."""
    line = f"line {row.reason_line}: " if row.reason_line is not None else ""
    return line + (f"column {row.reason_column}: " if row.reason_column else "")


def show_rows(rows: Sequence[Mapping[str, Any]], as_json: bool, empty: str = "") -> None:
    """Many of one kind; `empty` is what people read when there is none."""
    if as_json:
        say_json(rows)
        return
    if not rows:
        click.echo(empty)
        return
    table = Table(box=None, pad_edge=False)
    for name in rows[0]:
        table.add_column(name.replace("_", " "))
    for row in rows:
        table.add_row(*(_cell(row.get(name)) for name in rows[0]))
    _console().print(table)


def show_facts(row: Mapping[str, Any]) -> None:
    """One thing with everything known of it."""
    table = Table(box=None, show_header=False, pad_edge=False)
    for name, value in row.items():
        if value is not None:
            table.add_row(name.replace("_", " "), _cell(value))
    console = _console()
    console.print(table)
    console.print()


def _console() -> Console:
    """As wide as the terminal; into a pipe or a file nothing is cut."""
    console = Console()
    return console if console.is_terminal else Console(width=_PIPE_WIDTH)


def working(what: str) -> Status:
    """Shows on a terminal that something goes on; says nothing into a pipe."""
    return Console(stderr=True).status(what)


def _cell(value: object) -> str:
    if isinstance(value, datetime):
        return f"{value.astimezone(IST):%Y-%m-%d %H:%M:%S} IST"
    if isinstance(value, list):
        return " ".join(map(str, value))
    return "" if value is None else str(value).replace("[", "\\[")


def say_json(rows: Sequence[Mapping[str, Any]]) -> None:
    """For programs."""
    click.echo(orjson.dumps(rows, option=orjson.OPT_INDENT_2, default=str).decode())


def printable(name: str) -> str:
    """A name from outside: what is not printable is shown escaped, never obeyed."""
    return name.encode("unicode_escape").decode() if not name.isprintable() else name
