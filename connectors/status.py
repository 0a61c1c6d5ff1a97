"""How the connectors are: what Connect says, and what the source database says about their slots."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.rows import dict_row

from connectors.deploy import failure, snapshot_stored
from connectors.errors import GapError, NotThereError, SourceUnreachableError
from connectors.plan import masked

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from connectors.rest import Config, Connect

_SLOT = Path(__file__).with_name("slot.sql").read_text(encoding="utf-8")
_COLUMNS = Path(__file__).with_name("columns.sql").read_text(encoding="utf-8")


@dataclass(frozen=True, slots=True)
class Slot:
    """A replication slot as the source database sees it; byte counts are of WAL."""

    slot_name: str
    active: bool
    wal_status: str | None
    invalidation_reason: str | None
    restart_lsn: str | None
    confirmed_flush: int | None
    retained_bytes: int | None
    lag_bytes: int | None


@dataclass(frozen=True, slots=True)
class Status:
    """One connector, healthy or with the sentence that says why not."""

    connector: str
    state: str
    tasks: tuple[str, ...]
    slot: Slot | None
    stored_lsn: int | None
    problem: str | None

    @property
    def healthy(self) -> bool:
        """Rows flow, and none was skipped."""
        return self.problem is None

    def shown(self) -> dict[str, Any]:
        """As data."""
        return {**asdict(self), "healthy": self.healthy}


def status(connect: Connect, name: str, config: Config, dsn: str) -> Status:
    """Ask Connect, then the source database; either may be away without hiding the other."""
    try:
        said = connect.status(name)
    except NotThereError:
        return Status(name, "ABSENT", (), None, None, "not applied: settle connectors apply")
    state = str(said["connector"]["state"])
    tasks = tuple(str(task["state"]) for task in said["tasks"])
    offsets = connect.offsets(name)
    stored = _stored_lsn(offsets)
    slot, troubles = None, []
    if slot_name := config.get("slot.name"):
        try:
            slot = read_slot(dsn, slot_name)
            troubles = [slot_problem(slot, slot_name, stored), column_problem(dsn, config)]
        except SourceUnreachableError as error:
            troubles = [str(error)]
    # The slot first: when it is the cause, the task's own sentence only says that reading failed.
    problems = [*troubles, _task_problem(state, tasks, said) or _snapshot_problem(offsets)]
    return Status(name, state, tasks, slot, stored, "; ".join(filter(None, problems)) or None)


def read_slot(dsn: str, slot_name: str) -> Slot | None:
    """The slot, None when the server has no such slot."""
    rows = _ask(dsn, _SLOT, {"slot": slot_name})
    return Slot(**rows[0]) if rows else None


def column_problem(dsn: str, config: Config) -> str | None:
    """Captured columns whose NULLs would arrive as their default."""
    tables = [table.strip() for table in config.get("table.include.list", "").split(",")]
    found = [str(row["column_name"]) for row in _ask(dsn, _COLUMNS, {"tables": tables})]
    if not found:
        return None
    return (
        f"NULL would arrive as the default in {', '.join(found)}: drop the default or make it NOT NULL; "
        "see docs/adr/0008"
    )


def slot_problem(slot: Slot | None, slot_name: str, stored: int | None) -> str | None:
    """Why nothing comes from the slot, or not everything."""
    gap = slot_gap(slot, slot_name, stored)
    if gap is None and slot is not None and not slot.active:
        return f"slot {slot_name} is not being read"
    return gap


def slot_gap(slot: Slot | None, slot_name: str, stored: int | None) -> str | None:
    """Why the slot cannot give the connector what it still has to read, if so."""
    if slot is None:
        lost = (
            "" if stored is None else ": changes since the stored position are lost; see connectors/README.md"
        )
        return f"slot {slot_name} does not exist{lost}"
    if slot.invalidation_reason or slot.wal_status == "lost":
        return f"slot {slot_name} is lost ({slot.invalidation_reason or slot.wal_status})"
    if stored is not None and slot.confirmed_flush is not None and slot.confirmed_flush > stored:
        return (
            f"slot {slot_name} begins {slot.confirmed_flush - stored} bytes of WAL after what is in Kafka: "
            "it was recreated or advanced; see connectors/README.md"
        )
    return None


def refuse_gap(connect: Connect, name: str, config: Config, dsn: str) -> None:
    """Raise when a task that starts now would go on with a gap.

    Debezium compares the stored position with the slot's restart position only: a slot that was moved on
    by hand passes that, and what lies between is skipped without a word. So it is looked at here.
    """
    slot_name = config.get("slot.name")
    stored = _stored_lsn(connect.offsets(name))
    if slot_name is None or stored is None:
        return
    if gap := slot_gap(read_slot(dsn, slot_name), slot_name, stored):
        raise GapError(f"{name} is not restarted: {gap}")


def statuses(connect: Connect, desired: Mapping[str, Config], dsn: str) -> list[Status]:
    """Every desired connector, in order of name."""
    return [status(connect, name, desired[name], dsn) for name in sorted(desired)]


def _ask(dsn: str, query: str, values: dict[str, Any]) -> list[dict[str, Any]]:
    if not dsn:
        raise SourceUnreachableError("SETTLE_SOURCE_DSN is not set: nothing known about the slot")
    try:
        with psycopg.connect(dsn, connect_timeout=5, row_factory=dict_row) as connection:
            return connection.execute(query, values).fetchall()
    except psycopg.Error as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise SourceUnreachableError(f"no answer from the source database: {masked('', first)}") from None


def _task_problem(state: str, tasks: tuple[str, ...], said: dict[str, Any]) -> str | None:
    if cause := failure(said):
        return cause
    if state != "RUNNING":
        return f"the connector is {state}"
    if not tasks:
        return "no task yet"
    if any(task != "RUNNING" for task in tasks):
        return f"a task is {next(task for task in tasks if task != 'RUNNING')}"
    return None


def _snapshot_problem(offsets: Sequence[dict[str, Any]]) -> str | None:
    if snapshot_stored(offsets):
        return None
    return "its first snapshot is not over; should Connect end before it is, see connectors/README.md"


def _stored_lsn(offsets: Sequence[dict[str, Any]]) -> int | None:
    """The position up to which everything is known to be in Kafka; None before the first commit."""
    lsns = [
        int(offset["lsn_proc"])
        for entry in offsets
        if (offset := entry.get("offset") or {}).get("lsn_proc") is not None
    ]
    return min(lsns, default=None)
