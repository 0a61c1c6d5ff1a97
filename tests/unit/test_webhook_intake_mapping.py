"""What each gateway's native words become, field by field, and in which order their versions stand."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from bus.topics import load_schema
from bus.wire import Encoder
from webhook_intake import paytm, payu, razorpay
from webhook_intake.errors import UnreadableError
from webhook_intake.hearing import dead_letter, hear
from webhook_intake.records import Event, Line, Word
from webhook_intake.refunds import after_refunds

NOON = datetime(2026, 1, 6, 12, 0, tzinfo=UTC)
# 2026-01-05 23:30 in India is still the fifth; in UTC it is 18:00.
LATE_EVENING = 1767636000
SHA = "a" * 64


def razorpay_event(status: str = "captured", at: int = LATE_EVENING + 5, **more: Any) -> dict[str, Any]:
    payment = {
        "id": "pay_1",
        "amount": 100_000,
        "currency": "INR",
        "status": status,
        "method": "card",
        "amount_refunded": 0,
        "fee": 2360,
        "tax": 360,
        "notes": {"transaction_id": "T1", "merchant_id": "M1", "order_ref": "O1"},
        "created_at": LATE_EVENING,
        **more,
    }
    return {"event": f"payment.{status}", "payload": {"payment": {"entity": payment}}, "created_at": at}


def word_of(module: Any, document: dict[str, Any]) -> Word:
    (word,) = module.hear(document, NOON, SHA).words
    assert isinstance(word, Word)
    return word


def test_every_field_fits_the_schema() -> None:
    encoder = Encoder(load_schema("pg.transactions"), 1, "pg.transactions")
    assert encoder.encode(word_of(razorpay, razorpay_event()).avro())
    letter = dead_letter("payu", "payu:1", "why", b"card 4111 1111 1111 1111", SHA)
    assert Encoder(load_schema("dead.letters"), 1, "pg.dead").encode(letter)
    assert b"4111" not in letter["payload"]
    # Bytes that are no text grow threefold when they are made text; the broker takes a megabyte.
    assert len(dead_letter("payu", "payu:1", "why", b"\xff" * 1_048_576, SHA)["payload"]) < 900_000


class TestRazorpay:
    def test_captured_payment(self) -> None:
        word = word_of(razorpay, razorpay_event())
        assert word.record_id == "razorpay:PAYMENT:pay_1"
        assert (word.transaction_id, word.merchant_id, word.order_ref) == ("T1", "M1", "O1")
        assert (word.amount, word.fee, word.tax) == (Decimal("1000.00"), Decimal("20.00"), Decimal("3.60"))
        assert word.net == Decimal("976.40")
        assert word.paid_on == date(2026, 1, 5)
        assert word.version == 5 * 10**10 + LATE_EVENING + 5
        assert (word.status, word.origin, word.op) == ("CAPTURED", "WEBHOOK", "u")

    def test_state_never_goes_backwards_whatever_the_order(self) -> None:
        at = LATE_EVENING
        story = [
            razorpay_event("created", at + 50),
            razorpay_event("failed", at + 40, fee=None, tax=None),
            razorpay_event("authorized", at + 30, fee=None, tax=None),
            razorpay_event("captured", at + 20),
            razorpay_event("captured", at + 60, amount_refunded=10_000),
            razorpay_event("refunded", at + 10, amount_refunded=100_000),
        ]
        versions = [word_of(razorpay, event).version for event in story]
        assert versions == sorted(versions)
        assert len(set(versions)) == len(versions)

    def test_refund_event_tells_payment_and_refund(self) -> None:
        event = razorpay_event("refunded", LATE_EVENING + 99, amount_refunded=100_000)
        event["payload"]["refund"] = {
            "entity": {
                "id": "rfnd_1",
                "amount": 100_000,
                "currency": "INR",
                "status": "processed",
                "notes": [],
            }
        }
        payment, refund = razorpay.hear(event, NOON, SHA).words
        assert (payment.status, payment.refunded_amount) == ("REFUNDED", Decimal("1000.00"))
        assert (refund.record_id, refund.net) == ("razorpay:REFUND:rfnd_1", Decimal("-1000.00"))
        assert refund.transaction_id == "T1"

    def test_before_capture_nothing_moves(self) -> None:
        word = word_of(razorpay, razorpay_event("authorized", fee=None, tax=None, notes=[]))
        assert (word.fee, word.tax, word.net) == (Decimal(0), Decimal(0), Decimal(0))
        assert word.transaction_id is None

    def test_other_entities_say_nothing_here(self) -> None:
        event = {"event": "settlement.processed", "payload": {"settlement": {}}, "created_at": LATE_EVENING}
        assert razorpay.hear(event, NOON, SHA).words == ()

    @pytest.mark.parametrize(
        "change",
        [
            {"status": "exploded"},
            {"amount": 10.5},
            {"amount": "100"},
            {"id": None},
            {"created_at": "yesterday"},
            {"currency": 7.5},
            {"id": "pay_\0"},
        ],
    )
    def test_what_cannot_be_read_says_why(self, change: dict[str, Any]) -> None:
        with pytest.raises(UnreadableError):
            razorpay.hear(razorpay_event(**change), NOON, SHA)

    def item(self, **change: Any) -> dict[str, Any]:
        return {
            "entity_id": "pay_1",
            "type": "payment",
            "debit": 0,
            "credit": 97_640,
            "amount": 100_000,
            "currency": "INR",
            "fee": 2360,
            "tax": 360,
            "settled": True,
            "created_at": LATE_EVENING,
            "settled_at": LATE_EVENING + 86_400,
            "settlement_id": "setl_1",
            "settlement_utr": " 1568176960vxp0rj ",
            "order_receipt": "O1",
            "method": "card",
            "notes": {"transaction_id": "T1", "merchant_id": "M1"},
            **change,
        }

    def test_settlement_line(self) -> None:
        line = razorpay.line(self.item(), SHA)
        assert line is not None
        word = line.word
        assert line.line_key == "razorpay:payment/pay_1"
        assert word.record_id == "razorpay:SETTLEMENT_LINE:payment/pay_1@setl_1/1568176960VXP0RJ"
        assert (word.entity_id, word.line_type, word.status) == ("pay_1", "PAYMENT", "SETTLED")
        assert word.net == word.amount - word.fee - word.tax == Decimal("976.40")
        assert (word.utr, word.utr_raw) == ("1568176960VXP0RJ", "1568176960vxp0rj")
        assert (word.settled_on, word.paid_on, word.bank) == (date(2026, 1, 6), date(2026, 1, 5), "HDFC")
        assert word.origin == "POLL"

    def test_refunds_and_adjustments_are_signed(self) -> None:
        refund = razorpay.line(self.item(type="refund", debit=5000, credit=0, amount=5000, fee=0, tax=0), SHA)
        minus = razorpay.line(
            self.item(
                type="adjustment",
                debit=700,
                credit=0,
                amount=700,
                fee=0,
                tax=0,
                settlement_utr=None,
                notes=None,
            ),
            SHA,
        )
        assert refund is not None
        assert minus is not None
        assert (refund.word.line_type, refund.word.net) == ("REFUND", Decimal("-50.00"))
        assert (minus.word.line_type, minus.word.net, minus.word.utr) == (
            "ADJUSTMENT",
            Decimal("-7.00"),
            None,
        )
        assert minus.word.amount == Decimal("7.00")
        assert minus.word.record_id.endswith("@setl_1/-")

    def test_unsettled_is_not_reported_and_damaged_utr_is_refused(self) -> None:
        assert razorpay.line(self.item(settled=False), SHA) is None
        with pytest.raises(UnreadableError, match="spreadsheet"):
            razorpay.line(self.item(settlement_utr="3.2E+11"), SHA)


class TestPayu:
    def notice(self, **change: str) -> dict[str, Any]:
        return {
            "mihpayid": "403",
            "txnid": "T1",
            "status": "success",
            "unmappedstatus": "captured",
            "amount": "500.00",
            "addedon": "2026-01-05 23:30:00",
            "mode": "NB",
            "udf1": "M1",
            "udf2": "O1",
            **change,
        }

    @pytest.mark.parametrize(
        ("status", "unmapped", "expected"),
        [
            ("success", "captured", "CAPTURED"),
            ("success", "auth", "AUTHORIZED"),
            ("failure", "bounced", "FAILED"),
            ("failure", "userCancelled", "FAILED"),
            ("pending", "in progress", "PENDING"),
        ],
    )
    def test_payment(self, status: str, unmapped: str, expected: str) -> None:
        word = word_of(payu, self.notice(status=status, unmappedstatus=unmapped))
        assert word.status == expected
        assert word.record_id == "payu:PAYMENT:403"
        assert (word.transaction_id, word.merchant_id, word.order_ref) == ("T1", "M1", "O1")
        assert (word.amount, word.method, word.paid_on) == (Decimal("500.00"), "netbanking", date(2026, 1, 5))
        assert word.version % 10**10 == LATE_EVENING

    @pytest.mark.parametrize(
        "change", [{"amount": "5e2"}, {"amount": "5.001"}, {"status": "odd"}, {"addedon": "5/1"}]
    )
    def test_what_cannot_be_read_says_why(self, change: dict[str, str]) -> None:
        with pytest.raises(UnreadableError):
            payu.hear(self.notice(**change), NOON, SHA)

    def refund(self, request_id: str, amount: str, status: str = "success") -> dict[str, Any]:
        return {
            "action": "refund",
            "mihpayid": "403",
            "merchantTxnId": "T1",
            "request_id": request_id,
            "amt": amount,
            "status": status,
        }

    def test_refunds_add_up_in_any_order(self) -> None:
        payment = word_of(payu, self.notice())
        facts = [
            fact
            for notice in (
                self.refund("R1", "100.00"),
                self.refund("R2", "50.00"),
                self.refund("R1", "100.00"),
            )
            for fact in payu.hear(notice, NOON, SHA).refunds
        ]
        left = after_refunds(payment, facts)
        assert left is not None
        assert left == after_refunds(payment, reversed(facts))
        assert (left.status, left.refunded_amount) == ("CAPTURED", Decimal("150.00"))
        assert (left.merchant_id, left.record_id) == ("M1", payment.record_id)
        assert left.version > payment.version
        whole = after_refunds(payment, payu.hear(self.refund("R3", "500.00"), NOON, SHA).refunds)
        assert whole is not None
        assert whole.status == "REFUNDED"

    def test_a_failed_refund_and_a_failed_payment_change_nothing(self) -> None:
        heard = payu.hear(self.refund("R1", "100.00", "failure"), NOON, SHA)
        assert heard.refunds == ()
        assert heard.words[0].net == Decimal(0)
        facts = payu.hear(self.refund("R1", "100.00"), NOON, SHA).refunds
        assert after_refunds(word_of(payu, self.notice(status="failure")), facts) is None
        assert after_refunds(word_of(payu, self.notice()), ()) is None

    def test_batch(self) -> None:
        row = {
            "action": "capture",
            "payuId": "403",
            "requestId": "9",
            "merchantTransactionId": "T1",
            "transactionAmount": "11979.88",
            "merchantServiceFee": "239.60000",
            "merchantServiceTax": "43.1300",
            "merchantNetAmount": "11697.15",
            "transactionDate": "2026-01-05 10:00:00",
            "mode": "CC",
        }
        rows = [
            row,
            {
                **row,
                "action": "refund",
                "payuId": "404",
                "transactionAmount": "100.00",
                "merchantNetAmount": "100.00",
            },
            {
                **row,
                "action": "ADJ_FEE",
                "payuId": "405",
                "transactionAmount": "-12.50",
                "merchantNetAmount": "",
            },
            {**row, "action": "mystery", "payuId": "406"},
        ]
        batch = {
            "settlementId": "S1",
            "settlementCompletedDate": "2026-01-06 09:00:00",
            "utrNumber": "AXISCN1153863727",
            "transaction": rows,
        }
        *good, bad = payu.lines(batch, SHA)
        words = [line.word for line in good if isinstance(line, Line)]
        assert [word.net for word in words] == [Decimal("11697.15"), Decimal("-100.00"), Decimal("-12.50")]
        assert [word.line_type for word in words] == ["PAYMENT", "REFUND", "ADJUSTMENT"]
        assert words[0].amount - words[0].fee - words[0].tax == words[0].net
        assert {word.settled_on for word in words} == {date(2026, 1, 6)}
        assert {word.bank for word in words} == {"AXIS"}
        assert isinstance(bad, tuple)
        assert "mystery" in bad[1]


class TestPaytm:
    def form(self, **change: str) -> dict[str, Any]:
        return {
            "MID": "MID1",
            "ORDERID": "T1",
            "TXNID": "20260105",
            "TXNAMOUNT": "250.00",
            "PAYMENTMODE": "PPI",
            "TXNDATE": "2026-01-05 23:30:00.0",
            "STATUS": "TXN_SUCCESS",
            "MERC_UNQ_REF": "M1|O1",
            **change,
        }

    @pytest.mark.parametrize(
        ("said", "expected"), [("TXN_SUCCESS", "CAPTURED"), ("TXN_FAILURE", "FAILED"), ("PENDING", "PENDING")]
    )
    def test_payment(self, said: str, expected: str) -> None:
        word = word_of(paytm, self.form(STATUS=said))
        assert (word.status, word.record_id) == (expected, "paytm:PAYMENT:20260105")
        assert (word.transaction_id, word.merchant_id, word.order_ref) == ("T1", "M1", "O1")
        assert (word.method, word.paid_on) == ("wallet", date(2026, 1, 5))

    def test_newer_json_says_the_same(self) -> None:
        body = (
            b'{"head":{"signature":"x"},"body":{"mid":"MID1","orderId":"T1","txnId":"20260105","txnAmount":"250.00",'
            b'"paymentMode":"PPI","txnDate":"2026-01-05T23:30:00+05:30","mercUnqRef":"M1|O1",'
            b'"resultInfo":{"resultStatus":"TXN_SUCCESS"}}}'
        )
        assert word_of(paytm, paytm.read("application/json", body)) == word_of(paytm, self.form())

    def test_refund_tells_the_total(self) -> None:
        notice = {
            "ORDERID": "T1",
            "TXNID": "20260105",
            "refundId": "R2",
            "refundAmount": "50.00",
            "totalRefundAmount": "80.00",
            "userCreditInitiateTimestamp": "2026-01-07 10:00:00.0",
        }
        heard = paytm.hear(notice, NOON, SHA)
        assert heard.words[0].net == Decimal("-50.00")
        left = after_refunds(word_of(paytm, self.form()), heard.refunds)
        assert left is not None
        assert (left.refunded_amount, left.status, left.merchant_id) == (Decimal("80.00"), "CAPTURED", "M1")

    @pytest.mark.parametrize(
        ("kind", "settled", "line_type", "net"),
        [
            ("ACQUIRING", "244.10", "PAYMENT", "244.10"),
            ("REFUND", "250.00", "REFUND", "-250.00"),
            ("REFUND", "-250.00", "REFUND", "-250.00"),
            ("CHARGEBACK", "250.00", "ADJUSTMENT", "-250.00"),
            ("ADJUSTMENT", "-250.00", "ADJUSTMENT", "-250.00"),
            ("ADJUSTMENT", "250.00", "ADJUSTMENT", "250.00"),
        ],
    )
    def test_settlement_row(self, kind: str, settled: str, line_type: str, net: str) -> None:
        row = {
            "transactionId": "20260105",
            "orderId": "T1",
            "merchantUniqueRef": "M1|O1",
            "transactionDate": "2026-01-05T23:30:00+05:30",
            "transactionType": kind,
            "amount": "250.00",
            "commission": "5.00",
            "gst": "0.90",
            "settledAmount": settled,
            "utrNo": None,
            "payoutId": "P1",
            "payoutDate": "2026-01-07",
            "paymentMode": "UPI",
        }
        line = paytm.line(row, SHA)
        assert (line.word.line_type, line.word.net) == (line_type, Decimal(net))
        assert (line.word.amount, line.word.settled_on, line.word.bank) == (
            Decimal("250.00"),
            date(2026, 1, 7),
            "ICICI",
        )
        assert line.word.record_id == f"paytm:SETTLEMENT_LINE:{kind}/20260105@P1/-"
        assert (line.word.merchant_id, line.word.settlement_id) == ("M1", "P1")


@pytest.mark.parametrize(
    "body",
    [b"null", b"[]", b'"text"', b'{"created_at":1}', b'{"created_at":1,"payload":{"payment":[]}}', b"\xff"],
)
def test_no_shape_fails_its_neighbours(body: bytes) -> None:
    event = Event("razorpay:x", "razorpay", NOON, SHA, "application/json", "{}", body)
    with pytest.raises(UnreadableError):
        hear(event)
