"""Rows as the topics carry them, from the few fields that a case is about; everything else is ordinary."""

from __future__ import annotations

import base64
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from settlement.versions import CUTOFF_RANKS, bank_version, cutoff_version, gateway_version, tick_version

if TYPE_CHECKING:
    from collections.abc import Callable

Row = dict[str, Any]
_NOON = "T06:30:00"  # UTC: noon in India


def _change(row: Row, key: tuple[str, ...], given: Row) -> Row:
    op = given.get("op", "c")
    row |= {name: value for name, value in given.items() if name not in ("op", "lsn", "snapshot", "epoch")}
    return {
        "before": {name: row[name] for name in key} if op == "d" else None,
        "after": None if op == "d" else row,
        "source": {"lsn": given.get("lsn", 1000), "snapshot": given.get("snapshot", "false")},
        "op": op,
        "headers": {"settle.epoch": base64.b64encode(str(given.get("epoch", 1)).encode()).decode()},
    }


def transaction(given: Row) -> Row:
    """A change of one of our transactions; `paid_on` is its business date."""
    given = dict(given)
    day = given.pop("paid_on", "2026-01-05")
    row: Row = {
        "transaction_id": None,
        "merchant_id": "M1",
        "order_ref": None,
        "gateway": "razorpay",
        "method": "upi",
        "amount": "100.00",
        "currency": "INR",
        "status": "SUCCESS",
        "refunded_amount": "0.00",
        "paid_at": f"{day}{_NOON}.123456Z",
        "updated_at": f"{day}{_NOON}Z",
        "note": None,
    }
    return _change(row, ("transaction_id",), given)


def merchant(given: Row) -> Row:
    """A change of a merchant."""
    row: Row = {
        "merchant_id": "M1",
        "merchant_name": "Tea House",
        "settlement_cycle": 2,
        "status": "ACTIVE",
        "account_number": "************",
        "updated_at": f"2026-01-01{_NOON}Z",
    }
    return _change(row, ("merchant_id",), given)


def response(given: Row) -> Row:
    """A change of a gateway's answer."""
    row: Row = {
        "response_id": None,
        "transaction_id": None,
        "gateway": "razorpay",
        "gateway_txn_id": None,
        "response_code": "00",
        "response_message": "ok",
        "bank_ref": None,
        "received_at": f"2026-01-05{_NOON}Z",
    }
    return _change(row, ("response_id", "transaction_id"), given)


def gateway_record(given: Row) -> Row:
    """A word of a gateway: a payment, or with a settlement a line of its report; `at` orders equal ranks."""
    line = "settlement_id" in given or "line_type" in given
    at = datetime.fromtimestamp(1_767_600_000 + given.get("at", 0), UTC)
    row: Row = {
        "gateway": "razorpay",
        "entity_type": "SETTLEMENT_LINE" if line else "PAYMENT",
        "entity_id": given["id"],
        "line_type": "PAYMENT" if line else None,
        "transaction_id": None,
        "order_ref": None,
        "merchant_id": "M1",
        "status": "SETTLED" if line else "CAPTURED",
        "method": "upi",
        "currency": "INR",
        "amount": "100.00",
        "fee": "0.00",
        "tax": "0.00",
        "refunded_amount": "0.00",
        "settlement_id": None,
        "utr": None,
        "settled_on": "2026-01-07" if line else None,
        "bank": "HDFC" if line else None,
        "occurred_at": "2026-01-05T06:30:00",
        "paid_on": None if line else "2026-01-05",
        "origin": "POLL" if line else "WEBHOOK",
        "raw_sha256": "0" * 64,
        "op": "u",
        "position": 0,
        "payment_id": None,
        "dispute_id": None,
        "phase": None,
        "reason_code": None,
        "respond_by": None,
    }
    row |= {name: value for name, value in given.items() if name not in ("id", "at")}
    row.setdefault("net", row["amount"])
    row["utr_raw"] = row["utr"]
    row["record_id"] = f"{row['gateway']}:{row['entity_type']}:{row['entity_id']}"
    row["version"] = gateway_version(row["status"], at)
    return row


def movement(given: Row) -> Row:
    """A line of a bank's statement."""
    row: Row = {
        "bank": "HDFC",
        "business_date": "2026-01-07",
        "revision": 1,
        "line_no": 1,
        "utr": None,
        "settlement_ref": None,
        "direction": "CR",
        "amount": "100.00",
        "currency": "INR",
        "value_date": "2026-01-07",
        "account": None,
        "narration": None,
        "op": "u",
    }
    row |= given
    file = f"{row['bank']}|{row['business_date']}|10:00"
    return row | {
        "record_id": f"{file}|{row['line_no']}|{row['utr'] or ''}",
        "file_id": file,
        "file_name": "statement.csv",
        "sha256": "0" * 64,
        "utr_raw": row["utr"],
        "version": bank_version(date.fromisoformat(row["business_date"]), row["revision"]),
        "position": row["line_no"],
    }


def cutoff(given: Row) -> Row:
    """A word about what a bank owes for a cutoff; an arrival's is the first unless `number` tells another."""
    given = dict(given)
    number = given.pop("number", 1)
    row: Row = {"bank": "HDFC", "business_date": "2026-01-07", "cutoff": "10:00", "cutoffs_in_day": 1} | given
    return row | {
        "cutoff_id": f"{row['bank']}|{row['business_date']}|{row['cutoff']}",
        "due_at": f"{row['business_date']}T04:30:00",
        "at": f"{row['business_date']}T04:30:00",
        "op": "u",
        "version": cutoff_version(
            row["status"],
            None if row["status"] in CUTOFF_RANKS else number,
            late=bool(row.get("late")),
        ),
        "position": 0,
    }


def tick(given: Row) -> Row:
    """A business date opens, or with `closed` it closes."""
    day = given["business_date"]
    closed = given.get("closed", True)
    return {
        "tick_id": f"IN|{day}",
        "calendar": "IN",
        "business_date": day,
        "is_business_day": True,
        "closed": closed,
        "at": f"{day}T18:00:00",
        "op": "u",
        "version": tick_version(datetime.fromisoformat(f"{day}T18:00:00+00:00")) + closed,
        "position": 0,
    }


# Table → how a short row becomes a whole one.
BUILDERS: dict[str, Callable[[Row], Row]] = {
    "transaction_changes": transaction,
    "merchant_changes": merchant,
    "response_changes": response,
    "gateway_record_log": gateway_record,
    "bank_record_log": movement,
    "cutoff_log": cutoff,
    "tick_log": tick,
}
