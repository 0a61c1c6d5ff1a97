"""`settle banks`, `settle files` and `settle calendar`."""

from __future__ import annotations

import asyncio
import time
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NoReturn

import click

from bus.errors import BusError, BusTerminalError
from settlement.calendar import IST
from settlement.cutoffs import CutoffStatus
from settlement.errors import SettlementError
from sftp_bridge import calendar_ticks
from sftp_bridge.bank_check import findings
from sftp_bridge.banks import Bank, find_bank, load_banks
from sftp_bridge.business_time import BusinessTime
from sftp_bridge.descriptions import described
from sftp_bridge.errors import BridgeError, BridgeTerminalError, FileUnknownError, NotReplayableError
from sftp_bridge.ingest import BankFiles
from sftp_bridge.ledger import FileRow, Ledger
from sftp_bridge.revisions import State
from sftp_bridge.screen import brief, place, printable, say_json, show_facts, show_rows, working
from sftp_bridge.settings import BridgeSettings, load_settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from rich.status import Status

    from sftp_bridge.counts import Counts

# Seconds a command waits for a running bridge to let go of the bank; one file of 800 MB takes longer, and
# then the command says so.
LOCK_SECONDS = 30.0
# Seconds between two looks at a transfer.
SHOWN_EVERY = 0.5

_json = click.option("--json", "as_json", is_flag=True, help="As data.")


class _Failed(click.ClickException):
    """An expected error as one line; trying again may help."""


class _Refused(_Failed):
    """An expected error as one line; trying again will not help."""

    exit_code = 2


@contextmanager
def _border() -> Iterator[None]:
    try:
        yield
    except (BridgeTerminalError, BusTerminalError, SettlementError) as error:
        raise _Refused(str(error)) from error
    except (BridgeError, BusError) as error:
        raise _Failed(str(error)) from error


@contextmanager
def _ledger(settings: BridgeSettings) -> Iterator[Ledger]:
    ledger = Ledger(settings.dsn.get_secret_value())
    try:
        ledger.apply_schema()
        yield ledger
    finally:
        ledger.close()


@click.group()
def banks() -> None:
    """Banks that drop files: what is known of them, whether they answer."""


_LISTED = ("bank", "server", "account", "names", "cutoffs", "time_zone", "grace_minutes", "complete")


@banks.command("list")
@_json
def list_banks(as_json: bool) -> None:
    """Every bank with its server, file names and cutoffs; as data with all of its description."""
    with _border():
        settings = load_settings()
        known = load_banks(settings.banks_dir)
        rows = [described(bank, settings) for bank in known.values()]
    if not as_json:
        rows = [{name: row[name] for name in _LISTED} for row in rows]
    show_rows(rows, as_json, empty="no banks")


@banks.command()
@click.argument("names", nargs=-1, metavar="[BANK]...")
@_json
def check(names: tuple[str, ...], as_json: bool) -> None:
    """Try everything a bank's description names (all banks without a name), and say what is wrong."""
    with _border():
        settings = load_settings()
        known = load_banks(settings.banks_dir)
        wanted = [find_bank(known, name) for name in names] or list(known.values())
        found = [(bank.bank, one) for bank in wanted for one in findings(bank, settings)]
    show_rows(
        [{"bank": bank, "what": one.what, "well": one.well, "says": one.says} for bank, one in found]
        if as_json
        else [
            {"bank": bank, "what": one.what, "": "ok" if one.well else "WRONG", "says": one.says}
            for bank, one in found
        ],
        as_json,
    )
    if not all(one.well for _, one in found):
        raise click.exceptions.Exit(1)


@banks.command()
@click.argument("name", metavar="BANK")
@click.option("--wait", default=0.0, metavar="SECONDS", help="Keep polling while files are not whole yet.")
@_json
def poll(name: str, wait: float, as_json: bool) -> None:
    """Fetch a bank's files now, whether or not the bridge is running."""
    with _border():
        settings = load_settings()
        bank = find_bank(load_banks(settings.banks_dir), name)
        with _ledger(settings) as ledger:
            before = max((row.seq for row in ledger.files(bank.bank, limit=1)), default=0)
            with working(f"fetching from {bank.bank} …") as shown:
                waiting = asyncio.run(_poll(bank, settings, wait, shown))
            new = [row for row in ledger.files(bank.bank) if row.seq > before]
    show_rows([brief(row) for row in reversed(new)], as_json, empty="nothing new")
    if waiting and not as_json:
        click.echo(f"not whole yet: {', '.join(waiting)}", err=True)


async def _poll(bank: Bank, settings: BridgeSettings, wait: float, shown: Status) -> tuple[str, ...]:
    files = BankFiles(bank, settings, BusinessTime(settings))
    showing = asyncio.create_task(show_transfer(files.counts, shown))
    until = time.monotonic() + wait
    try:
        while True:
            await files.poll(LOCK_SECONDS)
            if not files.counts.waiting or time.monotonic() >= until:
                return files.counts.waiting
            await asyncio.sleep(min(1.0, settings.poll_seconds))
    finally:
        showing.cancel()
        await files.close()


async def show_transfer(counts: Counts, shown: Status) -> None:
    """How far the file at hand is, for whoever waits at the terminal; until cancelled."""
    resting = shown.status
    while True:
        shown.update(resting if counts.transferring is None else f"fetching {counts.transferring}")
        await asyncio.sleep(SHOWN_EVERY)


@click.group()
def files() -> None:
    """Bank files: what arrived and what became of it."""


@files.command("list")
@click.option("--bank", help="Only this bank's.")
@click.option("--state", type=click.Choice([str(state) for state in State], case_sensitive=False))
@click.option("--date", "day", type=click.DateTime(["%Y-%m-%d"]), help="Only this business date's.")
@click.option("--limit", default=50, show_default=True, help="At most so many, newest first.")
@_json
def list_files(bank: str | None, state: str | None, day: datetime | None, limit: int, as_json: bool) -> None:
    """Files newest first, with their numbers."""
    with _border(), _ledger(load_settings()) as ledger:
        rows = ledger.files(
            bank.upper() if bank else None,
            state.upper() if state else None,
            day.date() if day else None,
            limit,
        )
    show_rows([brief(row) for row in rows], as_json, empty="no files")


@files.command()
@click.argument("file_id")
@_json
def show(file_id: str, as_json: bool) -> None:
    """Everything about a file: by number, by AXIS:2026-01-06:11:30, or by the beginning of its hash."""
    with _border(), _ledger(load_settings()) as ledger:
        rows = [asdict(row) for row in ledger.find(file_id)]
    if as_json:
        say_json(rows)
        return
    for row in rows:
        show_facts(row)


_OWED = (
    *("bank", "business_date", "cutoff", "status", "late", "files_received", "files_expected"),
    *("due_at", "late_after", "at", "last_file"),
)


@files.command()
@click.option("--bank", help="Only this bank's.")
@click.option("--date", "day", type=click.DateTime(["%Y-%m-%d"]), help="Only this business date's.")
@click.option("--status", type=click.Choice([str(status) for status in CutoffStatus], case_sensitive=False))
@_json
def expectations(bank: str | None, day: datetime | None, status: str | None, as_json: bool) -> None:
    """Which files banks owe for each cutoff, what is in, and what is late."""
    with _border(), _ledger(load_settings()) as ledger:
        rows = ledger.expectations(
            bank.upper() if bank else None, day.date() if day else None, status.upper() if status else None
        )
    shown = [{key: row[key] for key in _OWED} for row in rows]
    if not as_json:
        shown = [_expectation_line(row) for row in shown]
    show_rows(shown, as_json, empty="nothing is expected yet")


def _expectation_line(row: Mapping[str, Any]) -> dict[str, Any]:
    """For people: what is in of what is owed side by side."""
    line: dict[str, Any] = {}
    for key, value in row.items():
        if key == "files_received":
            line["in"] = f"{value} of {row['files_expected']}"
        elif key == "late":
            line[key] = "late" if value else ""
        elif key != "files_expected":
            line[key] = value
    return line


@files.command()
@_json
def quarantine(as_json: bool) -> None:
    """Files that were refused whole, with reason, line and column."""
    with _border(), _ledger(load_settings()) as ledger:
        rows = ledger.files(state=State.QUARANTINED)
    show_rows(
        [
            {
                "no": row.seq,
                "file": row.file_id,
                "name": printable(row.remote_name),
                "line": row.reason_line,
                "column": row.reason_column,
                "reason": row.reason,
                "raw": row.raw_key,
            }
            for row in rows
        ],
        as_json,
        empty="nothing is quarantined",
    )


@files.command()
@click.argument("file_id")
@click.option(
    "--checksum", metavar="HEX", help="What the bank says, asked by another way, its bytes hash to."
)
@_json
def replay(file_id: str, checksum: str | None, as_json: bool) -> None:
    """Send a quarantined file through again, from the archive, with today's description of its bank."""
    with _border():
        settings = load_settings()
        known = load_banks(settings.banks_dir)
        with _ledger(settings) as ledger:
            row = _one_quarantined(ledger.find(file_id), file_id)
        with working(f"replaying {row.file_id} …"):
            now = asyncio.run(_replay(find_bank(known, row.bank), settings, row, checksum))
    show_rows([brief(now)], as_json)
    if now.state == State.QUARANTINED:
        _refuse(now)


async def _replay(bank: Bank, settings: BridgeSettings, row: FileRow, checksum: str | None) -> FileRow:
    bank_files = BankFiles(bank, settings, BusinessTime(settings))
    try:
        return await bank_files.replay(row, LOCK_SECONDS, checksum)
    finally:
        await bank_files.close()


def _one_quarantined(rows: Sequence[FileRow], wanted: str) -> FileRow:
    found = [row for row in rows if row.state == State.QUARANTINED]
    if not found:
        states = ", ".join(f"{row.seq} {row.state}" for row in rows)
        raise NotReplayableError(f"{wanted} is not quarantined ({states})")
    if len(found) > 1:
        numbers = ", ".join(str(row.seq) for row in found)
        raise FileUnknownError(f"{wanted} names several quarantined files; say which: {numbers}")
    return found[0]


def _refuse(row: FileRow) -> NoReturn:
    click.echo(f"refused again: {place(row)}{row.reason}", err=True)
    raise click.exceptions.Exit(1)


@click.group()
def calendar() -> None:
    """Business time, as events that all rooms follow."""


@calendar.command()
@click.option("--at", "at", required=True, help="Moment in ISO form; without a zone it is India's.")
@click.option("--open-day", type=click.DateTime(["%Y-%m-%d"]), help="This business date opens.")
@click.option("--close-day", type=click.DateTime(["%Y-%m-%d"]), help="This business date is over.")
@_json
def tick(at: str, open_day: datetime | None, close_day: datetime | None, as_json: bool) -> None:
    """Say what time it is: dates open, dates close, graces run out."""
    try:
        moment = datetime.fromisoformat(at)
    except ValueError:
        raise click.BadParameter(f"{at} is no moment in ISO form", param_hint="--at") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=IST)
    with _border():
        said = calendar_ticks.publish(
            moment,
            open_day.date() if open_day else None,
            close_day.date() if close_day else None,
            topic=load_settings().topic(calendar_ticks.TOPIC),
        )
    show_rows(
        [
            {
                "business_date": one.business_date,
                "word": "closed" if one.closed else "open",
                "business_day": one.is_business_day,
                "at": one.at.astimezone(UTC),
            }
            for one in said
        ],
        as_json,
    )
