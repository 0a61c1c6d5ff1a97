"""load_audit and load_files: what was tried, what came of it, and which files are done with."""

from __future__ import annotations

import json
import os
import socket
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import psutil

from snowflake_loader import sql, warehouse

if TYPE_CHECKING:
    from collections.abc import Sequence

    from snowflake.connector import SnowflakeConnection

    from snowflake_loader.batches import Batch
    from snowflake_loader.datasets import Dataset
    from snowflake_loader.staging import StagedFile

# A STARTED row of another machine's loader is given up after this: no statement of ours may run longer.
GIVEN_UP_AFTER = timedelta(hours=2)
# An error is a sentence for a person; a page of it helps nobody and a warehouse column pays for it.
ERROR_CHARACTERS = 4000


def now() -> datetime:
    """UTC without a zone, as every time in the warehouse."""
    return datetime.now(UTC).replace(tzinfo=None)


def loader_name() -> str:
    """Which process wrote a row: enough to see later whether it still lives."""
    return f"{socket.gethostname()}/{os.getpid()}/{int(psutil.Process().create_time())}"


def start(session: SnowflakeConnection, batch: Batch) -> None:
    oldest = min(file.modified for file in batch.files).astimezone(UTC).replace(tzinfo=None)
    warehouse.run(
        session,
        "insert into load_audit (batch_id, dataset, table_name, loader, status, file_count, size_bytes,"
        " rows_expected, oldest_file_at, started_at, files)"
        " select ?, ?, ?, ?, 'STARTED', ?, ?, ?, ?, ?, ?"
        " where not exists (select 1 from load_audit where batch_id = ?)",
        (
            batch.id,
            batch.dataset.name,
            batch.dataset.table,
            loader_name(),
            len(batch.files),
            batch.size,
            batch.expected,
            oldest,
            now(),
            json.dumps([file.name for file in batch.files]),
            batch.id,
        ),
    )


def finish(
    session: SnowflakeConnection,
    batch_id: str,
    *,
    landed: int,
    inserted: int,
    updated: int,
    query_ids: dict[str, str],
    started: datetime,
) -> None:
    ended = now()
    warehouse.run(
        session,
        "update load_audit set status = 'LOADED', rows_landed = ?, rows_inserted = ?, rows_updated = ?,"
        " query_ids = ?, finished_at = ?, duration_ms = ? where batch_id = ?",
        (landed, inserted, updated, json.dumps(query_ids), ended, _milliseconds(ended - started), batch_id),
    )


def fail(session: SnowflakeConnection, batch_id: str, error: str) -> None:
    warehouse.run(
        session,
        "update load_audit set status = 'FAILED', error = ?, finished_at = ?"
        " where batch_id = ? and status = 'STARTED'",
        (error[:ERROR_CHARACTERS], now(), batch_id),
    )


def note_files(
    session: SnowflakeConnection,
    dataset: Dataset,
    files: Sequence[tuple[StagedFile, int | None]],
    *,
    status: str,
    batch_id: str,
    error: str | None = None,
) -> None:
    """LOADED is final: nothing turns such a row into anything else."""
    rows: list[Any] = [value for file, count in files for value in (file.name, count, file.size)]
    facts = [dataset.name, dataset.table, status, batch_id, error and error[:ERROR_CHARACTERS], now()]
    warehouse.run(session, sql.note_files(len(files)), [*facts, *rows])


def known(session: SnowflakeConnection, names: Sequence[str]) -> dict[str, str]:
    """Of these files, those that the ledger has as LOADED or PARKED."""
    rows = warehouse.run(session, sql.known_files(len(names)), list(names)).rows
    return {str(row["file_name"]): str(row["status"]) for row in rows}


def wanted_again(session: SnowflakeConnection) -> list[str]:
    """Files that somebody asked to be tried again."""
    return [
        str(row["file_name"])
        for row in warehouse.run(session, "select file_name from load_files where status = 'RETRY'").rows
    ]


def sweep(session: SnowflakeConnection) -> list[str]:
    """Close what dead loaders left open and drop their landing tables; the files are taken again."""
    # Landing tables before audit rows: a batch writes its row first, so a table seen here has one.
    landings = warehouse.run(
        session,
        "select table_name from information_schema.tables"
        " where table_schema = current_schema() and startswith(table_name, 'LANDING_')",
    ).rows
    open_rows = warehouse.run(
        session, "select batch_id, loader, started_at from load_audit where status = 'STARTED'"
    ).rows
    dead = [str(row["batch_id"]) for row in open_rows if not _alive(str(row["loader"]), row["started_at"])]
    alive = {sql.landing_name(str(row["batch_id"])) for row in open_rows if row["batch_id"] not in dead}
    for landing in landings:
        if landing["table_name"] not in alive:
            warehouse.run(session, sql.drop_landing(str(landing["table_name"])))
    for batch_id in dead:
        fail(session, batch_id, "the loader ended before it had finished; its files are taken again")
    return dead


def _alive(loader: str, started_at: datetime) -> bool:
    host, _, process = loader.partition("/")
    if host != socket.gethostname():
        return now() - started_at < GIVEN_UP_AFTER
    pid, _, created = process.partition("/")
    try:
        return int(psutil.Process(int(pid)).create_time()) == int(created)
    except psutil.NoSuchProcess:
        return False


def _milliseconds(span: timedelta) -> int:
    return int(span / timedelta(milliseconds=1))
