"""Webhooks, gaps and settlement polls against the real Postgres, Kafka and registry; processes are killed."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlencode

import psycopg
import pytest
from click.testing import CliRunner
from confluent_kafka import Consumer, TopicPartition

from bus.registry import Registry
from bus.wire import Decoder
from settlement.calendar import IST
from webhook_intake import payu, razorpay
from webhook_intake.cli import gateways as gateways_cli
from webhook_intake.config import load_settings
from webhook_intake.metrics import Metrics
from webhook_intake.poller import Poller

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import date
    from pathlib import Path

pytestmark = pytest.mark.stack

PATIENCE = 180.0
RAZORPAY_SECRET, PAYU_SALT, PAYTM_KEY = "whsec_test", "salt_test", "k" * 16
OURS = {
    "SETTLE_INTAKE_RAZORPAY_WEBHOOK_SECRET": "new_" + RAZORPAY_SECRET,
    "SETTLE_INTAKE_RAZORPAY_WEBHOOK_SECRET_PREVIOUS": RAZORPAY_SECRET,
    "SETTLE_INTAKE_PAYU_KEY": "KEY1",
    "SETTLE_INTAKE_PAYU_SALT": PAYU_SALT,
    "SETTLE_INTAKE_PAYTM_MID": "MID1",
    "SETTLE_INTAKE_PAYTM_MERCHANT_KEY": PAYTM_KEY,
    "SETTLE_INTAKE_RAZORPAY_KEY_ID": "rzp",
    "SETTLE_INTAKE_RAZORPAY_KEY_SECRET": "secret",
    "SETTLE_INTAKE_POLL_SECONDS": "0",
    "SETTLE_INTAKE_CLOCK": "wall",
    "SETTLE_INTAKE_RATE_PER_MINUTE": "1000000",
    "SETTLE_INTAKE_GAP_SECONDS": "0",
    "SETTLE_INTAKE_GAP_GRACE_SECONDS": "0",
}


def wait_for(condition: Callable[[], Any], what: str) -> Any:
    give_up = time.monotonic() + PATIENCE
    while not (found := condition()):
        if time.monotonic() > give_up:
            pytest.fail(f"waited {PATIENCE:.0f} s for {what}")
        time.sleep(0.05)
    return found


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def call(url: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> tuple[int, bytes]:
    try:
        request = urllib.request.Request(url, data=body, headers=headers or {})  # noqa: S310 - our own address
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()
    except (urllib.error.URLError, ConnectionError):
        return 0, b""


@dataclass
class Process:
    """A real process of ours on a port of its own."""

    module: str
    port: int
    variables: dict[str, str]
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self, *, healthy: bool = True) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", self.module], env={**os.environ, **self.variables}
        )
        status = {200} if healthy else {200, 503}
        wait_for(lambda: self._ended() or call(f"{self.url}/health")[0] in status, f"{self.module} to answer")
        assert not self._ended()

    def _ended(self) -> bool:
        return self.process is not None and self.process.poll() is not None

    def end(self, sig: signal.Signals = signal.SIGTERM) -> int:
        assert self.process is not None
        self.process.send_signal(sig)
        return self.process.wait(60)


@pytest.fixture
def schema(stack: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Tables of this test alone: the stack's own intake keeps its cursors and events."""
    name = f"intake_{uuid.uuid4().hex[:12]}"
    base = os.environ["SETTLE_OPS_DSN"]
    with psycopg.connect(base, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {name}")
    for key, value in OURS.items():
        monkeypatch.setenv(key, value)
    monkeypatch.setenv("SETTLE_INTAKE_DSN", f"{base}?options=-csearch_path%3D{name}")
    TAIL.append(Tail())
    yield name
    TAIL.pop().close()
    with psycopg.connect(base, autocommit=True) as connection:
        connection.execute(f"DROP SCHEMA {name} CASCADE")


@pytest.fixture
def make(schema: str) -> Iterator[Callable[..., Process]]:
    """Starts processes and ends them all."""
    started: list[Process] = []

    def make(module: str = "webhook_intake", *, healthy: bool = True, **variables: str) -> Process:
        port = free_port()
        key = "SETTLE_GATEWAYS_PORT" if module == "stack.gateways" else "SETTLE_INTAKE_PORT"
        one = Process(module, port, {key: str(port), **variables})
        started.append(one)
        one.start(healthy=healthy)
        return one

    yield make
    for one in started:
        if one.process is not None and one.process.poll() is None:
            one.end(signal.SIGKILL)


@pytest.fixture
def intake(make: Callable[..., Process]) -> Process:
    return make()


def rows(query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(os.environ["SETTLE_INTAKE_DSN"], autocommit=True) as connection:
        return connection.execute(query).fetchall()


class Tail:
    """What came onto the topics since this test began: the stack's own records are many."""

    def __init__(self) -> None:
        self._registry = Registry()
        self._decoder = Decoder(self._registry)
        config = {
            "bootstrap.servers": os.environ["SETTLE_BUS_BOOTSTRAP_SERVERS"],
            "group.id": f"tail-{uuid.uuid4().hex}",
        }
        self._client = Consumer({**config, "isolation.level": "read_committed", "enable.auto.commit": False})
        self._from = {topic: self._ends(topic) for topic in ("pg.transactions", "pg.dead")}

    def _ends(self, topic: str) -> dict[int, int]:
        partitions = self._client.list_topics(topic, timeout=60).topics[topic].partitions
        found = {
            one: self._client.get_watermark_offsets(TopicPartition(topic, one), timeout=60)
            for one in partitions
        }
        return {one: marks[1] for one, marks in found.items() if marks is not None}

    def __call__(self, mark: str, topic: str = "pg.transactions") -> list[Any]:
        """The records that hold the mark, in order within each key."""
        ends, begin = self._ends(topic), self._from[topic]
        open_ones = {one for one, end in ends.items() if end > begin[one]}
        self._client.assign([TopicPartition(topic, one, begin[one]) for one in open_ones])
        records = []
        while open_ones:
            for message in self._client.consume(500, 0.2):
                assert message.error() is None
                if (message.offset() or 0) + 1 >= ends[message.partition() or 0]:
                    open_ones.discard(message.partition() or 0)
                found = Found(
                    bytes(message.key() or b"").decode(), self._decoder.decode(bytes(message.value() or b""))
                )
                if mark in f"{found.key}{found.value}":
                    records.append(found)
        return records

    def close(self) -> None:
        self._client.close()
        self._registry.close()


class Found(NamedTuple):
    key: str
    value: Any


TAIL: list[Tail] = []


def on_topic(mark: str, topic: str = "pg.transactions") -> list[Any]:
    return TAIL[-1](mark, topic)


def event(payment: str, status: str = "captured", at: int = 1767600000, secret: str = RAZORPAY_SECRET) -> Any:
    """One signed Razorpay event: path, body, headers."""
    entity = {
        "id": payment,
        "amount": 100_000,
        "currency": "INR",
        "status": status,
        "amount_refunded": 0,
        "notes": {"transaction_id": f"T{payment}", "merchant_id": "M1"},
        "created_at": 1767600000,
    }
    said = {"event": f"payment.{status}", "payload": {"payment": {"entity": entity}}, "created_at": at}
    body = json.dumps(said).encode()
    return (
        "/webhook/razorpay",
        body,
        {
            "content-type": "application/json",
            "x-razorpay-event-id": f"{payment}{status}",
            "x-razorpay-signature": razorpay.sign(body, secret),
        },
    )


def post(intake: Process, path: str, body: bytes, headers: dict[str, str]) -> int:
    return call(intake.url + path, body, headers)[0]


async def load(
    intake: Process, events: list[Any], until_acknowledged: int, connections: int = 32
) -> set[int]:
    """Post over many connections until so many are acknowledged, then SIGKILL; which ones were."""
    acknowledged: set[int] = set()
    queue = iter(enumerate(events))

    async def worker() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", intake.port)
        for number, (path, body, headers) in queue:
            lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
            head = f"POST {path} HTTP/1.1\r\nhost: x\r\n{lines}content-length: {len(body)}\r\n\r\n"
            writer.write(head.encode() + body)
            answer = await reader.readuntil(b"ok\n")
            if answer.startswith(b"HTTP/1.1 200"):
                acknowledged.add(number)
            if len(acknowledged) == until_acknowledged and intake.process is not None:
                intake.process.send_signal(signal.SIGKILL)

    results = await asyncio.gather(*(worker() for _ in range(connections)), return_exceptions=True)
    assert all(isinstance(one, asyncio.IncompleteReadError | ConnectionError | None) for one in results)
    return acknowledged


def test_acknowledged_means_in_kafka_also_after_sigkill_under_load(intake: Process) -> None:
    mark = uuid.uuid4().hex
    events = [event(f"pay_{mark}_{n}") for n in range(4000)]
    acknowledged = asyncio.run(load(intake, events, until_acknowledged=1500))
    assert intake.process is not None
    assert intake.process.wait(60) == -signal.SIGKILL
    assert 1500 <= len(acknowledged) < 4000
    there = {record.value["entity_id"] for record in on_topic(mark)}
    assert {f"pay_{mark}_{n}" for n in acknowledged} <= there

    # What was kept but not acknowledged is published by the next process, without anybody asking.
    intake.start()
    wait_for(lambda: not rows("SELECT 1 FROM webhook_log WHERE published_at IS NULL LIMIT 1"), "the sweeper")
    kept = {row[0] for row in rows("SELECT event_key FROM webhook_events")}
    # The gateway comes again with everything it got no answer for.
    again = [events[number] for number in range(4000) if number not in acknowledged]
    assert len(asyncio.run(load(intake, again, until_acknowledged=-1))) == len(again)
    records = on_topic(mark)
    assert {record.value["entity_id"] for record in records} == {f"pay_{mark}_{n}" for n in range(4000)}
    # Some may be there twice, but never with two versions or two contents.
    assert len({(record.key, record.value["version"], str(record.value)) for record in records}) == 4000
    assert len(kept) >= len(acknowledged)
    assert len(rows("SELECT 1 FROM webhook_events")) == 4000


def test_duplicates_change_nothing_and_order_does_not_matter(intake: Process) -> None:
    payment = f"pay_{uuid.uuid4().hex}"
    late_capture, early = event(payment, "captured", 1767600100), event(payment, "authorized", 1767600050)
    for one in (late_capture, late_capture, early, late_capture, early):
        assert post(intake, *one) == 200
    records = on_topic(payment)
    assert Counter(record.value["status"] for record in records) == {"CAPTURED": 1, "AUTHORIZED": 1}
    assert max(records, key=lambda record: record.value["version"]).value["status"] == "CAPTURED"
    assert len(rows("SELECT 1 FROM webhook_events")) == 2
    assert b"settle_intake_duplicates_total 3" in call(f"{intake.url}/metrics")[1]


def test_duplicates_at_the_same_moment_are_one(intake: Process) -> None:
    payment = f"pay_{uuid.uuid4().hex}"
    acknowledged = asyncio.run(load(intake, [event(payment)] * 200, until_acknowledged=-1))
    assert len(acknowledged) == 200
    assert len(rows("SELECT 1 FROM webhook_events")) == 1
    assert len({record.value["version"] for record in on_topic(payment)}) == 1


def test_refused_requests_write_nothing_but_a_line_in_the_audit(intake: Process) -> None:
    payment = f"pay_{uuid.uuid4().hex}"
    path, body, headers = event(payment)
    assert post(intake, *event(payment, secret="guess")) == 401
    assert post(intake, path, json.dumps(json.loads(body), indent=1).encode(), headers) == 401
    assert post(intake, "/webhook/payu", b"status=success&hash=0", {}) == 401
    assert post(intake, "/webhook/payu", b"\xff", {}) == 400
    assert post(intake, "/webhook/paytm", b"{", {"content-type": "application/json"}) == 400
    assert post(intake, "/webhook/razorpay", b"x" * 1_100_000, headers) == 413
    assert post(intake, "/webhook/stripe", body, headers) == 404
    assert call(f"{intake.url}/webhook/razorpay")[0] == 405
    audit = wait_for(
        lambda: len(found := rows("SELECT status, count, size FROM webhook_audit")) >= 6 and found,
        "the audit",
    )
    assert Counter(row[0] for row in audit) >= Counter({401: 2, 400: 2, 413: 1, 404: 1})
    assert sum(row[1] for row in audit) == 8
    assert rows("SELECT 1 FROM webhook_events") == []
    assert on_topic(payment) == []


def test_two_processes_hold_one_limit(make: Callable[..., Process]) -> None:
    both = [make(SETTLE_INTAKE_RATE_PER_MINUTE="30") for _ in range(2)]
    # The limit is of a minute: the requests below must not reach into the next one.
    wait_for(lambda: time.time() % 60 < 30, "the first half of a minute")
    forged = event("pay_forged", secret="guess")
    answers = Counter(post(process, *forged) for _ in range(40) for process in both)
    assert answers == {401: 30, 429: 50}
    assert [row[0] for row in rows("SELECT used FROM webhook_rates")] == [30]
    # Another gateway's route is another source.
    assert post(both[0], "/webhook/payu", b"status=success&hash=0", {}) == 401
    wait_for(lambda: rows("SELECT 1 FROM webhook_audit WHERE status = 429"), "the audit")
    (refused,) = rows("SELECT sum(count) FROM webhook_audit WHERE status = 429")
    assert refused[0] <= 50
    assert rows("SELECT 1 FROM webhook_events") == []


def test_previous_and_current_secret(intake: Process) -> None:
    mark = uuid.uuid4().hex
    assert post(intake, *event(f"pay_a{mark}", secret=RAZORPAY_SECRET)) == 200
    assert post(intake, *event(f"pay_b{mark}", secret="new_" + RAZORPAY_SECRET)) == 200
    assert len(on_topic(mark)) == 2


def test_refunds_complete_the_payment_in_any_order(intake: Process) -> None:
    mark = uuid.uuid4().hex[:12]

    def payu_refund(request: str, amount: str) -> tuple[str, bytes, dict[str, str]]:
        said = {"action": "refund", "mihpayid": mark, "merchantTxnId": "T1", "request_id": request}
        said |= {"amt": amount, "status": "success", "key": "KEY1"}
        body = json.dumps({**said, "hash": payu.refund_hash(said, PAYU_SALT)}).encode()
        return "/webhook/payu", body, {"content-type": "application/json"}

    said = {"mihpayid": mark, "txnid": "T1", "status": "success", "unmappedstatus": "captured", "key": "KEY1"}
    said |= {"amount": "500.00", "addedon": "2026-01-05 10:00:00", "udf1": "M1", "udf2": "O1"}
    form = urlencode({**said, "hash": payu.reverse_hash(said, PAYU_SALT)}).encode()
    payment = ("/webhook/payu", form, {"content-type": "application/x-www-form-urlencoded"})
    for one in (payu_refund(f"{mark}r1", "100.00"), payment, payu_refund(f"{mark}r2", "400.00")):
        assert post(intake, *one) == 200
    of_payment = [record.value for record in on_topic(mark) if ":PAYMENT:" in record.key]
    last = max(of_payment, key=lambda value: value["version"])
    assert (last["status"], last["refunded_amount"], last["merchant_id"]) == (
        "REFUNDED",
        Decimal("500.00"),
        "M1",
    )


def test_what_cannot_be_read_is_kept_buried_and_read_again(intake: Process) -> None:
    mark = uuid.uuid4().hex
    body = json.dumps({"odd": mark, "card": "4111 1111 1111 1111"}).encode()
    signed = {"x-razorpay-signature": razorpay.sign(body, RAZORPAY_SECRET), "x-razorpay-event-id": mark}
    assert post(intake, "/webhook/razorpay", body, signed) == 200
    ((outcome, kept),) = rows("SELECT outcome, body FROM webhook_log")
    assert (outcome, bytes(kept)) == ("DEAD", body)
    (letter,) = on_topic(mark, "pg.dead")
    assert "created_at" in letter.value["reason"]
    assert b"4111" not in letter.value["payload"]
    again = CliRunner().invoke(gateways_cli, ["replay", "--json"])
    assert (again.exit_code, json.loads(again.output)["still_dead"]) == (1, 1)
    # After a fix (here: of the words themselves) the same command publishes it.
    _, fixed, _ = event(f"pay_{mark}")
    with psycopg.connect(os.environ["SETTLE_INTAKE_DSN"], autocommit=True) as connection:
        connection.execute("UPDATE webhook_events SET body = %s", (fixed,))
    again = CliRunner().invoke(gateways_cli, ["replay", "--json"])
    assert (again.exit_code, json.loads(again.output)) == (0, {"read": 1, "published": 1, "still_dead": 0})
    assert len(on_topic(f"pay_{mark}")) == 1


def test_rows_left_by_a_crash_are_published_at_start(intake: Process, make: Callable[..., Process]) -> None:
    payment = f"pay_{uuid.uuid4().hex}"
    _, body, _ = event(payment)
    intake.end()
    with psycopg.connect(os.environ["SETTLE_INTAKE_DSN"], autocommit=True) as connection:
        connection.execute(
            "WITH batch AS (INSERT INTO webhook_batches DEFAULT VALUES RETURNING batch)"
            " INSERT INTO webhook_events"
            " (event_key, gateway, received_at, sha256, content_type, headers, body, batch)"
            " SELECT %s, 'razorpay', now(), 'x', 'application/json', '{}', %s, batch FROM batch",
            (payment, body),
        )
    make()
    wait_for(lambda: on_topic(payment), "the sweeper")
    wait_for(lambda: rows("SELECT 1 FROM webhook_log WHERE outcome = 'PUBLISHED'"), "the mark")
    assert rows("SELECT 1 FROM webhook_batches WHERE published_at IS NULL") == []


def test_a_ledger_with_marks_in_its_rows_is_taken_over(schema: str, make: Callable[..., Process]) -> None:
    mark = uuid.uuid4().hex
    ends = {"a": ("PUBLISHED", today()), "b": ("DEAD", today()), "c": (None, None)}
    with psycopg.connect(os.environ["SETTLE_INTAKE_DSN"], autocommit=True) as connection:
        connection.execute(
            'CREATE TABLE webhook_events (event_key text COLLATE "C" PRIMARY KEY, gateway text NOT NULL,'
            " received_at timestamptz NOT NULL, sha256 text NOT NULL, content_type text NOT NULL,"
            " headers text NOT NULL, body bytea NOT NULL, outcome text, reason text,"
            " published_at timestamptz)"
        )
        for name, (outcome, at) in ends.items():
            _, body, _ = event(f"pay_{name}{mark}")
            connection.execute(
                "INSERT INTO webhook_events VALUES"
                " (%s, 'razorpay', now(), 'x', 'application/json', '{}', %s, %s, NULL, %s)",
                (name, body, outcome, at),
            )
    make()
    wait_for(lambda: not rows("SELECT 1 FROM webhook_log WHERE outcome IS NULL"), "the sweeper")
    assert [record.value["entity_id"] for record in on_topic(mark)] == [f"pay_c{mark}"]
    log = rows("SELECT event_key, outcome FROM webhook_log ORDER BY event_key")
    assert log == [("a", "PUBLISHED"), ("b", "DEAD"), ("c", "PUBLISHED")]


def test_a_disputes_state_never_goes_back_over_http(intake: Process) -> None:
    payment = f"pay_{uuid.uuid4().hex}"

    def told(name: str, status: str, seconds: int) -> tuple[str, bytes, dict[str, str]]:
        entity = {"id": f"disp_{payment}", "payment_id": payment, "amount": 40_000, "currency": "INR"}
        entity |= {"amount_deducted": 40_000 if status == "lost" else 0, "status": status}
        entity |= {"phase": "chargeback", "reason_code": "fraud", "respond_by": 1767700000}
        said = {"event": f"payment.dispute.{name}", "payload": {"dispute": {"entity": entity}}}
        body = json.dumps({**said, "created_at": 1767600000 + seconds}).encode()
        signature = razorpay.sign(body, RAZORPAY_SECRET)
        return "/webhook/razorpay", body, {"x-razorpay-signature": signature, "x-razorpay-event-id": name}

    lost, review, opened = (
        told("lost", "lost", 30),
        told("under_review", "under_review", 20),
        told("created", "open", 0),
    )
    for one in (lost, opened, review, lost, told("closed", "closed", 40)):
        assert post(intake, *one) == 200
    records = [record.value for record in on_topic(payment)]
    assert Counter(value["status"] for value in records) == {
        "LOST": 1,
        "OPEN": 1,
        "UNDER_REVIEW": 1,
        "CLOSED": 1,
    }
    last = max(records, key=lambda value: value["version"])
    assert (last["entity_type"], last["status"], last["net"]) == ("DISPUTE", "LOST", Decimal("-400.00"))
    assert (last["payment_id"], last["phase"], last["reason_code"]) == (payment, "chargeback", "fraud")


def test_one_event_at_two_processes_at_the_same_moment_is_one(make: Callable[..., Process]) -> None:
    both = [make() for _ in range(2)]
    mark = uuid.uuid4().hex
    events = [event(f"pay_{n}{mark}") for n in range(40)] * 5

    async def story() -> list[set[int]]:
        return await asyncio.gather(*(load(process, events, until_acknowledged=-1) for process in both))

    assert [len(acknowledged) for acknowledged in asyncio.run(story())] == [200, 200]
    assert len(rows("SELECT 1 FROM webhook_events")) == 40
    records = on_topic(mark)
    assert len({record.key for record in records}) == 40
    # One process may not know yet that the other has published it: then it is there twice, word for word.
    assert len({(record.key, record.value["version"], str(record.value)) for record in records}) == 40


def test_a_body_in_chunks_and_one_that_is_asked_for(intake: Process) -> None:
    mark = uuid.uuid4().hex

    async def talk(head: str, *parts: bytes, expects: bytes = b"") -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", intake.port)
        writer.write(f"POST /webhook/razorpay HTTP/1.1\r\nhost: x\r\n{head}\r\n".encode())
        if expects:
            assert await reader.readuntil(b"\r\n\r\n") == expects
        for part in parts:
            writer.write(part)
            await writer.drain()
        async with asyncio.timeout(30):
            answer = await reader.readline()
        writer.close()
        return answer

    def lines(payment: str) -> tuple[str, bytes]:
        _, body, headers = event(payment)
        return "".join(f"{name}: {value}\r\n" for name, value in headers.items()), body

    head, body = lines(f"pay_a{mark}")
    chunks = [b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:7], body[7:])]
    said = asyncio.run(talk(f"{head}transfer-encoding: chunked\r\n", *chunks, b"0\r\n\r\n"))
    assert said.startswith(b"HTTP/1.1 200")
    head, body = lines(f"pay_b{mark}")
    asked = f"{head}content-length: {len(body)}\r\nexpect: 100-continue\r\n"
    said = asyncio.run(talk(asked, body, expects=b"HTTP/1.1 100 Continue\r\n\r\n"))
    assert said.startswith(b"HTTP/1.1 200")
    # Too much in chunks is noticed on the way, without a length that would say so.
    too_much = b"10000\r\n" + b"x" * 65_536 + b"\r\n"
    said = asyncio.run(talk("transfer-encoding: chunked\r\n", *[too_much] * 17))
    assert said.startswith(b"HTTP/1.1 413")
    assert asyncio.run(talk("content-length: 5\r\nexpect: a-miracle\r\n")).startswith(b"HTTP/1.1 417")
    assert {record.value["entity_id"] for record in on_topic(mark)} == {f"pay_a{mark}", f"pay_b{mark}"}


@pytest.mark.parametrize(
    "away", ["SETTLE_BUS_BOOTSTRAP_SERVERS", "SETTLE_BUS_REGISTRY_URL", "SETTLE_INTAKE_DSN"]
)
def test_nothing_is_accepted_while_something_is_away(make: Callable[..., Process], away: str) -> None:
    nobody = f"127.0.0.1:{free_port()}"
    address = {
        "SETTLE_BUS_BOOTSTRAP_SERVERS": nobody,
        "SETTLE_BUS_REGISTRY_URL": f"http://{nobody}",
        "SETTLE_INTAKE_DSN": f"postgresql://settle@{nobody}/settle_ops",
    }[away]
    intake = make(healthy=False, **{away: address})
    payment = f"pay_{uuid.uuid4().hex}"
    assert post(intake, *event(payment)) == 503
    assert post(intake, *event(payment, secret="guess")) in (401, 503)
    assert intake.end() == 0
    assert on_topic(payment) == []


@pytest.fixture
def stand_in(make: Callable[..., Process], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Process:
    one = make("stack.gateways", SETTLE_GATEWAYS_DATA=str(tmp_path))
    for name in ("RAZORPAY", "PAYU", "PAYTM"):
        monkeypatch.setenv(f"SETTLE_INTAKE_{name}_API_URL", f"{one.url}/{name.lower()}")
    return one


def put(stand_in: Process, what: str, said: Any) -> None:
    assert call(f"{stand_in.url}/admin/{what}", json.dumps(said).encode())[0] == 200


def settled(entity: str, at: datetime, utr: str | None, **change: Any) -> dict[str, Any]:
    return {
        "entity_id": entity,
        "type": "payment",
        "debit": 0,
        "credit": 97_640,
        "amount": 100_000,
        "currency": "INR",
        "fee": 2360,
        "tax": 360,
        "settled": True,
        "created_at": int(at.timestamp()) - 86_400,
        "settled_at": int(at.timestamp()),
        "settlement_id": f"setl_{entity}",
        "settlement_utr": utr,
        "notes": {"transaction_id": f"T{entity}", "merchant_id": "M1"},
        **change,
    }


def poll(*gateways: str) -> dict[str, Any]:
    poller = Poller(load_settings(), Metrics())
    try:
        return {one.gateway: one for one in poller.poll_once(list(gateways) or None)}
    finally:
        poller.stop()


def today() -> datetime:
    return datetime.now(IST)


def test_a_line_that_gains_its_utr_moves(stand_in: Process) -> None:
    mark = uuid.uuid4().hex
    entity, at = f"pay_{mark}", today()
    put(stand_in, "razorpay/settlements", {"items": [settled(entity, at, None)]})
    assert poll("razorpay")["razorpay"].published == 1
    assert poll("razorpay")["razorpay"].published == 0
    put(stand_in, "razorpay/settlements", {"items": [settled(entity, at, "hdfcn52026010600")]})
    assert poll("razorpay")["razorpay"].published == 2
    put(
        stand_in,
        "razorpay/settlements",
        {"items": [settled(entity, at, "hdfcn52026010600", fee=1180, tax=180)]},
    )
    assert poll("razorpay")["razorpay"].published == 1
    put(stand_in, "razorpay/settlements", {"items": [settled(entity, at, None)]})
    assert poll("razorpay")["razorpay"].published == 2

    by_key: dict[str, list[Any]] = {}
    for record in on_topic(mark):
        by_key.setdefault(record.key, []).append(record.value)
    without, with_utr = sorted(by_key.values(), key=lambda values: values[0]["utr"] or "")
    assert [value["op"] for value in without] == ["u", "d", "u"]
    assert [value["op"] for value in with_utr] == ["u", "u", "d"]
    for values in (without, with_utr):
        assert [value["version"] for value in values] == sorted({value["version"] for value in values})
    # A delete says whose: the sums of its old settlement must hear of it.
    assert {value["utr"] for value in with_utr} == {"HDFCN52026010600"}
    assert {value["settlement_id"] for value in without} == {f"setl_{entity}"}


def test_all_three_gateways_are_read_and_failures_are_retried(stand_in: Process) -> None:
    mark = uuid.uuid4().hex[:16]
    at = today()
    day: date = at.date()
    put(
        stand_in,
        "razorpay/settlements",
        {"items": [settled(f"pay_{mark}{n}", at, "X" * 16) for n in range(1100)]},
    )
    row = {
        "action": "capture",
        "transactionAmount": "10.00",
        "merchantNetAmount": "9.00",
        "merchantServiceFee": "1",
    }
    row |= {"transactionDate": f"{day} 00:00:01"}
    batch: dict[str, Any] = {
        "settlementId": mark,
        "settlementCompletedDate": f"{day} 00:00:02",
        "utrNumber": None,
    }
    batch |= {
        "transaction": [{**row, "payuId": f"{mark}{n}"} for n in range(30)]
        + [{"action": "odd", "payuId": mark}]
    }
    put(stand_in, "payu/settlements", {"items": [batch]})
    paid = {"transactionType": "ACQUIRING", "amount": "10.00", "settledAmount": "9.00", "payoutId": mark}
    paid |= {"payoutDate": str(day), "transactionDate": f"{day}T00:00:01+05:30"}
    put(
        stand_in, "paytm/settlements", {"items": [{**paid, "transactionId": f"{mark}{n}"} for n in range(45)]}
    )
    put(stand_in, "payu/behaviour", {"fail_next": 2, "status": 429})
    put(stand_in, "paytm/behaviour", {"fail_next": 2, "status": 500, "delay_ms": 5})
    polled = poll()
    assert {name: one.published for name, one in polled.items()} == {
        "razorpay": 1100,
        "payu": 30,
        "paytm": 45,
    }
    assert {name: one.problem for name, one in polled.items()} == {
        "razorpay": None,
        "payu": None,
        "paytm": None,
    }
    assert polled["payu"].dead == 1
    assert len(on_topic(mark)) == 1175
    assert len(on_topic(mark, "pg.dead")) == 1
    status = json.loads(CliRunner().invoke(gateways_cli, ["status", "--json"]).output)
    assert {one["gateway"]: one["lines"] for one in status} == {"razorpay": 1100, "payu": 30, "paytm": 45}
    assert all(one["cursor"] for one in status)


def test_a_gateway_that_stays_away_does_not_stop_its_neighbours(stand_in: Process) -> None:
    mark = uuid.uuid4().hex
    put(stand_in, "razorpay/behaviour", {"fail_next": 100, "status": 401})
    paid = {"transactionType": "ACQUIRING", "amount": "10.00", "settledAmount": "9.00", "payoutId": mark}
    paid |= {"payoutDate": str(today().date()), "transactionDate": f"{today().date()}T00:00:01+05:30"}
    put(stand_in, "paytm/settlements", {"items": [{**paid, "transactionId": mark}]})
    answer = CliRunner().invoke(gateways_cli, ["poll", "--json"])
    polled = {one["gateway"]: one for one in json.loads(answer.stdout)}
    assert answer.exit_code == 1
    assert "401" in polled["razorpay"]["problem"]
    assert polled["paytm"]["published"] == 1


def test_lines_written_down_but_not_published_are_published_by_the_next_poll(stand_in: Process) -> None:
    mark = uuid.uuid4().hex
    put(stand_in, "razorpay/settlements", {"items": [settled(f"pay_{mark}", today(), None)]})
    poll("razorpay")
    with psycopg.connect(os.environ["SETTLE_INTAKE_DSN"], autocommit=True) as connection:
        connection.execute("UPDATE poll_lines SET published_at = NULL")
    put(stand_in, "reset", {})
    assert poll("razorpay")["razorpay"].published == 1
    first, second = on_topic(mark)
    assert first.value == second.value


def listed(payment: str, at: datetime, **change: Any) -> dict[str, Any]:
    """A payment as Razorpay lists it; `event` tells the same in a webhook."""
    return {
        "id": payment,
        "entity": "payment",
        "amount": 100_000,
        "currency": "INR",
        "status": "captured",
        "amount_refunded": 0,
        "notes": {"transaction_id": f"T{payment}", "merchant_id": "M1"},
        "created_at": int(at.timestamp()),
        **change,
    }


def test_what_webhooks_missed_is_published_counted_and_listed(
    stand_in: Process, make: Callable[..., Process]
) -> None:
    mark = uuid.uuid4().hex
    at = today() - timedelta(minutes=2)
    told, missed = listed(f"pay_a{mark}", at), listed(f"pay_b{mark}", at)
    put(stand_in, "razorpay/payments", {"items": [told, missed]})
    refund = {"id": f"rfnd_{mark}", "amount": 40_000, "currency": "INR", "payment_id": told["id"]}
    refund |= {"status": "processed", "notes": [], "created_at": int(at.timestamp()) + 30}
    put(stand_in, "razorpay/payments", {"items": [{**told, "amount_refunded": 40_000}]})
    put(stand_in, "razorpay/refunds", {"items": [refund]})
    put(stand_in, "razorpay/behaviour", {"fail_next": 1, "status": 429, "duplicate_next": 1})
    intake = make()
    assert post(intake, *event(told["id"], at=int(at.timestamp()) + 2)) == 200

    answer = CliRunner().invoke(gateways_cli, ["poll", "razorpay", "--json"])
    assert answer.exit_code == 0
    (polled,) = json.loads(answer.stdout)
    assert (polled["missed"], polled["problem"]) == (2, None)
    records = {record.key: record.value for record in on_topic(mark)}
    assert set(records) == {
        f"razorpay:PAYMENT:pay_a{mark}",
        f"razorpay:PAYMENT:pay_b{mark}",
        f"razorpay:REFUND:rfnd_{mark}",
    }
    assert records[f"razorpay:PAYMENT:pay_a{mark}"]["refunded_amount"] == Decimal("400.00")
    assert records[f"razorpay:PAYMENT:pay_b{mark}"]["origin"] == "POLL"

    (gap,) = json.loads(CliRunner().invoke(gateways_cli, ["gaps", "--json"]).stdout)
    assert (gap["gateway"], gap["day"], gap["missed"], gap["dead"]) == ("razorpay", str(at.date()), 2, 0)
    assert {one["payment"] for one in gap["payments"]} == {told["id"], missed["id"]}
    assert gap["first_noticed"] <= gap["last_noticed"]
    status = json.loads(CliRunner().invoke(gateways_cli, ["status", "--json"]).stdout)
    (of_razorpay,) = (one for one in status if one["gateway"] == "razorpay")
    assert (of_razorpay["events"], of_razorpay["missed"]) == (1, 2)
    assert of_razorpay["lists_read_to"]

    # The webhook comes after all: the newer word about the same key, and no gap any more or less.
    assert post(intake, *event(missed["id"], at=int(at.timestamp()) + 2)) == 200
    versions = [record.value["version"] for record in on_topic(missed["id"])]
    assert versions == sorted(set(versions))
    assert len(versions) == 2
    again = json.loads(CliRunner().invoke(gateways_cli, ["poll", "razorpay", "--json"]).stdout)
    assert again[0]["missed"] == 0


def test_a_running_intake_notices_by_itself(stand_in: Process, make: Callable[..., Process]) -> None:
    mark = uuid.uuid4().hex[:16]
    at = f"{today() - timedelta(minutes=2):%Y-%m-%d %H:%M:%S}"
    row = {"id": mark, "action": "capture", "status": "SUCCESS", "key": "KEY1", "txnid": f"T{mark}"}
    row |= {"addedon": at, "amount": "10.00", "mode": "UPI", "udf1": "M1"}
    put(stand_in, "payu/payments", {"items": [row]})
    order: dict[str, Any] = {
        "mid": "MID1",
        "orderId": f"T{mark}",
        "txnId": mark,
        "txnAmount": "10.00",
        "txnDate": f"{at}.0",
    }
    order |= {"resultInfo": {"resultStatus": "TXN_SUCCESS"}, "mercUnqRef": "M1|O1"}
    put(stand_in, "paytm/payments", {"items": [order]})
    intake = make(SETTLE_INTAKE_GAP_SECONDS="0.5")
    wait_for(lambda: len(on_topic(mark)) == 2, "what was missed")
    assert {record.key for record in on_topic(mark)} == {f"payu:PAYMENT:{mark}", f"paytm:PAYMENT:{mark}"}
    text = call(f"{intake.url}/metrics")[1]
    assert b'settle_intake_missed_total{gateway="payu"} 1' in text
    assert b'settle_intake_missed_total{gateway="paytm"} 1' in text
    assert intake.end() == 0


def test_a_webhook_lost_on_the_way_is_made_up_from_the_list(
    stand_in: Process, make: Callable[..., Process]
) -> None:
    mark = uuid.uuid4().hex
    intake = make()
    url = f"{intake.url}/webhook/razorpay"
    put(stand_in, "razorpay/webhooks", {"url": url, "drop_next": 1, "duplicate_next": 1, "reorder": True})
    at = today() - timedelta(minutes=2)
    items = [listed(f"pay_{n}{mark}", at) for n in range(3)]
    put(stand_in, "razorpay/payments", {"items": items, "webhook": True})

    def sent() -> Any:
        state = json.loads(call(f"{stand_in.url}/admin/razorpay/webhooks")[1])
        return state["waiting"] == 0 and state

    assert wait_for(sent, "the stand-in's webhooks")["acknowledged"] == 3
    assert {record.value["entity_id"] for record in on_topic(mark)} == {items[1]["id"], items[2]["id"]}
    polled = json.loads(CliRunner().invoke(gateways_cli, ["poll", "razorpay", "--json"]).stdout)
    assert polled[0]["missed"] == 1
    assert {record.value["entity_id"] for record in on_topic(mark)} == {one["id"] for one in items}
