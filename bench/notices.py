"""Signed Razorpay notices as bytes on the wire, each with the key its record must have on pg.transactions."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final, NamedTuple

from world.signing import razorpay_signature

if TYPE_CHECKING:
    from collections.abc import Iterator

# 2026-01-05, 12:00 in India; every notice is a second later than the one before.
_FROM: Final = 1_767_594_600
_ANSWER_SECONDS: Final = 2


class Notice(NamedTuple):
    """One capture: the whole request, and where it must be found."""

    key: str
    request: bytes


def notices(prefix: str, count: int, secret: str) -> list[Notice]:
    """So many captures, no two of one payment; another prefix gives others."""
    return list(_notices(prefix, count, secret.encode()))


def _notices(prefix: str, count: int, secret: bytes) -> Iterator[Notice]:
    for number in range(count):
        payment = f"pay_{prefix}{number:08d}"
        body = _body(payment, 10_000 + number % 1_000_000, _FROM + number % 86_400)
        head = (
            "POST /webhook/razorpay HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            f"X-Razorpay-Event-Id: {prefix}{number:08d}\r\n"
            f"X-Razorpay-Signature: {razorpay_signature(body, secret)}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        yield Notice(f"razorpay:PAYMENT:{payment}", head.encode() + body)


def _body(payment: str, paise: int, at: int) -> bytes:
    fee = paise * 236 // 10_000
    entity = {
        "id": payment,
        "entity": "payment",
        "amount": paise,
        "base_amount": paise,
        "currency": "INR",
        "status": "captured",
        "amount_refunded": 0,
        "refund_status": None,
        "captured": True,
        "method": "upi",
        "order_id": f"order_{payment[4:]}",
        "notes": {"transaction_id": f"T{payment[4:]}", "merchant_id": "M001", "order_ref": f"O{payment[4:]}"},
        "fee": fee,
        "tax": fee * 18 // 118,
        "error_code": None,
        "acquirer_data": {"rrn": f"{at:012d}"},
        "created_at": at,
    }
    envelope = {
        "entity": "event",
        "account_id": "acc_SettleStream1",
        "event": "payment.captured",
        "contains": ["payment"],
        "payload": {"payment": {"entity": entity}},
        "created_at": at + _ANSWER_SECONDS,
    }
    return json.dumps(envelope, separators=(",", ":")).encode()
