"""The loader against a real warehouse process and a real S3 server: killed, doubled, shuffled, lied to.

Each test has its own bucket, and all of them a warehouse of their own, since it gets killed: the stack's own
loader never sees these files.
"""

from __future__ import annotations

import hashlib
import io
import os
import random
import signal
import socket
import subprocess
import sys
import time
import urllib.request
import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import SecretStr

from snowflake_loader import migrations, warehouse
from snowflake_loader.crash import STEPS
from snowflake_loader.errors import WarehouseRefused
from snowflake_loader.service import Loader
from snowflake_loader.settings import LoaderSettings, SnowflakeSettings, StageSettings
from snowflake_loader.staging import Stage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from snowflake.connector import SnowflakeConnection

ROOT = Path(__file__).parents[2]
PAID = datetime(2026, 1, 6, 4, 30, 0, 123456, tzinfo=UTC).replace(tzinfo=None)
MONEY, TIME, TEXT, WHOLE = pa.decimal128(18, 2), pa.timestamp("us"), pa.string(), pa.int64()
COLUMNS: dict[str, Any] = {
    "transaction_id": TEXT,
    "merchant_id": TEXT,
    "order_ref": TEXT,
    "gateway": TEXT,
    "method": TEXT,
    "amount": MONEY,
    "currency": TEXT,
    "status": TEXT,
    "refunded_amount": MONEY,
    "paid_at": TIME,
    # As a writer says it that marks its moments as UTC.
    "updated_at": pa.timestamp("us", tz="UTC"),
    "note": TEXT,
    "_op": TEXT,
    "_version": WHOLE,
    "_position": WHOLE,
}
SCHEMA = pa.schema(COLUMNS)


def payment(number: int, version: int, op: str = "u", **other: Any) -> dict[str, Any]:
    """One staged row; everything about it follows from its number and version."""
    return {
        "transaction_id": f"TXN{number:06d}",
        "merchant_id": f"M{number % 7}",
        "order_ref": None if op == "d" else f"O{number}",
        "gateway": "razorpay",
        "method": "upi",
        "amount": Decimal(number * 100 + version % 100) / 100,
        "currency": "INR",
        "status": "SUCCESS" if version % 2 else "PENDING",
        "refunded_amount": Decimal("0.00"),
        "paid_at": PAID,
        "updated_at": None if op == "d" else PAID,
        "note": None,
        "_op": op,
        "_version": 10**15 + version,
        "_position": 0,
        **other,
    }


def parquet(rows: list[dict[str, Any]], schema: pa.Schema = SCHEMA) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), sink, compression="snappy")
    return sink.getvalue()


def wait_for(condition: Callable[[], bool], what: str, seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"waited {seconds:.0f} s for {what}")
        time.sleep(0.05)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass
class Server:
    """A warehouse process of this test module's own, since it gets killed."""

    data: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "SETTLE_WAREHOUSE_PORT": str(self.port),
            "SETTLE_WAREHOUSE_DATA": str(self.data),
            "SETTLE_LOADER_SNOWFLAKE_HOST": "127.0.0.1",
            "SETTLE_LOADER_SNOWFLAKE_PORT": str(self.port),
            "SETTLE_LOADER_SNOWFLAKE_PROTOCOL": "http",
            "SETTLE_LOADER_SNOWFLAKE_USER": "settle",
            "SETTLE_LOADER_SNOWFLAKE_PASSWORD": "test-only",
        }

    def start(self) -> None:
        self.process = subprocess.Popen([sys.executable, "-m", "stack.warehouse"], env=self.environment())
        wait_for(self._answers, "the warehouse to answer")

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def kill(self, sig: signal.Signals = signal.SIGKILL) -> None:
        assert self.process
        self.process.send_signal(sig)
        self.process.wait(60)


@dataclass
class Room:
    """One test's bucket, this module's schema, and loaders that know no others."""

    server: Server
    schema: str
    bucket: str
    s3: Any

    @property
    def account(self) -> SnowflakeSettings:
        return SnowflakeSettings.model_validate(
            {
                "host": "127.0.0.1",
                "port": self.server.port,
                "protocol": "http",
                "user": "settle",
                "password": "test-only",
                "schema_name": self.schema,
            }
        )

    def environment(self, **other: str) -> dict[str, str]:
        return {
            **self.server.environment(),
            "SETTLE_LOADER_SNOWFLAKE_SCHEMA": self.schema,
            "SETTLE_LOADER_STAGE_BUCKET": self.bucket,
            "SETTLE_LOADER_POLL_SECONDS": "0.2",
            "SETTLE_LOADER_HEALTH_PORT": "0",
            **other,
        }

    def settings(self, **other: Any) -> LoaderSettings:
        return LoaderSettings.model_validate({"stage_bucket": self.bucket, "attempts": 1, **other})

    def connect(self) -> SnowflakeConnection:
        return warehouse.connect(self.account)

    def loader(self, **other: Any) -> Loader:
        return Loader(self.settings(**other), Stage(StageSettings(), self.bucket), self.connect)

    def load(self, **other: Any) -> Loader:
        loader = self.loader(**other)
        loader.once()
        loader.close()
        return loader

    def settle(self, *arguments: str, **other: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "settle", *arguments],
            cwd=ROOT,
            env=self.environment(**other),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def put(self, content: bytes, name: str | None = None, dataset: str = "transactions_to_settle") -> str:
        name = name or f"part-{uuid.uuid4()}"
        self.s3.put_object(Bucket=self.bucket, Key=f"{dataset}/{name}", Body=content)
        return f"{dataset}/{name}"

    def rows(self, sql: str) -> list[dict[str, Any]]:
        with self.connect() as session:
            return warehouse.run(session, sql).rows

    def count(self, table: str) -> int:
        return int(self.rows(f"select count(*) as n from {table}")[0]["n"])

    def hash(self) -> str:
        """Of every column but the batch's id, which tells who wrote and not what."""
        columns = [*(name.upper() for name in SCHEMA.names if name != "_op"), "_DELETED"]
        names = ", ".join(f'"{name}"' for name in columns)
        rows = self.rows(f"select {names} from transactions_to_settle order by transaction_id")
        keys = [row["transaction_id"] for row in rows]
        assert len(keys) == len(set(keys)), "a key is there twice"
        return hashlib.sha256(repr([sorted(row.items()) for row in rows]).encode()).hexdigest()

    def audit(self, status: str) -> list[dict[str, Any]]:
        return self.rows(f"select * from load_audit where status = '{status}' order by batch_id")

    def landings(self) -> list[str]:
        rows = self.rows(
            "select table_name from information_schema.tables"
            " where table_schema = current_schema() and table_name like 'LANDING%'"
        )
        return [str(row["table_name"]) for row in rows]


@pytest.fixture(scope="module")
def server(stack: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("warehouse"), free_port())
    server.start()
    yield server
    server.kill(signal.SIGTERM)


@contextmanager
def new_room(server: Server) -> Iterator[Room]:
    where = StageSettings()
    assert where.secret_key
    s3 = boto3.client(
        "s3",
        endpoint_url=where.endpoint,
        aws_access_key_id=where.access_key,
        aws_secret_access_key=where.secret_key.get_secret_value(),
        region_name=where.region,
    )
    room = Room(server, "LOADER_TEST", f"loader-{uuid.uuid4().hex[:12]}", s3)
    s3.create_bucket(Bucket=room.bucket)
    with room.connect() as session:
        values = {"stage_url": f"s3://{room.bucket}/", "storage_integration": "SETTLE_S3"}
        migrations.apply(session, migrations.plan(session), values)
        # The tables are made once for all tests of this module and emptied for each.
        mirrors = ("transactions_to_settle", "merchant_data", "sp_v2_bank_file_expectations")
        for table in ("load_files", "load_audit", *mirrors):
            warehouse.run(session, f"delete from {table}")
        warehouse.run(session, f"create or replace stage settle_stage url = 's3://{room.bucket}/'")
    yield room
    for entry in s3.list_objects_v2(Bucket=room.bucket).get("Contents", []):
        s3.delete_object(Bucket=room.bucket, Key=entry["Key"])
    s3.delete_bucket(Bucket=room.bucket)


@pytest.fixture
def room(server: Server) -> Iterator[Room]:
    with new_room(server) as room:
        yield room


# Three versions of forty payments over six files: inserts, updates, deletes, and an insert after a delete.
STORY = [
    [payment(n, 1) for n in range(20)],
    [payment(n, 1) for n in range(20, 40)],
    [payment(n, 2) for n in range(10, 30)],
    [payment(n, 3, "d") for n in range(0, 40, 4)],
    [payment(n, 4) for n in range(0, 40, 8)],
    [payment(1, 4), payment(1, 5), payment(1, 4, _position=9), payment(2, 6, "d")],
]


@pytest.fixture(scope="module")
def told(server: Server) -> str:
    """The table's hash when the story is loaded in its own order, one file at a time, undisturbed."""
    with new_room(server) as room:
        for chapter in STORY:
            room.put(parquet(chapter))
            room.load()
        return room.hash()


def stage_story(room: Room) -> list[str]:
    return [room.put(parquet(chapter)) for chapter in STORY]


def test_rows_arrive_exactly_as_they_were_staged(room: Room) -> None:
    biggest = payment(1, 1, amount=Decimal("9999999999999999.99"), note="₹ 'quoted', «so»\n", updated_at=None)
    paise = payment(2, 1, amount=Decimal("-0.01"))
    room.put(parquet([biggest, paise]))
    room.load()
    rows = room.rows("select * from v_transactions_to_settle order by transaction_id")
    expected = [{k: v for k, v in row.items() if not k.startswith("_")} for row in (biggest, paise)]
    assert rows == expected
    assert rows[1]["updated_at"] == PAID
    assert all(isinstance(row["amount"], Decimal) for row in rows)
    (total,) = room.rows("select sum(amount) as total from transactions_to_settle")
    assert total["total"] == Decimal("9999999999999999.98")


def test_newest_version_wins_and_a_delete_is_a_version(room: Room, told: str) -> None:
    stage_story(room)
    room.load()
    assert room.hash() == told
    by_id = {row["transaction_id"]: row for row in room.rows("select * from transactions_to_settle")}
    assert by_id["TXN000001"]["_version"] == 10**15 + 5
    assert by_id["TXN000004"]["_deleted"] is True, "deleted, kept as a version"
    assert by_id["TXN000008"]["_deleted"] is False, "deleted, then inserted again"
    live = {row["transaction_id"] for row in room.rows("select * from v_transactions_to_settle")}
    assert {"TXN000002", "TXN000004"} & live == set()


def test_shuffled_and_repeated_files_give_the_same_table(room: Room, told: str) -> None:
    dice = random.Random(5)
    chapters = [*STORY, *STORY, *STORY]
    dice.shuffle(chapters)
    for at in range(0, len(chapters), 4):
        for chapter in chapters[at : at + 4]:
            room.put(parquet(dice.sample(chapter, len(chapter))))
        room.load(max_files=dice.choice([1, 2, 1000]))
    assert room.hash() == told
    assert room.count("load_files") == len(chapters)


def test_a_delete_that_comes_first_is_not_undone(room: Room) -> None:
    room.put(parquet([payment(1, 7, "d")]))
    room.load()
    room.put(parquet([payment(1, 6)]))
    room.load()
    assert room.count("v_transactions_to_settle") == 0
    assert room.count("transactions_to_settle") == 1


@pytest.mark.parametrize("step", STEPS)
def test_killed_after_any_step_and_run_again(room: Room, told: str, step: str) -> None:
    files = stage_story(room)
    killed = room.settle("load", "run", "--once", SETTLE_LOADER_CRASH_AT=step)
    _, said = killed.communicate(timeout=120)
    assert killed.returncode == -signal.SIGKILL, said
    room.load()
    assert room.hash() == told
    ledger = room.rows("select file_name, status from load_files order by file_name")
    assert ledger == [{"file_name": name, "status": "LOADED"} for name in sorted(files)]
    assert room.audit("STARTED") == []
    assert room.landings() == []
    before = room.hash(), room.count("load_audit")
    room.load()
    assert (room.hash(), room.count("load_audit")) == before, "nothing left to do"


def test_two_loaders_at_once_change_nothing(room: Room, told: str) -> None:
    for _ in range(3):
        stage_story(room)
    loaders = [
        room.settle("load", "run", "--once", SETTLE_LOADER_MAX_FILES="2", SETTLE_LOADER_ATTEMPTS="1")
        for _ in range(2)
    ]
    for loader in loaders:
        _, said = loader.communicate(timeout=180)
        assert loader.returncode == 0, said
    assert room.hash() == told
    assert room.count("load_files") == 3 * len(STORY)
    assert room.audit("FAILED") == room.audit("STARTED") == []


def test_broken_file_is_parked_while_its_neighbours_load(room: Room, told: str) -> None:
    stage_story(room)
    broken = room.put(b"PAR1 this never was a table PAR1")
    cut = parquet([payment(99, 1)])
    short = room.put(cut[: len(cut) // 2])
    loader = room.load()
    assert room.hash() == told
    failed = room.audit("FAILED")
    assert {row["files"] for row in failed} == {f'["{broken}"]', f'["{short}"]'}
    assert all(row["error"] and row["finished_at"] for row in failed)
    assert loader.state.health()[1]["parked_files"] == 2
    status = room.settle("load", "status", "--json")
    out, said = status.communicate(timeout=60)
    assert status.returncode == 1, said
    assert '"parked": 2' in out

    room.s3.put_object(Bucket=room.bucket, Key=broken, Body=parquet([payment(77, 1)]))
    room.load()
    assert room.count("transactions_to_settle") == 40, "parked files are left alone until somebody says so"
    retry = room.settle("load", "retry", broken)
    assert retry.wait(60) == 0
    room.load()
    assert room.count("transactions_to_settle") == 41


def test_page_that_cannot_be_read_is_isolated_by_halving(room: Room, told: str) -> None:
    content = bytearray(parquet([payment(n, 1) for n in range(500, 900)]))
    content[60:400] = b"\xff" * 340  # data pages; the footer still reads
    bad = room.put(bytes(content))
    stage_story(room)
    room.load()
    assert room.hash() == told
    assert room.audit("FAILED")[-1]["files"] == f'["{bad}"]'
    parked = room.rows("select file_name, error from load_files where status = 'PARKED'")
    assert [row["file_name"] for row in parked] == [bad]
    assert room.landings() == []


def test_money_as_a_float_is_refused(room: Room, told: str) -> None:
    stage_story(room)
    at = SCHEMA.get_field_index("amount")
    floats = SCHEMA.set(at, pa.field("amount", pa.float64()))
    room.put(parquet([{**payment(1, 99), "amount": 1.5}], floats))
    wider = SCHEMA.append(pa.field("fee", pa.decimal128(18, 2)))
    room.put(parquet([{**payment(1, 99), "fee": Decimal("1.00")}], wider))
    room.load()
    assert room.hash() == told
    errors = " ".join(row["error"] for row in room.audit("FAILED"))
    assert "AMOUNT is double" in errors
    assert "FEE not in TRANSACTIONS_TO_SETTLE" in errors


def test_row_without_a_version_stops_its_file(room: Room) -> None:
    room.put(parquet([payment(1, 1), payment(2, 1, _version=None)]))
    room.load()
    assert room.count("transactions_to_settle") == 0, "nothing of the file is seen"
    assert "1 of 2 rows have no key" in room.audit("FAILED")[0]["error"]


def test_datasets_load_side_by_side(room: Room, told: str) -> None:
    stage_story(room)
    merchant = {"merchant_id": "M1", "merchant_name": "Asha", "settlement_cycle": 2, "status": "ACTIVE"}
    kinds: dict[str, Any] = dict.fromkeys(merchant, TEXT) | {"settlement_cycle": pa.int32()}
    tail = {"_op": "u", "_version": 10**15, "_position": 0}
    schema = pa.schema(kinds | {name: COLUMNS[name] for name in tail})
    room.put(parquet([merchant | tail], schema), dataset="merchant_data")
    room.put(b"no table", dataset="bank_records")
    cutoff = {"cutoff_id": "HDFC|2026-01-06|10:00", "bank": "HDFC", "at": PAID}
    kinds = {"cutoff_id": TEXT, "bank": TEXT, "at": TIME}
    schema = pa.schema(kinds | {name: COLUMNS[name] for name in tail})
    room.put(parquet([cutoff | tail], schema), dataset="bank_cutoffs")
    room.load(parallel=4)
    assert room.hash() == told
    assert room.rows("select * from v_merchant_data")[0] == merchant | {
        "account_number": None,
        "updated_at": None,
    }
    assert room.rows('select bank, "AT" from v_bank_file_expectations') == [{"bank": "HDFC", "at": PAID}]
    assert [row["table_name"] for row in room.audit("FAILED")] == ["BANK_RECORDS"]


def test_names_of_files_being_written_are_left_alone(room: Room) -> None:
    room.put(parquet([payment(1, 1)]), name="_part-0-0_tmp_7f3a")
    room.put(parquet([payment(1, 1)]), name=".part-0-0.inprogress")
    room.put(parquet([payment(1, 1)]), dataset="nobodys_dataset")
    room.load()
    assert room.count("load_audit") == 0


def test_nothing_to_load_asks_the_warehouse_nothing(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    stage_story(room)
    loader = room.loader()
    loader.once()

    def asked(*_: object) -> None:
        pytest.fail("the warehouse was asked")

    monkeypatch.setattr(warehouse, "run", asked)
    assert [loader.cycle() for _ in range(3)] == [0, 0, 0]
    loader.close()


def test_audit_counts_what_happened(room: Room) -> None:
    room.put(parquet([payment(n, 1) for n in range(10)]))
    room.load()
    room.put(parquet([payment(n, 2) for n in range(5, 15)]))
    room.load()
    first, second = room.audit("LOADED")
    assert (first["rows_inserted"], first["rows_updated"]) == (10, 0)
    assert (second["rows_inserted"], second["rows_updated"]) == (5, 5)
    assert second["rows_expected"] == second["rows_landed"] == 10
    assert second["size_bytes"] > 0
    assert second["duration_ms"] > 0
    assert "merge" in second["query_ids"]


def test_warehouse_killed_while_files_flow(room: Room, told: str) -> None:
    running = subprocess.Popen([sys.executable, "-m", "snowflake_loader"], cwd=ROOT, env=room.environment())
    try:
        room.put(parquet(STORY[0]))
        wait_for(lambda: room.count("load_files") == 1, "the first file")
        for chapter in STORY[1:4]:
            room.put(parquet(chapter))
        room.server.kill()
        for chapter in STORY[4:]:
            room.put(parquet(chapter))
        room.server.start()
        wait_for(lambda: room.count("load_files") == len(STORY), "all files")
        wait_for(lambda: not room.audit("STARTED"), "every batch to be closed")
    finally:
        running.send_signal(signal.SIGTERM)
        assert running.wait(60) == 0, "stops when asked"
    assert room.hash() == told
    assert room.landings() == []


def test_committed_rows_survive_the_warehouse(room: Room, told: str) -> None:
    stage_story(room)
    room.load()
    room.server.kill()
    room.server.start()
    assert room.hash() == told
    room.put(parquet([payment(1, 50)]))
    room.load()
    assert room.rows("select _version from transactions_to_settle where transaction_id = 'TXN000001'") == [
        {"_version": 10**15 + 50}
    ], "the stage is still known, too"


def test_wrong_password_is_refused(room: Room) -> None:
    wrong = room.account.model_copy(update={"password": SecretStr("guess")})
    with pytest.raises(WarehouseRefused, match="Incorrect username or password"):
        warehouse.connect(wrong)
