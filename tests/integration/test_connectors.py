"""The connector against the real servers: what arrives, and what is never skipped in silence."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
import uuid
from datetime import UTC
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from click.testing import CliRunner
from confluent_kafka.admin import AdminClient
from psycopg import sql
from psycopg.rows import dict_row

from bus.consumer import read_topic
from bus.errors import BrokerUnavailableError, UnknownTopicError
from bus.settings import bus_settings
from connectors.cli import connectors as command
from connectors.deploy import apply_plan, make_plan, wait_running
from connectors.desired import FOLDER, desired, read
from connectors.errors import InvalidConfigError
from connectors.rest import Connect
from connectors.status import column_problem, read_slot, status
from settlement.versions import postgres_version
from stack import secrets
from stack.home import Home

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from decimal import Decimal
    from pathlib import Path

pytestmark = pytest.mark.stack

SOURCE = (FOLDER.parent / "world" / "source.sql").read_bytes()
INSERT = """
INSERT INTO transactions_to_settle
VALUES (%s, 'M1', NULL, 'razorpay', 'upi', %s, 'INR', %s, 0, now(), now(), %s)
"""
UPDATE = """
UPDATE transactions_to_settle SET status = 'SUCCESS', updated_at = clock_timestamp() WHERE transaction_id = %s
"""
DELETE = "DELETE FROM transactions_to_settle WHERE transaction_id = %s"
MASKED = "*" * 12
# Seconds a condition may take on a machine that runs everything else as well.
PATIENCE = 180


class Source:
    """A database of this test's own, and a connector of the same name on it."""

    def __init__(self, folder: Path) -> None:
        self.name = f"t{uuid.uuid4().hex[:12]}"
        self.folder = folder
        host, port = os.environ["SETTLE_SOURCE_HOST"], os.environ["SETTLE_SOURCE_PORT"]
        password = secrets.load(Home.current())["postgres_password"]
        self.server = f"host={host} port={port} user=postgres password={password}"
        self.dsn = f"{self.server} dbname={self.name}"
        self.connect = Connect(os.environ["SETTLE_CONNECT_URL"])
        with psycopg.connect(f"{self.server} dbname=postgres", autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(self.name)))
        self.db = psycopg.connect(self.dsn, autocommit=True, row_factory=dict_row)
        self.db.execute(SOURCE)
        config = read(FOLDER / "sabpaisa.json")
        config |= {
            "database.dbname": self.name,
            "slot.name": self.name,
            "topic.prefix": self.name,
            "heartbeat.interval.ms": "500",
            "slot.retry.delay.ms": "500",
        }
        (folder / f"{self.name}.json").write_text(json.dumps(config))

    def apply(self) -> None:
        apply_plan(self.connect, make_plan(self.connect, desired(self.folder)), wait=PATIENCE)

    def insert(
        self, key: str, amount: str = "10.00", status: str = "PENDING", note: str | None = None
    ) -> None:
        self.db.execute(INSERT, (key, amount, status, note))

    def latest(self, table: str = "transactions_to_settle") -> dict[Any, tuple[int, dict[str, Any] | None]]:
        """Each key's newest version and its row; on the way, that versions only grow along the stream."""
        found: dict[Any, tuple[int, dict[str, Any] | None]] = {}
        try:
            for record in read_topic(f"{self.name}.public.{table}"):
                (key,) = record.key.values()
                source = record.value["source"]
                snapshot = source["snapshot"] != "false"
                epoch = int(record.headers["settle.epoch"])
                version = postgres_version(epoch, source["lsn"], snapshot=snapshot)
                known = found.get(key, (0, None))[0]
                # Again is allowed (a crash repeats), and a repeat is older than what is known.
                if version > known:
                    found[key] = (version, record.value["after"])
        except (UnknownTopicError, BrokerUnavailableError):  # not made yet, or made just now
            return {}
        return found

    def live(self, table: str = "transactions_to_settle") -> list[dict[str, Any]]:
        rows = [row for _, row in self.latest(table).values() if row is not None]
        return sorted(rows, key=lambda row: str(next(iter(row.values()))))

    def truth(self, table: str = "transactions_to_settle") -> list[dict[str, Any]]:
        rows = self.db.execute(sql.SQL("SELECT * FROM {}").format(sql.Identifier(table))).fetchall()
        shown = [{name: _as_sent(value) for name, value in row.items()} for row in rows]
        return sorted(shown, key=lambda row: str(next(iter(row.values()))))

    def close(self) -> None:
        self.connect.delete(self.name)
        self.db.close()
        with psycopg.connect(f"{self.server} dbname=postgres", autocommit=True) as connection:
            _until(lambda: not (slot := read_slot(self.dsn, self.name)) or not slot.active, "slot released")
            connection.execute(
                "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = %s",
                (self.name,),
            )
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(self.name)))
        admin = AdminClient({**bus_settings().client()})
        topics = [topic for topic in admin.list_topics(timeout=20).topics if self.name in topic]
        for done in admin.delete_topics(topics).values() if topics else ():
            done.result(20)
        self.connect.close()


def _as_sent(value: Any) -> str | int | Decimal | None:
    if hasattr(value, "astimezone"):
        return str(value.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"))
    found: str | int | Decimal | None = value
    return found


def _until(condition: Callable[[], object], what: str) -> None:
    until = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > until:
            pytest.fail(f"not within {PATIENCE} s: {what}")
        time.sleep(0.2)


@pytest.fixture
def source(stack: Any, tmp_path: Path) -> Iterator[Source]:
    made = Source(tmp_path)
    try:
        yield made
    finally:
        made.close()


def test_insert_update_delete_and_key_change_arrive_and_versions_only_grow(source: Source) -> None:
    source.insert("before", note="there before the connector")
    source.apply()
    long = "₹" * 20_000
    source.insert("kept", "0.01", note=long)
    source.insert("gone")
    source.insert("moved")
    source.db.execute("UPDATE transactions_to_settle SET status = 'SUCCESS' WHERE transaction_id = 'kept'")
    source.db.execute(
        "UPDATE transactions_to_settle SET transaction_id = 'there' WHERE transaction_id = 'moved'"
    )
    source.db.execute("DELETE FROM transactions_to_settle WHERE transaction_id = 'gone'")
    with source.db.transaction():
        source.db.execute("DELETE FROM transactions_to_settle WHERE transaction_id = 'before'")
        source.insert("before", "99999999999999.99")
        source.db.execute(
            "UPDATE transactions_to_settle SET refunded_amount = 1 WHERE transaction_id = 'before'"
        )
    with source.db.cursor().copy("COPY transactions_to_settle FROM STDIN") as copy:
        for key in ("one", "two", "three"):
            copy.write_row(
                (key, "M2", None, "payu", None, "1.10", "INR", "FAILED", 0, "2026-01-06T00:00Z", "now", None)
            )
    _until(lambda: source.live() == source.truth(), "the stream equals the table")
    latest = source.latest()
    assert [latest[key][1] for key in ("gone", "moved")] == [None, None]
    # An update that leaves a long value alone carries it all the same.
    kept = latest["kept"][1]
    assert kept is not None
    assert kept["note"] == long


def test_a_new_column_arrives(source: Source) -> None:
    source.apply()
    source.insert("old")
    _until(lambda: source.live() == source.truth(), "the first row")
    source.db.execute("ALTER TABLE transactions_to_settle ADD COLUMN channel text NOT NULL DEFAULT 'web'")
    source.db.execute("ALTER TABLE transactions_to_settle ADD COLUMN city text")
    source.db.execute("UPDATE transactions_to_settle SET channel = 'app' WHERE transaction_id = 'old'")
    source.insert("new")
    _until(lambda: source.live() == source.truth(), "rows with the columns")
    found = {row["transaction_id"]: (row["channel"], row["city"]) for row in source.live()}
    assert found == {"old": ("app", None), "new": ("web", None)}


def test_a_column_whose_null_would_arrive_as_its_default_is_reported(source: Source) -> None:
    source.apply()
    config = desired(source.folder)[source.name]
    assert column_problem(source.dsn, config) is None
    source.db.execute("ALTER TABLE transactions_to_settle ADD COLUMN channel text DEFAULT 'web'")
    problem = status(source.connect, source.name, config, source.dsn).problem or ""
    assert "default in public.transactions_to_settle.channel" in problem


def test_the_account_number_never_leaves_the_database(source: Source) -> None:
    merchant = "INSERT INTO merchant_data VALUES (%s, 'Shop', 1, 'ACTIVE', '50100123456789', now())"
    source.db.execute(merchant, ("snapshot",))
    source.apply()
    source.db.execute(merchant, ("streamed",))
    source.db.execute("UPDATE merchant_data SET status = 'CLOSED' WHERE merchant_id = 'streamed'")
    _until(lambda: len(source.live("merchant_data")) == 2, "both merchants")
    for record in read_topic(f"{source.name}.public.merchant_data"):
        for image in (record.value["before"], record.value["after"]):
            assert image is None or image["account_number"] == MASKED


def test_after_apply_the_plan_is_empty_and_status_is_healthy(source: Source) -> None:
    folder = ["--folder", str(source.folder)]
    runner = CliRunner()
    planned = runner.invoke(command, ["plan", *folder, "--json"])
    assert planned.exit_code == 2, planned.output
    fingerprint = json.loads(planned.stdout)["plan"]
    refused = runner.invoke(command, ["apply", *folder, "--plan", "0" * 12])
    assert refused.exit_code == 1
    done = runner.invoke(command, ["apply", *folder, "--plan", fingerprint])
    assert done.exit_code == 0, done.output
    again = runner.invoke(command, ["plan", *folder, "--json"])
    assert again.exit_code == 0
    assert json.loads(again.stdout)["empty"]
    assert os.environ["SETTLE_DEBEZIUM_PASSWORD"] not in planned.output + done.output + again.output
    source.insert("a")
    _until(lambda: source.live() == source.truth(), "the row")
    shown = runner.invoke(command, ["status", *folder, "--json"], env={"SETTLE_SOURCE_DSN": source.dsn})
    assert shown.exit_code == 0, shown.output
    (one,) = json.loads(shown.stdout)
    assert (one["state"], one["tasks"], one["slot"]["active"]) == ("RUNNING", ["RUNNING"], True)
    assert one["slot"]["retained_bytes"] >= 0
    restarted = runner.invoke(
        command, ["restart", source.name, *folder], env={"SETTLE_SOURCE_DSN": source.dsn}
    )
    assert restarted.exit_code == 0, restarted.output


def test_connect_itself_refuses_a_wrong_config_before_it_is_put(source: Source) -> None:
    path = source.folder / f"{source.name}.json"
    config = json.loads(path.read_text()) | {"slot.name": "Not A Slot", "snapshot.mode": "sometimes"}
    path.write_text(json.dumps(config))
    with pytest.raises(InvalidConfigError, match=r"slot\.name"):
        make_plan(source.connect, desired(source.folder))
    assert source.name not in source.connect.names()
    path.write_text(json.dumps(config | {"slot.name": source.name, "snapshot.mode": "initial"}))
    source.apply()  # so that there is something to take down


def test_a_recreated_slot_stops_the_connector_instead_of_skipping(source: Source) -> None:
    source.apply()
    source.insert("arrives")
    _until(lambda: source.live() == source.truth(), "the first row")
    _until(lambda: _stored(source) is not None, "a stored position")
    source.connect.stop(source.name)
    _until(lambda: not (slot := read_slot(source.dsn, source.name)) or not slot.active, "slot released")
    source.insert("would be skipped")
    source.db.execute("SELECT pg_drop_replication_slot(%s)", (source.name,))
    source.db.execute("SELECT pg_create_logical_replication_slot(%s, 'pgoutput')", (source.name,))
    source.insert("after the gap")
    runner = CliRunner()
    arguments = ["restart", source.name, "--folder", str(source.folder)]
    refused = runner.invoke(command, arguments, env={"SETTLE_SOURCE_DSN": source.dsn})
    assert refused.exit_code == 1
    assert "recreated or advanced" in refused.output
    source.connect.resume(source.name)
    config = desired(source.folder)[source.name]

    def said() -> tuple[tuple[str, ...], str]:
        found = status(source.connect, source.name, config, source.dsn)
        return found.tasks, found.problem or ""

    _until(lambda: said()[0] == ("FAILED",), "the task failed")
    assert "it was recreated or advanced" in said()[1]
    assert set(source.latest()) == {"arrives"}


def test_connect_killed_while_rows_flow_loses_nothing(stack: Any, source: Source) -> None:
    source.apply()
    stop = threading.Event()

    def write() -> None:
        with psycopg.connect(source.dsn, autocommit=True) as db:
            for number in range(1_000_000):
                # A pace that every reader of the whole topic keeps up with, on a busy machine too.
                if stop.wait(0.005):
                    return
                db.execute(INSERT, (f"k{number}", "1.00", "PENDING", None))
                if number % 3 == 0:
                    db.execute(UPDATE, (f"k{number}",))
                if number % 7 == 0:
                    db.execute(DELETE, (f"k{number - 5}",))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(2):
            seen = len(source.latest())
            _until(lambda seen=seen: len(source.latest()) > seen + 100, "rows flow")  # type: ignore[misc]
            stack.kill("connect", signal.SIGKILL)
            stack.wait_healthy(["connect"])
            wait_running(source.connect, source.name, PATIENCE)
    finally:
        stop.set()
        writer.join()
    _until(lambda: source.live() == source.truth(), "the stream equals the table")


def _stored(source: Source) -> int | None:
    config = desired(source.folder)[source.name]
    return status(source.connect, source.name, config, source.dsn).stored_lsn
