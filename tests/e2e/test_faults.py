"""SIGKILL, one server after the other, while rows flow: nothing lost, nothing double, every time.

1. A writer inserts, updates, deletes and moves rows in Postgres, without a pause, until the end.
2. Each server in turn is killed; a row written after its death must reach the warehouse before the next one
   is. The loader dies at its steps, the bridge between a file's registration and its last word.
3. The writer ends. The source and the warehouse must be equal in every column, the results must be what the
   source's rows and the bank's lines give, and every staged row must have landed once.
"""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from connectors.deploy import apply_plan, make_plan, wait_running
from connectors.desired import desired
from connectors.rest import Connect
from flink_jobs.deploy import deploy
from snowflake_loader import warehouse
from world.play_sftp import upload
from world.statements import Statement

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence


pytestmark = [pytest.mark.stack, pytest.mark.timeout(1500)]

CHECKOUT = Path(__file__).resolve().parents[2]
SOURCE = (CHECKOUT / "world" / "source.sql").read_bytes()
# Seconds a row may take through everything after one of its servers was killed, on a machine that is busy.
PATIENCE = 240.0
# So far ahead that nobody closes the day: payments wait for their gateway. Another one each time, so that
# the bank's files are not corrections of an earlier run's.
DAY = date(2031, 1, 1) + timedelta(days=random.SystemRandom().randrange(3000))
CUTOFFS = ("1130", "1530", "2000")
LINES = 15_000  # enough that a kill finds the bridge inside the file
COLUMNS = (
    "transaction_id, merchant_id, order_ref, gateway, method, amount, currency, status, "
    "refunded_amount, paid_at, updated_at, note"
)
LOADER_STEPS = ("landed", "copied", "merged", "recorded", "finished")


def until(condition: Callable[[], bool], what: str, seconds: float = PATIENCE) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"waited {seconds:.0f} s for {what}")
        time.sleep(0.25)


class Writer:
    """Changes rows of its own, one after the other, as an application would."""

    def __init__(self, dsn: str, prefix: str) -> None:
        self._dsn, self._prefix = dsn, prefix
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._write)
        self.newest = ""
        self.failure: psycopg.Error | None = None

    def __enter__(self) -> Writer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _write(self) -> None:
        try:
            with psycopg.connect(self._dsn, autocommit=True) as db:
                for number in range(10_000_000):
                    # A steady stream, some hundreds a second: the servers are to be killed, not starved.
                    if self._stop.wait(0.01):
                        return
                    self._step(db, number, random.Random(number))
        except psycopg.Error as error:
            self.failure = error

    def _step(self, db: psycopg.Connection, number: int, chance: random.Random) -> None:
        key = f"{self._prefix}{number:07d}"
        note = chance.choice([None, "₹ und ü", "x" * 3000])
        db.execute(
            "INSERT INTO transactions_to_settle VALUES (%s, %s, %s, 'payu', 'upi', %s, 'INR', 'PENDING', 0, "
            "%s, clock_timestamp(), %s)",
            (key, f"M{number % 50}", None, Decimal(chance.randrange(1, 10**9)) / 100, at_noon(), note),
        )
        earlier = f"{self._prefix}{chance.randrange(number + 1):07d}"
        if number % 2 == 0:
            db.execute(
                "UPDATE transactions_to_settle SET status = %s, updated_at = clock_timestamp() "
                "WHERE transaction_id = %s",
                (chance.choice(["SUCCESS", "FAILED"]), earlier),
            )
        if number % 11 == 0:
            db.execute("DELETE FROM transactions_to_settle WHERE transaction_id = %s", (earlier,))
        if number % 17 == 0:
            db.execute(
                "UPDATE transactions_to_settle SET transaction_id = transaction_id || 'm' "
                "WHERE transaction_id = %s AND transaction_id NOT LIKE '%%m'",
                (earlier,),
            )
        if number % 23 == 0:
            with db.cursor().copy(f"COPY transactions_to_settle ({COLUMNS}) FROM STDIN") as copy:
                for at in range(5):
                    moment = at_noon().isoformat()
                    copy.write_row(
                        (
                            f"{key}c{at}",
                            "M1",
                            "O",
                            "payu",
                            None,
                            "1.10",
                            "INR",
                            "SUCCESS",
                            "0",
                            moment,
                            moment,
                            None,
                        )
                    )
        self.newest = key


def at_noon() -> datetime:
    return datetime(DAY.year, DAY.month, DAY.day, 6, 30, tzinfo=UTC)


class Warehouse:
    """Asks with the real client, with a new session whenever the old one is gone."""

    def __init__(self) -> None:
        self._session: Any = None

    def ask(self, query: str, *values: Any) -> list[dict[str, Any]]:
        if self._session is None:
            self._session = warehouse.connect(query_tag="settlestream:test")
        return warehouse.run(self._session, query, values).rows

    def has(self, key: str) -> bool:
        # It may have been deleted or moved since; a deleted row is there too, marked.
        return bool(self.ask("select 1 from transactions_to_settle where transaction_id = ?", key))

    def close(self) -> None:
        if self._session is not None:
            self._session.close()


@pytest.fixture
def house() -> Iterator[Warehouse]:
    made = Warehouse()
    yield made
    made.close()


def spelled(rows: Sequence[Sequence[Any]]) -> str:
    """One hash over all rows and columns, whichever database said them."""
    total = hashlib.sha256()
    for row in sorted(rows, key=lambda one: str(one[0])):
        total.update("\x1f".join(map(plain, row)).encode() + b"\n")
    return total.hexdigest()


def plain(value: Any) -> str:
    if value is None:
        return "\x00"
    if isinstance(value, datetime):
        at = value if value.tzinfo is None else value.astimezone(UTC).replace(tzinfo=None)
        return at.isoformat(timespec="microseconds")
    return f"{value:.2f}" if isinstance(value, Decimal) else str(value)


def statement(cutoff: str, first: int, lines: int) -> tuple[Statement, dict[str, Decimal]]:
    """An AXIS file of credits that no gateway knows."""
    day = f"{DAY:%d/%m/%Y}"
    owed_lines = {f"AXISCN{first + at:010d}": Decimal(at + 1) / 100 for at in range(lines)}
    head = (
        "S.No,Transaction Date,Value Date,Particulars,Amount(INR),Debit/Credit,Balance(INR),"
        "Cheque Number,Branch Name(SOL)\n"
    )
    rows = "".join(
        f'{at},{day},{day},NEFT/{utr}/PAYU PAYMENTS/{at},"{amount:.2f}",CR,1.00,,X\n'
        for at, (utr, amount) in enumerate(owed_lines.items(), 1)
    )
    data = f"{head}{rows}TRAILER,{lines},{sum(owed_lines.values()):.2f},0.00\n".encode()
    key = ("AXIS", DAY, f"{cutoff[:2]}:{cutoff[2:]}")
    return Statement(key, f"AXIS_STMT_{DAY:%Y%m%d}_{cutoff}.csv", data), owed_lines


def test_nothing_is_lost_and_nothing_is_double_whatever_dies(stack: Any, house: Warehouse) -> None:
    prefix = f"F{uuid.uuid4().hex[:8]}-"
    dsn = os.environ["SETTLE_SOURCE_DSN"]
    connect = Connect(os.environ["SETTLE_CONNECT_URL"])
    with psycopg.connect(dsn, autocommit=True) as db:
        db.execute(SOURCE)
        apply_plan(connect, make_plan(connect, desired()), wait=PATIENCE)
        deploy(timeout=PATIENCE)
        owed_lines: dict[str, Decimal] = {}
        with Writer(dsn, prefix) as writer:  # 1
            flows(house, writer)
            for name in ("connect", "taskmanager", "jobmanager", "loader", "kafka"):  # 2
                stack.kill(name, signal.SIGKILL)
                stack.wait_healthy([name])
                flows(house, writer)
            wait_running(connect, "sabpaisa", PATIENCE)
            for step in LOADER_STEPS:
                loader_dies_at(step)
            owed_lines |= bridge_dies_in_a_file(stack)
            flows(house, writer)
        assert writer.failure is None
        assert_equal(db, house, prefix)  # 3
        assert_results(db, house, prefix, owed_lines)
    assert_landed_once(house)


def flows(house: Warehouse, writer: Writer) -> None:
    """A row that is written from now on reaches the warehouse."""
    before = writer.newest
    until(lambda: writer.newest > before or writer.failure is not None, "the writer")
    key = writer.newest
    until(lambda: house.has(key), f"{key} in the warehouse")


def loader_dies_at(step: str) -> None:
    """A second loader beside the first one dies right after the step; either may take a file at any time."""
    environment = {**os.environ, "SETTLE_LOADER_CRASH_AT": step, "PYTHONPATH": str(CHECKOUT)}

    def died() -> bool:
        done = subprocess.run(
            [sys.executable, "-m", "settle", "load", "run", "--once"],
            env=environment,
            cwd="/",
            capture_output=True,
            check=False,
            timeout=PATIENCE,
        )
        return done.returncode == -signal.SIGKILL

    until(died, f"a loader to die after {step}")


def bridge_dies_in_a_file(stack: Any) -> dict[str, Decimal]:
    """Kill the bridge while a file is registered and its last word is not said; again until that was hit."""
    owed_lines: dict[str, Decimal] = {}
    hit = False
    with psycopg.connect(os.environ["SETTLE_BRIDGE_DSN"], autocommit=True) as ops:
        for cutoff in CUTOFFS:
            sent, lines = statement(cutoff, random.SystemRandom().randrange(10**9) * 10, LINES)
            owed_lines |= lines
            digest = hashlib.sha256(sent.data).hexdigest()
            upload([sent])
            until(lambda digest=digest: state(ops, digest) is not None, f"{sent.name} at the bridge")  # type: ignore[misc]
            if not hit:
                caught = state(ops, digest) == "RECEIVED"
                stack.kill("bridge", signal.SIGKILL)
                hit = caught and state(ops, digest) == "RECEIVED"
                stack.wait_healthy(["bridge"])
            until(lambda digest=digest: state(ops, digest) == "LOADED", f"{sent.name} loaded")  # type: ignore[misc]
    assert hit, "the bridge was never caught inside a file"
    return owed_lines


STATE = "SELECT state FROM bank_files WHERE sha256 = %s"


def state(ops: psycopg.Connection, digest: str) -> str | None:
    row = ops.execute(STATE, (digest,)).fetchone()
    return None if row is None else str(row[0])


def assert_equal(db: psycopg.Connection, house: Warehouse, prefix: str) -> None:
    """Every row, every column."""
    query = f"SELECT {COLUMNS} FROM {{}} WHERE transaction_id LIKE "
    ours = db.execute((query.format("transactions_to_settle") + "%s").encode(), (f"{prefix}%",)).fetchall()
    assert len(ours) > 100

    def theirs() -> list[tuple[Any, ...]]:
        rows = house.ask(query.format("v_transactions_to_settle") + "?", f"{prefix}%")
        return [tuple(row.values()) for row in rows]

    until(lambda: spelled(theirs()) == spelled(ours), f"{len(ours)} equal rows in the warehouse")


def assert_results(
    db: psycopg.Connection, house: Warehouse, prefix: str, owed_lines: dict[str, Decimal]
) -> None:
    """One result for every payment and every credit, with its amounts."""
    rows = db.execute(
        "SELECT status, amount FROM transactions_to_settle WHERE transaction_id LIKE %s", (f"{prefix}%",)
    ).fetchall()
    wanted = Counter("MATCHED" if status == "FAILED" else "AWAITING_GATEWAY" for status, _ in rows)
    owed = sum((amount for status, amount in rows if status != "FAILED"), Decimal("0.00"))
    first, last = min(owed_lines), max(owed_lines)

    def payments() -> tuple[Counter[str], Decimal]:
        found = house.ask(
            "select outcome, expected_amount from sp_v2_reconciliation_status "
            "where not _deleted and level = 'PAYMENT' and match_key like ?",
            f"{prefix}%",
        )
        return (
            Counter(row["outcome"] for row in found),
            sum((row["expected_amount"] for row in found), Decimal("0.00")),
        )

    def settlements() -> tuple[dict[str, Decimal], set[str]]:
        found = house.ask(
            "select match_key, outcome, found_amount from sp_v2_reconciliation_status "
            "where not _deleted and level = 'SETTLEMENT' and match_key between ? and ?",
            first,
            last,
        )
        mine = [row for row in found if row["match_key"] in owed_lines]
        return {row["match_key"]: row["found_amount"] for row in mine}, {row["outcome"] for row in mine}

    until(lambda: payments() == (wanted, owed), f"payments {wanted}, {owed}")
    until(
        lambda: settlements() == (owed_lines, {"MISSING_IN_GATEWAY"}),
        f"{len(owed_lines)} credits without a gateway",
    )


def assert_landed_once(house: Warehouse) -> None:
    """No file is parked or half done, and no key stands twice."""
    # What a dead loader left open is closed by the next one that starts.
    subprocess.run(
        [sys.executable, "-m", "settle", "load", "run", "--once"],
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        cwd="/",
        capture_output=True,
        check=True,
        timeout=PATIENCE,
    )
    until(
        lambda: not house.ask("select 1 from load_audit where status = 'STARTED'"), "every batch to be closed"
    )
    assert house.ask("select file_name from load_files where status = 'PARKED'") == []
    for table, key in (
        ("transactions_to_settle", "transaction_id"),
        ("bank_records", "record_id"),
        ("sp_v2_transactions", "transaction_id"),
        ("sp_v2_reconciliation_status", "recon_key"),
    ):
        twice = house.ask(f"select {key} from {table} group by {key} having count(*) > 1")
        assert twice == [], table
