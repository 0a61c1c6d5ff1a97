"""Paytm: forms and signed JSON under its checksum, and the rows of its settlement detail."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from settlement.calendar import ist_date
from settlement.gateways import EntityType, Gateway, GatewayStatus, LineType
from settlement.money import ZERO
from settlement.versions import gateway_version
from webhook_intake import checksum
from webhook_intake.errors import ForgedError, MalformedError, UnreadableError
from webhook_intake.native import form, is_json, json_object, maybe, moment, rupees, text
from webhook_intake.records import Checked, Heard, Line, RefundFact, Word, settlement_line

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from decimal import Decimal

NAME = Gateway.PAYTM.value

_STATUS = {
    "TXN_SUCCESS": GatewayStatus.CAPTURED,
    "TXN_FAILURE": GatewayStatus.FAILED,
    "PENDING": GatewayStatus.PENDING,
}
_METHODS = {"PPI": "wallet", "UPI": "upi", "CC": "card", "DC": "card", "NB": "netbanking", "EMI": "emi"}
# Refunds and chargebacks may be written positive: the type gives the sign, and 0 means the row's own.
_LINE_TYPES = {
    "ACQUIRING": (LineType.PAYMENT, 1),
    "REFUND": (LineType.REFUND, -1),
    "CHARGEBACK": (LineType.ADJUSTMENT, -1),
    "REPAYMENT": (LineType.ADJUSTMENT, 1),
    "ADJUSTMENT": (LineType.ADJUSTMENT, 0),
}
# NEW is the one that Paytm's page shows; the others are its dashboard's words.
_DISPUTE_STATUS = {
    "NEW": GatewayStatus.OPEN,
    "OPEN": GatewayStatus.OPEN,
    "UNDER_REVIEW": GatewayStatus.UNDER_REVIEW,
    "DEFENDED": GatewayStatus.UNDER_REVIEW,
    "ACCEPTED": GatewayStatus.LOST,
    "LOST": GatewayStatus.LOST,
    "WON": GatewayStatus.WON,
    "CLOSED": GatewayStatus.CLOSED,
}
# The newer JSON spells the classic form's fields its own way.
_CLASSIC = {
    "mid": "MID",
    "orderId": "ORDERID",
    "txnId": "TXNID",
    "transactionId": "TXNID",
    "txnAmount": "TXNAMOUNT",
    "currency": "CURRENCY",
    "paymentMode": "PAYMENTMODE",
    "txnDate": "TXNDATE",
    "mercUnqRef": "MERC_UNQ_REF",
    "merchantUniqueRef": "MERC_UNQ_REF",
}


def check(headers: Mapping[str, str], body: bytes, sha256: str, mid: str, keys: Sequence[str]) -> Checked:
    """Verify a callback; JSON is signed over the text of its `body` exactly as sent."""
    content_type = headers.get("content-type", "")
    if is_json(content_type):
        signed, signature = _signed_text(body)
    else:
        fields = form(body)
        signed, signature = checksum.form_text(fields), fields.get("CHECKSUMHASH", "")
    fits = [checksum.verify_text(signed, signature, key) for key in keys]
    if not any(fits):
        raise ForgedError("the checksum fits neither the current nor the previous merchant key")
    said = read(content_type, body)
    if said.get("MID") not in (None, mid):
        raise ForgedError("the MID is not ours")
    about, status = ("payment", said.get("STATUS", ""))
    if said.get("disputeId"):
        about, status = f"dispute:{said['disputeId']}", said.get("disputeStatus", "")
    elif _is_refund(said):
        about = f"refund:{said.get('refundId')}"
    payment = f"{NAME}:{str(said.get('TXNID', '')).strip()}"
    return Checked(f"{payment}:{about}:{status}:{sha256[:16]}", said, about=payment)


def read(content_type: str, body: bytes) -> dict[str, Any]:
    """A callback's fields under the classic names."""
    if not is_json(content_type):
        return dict(form(body))
    said = json_object(body).get("body")
    if not isinstance(said, dict):
        raise MalformedError("body is missing")
    fields = {_CLASSIC.get(str(name), str(name)): value for name, value in said.items()}
    result = said.get("resultInfo")
    if "STATUS" not in fields and isinstance(result, dict):
        fields["STATUS"] = result.get("resultStatus")
    return fields


def hear(fields: dict[str, Any], received_at: datetime, sha256: str) -> Heard:
    """A payment's state, a refund of one, or a dispute about one."""
    if maybe(fields, "disputeId"):
        return Heard((_dispute(fields, received_at, sha256),))
    if _is_refund(fields):
        return _refund(fields, received_at, sha256)
    said = text(fields, "STATUS")
    status = _STATUS.get(said)
    if status is None:
        raise UnreadableError(f"STATUS {said!r} is none of {', '.join(_STATUS)}")
    at = moment(fields, "TXNDATE") if maybe(fields, "TXNDATE") else received_at
    amount = rupees(fields, "TXNAMOUNT")
    merchant_id, order_ref = _references(fields)
    word = Word(
        gateway=NAME,
        entity_type=EntityType.PAYMENT,
        entity_id=text(fields, "TXNID"),
        transaction_id=text(fields, "ORDERID"),
        order_ref=order_ref,
        merchant_id=merchant_id,
        status=status,
        method=_METHODS.get(maybe(fields, "PAYMENTMODE") or ""),
        currency=maybe(fields, "CURRENCY") or "INR",
        amount=amount,
        net=amount if status is GatewayStatus.CAPTURED else ZERO,
        occurred_at=at,
        paid_on=ist_date(at),
        raw_sha256=sha256,
        version=gateway_version(status, at),
    )
    return Heard((word,))


def line(row: dict[str, Any], sha256: str) -> Line:
    """A row of the settlement detail."""
    kind = text(row, "transactionType").upper()
    if kind not in _LINE_TYPES:
        raise UnreadableError(f"transactionType {kind!r} is none of {', '.join(_LINE_TYPES)}")
    line_type, sign = _LINE_TYPES[kind]
    gross = rupees(row, "amount")
    fee = rupees(row, "commission", missing=ZERO)
    tax = rupees(row, "gst", missing=ZERO)
    merchant_id, order_ref = _references({"MERC_UNQ_REF": row.get("merchantUniqueRef")})
    entity_id = text(row, "transactionId")
    return settlement_line(
        gateway=NAME,
        name=f"{kind}/{entity_id}",
        entity_id=entity_id,
        line_type=line_type,
        transaction_id=maybe(row, "orderId"),
        order_ref=order_ref,
        merchant_id=merchant_id,
        method=_METHODS.get(maybe(row, "paymentMode") or ""),
        amount=gross,
        fee=fee,
        tax=tax,
        net=_net(row, gross, fee, tax, sign),
        settlement_id=text(row, "payoutId"),
        utr_raw=maybe(row, "utrNo"),
        # The payout's date is the business date; the time within it may be missing.
        settled_at=moment(row, "settledDate" if maybe(row, "settledDate") else "payoutDate"),
        settled_on=ist_date(moment(row, "payoutDate")),
        paid_at=moment(row, "transactionDate") if line_type is LineType.PAYMENT else None,
        raw_sha256=sha256,
    )


def _net(row: dict[str, Any], gross: Decimal, fee: Decimal, tax: Decimal, sign: int) -> Decimal:
    if sign > 0:
        return rupees(row, "settledAmount", missing=gross - fee - tax)
    if sign < 0:
        return -abs(rupees(row, "settledAmount", missing=gross))
    return rupees(row, "settledAmount", missing=gross)


def _refund(fields: dict[str, Any], received_at: datetime, sha256: str) -> Heard:
    """Paytm says what was refunded in all, so events that come out of order do no harm."""
    failed = (maybe(fields, "STATUS") or "SUCCESS") not in ("SUCCESS", "TXN_SUCCESS")
    status = GatewayStatus.FAILED if failed else GatewayStatus.REFUNDED
    name = next(
        (one for one in ("userCreditInitiateTimestamp", "acceptRefundTimestamp") if maybe(fields, one)), None
    )
    at = moment(fields, name) if name else received_at
    amount = rupees(fields, "refundAmount")
    merchant_id, order_ref = _references(fields)
    refund_id = text(fields, "refundId")
    word = Word(
        gateway=NAME,
        entity_type=EntityType.REFUND,
        entity_id=refund_id,
        transaction_id=text(fields, "ORDERID"),
        order_ref=order_ref,
        merchant_id=merchant_id,
        status=status,
        amount=amount,
        net=ZERO if failed else -amount,
        occurred_at=at,
        raw_sha256=sha256,
        version=gateway_version(status, at),
    )
    if failed:
        return Heard((word,))
    total = rupees(fields, "totalRefundAmount") if maybe(fields, "totalRefundAmount") else None
    return Heard((word,), (RefundFact(text(fields, "TXNID"), refund_id, amount, at, total),))


def _dispute(fields: dict[str, Any], received_at: datetime, sha256: str) -> Word:
    """A chargeback; Paytm says no time of its own for it, and what it takes comes in a settlement line."""
    said = text(fields, "disputeStatus").upper()
    status = _DISPUTE_STATUS.get(said)
    if status is None:
        raise UnreadableError(f"disputeStatus {said!r} is none of {', '.join(_DISPUTE_STATUS)}")
    due = maybe(fields, "disputeDueDate")
    return Word(
        gateway=NAME,
        entity_type=EntityType.DISPUTE,
        entity_id=text(fields, "disputeId"),
        payment_id=text(fields, "TXNID"),
        transaction_id=maybe(fields, "ORDERID"),
        status=status,
        amount=rupees(fields, "disputeAmount"),
        phase="chargeback",
        reason_code=maybe(fields, "disputeType"),
        respond_by=moment(fields, "disputeDueDate") if due else None,
        occurred_at=received_at,
        raw_sha256=sha256,
        version=gateway_version(status, received_at),
    )


def _is_refund(fields: Mapping[str, Any]) -> bool:
    return bool(fields.get("refundId"))


def _references(fields: dict[str, Any]) -> tuple[str | None, str | None]:
    """Our merchant and order, which we send along as `merchant|order`."""
    said = maybe(fields, "MERC_UNQ_REF")
    if said is None:
        return None, None
    merchant, _, order = said.partition("|")
    return merchant or None, order or None


def _signed_text(body: bytes) -> tuple[str, str]:
    """The text of `body` as it stands in the request, and head.signature."""
    try:
        whole = body.decode("utf-8")
        spans = _spans(whole)
        head = json.loads(whole[slice(*spans["head"])])
        signature = head["signature"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise MalformedError(f"no signed JSON: {type(error).__name__}") from None
    if "body" not in spans or not isinstance(signature, str):
        raise MalformedError("no signed JSON: body or signature is missing")
    return whole[slice(*spans["body"])], signature


def _spans(whole: str) -> dict[str, tuple[int, int]]:
    """Where each value of a JSON object begins and ends in its text; a name given twice is refused."""
    decoder = json.JSONDecoder()
    spans: dict[str, tuple[int, int]] = {}
    at = _skip(whole, 0, "{")
    while True:
        name, at = decoder.raw_decode(whole, _skip(whole, at))
        begin = _skip(whole, _skip(whole, at, ":"))
        _, at = decoder.raw_decode(whole, begin)
        if not isinstance(name, str) or name in spans:
            raise ValueError("a name is given twice")
        spans[name] = (begin, at)
        at = _skip(whole, at)
        if whole[at : at + 1] == "}":
            return spans
        at = _skip(whole, at, ",")


def _skip(whole: str, at: int, sign: str = "") -> int:
    while at < len(whole) and whole[at] in " \t\r\n":
        at += 1
    if sign:
        if whole[at : at + 1] != sign:
            raise ValueError(f"expected {sign}")
        at += 1
    return at
