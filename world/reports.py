"""The gateways' settlement reports: what their APIs tell when asked, row by row in their own shape."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from world.model import Payout, PayoutLine, World, at_ist, money

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

Item = dict[str, Any]

# When on its day a gateway says it paid out.
_NINE: int = 9 * 3600

_RAZORPAY_TYPES = {"PAYMENT": "payment", "REFUND": "refund", "ADJUSTMENT": "adjustment"}
_PAYU_ACTIONS = {"PAYMENT": "capture", "REFUND": "refund", "ADJUSTMENT": "ADJ_SETTLEMENT"}
_PAYTM_TYPES = {"PAYMENT": "ACQUIRING", "REFUND": "REFUND", "ADJUSTMENT": "ADJUSTMENT"}


def reports(world: World) -> dict[str, list[Item]]:
    """Per gateway what it reports in the end."""
    return _items(world.payouts, late_utrs=True)


def early_reports(world: World) -> dict[str, list[Item]]:
    """The same while some transfers have no UTR yet; `late_reports` tells them again."""
    return _items(world.payouts, late_utrs=False)


def late_reports(world: World) -> dict[str, list[Item]]:
    """The settlements whose UTR is known only now."""
    return _items([payout for payout in world.payouts if payout.utr_later], late_utrs=True)


def _items(payouts: list[Payout], *, late_utrs: bool) -> dict[str, list[Item]]:
    made: dict[str, list[Item]] = {"razorpay": [], "payu": [], "paytm": []}
    writers = {"razorpay": _razorpay, "payu": _payu, "paytm": _paytm}
    for payout in payouts:
        utr = payout.raw_utr if payout.utr and (late_utrs or not payout.utr_later) else None
        paid_out = at_ist(payout.on, _NINE)
        made[payout.gateway].extend(writers[payout.gateway](payout, utr, paid_out))
    return made


def _razorpay(payout: Payout, utr: str | None, paid_out: datetime) -> Iterator[Item]:
    at = int(paid_out.timestamp())
    for line in payout.lines:
        capture = line.capture
        yield {
            "entity_id": line.entity_id,
            "type": _RAZORPAY_TYPES[line.kind],
            "debit": -line.net if line.net < 0 else 0,
            "credit": line.net if line.net > 0 else 0,
            "amount": line.gross,
            "currency": "INR",
            "fee": line.fee + line.tax,
            "tax": line.tax,
            "on_hold": False,
            "settled": True,
            "created_at": int(capture.at.timestamp()) if capture else at - 3600,
            "settled_at": at,
            "settlement_id": payout.settlement_id,
            "settlement_utr": utr if line.carries_utr else None,
            "payment_id": capture.entity_id if capture and line.kind == "REFUND" else None,
            "order_id": f"order_{capture.entity_id[4:]}" if capture else None,
            "order_receipt": capture.order_ref if capture else None,
            "method": capture.method if capture else None,
            "notes": {"transaction_id": capture.transaction_id, "merchant_id": capture.merchant_id}
            if capture
            else None,
        }


def _payu(payout: Payout, utr: str | None, paid_out: datetime) -> Iterator[Item]:
    # One batch has one UTR: an adjustment that carries none comes in a batch of its own.
    for carries in (True, False):
        rows = [_payu_row(payout, line, paid_out) for line in payout.lines if line.carries_utr is carries]
        if rows:
            yield {
                "settlementId": payout.settlement_id,
                "settlementCompletedDate": f"{paid_out:%Y-%m-%d %H:%M:%S}",
                "utrNumber": utr if carries else None,
                "merchantId": payout.merchant.merchant_id,
                "transaction": rows,
            }


def _payu_row(payout: Payout, line: PayoutLine, paid_out: datetime) -> Item:
    capture = line.capture
    adjusts = line.kind == "ADJUSTMENT"
    return {
        "action": _PAYU_ACTIONS[line.kind],
        "payuId": capture.entity_id if capture else line.entity_id,
        "requestId": line.entity_id,
        "merchantTransactionId": capture.transaction_id if capture else "",
        "transactionAmount": money(line.net if adjusts else line.gross),
        "merchantServiceFee": money(line.fee),
        "merchantServiceTax": money(line.tax),
        "merchantNetAmount": "" if adjusts else money(line.net),
        "transactionDate": f"{capture.at if capture else paid_out - timedelta(hours=1):%Y-%m-%d %H:%M:%S}",
        "mode": "UPI" if capture and capture.method == "upi" else "CC",
        "udf1": capture.merchant_id if capture else payout.merchant.merchant_id,
    }


def _paytm(payout: Payout, utr: str | None, paid_out: datetime) -> Iterator[Item]:
    for line in payout.lines:
        capture = line.capture
        # Refunds stand there positive; only an adjustment says its sign itself.
        settled = line.net if line.kind == "ADJUSTMENT" else abs(line.net)
        yield {
            "transactionId": line.entity_id,
            "orderId": capture.transaction_id if capture else None,
            "merchantUniqueRef": f"{capture.merchant_id}|{capture.order_ref}" if capture else None,
            "transactionDate": (capture.at if capture else paid_out - timedelta(hours=1)).isoformat(),
            "transactionType": _PAYTM_TYPES[line.kind],
            "status": "SUCCESS",
            "amount": money(line.gross),
            "commission": money(line.fee),
            "gst": money(line.tax),
            "settledAmount": money(settled),
            "utrNo": utr if line.carries_utr else None,
            "payoutId": payout.settlement_id,
            "payoutDate": f"{payout.on:%Y-%m-%d}",
            "settledDate": f"{paid_out:%Y-%m-%d %H:%M:%S}",
            "paymentMode": "UPI" if capture and capture.method == "upi" else "CC",
        }
