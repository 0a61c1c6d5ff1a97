"""The source database's side: a backlog of changes, a steady writer, and what is there in the end."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import psycopg

from bench.errors import NotReadyError, UnsoundError

if TYPE_CHECKING:
    from collections.abc import Iterator

TABLE: Final = "transactions_to_settle"
TOPIC: Final = f"sabpaisa.public.{TABLE}"
PUBLICATION: Final = "settle_publication"
_SOURCE_DDL = Path(__file__).parent.parent / "world" / "source.sql"
_BACKLOG = Path(__file__).with_name("backlog.sql")
# Changes in one transaction of the backlog: what a busy application commits together, and small enough
# that neither reader has to hold a large transaction before it can begin.
_BATCH: Final = 1000
_INSERT = f"""
INSERT INTO public.{TABLE} VALUES
 (%s, %s, %s, 'razorpay', 'upi', %s, 'INR', 'PENDING', 0, now(), clock_timestamp(), NULL)
"""  # noqa: S608 - the only thing put in is the constant above


class Source:
    """The payment company's database, written to as its owner."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        try:
            self._connection = psycopg.connect(dsn, autocommit=True, connect_timeout=10)
        except psycopg.Error as error:
            raise NotReadyError("no answer from the source database") from error

    def close(self) -> None:
        """Let go of the connection."""
        self._connection.close()

    def prepare(self) -> None:
        """Tables, publication, and the procedure that writes a backlog."""
        self._connection.execute(_SOURCE_DDL.read_bytes())
        self._connection.execute(_BACKLOG.read_bytes())

    def backlog(self, changes: int, prefix: str) -> int:
        """Write that many changes (rounded to whole batches) and return how many there are."""
        batches = max(1, changes // _BATCH)
        self._connection.execute("CALL bench_backlog(%s, %s, %s)", (prefix, batches, _BATCH))
        return batches * _BATCH

    def rows(self, prefix: str) -> int:
        """Rows that are there now with keys beginning like that."""
        found = self._connection.execute(
            f"SELECT count(*) FROM public.{TABLE} WHERE transaction_id LIKE %s",  # noqa: S608
            (prefix + "%",),
        ).fetchone()
        return int(found[0]) if found else 0


def replication_dsn() -> str:
    """The connector's own account: the bare reader reads as the same user."""
    env = os.environ
    try:
        return (
            f"host={env['SETTLE_SOURCE_HOST']} port={env['SETTLE_SOURCE_PORT']} "
            f"dbname={env['SETTLE_SOURCE_DATABASE']} user={env['SETTLE_DEBEZIUM_USER']} "
            f"password={env['SETTLE_DEBEZIUM_PASSWORD']}"
        )
    except KeyError as error:
        raise NotReadyError(f"{error.args[0]} is not set; is the stack up?") from None


class BareSlot:
    """A second slot on the same WAL, for the bare reader; it keeps WAL, so it is dropped for certain."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.dsn = replication_dsn()

    def __enter__(self) -> BareSlot:
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute("SELECT pg_create_logical_replication_slot(%s, 'pgoutput')", (self.name,))
        return self

    def __exit__(self, *_: object) -> None:
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute("SELECT pg_drop_replication_slot(%s)", (self.name,))


@dataclass(frozen=True, slots=True)
class Written:
    """What the steady writer did."""

    rows: int
    seconds: float

    @property
    def rate(self) -> float:
        """Rows, and so commits, a second."""
        return self.rows / self.seconds


def write_steadily(dsn: str, prefix: str, rate: int, seconds: int, writers: int = 2) -> Written:
    """One row per commit at a fixed rate, from an open schedule: a slow commit does not slow the next ones.

    The rows' commit times are not taken here: Postgres writes them into the WAL itself.
    """
    total = rate * seconds
    began = time.perf_counter() + 0.2
    failures: list[psycopg.Error] = []

    def run(which: int) -> None:
        try:
            with psycopg.connect(dsn, autocommit=True) as connection:
                for number, due in _schedule(total, rate, writers, which, began):
                    pause = due - time.perf_counter()
                    if pause > 0:
                        time.sleep(pause)
                    key = f"{prefix}{number:09d}"
                    values = (key, f"M{number % 15000:06d}", f"ORD-{number}", (number % 99999) + 1)
                    connection.execute(_INSERT, values, prepare=True)
        except psycopg.Error as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(which,)) for which in range(writers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise UnsoundError(f"the writer failed: {failures[0]}")
    return Written(total, time.perf_counter() - began)


def _schedule(total: int, rate: int, writers: int, which: int, began: float) -> Iterator[tuple[int, float]]:
    for number in range(which, total, writers):
        yield number, began + number / rate
