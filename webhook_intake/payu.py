"""PayU: forms (and JSON for refunds) under a reverse hash, and the batches of its settlement range.

The hash does not cover `mihpayid`: whoever has seen one signed notice can send it again under another id.
PayU's own advice is to accept its webhooks from its addresses only; do that in front of this server.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING, Any

from settlement.calendar import ist_date
from settlement.gateways import EntityType, Gateway, GatewayStatus, LineType
from settlement.masking import has_card_number
from settlement.money import ZERO
from settlement.versions import gateway_version
from webhook_intake.errors import ForgedError, MalformedError, UnreadableError
from webhook_intake.native import form, is_json, json_object, maybe, moment, rupees, text
from webhook_intake.records import Checked, Heard, Line, RefundFact, Word, settlement_line

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from decimal import Decimal

NAME = Gateway.PAYU.value

_PAYMENT_STATUS = {
    ("success", "captured"): GatewayStatus.CAPTURED,
    ("success", "auth"): GatewayStatus.AUTHORIZED,
    ("failure", ""): GatewayStatus.FAILED,
    ("pending", ""): GatewayStatus.PENDING,
}
_REFUND_STATUS = {
    "success": GatewayStatus.REFUNDED,
    "failure": GatewayStatus.FAILED,
    "queued": GatewayStatus.PENDING,
    "pending": GatewayStatus.PENDING,
}
# The lists spell one word for what a notice says in two.
_LISTED = {
    "success": ("success", "captured"),
    "captured": ("success", "captured"),
    "auth": ("success", "auth"),
    "failure": ("failure", "failed"),
    "failed": ("failure", "failed"),
    "bounced": ("failure", "bounced"),
    "dropped": ("failure", "dropped"),
    "usercancelled": ("failure", "userCancelled"),
    "pending": ("pending", "pending"),
    "in progress": ("pending", "in progress"),
    "initiated": ("pending", "initiated"),
}
_LISTED_REFUND = {"in progress": "pending", "requested": "pending"}
_METHODS = {
    "CC": "card",
    "DC": "card",
    "NB": "netbanking",
    "UPI": "upi",
    "SBQR": "upi",
    "INTENT": "upi",
    "CASH": "wallet",
    "WALLET": "wallet",
    "EMI": "emi",
}
# PayU words a chargeback's status freely ("Bank Comm Sent"): the first of these that is in it decides.
_DISPUTE_STATUS = (
    (("won", "win", "reversed"), GatewayStatus.WON),
    (("lost", "loss", "debited", "accepted"), GatewayStatus.LOST),
    (("closed",), GatewayStatus.CLOSED),
    (("awaited", "required", "insufficient"), GatewayStatus.ACTION_REQUIRED),
    (("sent", "review", "submitted", "process"), GatewayStatus.UNDER_REVIEW),
    (("open", "new", "received", "raised", "pending"), GatewayStatus.OPEN),
)
# What each action means and which way it moves money; ADJ_… carries its own sign.
_ACTIONS = {
    "capture": (LineType.PAYMENT, 1),
    "refund": (LineType.REFUND, -1),
    "cancel": (LineType.REFUND, -1),
    "chargeback": (LineType.ADJUSTMENT, -1),
    "chargebackreversal": (LineType.ADJUSTMENT, 1),
    "refundreversal": (LineType.ADJUSTMENT, 1),
}
# PayU writes two to five decimals in its settlement rows.
_PLACES = 5
_HASHED = (
    "udf5",
    "udf4",
    "udf3",
    "udf2",
    "udf1",
    "email",
    "firstname",
    "productinfo",
    "amount",
    "txnid",
    "key",
)


def reverse_hash(fields: Mapping[str, str], salt: str) -> str:
    """The hash PayU puts on a notice: the fields as received, missing ones empty."""
    split = fields.get("splitInfo", "")
    charges = fields.get("additional_charges") or fields.get("additionalCharges") or ""
    parts = [charges] if charges else []
    parts += [salt, fields.get("status", "")]
    if split:
        parts.append(split)
    # udf10 to udf6 are never sent: six separators between the status (or the split) and udf5.
    parts += [""] * 5
    parts += [fields.get(name, "") for name in _HASHED]
    return hashlib.sha512("|".join(parts).encode("utf-8", "surrogateescape")).hexdigest()


def refund_hash(fields: Mapping[str, str], salt: str) -> str:
    """A refund notice's hash: the same, with the refund's amount and the payment's txnid."""
    said = {**fields, "txnid": fields.get("merchantTxnId", ""), "amount": fields.get("amt", "")}
    return reverse_hash(said, salt)


def check(headers: Mapping[str, str], body: bytes, sha256: str, key: str, salts: Sequence[str]) -> Checked:
    """Verify a notice; its hash stands over fields, so they are taken apart first."""
    fields = read(headers.get("content-type", ""), body)
    said = {
        name: value if isinstance(value, str) else str(value)
        for name, value in fields.items()
        if value is not None
    }
    expected = refund_hash if _is_refund(fields) else reverse_hash
    given = said.get("hash", "").lower().encode("utf-8", "replace")
    fits = [hmac.compare_digest(expected(said, salt).encode(), given) for salt in salts]
    if not any(fits) or said.get("key") != key:
        raise ForgedError("the hash fits neither the current nor the previous salt, or the key is not ours")
    if has_card_number(said.get("card_no", "")):
        # PayU masks it; one that is not masked must not be written anywhere.
        raise MalformedError("card_no holds a card number")
    # PayU has no event ids: a payment and its state, or a refund request and its state, is one event.
    about = f"refund:{said.get('request_id', '')}" if _is_refund(fields) else "payment"
    status = said.get("status", "")
    if "cb_id" in said:
        about, status = f"dispute:{said['cb_id']}", said.get("cb_status", "")
    payment = (said.get("mihpayid") or said.get("txn_id", "")).strip()
    key = f"{NAME}:{payment}:{about}:{status}:{sha256[:16]}"
    return Checked(key, fields, about=f"{NAME}:{payment}")


def read(content_type: str, body: bytes) -> dict[str, Any]:
    """A notice's fields, whichever way PayU sent them."""
    return json_object(body) if is_json(content_type) else dict(form(body))


def hear(fields: dict[str, Any], received_at: datetime, sha256: str) -> Heard:
    """A payment's state, or a refund of one."""
    if _is_refund(fields):
        return _refund(fields, received_at, sha256)
    if maybe(fields, "cb_id"):
        return Heard((_dispute(fields, received_at, sha256),))
    status = _payment_status(fields)
    amount = rupees(fields, "amount")
    at = moment(fields, "addedon")
    word = Word(
        gateway=NAME,
        entity_type=EntityType.PAYMENT,
        entity_id=text(fields, "mihpayid"),
        transaction_id=text(fields, "txnid"),
        order_ref=maybe(fields, "udf2"),
        merchant_id=maybe(fields, "udf1"),
        status=status,
        method=_METHODS.get((maybe(fields, "mode") or "").upper()),
        amount=amount,
        net=amount if status is GatewayStatus.CAPTURED else ZERO,
        occurred_at=at,
        paid_on=ist_date(at),
        raw_sha256=sha256,
        version=gateway_version(status, at),
    )
    return Heard((word,))


def list_status(row: Mapping[str, Any]) -> tuple[str, str]:
    """A listed payment's status and unmappedstatus; a word that is not known is left as it is."""
    said = str(row.get("status", "")).lower()
    if said == "success" and str(row.get("action", "")).lower() == "auth":
        said = "auth"
    return _LISTED.get(said, (said, said))


def refund_list_status(row: Mapping[str, Any]) -> str:
    """A listed refund's status as a notice has it."""
    said = str(row.get("Status", "")).lower()
    return _LISTED_REFUND.get(said, said)


def lines(batch: dict[str, Any], sha256: str) -> list[Line | tuple[dict[str, Any], str]]:
    """A settlement batch's rows; one that cannot be read comes back with why, its neighbours go on."""
    found: list[Line | tuple[dict[str, Any], str]] = []
    for row in batch.get("transaction") or []:
        try:
            found.append(_line(batch, row, sha256))
        except UnreadableError as error:
            found.append(({**batch, "transaction": [row]}, str(error)))
    return found


def _line(batch: dict[str, Any], row: dict[str, Any], sha256: str) -> Line:
    action = text(row, "action")
    line_type, sign = _ACTIONS.get(action.lower(), (LineType.ADJUSTMENT, 0))
    if not sign and not action.upper().startswith("ADJ"):
        raise UnreadableError(f"action {action!r} is none of {', '.join(_ACTIONS)} or ADJ_…")
    gross = rupees(row, "transactionAmount", places=_PLACES)
    fee = rupees(row, "merchantServiceFee", places=_PLACES, missing=ZERO)
    tax = rupees(row, "merchantServiceTax", places=_PLACES, missing=ZERO)
    # PayU's own net is what it paid; it leaves it empty on adjustments.
    default = gross if not sign else gross - fee - tax
    net = rupees(row, "merchantNetAmount", places=_PLACES, missing=default)
    entity_id = text(row, "payuId")
    return settlement_line(
        gateway=NAME,
        name=f"{action}/{entity_id}/{maybe(row, 'requestId') or '-'}",
        entity_id=entity_id,
        line_type=line_type,
        transaction_id=maybe(row, "merchantTransactionId"),
        merchant_id=maybe(row, "udf1"),
        method=_METHODS.get((maybe(row, "mode") or "").upper()),
        amount=gross,
        fee=fee,
        tax=tax,
        net=_signed(net, sign),
        settlement_id=text(batch, "settlementId"),
        utr_raw=maybe(batch, "utrNumber"),
        settled_at=moment(batch, "settlementCompletedDate"),
        paid_at=moment(row, "transactionDate") if line_type is LineType.PAYMENT else None,
        raw_sha256=sha256,
        payment_id=maybe(row, "parentPayuId"),
    )


def _refund(fields: dict[str, Any], received_at: datetime, sha256: str) -> Heard:
    said = text(fields, "status").lower()
    status = _REFUND_STATUS.get(said)
    if status is None:
        raise UnreadableError(f"status {said!r} is none of {', '.join(_REFUND_STATUS)}")
    amount = rupees(fields, "amt")
    payment_id, refund_id = text(fields, "mihpayid"), text(fields, "request_id")
    word = Word(
        gateway=NAME,
        entity_type=EntityType.REFUND,
        entity_id=refund_id,
        transaction_id=text(fields, "merchantTxnId"),
        status=status,
        amount=amount,
        net=-amount if status is GatewayStatus.REFUNDED else ZERO,
        # The notice has no time of its own: when it was first kept is the same in every replay.
        occurred_at=received_at,
        raw_sha256=sha256,
        version=gateway_version(status, received_at),
    )
    if status is not GatewayStatus.REFUNDED:
        return Heard((word,))
    return Heard((word,), (RefundFact(payment_id, refund_id, amount, received_at),))


def _dispute(fields: dict[str, Any], received_at: datetime, sha256: str) -> Word:
    """A chargeback as PayU tells it; what it takes comes in a settlement line."""
    said = text(fields, "cb_status").lower()
    status = next((status for words, status in _DISPUTE_STATUS if any(one in said for one in words)), None)
    if status is None:
        raise UnreadableError(f"cb_status {said!r} is not known")
    at = moment(fields, "updated_at") if maybe(fields, "updated_at") else received_at
    return Word(
        gateway=NAME,
        entity_type=EntityType.DISPUTE,
        entity_id=text(fields, "cb_id"),
        payment_id=maybe(fields, "mihpayid") or text(fields, "txn_id"),
        status=status,
        amount=rupees(fields, "cb_amount"),
        phase=maybe(fields, "cb_type"),
        reason_code=maybe(fields, "reason_code"),
        respond_by=moment(fields, "due_date") if maybe(fields, "due_date") else None,
        occurred_at=at,
        raw_sha256=sha256,
        version=gateway_version(status, at),
    )


def _is_refund(fields: Mapping[str, Any]) -> bool:
    return fields.get("action") == "refund"


def _payment_status(fields: dict[str, Any]) -> GatewayStatus:
    said = text(fields, "status").lower()
    unmapped = (maybe(fields, "unmappedstatus") or "captured").lower()
    status = _PAYMENT_STATUS.get((said, unmapped)) or _PAYMENT_STATUS.get((said, ""))
    if status is None:
        raise UnreadableError(f"status {said!r} with unmappedstatus {unmapped!r} is not known")
    return status


def _signed(net: Decimal, sign: int) -> Decimal:
    """The sign comes from the action; a capture may still net below zero after its fees."""
    return -abs(net) if sign < 0 else net
