"""Gaps closed from the stand-in gateways' own lists: what is missed, and who is asked how often."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

import orjson
import pytest

from stack.gateways import GatewayServer
from stack.gateways_store import Store
from stack.gateways_webhooks import Webhooks
from webhook_intake import payu, razorpay
from webhook_intake.config import load_settings
from webhook_intake.gap_ledger import GapCursor
from webhook_intake.gaps import Closed, GapCloser, days
from webhook_intake.hearing import hear
from webhook_intake.httpserver import Request, awaited
from webhook_intake.ledger import Kept
from webhook_intake.metrics import Metrics
from webhook_intake.pipeline import DEAD_TOPIC, Pipeline
from webhook_intake.records import Event
from webhook_intake.server import IntakeServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from webhook_intake.ledger import Mark

NOON = datetime(2026, 1, 6, 6, 30, tzinfo=UTC)  # noon in India
AT = int(NOON.timestamp()) - 7200
ALL = ("razorpay", "payu", "paytm")


@dataclass
class Answer:
    """What urllib3 would give."""

    status: int
    data: bytes
    headers: dict[str, str]


class Wire:
    """Calls the stand-in without a network, and remembers what was asked."""

    def __init__(self, server: GatewayServer) -> None:
        self.server = server
        self.asked: list[str] = []
        self.loop = cast("asyncio.AbstractEventLoop", None)

    def request(self, method: str, url: str, headers: dict[str, str], body: bytes | None) -> Answer:
        split = urlsplit(url)
        self.asked.append(split.path)
        lower = {name.lower(): value for name, value in headers.items()}
        asked = Request(method, split.path, split.query, lower, body or b"", "")
        # The stand-in's database belongs to the loop's thread.
        answer = asyncio.run_coroutine_threadsafe(awaited(self.server.handle(asked)), self.loop).result()
        # Every pause would be lived through.
        return Answer(answer.status, answer.body, {"Retry-After": "0"} if answer.status != 200 else {})

    def clear(self) -> None:
        """Nothing to let go."""


class Ledger:
    """The events, in memory."""

    def __init__(self) -> None:
        self.events: dict[str, Event] = {}
        self.marks: dict[str, Mark] = {}
        self.batches: list[set[str]] = []
        self.marked: set[int] = set()

    async def keep(self, events: Sequence[Event]) -> Kept:
        new = {event.event_key for event in events} - set(self.events)
        self.events |= {event.event_key: event for event in events if event.event_key in new}
        self.batches.append(new)
        return Kept(len(self.batches), len(new))

    async def ended(self, keys: Iterable[str], marking: Iterable[int]) -> set[str]:
        marked = set[str]().union(*(self.batches[batch - 1] for batch in {*marking, *self.marked}))
        return {key for key in keys if key in self.marks or key in marked}

    async def mark(self, batches: Sequence[int]) -> None:
        self.marked |= set(batches)

    async def end(self, marks: Sequence[Mark]) -> None:
        self.marks |= {mark.event_key: mark for mark in marks}

    async def lease(self, sources: Sequence[str], _: int, *, share: int, limit: int) -> dict[str, int]:
        return dict.fromkeys(sources, min(share, limit))

    async def forget_leases(self, before: int) -> None:
        """Nothing to let go."""

    async def about(self, about: Iterable[str], but: Iterable[str]) -> list[Event]:
        return [
            event
            for event in self.events.values()
            if event.about in set(about) and event.event_key not in set(but)
        ]


class Producer:
    """Everything is acknowledged."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str, dict[str, Any]]] = []

    def encode(self, topic: str, record: dict[str, Any]) -> Any:  # noqa: ARG002 - the producer's signature
        return record

    def encode_object(self, topic: str, record: object, otherwise: Callable[[], dict[str, Any]]) -> Any:  # noqa: ARG002 - the producer's signature
        return otherwise()

    async def deliver(self, topic: str, records: Sequence[tuple[str, dict[str, Any]]]) -> None:
        self.sent += [(topic, key, value) for key, value in records]


@dataclass
class Memory:
    """The cursors, with ages that tests set."""

    cursors: dict[str, GapCursor] = field(default_factory=dict)
    moves: list[dict[str, Any]] = field(default_factory=list)

    async def cursor(self, gateway: str) -> GapCursor:
        return self.cursors.get(gateway, GapCursor())

    async def move(self, gateway: str, read_to: datetime | None, *, late: bool, **said: Any) -> None:
        before = self.cursors.get(gateway, GapCursor())
        read_to = max([at for at in (read_to, before.read_to) if at is not None], default=None)
        self.cursors[gateway] = GapCursor(read_to, 0.0, 0.0 if late else before.late_age)
        self.moves.append({"gateway": gateway, "late": late, **said})

    def wait(self, seconds: float) -> None:
        self.cursors = {
            name: GapCursor(one.read_to, (one.age or 0.0) + seconds, (one.late_age or 0.0) + seconds)
            for name, one in self.cursors.items()
        }


class Clock:
    """Business time that moves when told."""

    def __init__(self) -> None:
        self.now: datetime | None = NOON

    def moments(self) -> tuple[datetime | None, datetime | None]:
        return NOON - timedelta(days=1), self.now

    def close(self) -> None:
        """Nothing to let go."""


class Room:
    """A gap closer with the stand-ins before it and nothing real behind it."""

    def __init__(self, folder: Path) -> None:
        settings = load_settings()
        self.server = GatewayServer(settings, Store(folder))
        self.wire, self.ledger, self.producer = Wire(self.server), Ledger(), Producer()
        self.memory, self.clock, self.metrics = Memory(), Clock(), Metrics()

    def look(self, *, everything: bool = False, gateways: list[str] | None = None) -> dict[str, Closed]:
        async def story() -> list[Closed]:
            self.wire.loop = asyncio.get_running_loop()
            pipeline = Pipeline(cast("Any", self.ledger), cast("Any", self.producer), self.metrics)
            closer = GapCloser(load_settings(), cast("Any", self.ledger), pipeline, self.metrics)
            closer._fetcher._http = cast("Any", self.wire)
            closer._memory = cast("Any", self.memory)
            closer._clock = cast("Any", self.clock)
            return await closer.look(gateways, everything=everything)

        return {one.gateway: one for one in asyncio.run(story())}

    def tell(self, path: str, said: Any) -> None:
        request = Request("POST", f"/admin/{path}", "", {}, orjson.dumps(said), "")
        assert asyncio.run(awaited(self.server.handle(request))).status == 200

    def heard(self, gateway: str, about: str, notice: dict[str, Any]) -> Event:
        """A webhook that did come."""
        body = json.dumps(notice).encode()
        key = f"{gateway}:{len(self.ledger.events)}"
        event = Event(key, gateway, NOON, "s", "application/json", "{}", body, f"{gateway}:{about}")
        self.ledger.events[key] = event
        return event

    def records(self) -> dict[str, dict[str, Any]]:
        """The newest record of each key."""
        found: dict[str, dict[str, Any]] = {}
        for topic, key, value in self.producer.sent:
            if topic != DEAD_TOPIC and value["version"] > found.get(key, {"version": 0})["version"]:
                found[key] = value
        return found


@pytest.fixture
def room(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Room:
    for name, value in {
        "RAZORPAY_API_URL": "http://gateways/razorpay",
        "RAZORPAY_KEY_ID": "rzp_1",
        "RAZORPAY_KEY_SECRET": "secret",
        "PAYU_API_URL": "http://gateways/payu",
        "PAYU_KEY": "KEY1",
        "PAYU_SALT": "SALT1",
        "PAYTM_API_URL": "http://gateways/paytm",
        "PAYTM_MID": "MID1",
        "PAYTM_MERCHANT_KEY": "k" * 16,
    }.items():
        monkeypatch.setenv(f"SETTLE_INTAKE_{name}", value)
    return Room(tmp_path)


def razorpay_payment(entity_id: str, at: int = AT, **change: Any) -> dict[str, Any]:
    return {
        "id": entity_id,
        "entity": "payment",
        "amount": 100_000,
        "currency": "INR",
        "status": "captured",
        "method": "upi",
        "amount_refunded": 0,
        "fee": 2360,
        "tax": 360,
        "notes": {"transaction_id": f"T{entity_id}", "merchant_id": "M1", "order_ref": "O1"},
        "created_at": at,
        **change,
    }


def razorpay_event(payment: dict[str, Any], at: int) -> dict[str, Any]:
    return {"event": "payment", "payload": {"payment": {"entity": payment}}, "created_at": at}


def ist(at: int) -> str:
    return f"{datetime.fromtimestamp(at, UTC) + timedelta(hours=5, minutes=30):%Y-%m-%d %H:%M:%S}"


def payu_payment(entity_id: str, at: int = AT, **change: Any) -> dict[str, Any]:
    row = {"id": entity_id, "action": "capture", "status": "SUCCESS", "key": "KEY1", "txnid": f"T{entity_id}"}
    row |= {"addedon": ist(at), "amount": "1000.00", "mode": "UPI", "udf1": "M1", "card_no": ""}
    return row | change


def payu_refund(entity_id: str, payment: str, amount: str, at: int = AT) -> dict[str, Any]:
    row = {"PayuID": payment, "RequestID": entity_id, "Amount": amount, "Status": "success"}
    return row | {"RefundCreationDate": ist(at)}


def paytm_payment(entity_id: str, at: int = AT, status: str = "TXN_SUCCESS") -> dict[str, Any]:
    row = {"mid": "MID1", "orderId": f"T{entity_id}", "txnId": entity_id, "txnAmount": "1000.00"}
    row |= {"txnDate": f"{ist(at)}.0", "paymentMode": "UPI", "mercUnqRef": "M1|O1"}
    return row | {"resultInfo": {"resultStatus": status, "resultCode": "01"}}


def paytm_refund(entity_id: str, payment: str, amount: str, at: int = AT) -> dict[str, Any]:
    row = {"mid": "MID1", "orderId": f"T{payment}", "txnId": payment, "txnAmount": "1000.00"}
    row |= {
        "refundId": entity_id,
        "refId": f"R{entity_id}",
        "refundAmount": amount,
        "totalRefundAmount": amount,
    }
    row |= {"acceptRefundTimestamp": f"{ist(at)}.0", "userCreditInitiateTimestamp": f"{ist(at + 2)}.0"}
    return row | {"resultInfo": {"resultStatus": "TXN_SUCCESS", "resultCode": "10"}}


def razorpay_refund(entity_id: str, payment: str, paise: int, at: int = AT) -> dict[str, Any]:
    row = {"id": entity_id, "entity": "refund", "amount": paise, "currency": "INR", "payment_id": payment}
    return row | {"status": "processed", "notes": [], "created_at": at}


NATIVE: dict[str, Callable[[str, int], dict[str, Any]]] = {
    "razorpay": razorpay_payment,
    "payu": payu_payment,
    "paytm": paytm_payment,
}


def tell_all(room: Room, count: int) -> None:
    for gateway, native in NATIVE.items():
        room.tell(f"{gateway}/payments", {"items": [native(f"pay_{n}", AT + n) for n in range(count)]})


@pytest.mark.parametrize("count", [1, 60, 250])
def test_what_no_webhook_told_is_published_once_whatever_the_page(room: Room, count: int) -> None:
    tell_all(room, count)
    looked = room.look()
    missed = {name: (one.missed, one.problem) for name, one in looked.items()}
    assert missed == dict.fromkeys(ALL, (count, None))
    records = room.records()
    assert set(records) == {f"{name}:PAYMENT:pay_{n}" for name in ALL for n in range(count)}
    assert {value["origin"] for value in records.values()} == {"POLL"}
    assert {value["status"] for value in records.values()} == {"CAPTURED"}
    assert {value["amount"] for value in records.values()} == {Decimal("1000.00")}
    assert {value["transaction_id"] for value in records.values()} == {f"Tpay_{n}" for n in range(count)}
    assert {event.missed_on for event in room.ledger.events.values()} == {NOON.date()}
    for name in ALL:
        assert room.metrics.value("settle_intake_missed_total", gateway=name) == count
    room.memory.wait(300)
    assert {one.missed for one in room.look(everything=True).values()} == {0}
    assert len(room.producer.sent) == 3 * count


def test_what_was_told_is_not_missed_and_a_late_webhook_is_the_newer_word(room: Room) -> None:
    room.tell("razorpay/payments", {"items": [razorpay_payment("pay_1"), razorpay_payment("pay_2")]})
    told = room.heard("razorpay", "pay_1", razorpay_event(razorpay_payment("pay_1"), AT + 2))
    assert room.look(gateways=["razorpay"])["razorpay"].missed == 1
    (record,) = room.records().values()
    late = hear(room.heard("razorpay", "pay_2", razorpay_event(razorpay_payment("pay_2"), AT + 2))).words[0]
    assert record["record_id"] == late.record_id
    assert record["version"] < late.version
    assert {**record, "version": 0, "origin": "", "occurred_at": 0, "raw_sha256": ""} == {
        **late.avro(),
        "version": 0,
        "origin": "",
        "occurred_at": 0,
        "raw_sha256": "",
    }
    assert hear(told).words[0].version < late.version + 1


@pytest.mark.parametrize("gateway", ["payu", "paytm"])
def test_where_the_list_knows_the_time_the_version_is_the_webhooks_own(room: Room, gateway: str) -> None:
    room.tell(f"{gateway}/payments", {"items": [NATIVE[gateway]("p1", AT)]})
    room.look(gateways=[gateway])
    (record,) = room.records().values()
    assert record["version"] == 5 * 10**10 + AT
    assert record["merchant_id"] == "M1"


def test_a_later_state_is_missed_and_an_earlier_one_is_not(room: Room) -> None:
    captured, authorized = razorpay_payment("pay_1"), razorpay_payment("pay_2", status="authorized", fee=None)
    room.tell("razorpay/payments", {"items": [captured, authorized]})
    room.heard("razorpay", "pay_1", razorpay_event({**captured, "status": "authorized"}, AT + 1))
    room.heard("razorpay", "pay_2", razorpay_event({**authorized, "status": "captured"}, AT + 1))
    assert room.look(gateways=["razorpay"])["razorpay"].missed == 1
    assert set(room.records()) == {"razorpay:PAYMENT:pay_1"}


def test_a_payment_under_way_or_just_made_is_left_to_its_webhook(room: Room) -> None:
    just_now = int(NOON.timestamp()) - 60
    room.tell(
        "razorpay/payments",
        {"items": [razorpay_payment("pay_1", status="created"), razorpay_payment("pay_2", just_now)]},
    )
    room.tell("payu/payments", {"items": [payu_payment("1", status="in progress")]})
    room.tell("paytm/payments", {"items": [paytm_payment("1", status="PENDING")]})
    assert {one.missed for one in room.look().values()} == {0}
    room.clock.now = NOON + timedelta(minutes=6)
    room.memory.wait(300)
    assert {name: one.missed for name, one in room.look().items()} == {"razorpay": 1, "payu": 0, "paytm": 0}


def test_a_missed_refund_brings_its_payment_along(room: Room) -> None:
    before = razorpay_payment("pay_1")
    room.heard("razorpay", "pay_1", razorpay_event(before, AT + 2))
    room.tell("razorpay/payments", {"items": [{**before, "amount_refunded": 40_000}]})
    room.tell("razorpay/refunds", {"items": [razorpay_refund("rfnd_1", "pay_1", 40_000, AT + 600)]})
    room.tell("payu/payments", {"items": [payu_payment("1")]})
    room.tell("payu/refunds", {"items": [payu_refund("9", "1", "400.00", AT + 600)]})
    room.tell("paytm/payments", {"items": [paytm_payment("1")]})
    room.tell("paytm/refunds", {"items": [paytm_refund("PG9", "1", "400.00", AT + 600)]})
    assert {name: one.missed for name, one in room.look().items()} == {"razorpay": 1, "payu": 2, "paytm": 2}
    records = room.records()
    for key in ("razorpay:REFUND:rfnd_1", "payu:REFUND:9", "paytm:REFUND:PG9"):
        assert (records[key]["status"], records[key]["net"]) == ("REFUNDED", Decimal("-400.00"))
        assert records[key]["transaction_id"] in ("Tpay_1", "T1")
    for key in ("razorpay:PAYMENT:pay_1", "payu:PAYMENT:1", "paytm:PAYMENT:1"):
        assert records[key]["refunded_amount"] == Decimal("400.00")
    assert records["razorpay:PAYMENT:pay_1"]["version"] == 5 * 10**10 + AT + 600
    room.memory.wait(300)
    assert {one.missed for one in room.look(everything=True).values()} == {0}


def test_a_full_refund_counts_once_beside_its_payment(room: Room) -> None:
    payment = razorpay_payment("pay_1", status="refunded", amount_refunded=100_000)
    room.heard("razorpay", "pay_1", razorpay_event(razorpay_payment("pay_1"), AT + 2))
    room.tell("razorpay/payments", {"items": [payment]})
    room.tell("razorpay/refunds", {"items": [razorpay_refund("rfnd_1", "pay_1", 100_000, AT + 600)]})
    assert room.look(gateways=["razorpay"])["razorpay"].missed == 1
    assert room.records()["razorpay:PAYMENT:pay_1"]["status"] == "REFUNDED"


@pytest.mark.parametrize("status", [429, 500, 503])
def test_busy_gateways_are_asked_again(room: Room, status: int) -> None:
    tell_all(room, 3)
    for name in ALL:
        room.tell(f"{name}/behaviour", {"fail_next": 3, "status": status})
    assert {(one.missed, one.problem) for one in room.look().values()} == {(3, None)}


def test_a_gateway_that_stays_away_keeps_its_cursor_and_its_neighbours(room: Room) -> None:
    tell_all(room, 3)
    room.tell("payu/behaviour", {"fail_next": 99, "status": 500})
    room.tell("razorpay/behaviour", {"fail_next": 99, "status": 401})
    looked = room.look()
    assert "500" in str(looked["payu"].problem)
    assert "401" in str(looked["razorpay"].problem)
    assert looked["paytm"].missed == 3
    assert room.memory.cursors["payu"].read_to is None
    for name in ALL:
        room.tell(f"{name}/behaviour", {})
    room.memory.wait(300)
    assert {name: one.missed for name, one in room.look().items() if name != "paytm"} == {
        "razorpay": 3,
        "payu": 3,
    }


@pytest.mark.parametrize("how", ["duplicate_next", "reorder_next", "drop_next"])
def test_pages_that_shift_lose_and_double_nothing(room: Room, how: str) -> None:
    tell_all(room, 130)
    for name in ALL:
        room.tell(f"{name}/behaviour", {how: 1})
    missed = {name: one.missed for name, one in room.look().items()}
    room.memory.wait(300)
    for name, one in room.look(everything=True).items():
        assert missed[name] + one.missed == 130
    assert len(room.producer.sent) == 3 * 130
    assert len(room.records()) == 3 * 130


def test_a_row_that_cannot_be_read_is_kept_and_buried_once(room: Room) -> None:
    room.tell("payu/payments", {"items": [payu_payment("1", amount="x", card_no="4111111111111111")]})
    assert room.look(gateways=["payu"])["payu"].missed == 1
    ((topic, _, letter),) = room.producer.sent
    assert topic == DEAD_TOPIC
    assert "amount" in letter["reason"]
    (event,) = room.ledger.events.values()
    assert b"4111" not in event.body + letter["payload"]
    room.memory.wait(300)
    assert room.look(everything=True, gateways=["payu"])["payu"].missed == 0


def test_nobody_is_asked_more_often_than_needed(room: Room) -> None:
    tell_all(room, 1)
    room.look()
    room.wire.asked.clear()
    # Another process has just looked.
    assert room.look() == {}
    # Business time stands still: nothing new can have been made.
    room.memory.wait(300)
    assert room.look() == {}
    assert room.wire.asked == []
    # It moves: the overlap is read again, and nothing before it.
    room.clock.now = NOON + timedelta(minutes=5)
    room.look()
    assert room.memory.moves[-1]["late"] is False
    assert 0 < len(room.wire.asked) <= 3 * 4
    # Now and then the days before are read again: payments are captured and refunded late.
    room.memory.wait(3600)
    room.look()
    assert room.memory.moves[-1]["late"] is True


def test_before_business_time_begins_nobody_is_asked(room: Room) -> None:
    room.clock.now = None
    assert room.look(everything=True) == {}
    assert room.wire.asked == []


def test_days_end_with_indias() -> None:
    begin = datetime(2026, 1, 5, 18, 0, tzinfo=UTC)
    end = datetime(2026, 1, 7, 6, 0, tzinfo=UTC)
    midnights = [datetime(2026, 1, day, 18, 30, tzinfo=UTC) for day in (5, 6)]
    assert days(begin, end) == [(begin, midnights[0]), (midnights[0], midnights[1]), (midnights[1], end)]
    assert days(end, end) == []


def test_a_listed_word_is_the_notices_own() -> None:
    assert payu.list_status({"status": "SUCCESS", "action": "auth"}) == ("success", "auth")
    assert payu.list_status({"status": "failed"}) == ("failure", "failed")
    assert payu.list_status({"status": "odd"}) == ("odd", "odd")
    assert payu.refund_list_status({"Status": "IN PROGRESS"}) == "pending"


def test_every_razorpay_event_says_which_payment_it_is_about() -> None:
    body = json.dumps(razorpay_event(razorpay_payment("pay_1"), AT)).encode()
    checked = razorpay.check({"x-razorpay-signature": razorpay.sign(body, "s")}, body, "0" * 64, ["s"])
    assert checked.about == "razorpay:pay_1"
    for odd in (b"{}", b'{"payload":[]}', b'{"payload":{"payment":{"entity":{"id":7}}}}'):
        checked = razorpay.check({"x-razorpay-signature": razorpay.sign(odd, "s")}, odd, "0" * 64, ["s"])
        assert checked.about is None


def razorpay_dispute(status: str, days_ago: int, **change: Any) -> dict[str, Any]:
    said = {"id": "disp_1", "entity": "dispute", "payment_id": "pay_1", "amount": 40_000, "currency": "INR"}
    said |= {"amount_deducted": 40_000 if status == "lost" else 0, "phase": "chargeback"}
    return {**said, "status": status, "created_at": AT - days_ago * 86_400, **change}


def test_a_dispute_that_ends_weeks_later_is_noticed_without_a_webhook(room: Room) -> None:
    room.tell("razorpay/payments", {"items": [razorpay_payment("pay_1", AT - 40 * 86_400)]})
    room.tell("razorpay/disputes", {"items": [razorpay_dispute("open", 30)]})
    assert room.look(gateways=["razorpay"], everything=True)["razorpay"].missed == 1
    assert room.look(gateways=["razorpay"], everything=True)["razorpay"].missed == 0
    room.tell("razorpay/disputes", {"items": [razorpay_dispute("lost", 30)]})
    assert room.look(gateways=["razorpay"], everything=True)["razorpay"].missed == 1
    record = room.records()["razorpay:DISPUTE:disp_1"]
    assert (record["status"], record["net"]) == ("LOST", Decimal("-400.00"))
    # Its payment comes along, with our own ids.
    assert (record["transaction_id"], record["origin"]) == ("Tpay_1", "POLL")


def test_an_account_that_may_not_ask_for_disputes_still_closes_its_other_gaps(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = room.wire.request

    def refuse(method: str, url: str, headers: dict[str, str], body: bytes | None) -> Answer:
        if "/disputes" in url:
            return Answer(403, b"{}", {})
        return ask(method, url, headers, body)

    monkeypatch.setattr(room.wire, "request", refuse)
    room.tell("razorpay/payments", {"items": [razorpay_payment("pay_1")]})
    looked = room.look(gateways=["razorpay"])["razorpay"]
    assert (looked.missed, looked.problem) == (1, None)


class TestWebhooksOfTheStandIn:
    """Notices as the stand-ins send them, into a door that takes or refuses them."""

    @pytest.fixture
    def sender(self, room: Room, monkeypatch: pytest.MonkeyPatch) -> Sender:
        monkeypatch.setenv("SETTLE_INTAKE_RAZORPAY_WEBHOOK_SECRET", "whsec")
        return Sender(room)

    @pytest.mark.parametrize("gateway", ALL)
    def test_what_is_lost_on_the_way_is_found_on_the_lists(
        self, room: Room, sender: Sender, gateway: str
    ) -> None:
        sender.webhooks.point(gateway, {"url": gateway, "drop_next": 3, "duplicate_next": 2, "reorder": True})
        items = [NATIVE[gateway](f"pay_{n}", AT + n) for n in range(10)]
        sender.tell(gateway, "payments", items)
        sender.run(1)
        state = sender.webhooks.state(gateway)
        assert (state["acknowledged"], state["dropped"], state["waiting"]) == (9, 3, 0)
        assert room.look(gateways=[gateway])[gateway].missed == 3
        assert set(room.records()) == {f"{gateway}:PAYMENT:pay_{n}" for n in range(3)}

    def test_refunds_are_told_too(self, room: Room, sender: Sender) -> None:
        for gateway in ALL:
            sender.webhooks.point(gateway, {"url": gateway})
            sender.tell(gateway, "payments", [NATIVE[gateway]("pay_1", AT)])
        sender.tell("razorpay", "refunds", [razorpay_refund("rfnd_1", "pay_1", 40_000, AT + 60)])
        sender.tell("payu", "refunds", [payu_refund("9", "pay_1", "400.00", AT + 60)])
        sender.tell("paytm", "refunds", [paytm_refund("PG9", "pay_1", "400.00", AT + 60)])
        sender.run(1)
        assert len(room.ledger.events) == 6
        assert {one.missed for one in room.look().values()} == {0}

    def test_razorpay_turns_the_webhook_off_after_a_day_of_failures(self, room: Room, sender: Sender) -> None:
        sender.answer = 503
        sender.webhooks.point("razorpay", {"url": "razorpay"})
        sender.tell("razorpay", "payments", [razorpay_payment("pay_1")])
        sender.run(86_000)
        assert sender.webhooks.state("razorpay")["disabled"] is False
        sender.run(8_000)
        state = sender.webhooks.state("razorpay")
        assert (state["disabled"], state["waiting"], state["given_up"]) == (True, 0, 1)
        # Well again, but nobody has turned it on: only the lists say what happens now.
        sender.answer = None
        sender.tell("razorpay", "payments", [razorpay_payment("pay_2")])
        sender.run(60)
        assert room.ledger.events == {}
        assert room.look(gateways=["razorpay"])["razorpay"].missed == 2
        sender.webhooks.point("razorpay", {"url": "razorpay"})
        sender.tell("razorpay", "payments", [razorpay_payment("pay_3")])
        sender.run(1)
        assert room.look(gateways=["razorpay"], everything=True)["razorpay"].missed == 0

    def test_disputes_are_told_too(self, room: Room, sender: Sender) -> None:
        sender.webhooks.point("razorpay", {"url": "razorpay"})
        sender.tell("razorpay", "payments", [razorpay_payment("pay_1")])
        for status in ("open", "under_review", "lost"):
            sender.tell("razorpay", "disputes", [razorpay_dispute(status, 0)])
        sender.run(2)
        assert sender.webhooks.state("razorpay")["acknowledged"] == 4
        assert room.look(gateways=["razorpay"], everything=True)["razorpay"].missed == 0

    def test_an_outage_is_made_up_by_retries_where_the_gateway_has_patience(
        self, room: Room, sender: Sender
    ) -> None:
        sender.answer = 503
        for gateway in ALL:
            sender.webhooks.point(gateway, {"url": gateway, "delay_ms": 500})
            sender.tell(gateway, "payments", [NATIVE[gateway]("pay_1", AT)])
        sender.run(600)
        sender.answer = None
        sender.run(3600)
        assert {name: sender.webhooks.state(name)["acknowledged"] for name in ALL} == {
            "razorpay": 1,
            # Three retries within seconds, and no more.
            "payu": 0,
            "paytm": 1,
        }
        assert {name: one.missed for name, one in room.look().items()} == {
            "razorpay": 0,
            "payu": 1,
            "paytm": 0,
        }


class Sender:
    """The stand-ins' webhooks with a clock of their own, before a real door with nothing real behind it."""

    def __init__(self, room: Room) -> None:
        self.now = float(AT)
        self.answer: int | None = None
        self._room = room
        self.webhooks = Webhooks(load_settings(), room.server._store, self._post, lambda: self.now)
        room.server.webhooks = self.webhooks

    def tell(self, gateway: str, kind: str, items: list[dict[str, Any]]) -> None:
        self._room.tell(f"{gateway}/{kind}", {"items": items, "webhook": True})

    def run(self, seconds: float) -> None:
        """Live through so many seconds, one at a time."""

        async def story() -> None:
            self._pipeline = Pipeline(
                cast("Any", self._room.ledger), cast("Any", Producer()), self._room.metrics
            )
            end = self.now + seconds
            while self.now < end:
                self.now += 1
                await self.webhooks.send_due()

        asyncio.run(story())

    async def _post(self, url: str, headers: Mapping[str, str], body: bytes) -> int:
        if self.answer is not None:
            return self.answer
        server = IntakeServer(
            load_settings(), cast("Any", self._room.ledger), self._pipeline, self._room.metrics
        )
        server.waiting_for = None
        asked = Request("POST", f"/webhook/{url}", "", headers, body, "192.0.2.1")
        return (await awaited(server.handle(asked))).status
