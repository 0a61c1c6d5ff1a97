"""Disputes: each gateway's words as one entity whose state never goes back, and what one has taken."""

from __future__ import annotations

import hashlib
import itertools
import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from bus.topics import load_schema
from bus.wire import Encoder
from settlement.gateways import EntityType, GatewayStatus
from webhook_intake import checksum, paytm, payu, razorpay
from webhook_intake.errors import ForgedError, UnreadableError
from webhook_intake.lines import _pack

if TYPE_CHECKING:
    from webhook_intake.records import Word

AT = 1_767_600_000
NOW = datetime(2026, 1, 6, 6, 30, tzinfo=UTC)
PAYMENT = {
    "id": "pay_1",
    "amount": 100_000,
    "currency": "INR",
    "status": "captured",
    "method": "card",
    "amount_refunded": 0,
    "notes": {"transaction_id": "T1", "merchant_id": "M1", "order_ref": "O1"},
    "created_at": AT,
}


def dispute(status: str, **change: Any) -> dict[str, Any]:
    return {
        "id": "disp_1",
        "entity": "dispute",
        "payment_id": "pay_1",
        "amount": 40_000,
        "currency": "INR",
        "amount_deducted": 0,
        "reason_code": "goods_not_received",
        "respond_by": AT + 86_400,
        "status": status,
        "phase": "chargeback",
        "created_at": AT,
        **change,
    }


def told(name: str, entity: dict[str, Any], seconds: int = 0, payment: Any = PAYMENT) -> Word:
    """The dispute of an event, as it is heard."""
    payload = {"dispute": {"entity": entity}} | ({"payment": {"entity": payment}} if payment else {})
    event = {"event": f"payment.dispute.{name}", "payload": payload, "created_at": AT + seconds}
    words = razorpay.hear(razorpay.read("", json.dumps(event).encode()), NOW, "s").words
    (word,) = (word for word in words if word.entity_type == EntityType.DISPUTE)
    return word


def test_all_that_is_known_of_a_dispute_is_told() -> None:
    word = told("created", dispute("open"))
    assert (word.record_id, word.payment_id, word.status) == ("razorpay:DISPUTE:disp_1", "pay_1", "OPEN")
    assert (word.transaction_id, word.merchant_id, word.order_ref) == ("T1", "M1", "O1")
    assert (word.amount, word.net, word.currency) == (Decimal("400.00"), Decimal("0.00"), "INR")
    assert (word.phase, word.reason_code) == ("chargeback", "goods_not_received")
    assert word.respond_by == datetime.fromtimestamp(AT + 86_400, UTC)
    Encoder(load_schema("pg.transactions"), 1, "pg.transactions").encode(word.avro())


STORY = [
    told("created", dispute("open"), 0),
    told("under_review", dispute("under_review"), 10),
    told("action_required", dispute("open"), 20),
    told("under_review", dispute("under_review"), 30),
    told("lost", dispute("lost", amount_deducted=40_000), 40),
]


def test_a_dispute_goes_its_way_and_never_back() -> None:
    assert [word.status for word in STORY] == [
        "OPEN",
        "UNDER_REVIEW",
        "ACTION_REQUIRED",
        "UNDER_REVIEW",
        "LOST",
    ]
    versions = [word.version for word in STORY]
    assert versions == sorted(set(versions))
    for order in itertools.permutations(STORY):
        assert max(order, key=lambda word: word.version).status == GatewayStatus.LOST


@pytest.mark.parametrize("end", ["won", "lost"])
@pytest.mark.parametrize("late", ["created", "action_required", "under_review", "closed"])
def test_once_it_is_won_or_lost_nothing_later_opens_it(end: str, late: str) -> None:
    status = {"created": "open", "action_required": "open"}.get(late, late)
    assert told(end, dispute(end), 1).version > told(late, dispute(status), 99).version


@pytest.mark.parametrize(
    ("status", "deducted", "net"),
    [
        ("lost", 40_000, "-400.00"),
        ("open", 40_000, "-400.00"),
        ("won", 40_000, "0.00"),
        ("won", 0, "0.00"),
        ("closed", 0, "0.00"),
    ],
)
def test_what_it_has_taken_so_far_is_its_net(status: str, deducted: int, net: str) -> None:
    assert told(status, dispute(status, amount_deducted=deducted)).net == Decimal(net)


def test_a_dispute_told_without_its_payment_is_found_by_it() -> None:
    assert told("created", dispute("open"), payment=None).transaction_id is None
    event = {"payload": {"dispute": {"entity": dispute("open")}}, "created_at": AT}
    body = json.dumps(event).encode()
    checked = razorpay.check({"x-razorpay-signature": razorpay.sign(body, "s")}, body, "0" * 64, ["s"])
    assert checked.about == "razorpay:pay_1"


def test_a_status_nobody_knows_is_not_guessed() -> None:
    with pytest.raises(UnreadableError, match="'paused' is none of open"):
        told("created", dispute("paused"))


def test_a_settlement_line_names_the_dispute_that_moved_it() -> None:
    item = {
        "entity_id": "adj_1",
        "type": "adjustment",
        "debit": 40_000,
        "credit": 0,
        "amount": 40_000,
        "fee": 0,
        "tax": 0,
        "currency": "INR",
        "settled": True,
        "settled_at": AT,
        "created_at": AT,
        "settlement_id": "setl_1",
        "payment_id": "pay_1",
        "dispute_id": "disp_1",
    }
    line = razorpay.line(item, "s")
    assert line is not None
    assert (line.word.dispute_id, line.word.payment_id, line.word.net) == (
        "disp_1",
        "pay_1",
        Decimal("-400.00"),
    )
    # A line without either is the one that was published before lines could name a dispute.
    before = razorpay.line({**item, "payment_id": None, "dispute_id": None}, "s")
    assert before is not None
    assert _pack(before)[1] == "0d9dee8f447bef1db082da0888864786"
    assert _pack(before)[1] != _pack(line)[1]


CHARGEBACK = {
    "type": "payments",
    "event": "dispute",
    "reason_code": "Fraud",
    "updated_at": "2026-01-06T12:00:00.000+05:30",
    "cb_id": 1761758,
    "txn_id": "403993715521",
    "cb_type": "RBI/BO",
    "due_date": "2026-01-31",
    "cb_amount": "1.0",
    "cb_status": "Bank Comm Sent",
    "key": "KEY1",
}


def payu_checked(fields: dict[str, Any]) -> Any:
    body = json.dumps(fields).encode()
    sha256 = hashlib.sha256(body).hexdigest()
    return payu.check({"content-type": "application/json"}, body, sha256, "KEY1", ["salt"])


def test_a_chargeback_of_payu_is_heard_when_it_is_signed() -> None:
    signed = {name: str(value) for name, value in CHARGEBACK.items()}
    checked = payu_checked({**CHARGEBACK, "hash": payu.reverse_hash(signed, "salt")})
    assert checked.event_key.startswith("payu:403993715521:dispute:1761758:Bank Comm Sent:")
    (word,) = payu.hear(checked.document, NOW, "s").words
    assert (word.record_id, word.payment_id) == ("payu:DISPUTE:1761758", "403993715521")
    assert (word.status, word.amount, word.phase) == ("UNDER_REVIEW", Decimal("1.00"), "RBI/BO")
    assert word.occurred_at == datetime(2026, 1, 6, 6, 30, tzinfo=UTC)


def test_a_chargeback_that_nobody_signed_is_forged() -> None:
    with pytest.raises(ForgedError):
        payu_checked(CHARGEBACK)


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ("New", "OPEN"),
        ("Docs Awaited", "ACTION_REQUIRED"),
        ("Docs Submitted", "UNDER_REVIEW"),
        ("Merchant Won", "WON"),
        ("Merchant Lost", "LOST"),
        ("Closed", "CLOSED"),
    ],
)
def test_payus_words_for_a_chargeback(said: str, status: str) -> None:
    (word,) = payu.hear({**CHARGEBACK, "cb_status": said}, NOW, "s").words
    assert word.status == status


def test_a_chargeback_of_paytm_is_heard() -> None:
    body = json.dumps(
        {
            "transactionId": "20210223111212800110168465500805616",
            "orderId": "T1",
            "disputeAmount": "20",
            "disputeDueDate": "2026-03-27 23:59:59",
            "disputeType": "Order Failure",
            "mid": "MID1",
            "disputeId": "20210224111221000100168007200508215",
            "disputeStatus": "NEW",
        }
    )
    signature = checksum.sign_text(body, "k" * 16, "salt")
    sent = f'{{"head":{{"version":"v1","signature":"{signature}"}},"body":{body}}}'.encode()
    headers = {"content-type": "application/json"}
    checked = paytm.check(headers, sent, "0" * 64, "MID1", ["k" * 16])
    assert checked.about == "paytm:20210223111212800110168465500805616"
    (word,) = paytm.hear(checked.document, NOW, "s").words
    assert word.record_id == "paytm:DISPUTE:20210224111221000100168007200508215"
    assert (word.payment_id, word.transaction_id) == ("20210223111212800110168465500805616", "T1")
    assert (word.status, word.amount, word.reason_code) == ("OPEN", Decimal("20.00"), "Order Failure")
    assert word.respond_by is not None
