"""The other end: what is staged on S3, and what stands in the warehouse."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from bench.errors import NotReadyError, UnsoundError
from bench.source import TABLE
from snowflake_loader import migrations, warehouse
from snowflake_loader.errors import LoaderError
from snowflake_loader.settings import LoaderSettings, StageSettings, load
from snowflake_loader.staging import Stage

if TYPE_CHECKING:
    from snowflake.connector import SnowflakeConnection

_LOOK = 0.5
# Rows of a backlog by what became of them; all that is needed to know that its end is reached.
_THERE = f"""
select count(*) as keys_there,
       count_if(not _deleted) as live,
       count_if(not _deleted and status = 'SUCCESS') as done
from {TABLE} where transaction_id like ?
"""  # noqa: S608 - a constant of ours
_LANDED = f"""
select coalesce(sum(row_count), 0) as landed from load_files
where table_name = '{TABLE.upper()}' and status = 'LOADED'
"""  # noqa: S608
_BATCHES = """
select batch_id, rows_landed, started_at, finished_at, duration_ms from load_audit
where table_name = ? and status = 'LOADED'
"""
_LINES = "select file_id, _batch_id, count(*) as lines from bank_records where not _deleted group by 1, 2"
_WHEN = f"select transaction_id, _batch_id from {TABLE} where transaction_id like ?"  # noqa: S608


@dataclass(frozen=True, slots=True)
class Batch:
    """One load as the loader wrote it down."""

    rows: int
    seconds: float
    finished: float  # seconds since 1970


class Staged:
    """Rows in finished Parquet files of one dataset; footers are read once."""

    def __init__(self, dataset: str = TABLE) -> None:
        self._dataset = dataset
        self._stage = Stage(load(StageSettings), load(LoaderSettings).stage_bucket)
        self._rows: dict[str, int] = {}

    def rows(self) -> int:
        """How many there are now."""
        try:
            for file in self._stage.files():
                if file.dataset == self._dataset and file.name not in self._rows:
                    self._rows[file.name] = self._stage.footer(file).rows
        except LoaderError as error:
            raise NotReadyError(f"the stage: {error}") from error
        return sum(self._rows.values())

    def wait(self, rows: int, since: int, silence: float = 300.0) -> float:
        """The moment when that many more can be seen."""
        moved, seen = time.perf_counter(), since
        while seen < since + rows:
            time.sleep(_LOOK)
            now, there = time.perf_counter(), self.rows()
            if there > seen:
                seen, moved = there, now
            elif now - moved > silence:
                raise UnsoundError(f"{seen - since} of {rows} rows were staged, then silence")
        return time.perf_counter()


class Mirror:
    """The source table's copy in the warehouse."""

    def __init__(self) -> None:
        self._session: SnowflakeConnection | None = None

    def close(self) -> None:
        """End the session."""
        if self._session is not None:
            self._session.close()

    def prepare(self) -> None:
        """The warehouse's tables."""
        settings = load(LoaderSettings)
        values = {"stage_url": settings.stage_url, "storage_integration": settings.storage_integration}
        try:
            session = self._open()
            migrations.apply(session, migrations.plan(session), values)
        except LoaderError as error:
            raise NotReadyError(f"the warehouse: {error}") from error

    def wait(self, prefix: str, keys: int, live: int, done: int, silence: float = 300.0) -> float:
        """The moment when exactly these rows stand there."""
        moved, seen = time.perf_counter(), None
        while True:
            row = self._ask(_THERE, (prefix + "%",))[0]
            now, there = time.perf_counter(), (row["keys_there"], row["live"], row["done"])
            if there == (keys, live, done):
                return now
            if there != seen:
                seen, moved = there, now
            elif now - moved > silence:
                raise UnsoundError(f"the warehouse stays at {there} of {(keys, live, done)} rows")
            time.sleep(_LOOK)

    def landed(self) -> int:
        """Rows of all files ever loaded for this table: every change, once."""
        return int(self._ask(_LANDED)[0]["landed"])

    def batches(self, table: str = TABLE) -> dict[str, Batch]:
        """Every load of the table that is done."""
        return {
            row["batch_id"]: Batch(
                int(row["rows_landed"] or 0),
                float(row["duration_ms"] or 0) / 1000,
                _epoch(row["finished_at"]),
            )
            for row in self._ask(_BATCHES, (table.upper(),))
        }

    def when(self, prefix: str) -> dict[str, str]:
        """Which load brought which row."""
        return {row["transaction_id"]: row["_batch_id"] for row in self._ask(_WHEN, (prefix + "%",))}

    def lines_of_files(self) -> dict[str, dict[str, int]]:
        """How many lines of which business file each load brought."""
        found: dict[str, dict[str, int]] = {}
        for row in self._ask(_LINES):
            found.setdefault(row["file_id"], {})[row["_batch_id"]] = int(row["lines"])
        return found

    def _open(self) -> SnowflakeConnection:
        if self._session is None:
            self._session = warehouse.connect(query_tag="settlestream:bench")
        return self._session

    def _ask(self, query: str, values: tuple[Any, ...] = ()) -> list[dict[str, Any]]:
        try:
            return warehouse.run(self._open(), query, values).rows
        except LoaderError as error:
            raise NotReadyError(f"the warehouse: {error}") from error


def _epoch(at: datetime) -> float:
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
