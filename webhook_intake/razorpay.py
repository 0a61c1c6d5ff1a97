"""Razorpay: signed JSON events in paise, and the rows of its settlement recon.

The signature is HMAC-SHA256 over the raw body, so the body is verified before it is parsed. An event is a
snapshot: its own time orders it among those of one payment.
"""

from __future__ import annotations

import hashlib
import hmac
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import orjson

from settlement.calendar import ist_date
from settlement.errors import SettlementError
from settlement.gateways import EntityType, Gateway, GatewayStatus, LineType
from settlement.money import ZERO, from_minor
from settlement.versions import gateway_version
from webhook_intake.errors import ForgedError, UnreadableError
from webhook_intake.native import from_epoch, maybe, normal_utr, text
from webhook_intake.records import Checked, Heard, Line, Word, settlement_line

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from decimal import Decimal

NAME = Gateway.RAZORPAY.value

_PAYMENT_STATUS = {
    "created": GatewayStatus.CREATED,
    "authorized": GatewayStatus.AUTHORIZED,
    "captured": GatewayStatus.CAPTURED,
    "refunded": GatewayStatus.REFUNDED,
    "failed": GatewayStatus.FAILED,
}
_REFUND_STATUS = {
    "created": GatewayStatus.PENDING,
    "pending": GatewayStatus.PENDING,
    "processed": GatewayStatus.REFUNDED,
    "failed": GatewayStatus.FAILED,
}
_DISPUTE_STATUS = {
    "open": GatewayStatus.OPEN,
    "under_review": GatewayStatus.UNDER_REVIEW,
    "won": GatewayStatus.WON,
    "lost": GatewayStatus.LOST,
    "closed": GatewayStatus.CLOSED,
}
# The event says what the dispute's own status leaves out: the bank wants more from us.
_ACTION_REQUIRED = "payment.dispute.action_required"
# A transfer moves settled money on to somebody else: for the sum of a settlement it is an adjustment.
_LINE_TYPES = {
    "payment": LineType.PAYMENT,
    "refund": LineType.REFUND,
    "adjustment": LineType.ADJUSTMENT,
    "transfer": LineType.ADJUSTMENT,
}


# Bytes that SHA-256 takes at a time.
_BLOCK = 64


def sign(body: bytes, secret: str) -> str:
    """The X-Razorpay-Signature of a body."""
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


class _Key:
    """A secret's HMAC-SHA256, begun once: what stands before the body is the same for every body."""

    def __init__(self, secret: str) -> None:
        key = secret.encode()
        block = (hashlib.sha256(key).digest() if len(key) > _BLOCK else key).ljust(_BLOCK, b"\0")
        self._inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in block))
        self._outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in block))

    def fits(self, body: bytes, given: bytes) -> bool:
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(body)
        outer.update(inner.digest())
        return hmac.compare_digest(outer.hexdigest().encode(), given)


_key = lru_cache(maxsize=8)(_Key)


def check(headers: Mapping[str, str], body: bytes, sha256: str, secrets: Sequence[str]) -> Checked:
    """Verify a webhook over its raw bytes; what cannot be read although signed is kept with its problem."""
    given = headers.get("x-razorpay-signature", "").encode("utf-8", "replace")
    # Every secret is tried, so that the time says nothing about which one fits.
    fits = [_key(secret).fits(body, given) for secret in secrets]
    if not any(fits):
        raise ForgedError("the signature fits neither the current nor the previous secret")
    # The event id is not signed: with the body's hash beside it, a forged id can neither hide nor double
    # anything.
    key = f"{NAME}:{headers.get('x-razorpay-event-id', '')[:64]}:{sha256[:16]}"
    try:
        event = read(headers.get("content-type", ""), body)
        return Checked(key, event, about=_about(event))
    except UnreadableError as error:
        return Checked(key, problem=str(error))


def read(content_type: str, body: bytes) -> Any:  # noqa: ARG001 - every gateway's reader is asked alike
    """The event as it was sent."""
    try:
        event = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise UnreadableError(f"not JSON: {error}") from error
    if not isinstance(event, dict):
        raise UnreadableError("not a JSON object")
    return event


def hear(event: Any, received_at: datetime, sha256: str) -> Heard:  # noqa: ARG001 - the event has its own time
    """The payment, the refund and the dispute an event speaks of; other entities change nothing here."""
    at = from_epoch(event, "created_at")
    payload = event.get("payload")
    if not isinstance(payload, dict):
        raise UnreadableError("payload is missing")
    payment = _entity(payload, "payment")
    refund = _entity(payload, "refund")
    words = []
    if payment is not None:
        words.append(_payment(payment, at, sha256))
    if refund is not None:
        words.append(_refund(refund, payment, at, sha256))
    dispute = _entity(payload, "dispute")
    if dispute is not None:
        words.append(_dispute(dispute, payment, at, sha256, needs_us=event.get("event") == _ACTION_REQUIRED))
    return Heard(tuple(words))


def line(item: dict[str, Any], sha256: str) -> Line | None:
    """A row of the settlement recon; None while it is not settled."""
    if not item.get("settled", False):
        return None
    kind = text(item, "type")
    line_type = _LINE_TYPES.get(kind)
    if line_type is None:
        raise UnreadableError(f"type {kind!r} is none of {', '.join(_LINE_TYPES)}")
    entity_id = text(item, "entity_id")
    notes = _notes(item)
    fee, tax = _fee_and_tax(item)
    return settlement_line(
        gateway=NAME,
        name=f"{kind}/{entity_id}",
        entity_id=entity_id,
        line_type=line_type,
        transaction_id=maybe(notes, "transaction_id"),
        order_ref=maybe(item, "order_receipt"),
        merchant_id=maybe(notes, "merchant_id"),
        method=maybe(item, "method"),
        currency=text(item, "currency"),
        amount=_paise(item, "amount"),
        fee=fee,
        tax=tax,
        # What moved, by the gateway's own columns: for a payment this is amount − fee − tax.
        net=_paise(item, "credit") - _paise(item, "debit"),
        settlement_id=text(item, "settlement_id"),
        utr_raw=maybe(item, "settlement_utr"),
        settled_at=from_epoch(item, "settled_at"),
        paid_at=from_epoch(item, "created_at") if line_type is LineType.PAYMENT else None,
        raw_sha256=sha256,
        payment_id=maybe(item, "payment_id"),
        dispute_id=maybe(item, "dispute_id"),
    )


def _about(event: dict[str, Any]) -> str | None:
    """The payment an event speaks of, if any; what cannot be found here is said when the event is heard."""
    payload = _object(event, "payload")
    payment = _object(_object(payload, "payment"), "entity").get("id")
    if payment is None:
        payment = _object(_object(payload, "dispute"), "entity").get("payment_id")
    return f"{NAME}:{payment[:64]}" if isinstance(payment, str) else None


def _payment(payment: dict[str, Any], at: datetime, sha256: str) -> Word:
    status = _status(payment, _PAYMENT_STATUS)
    notes = _notes(payment)
    amount = _paise(payment, "amount")
    fee, tax = _fee_and_tax(payment)
    captured = status in (GatewayStatus.CAPTURED, GatewayStatus.REFUNDED)
    return Word(
        gateway=NAME,
        entity_type=EntityType.PAYMENT,
        entity_id=text(payment, "id"),
        transaction_id=maybe(notes, "transaction_id"),
        order_ref=maybe(notes, "order_ref"),
        merchant_id=maybe(notes, "merchant_id"),
        status=status,
        method=maybe(payment, "method"),
        currency=text(payment, "currency"),
        amount=amount,
        fee=fee,
        tax=tax,
        net=amount - fee - tax if captured else ZERO,
        refunded_amount=_paise(payment, "amount_refunded"),
        occurred_at=at,
        paid_on=ist_date(from_epoch(payment, "created_at")),
        raw_sha256=sha256,
        version=gateway_version(status, at),
    )


def _refund(refund: dict[str, Any], payment: dict[str, Any] | None, at: datetime, sha256: str) -> Word:
    status = _status(refund, _REFUND_STATUS)
    amount = _paise(refund, "amount")
    notes = {**_notes(payment or {}), **_notes(refund)}
    utr_raw = maybe(_object(refund, "acquirer_data"), "utr")
    return Word(
        gateway=NAME,
        entity_type=EntityType.REFUND,
        entity_id=text(refund, "id"),
        transaction_id=maybe(notes, "transaction_id"),
        order_ref=maybe(notes, "order_ref"),
        merchant_id=maybe(notes, "merchant_id"),
        status=status,
        method=maybe(payment or {}, "method"),
        currency=text(refund, "currency"),
        amount=amount,
        net=-amount if status is GatewayStatus.REFUNDED else ZERO,
        utr=normal_utr(utr_raw),
        utr_raw=utr_raw,
        occurred_at=at,
        paid_on=ist_date(from_epoch(payment, "created_at")) if payment else None,
        raw_sha256=sha256,
        version=gateway_version(status, at),
    )


def _dispute(
    dispute: dict[str, Any], payment: dict[str, Any] | None, at: datetime, sha256: str, *, needs_us: bool
) -> Word:
    """A dispute, and what it has taken: at its onset or when it is lost; nothing once it is won."""
    status = _status(dispute, _DISPUTE_STATUS)
    if needs_us and status in (GatewayStatus.OPEN, GatewayStatus.UNDER_REVIEW):
        status = GatewayStatus.ACTION_REQUIRED
    taken = ZERO if status is GatewayStatus.WON else _paise(dispute, "amount_deducted")
    notes = _notes(payment or {})
    return Word(
        gateway=NAME,
        entity_type=EntityType.DISPUTE,
        entity_id=text(dispute, "id"),
        payment_id=text(dispute, "payment_id"),
        transaction_id=maybe(notes, "transaction_id"),
        order_ref=maybe(notes, "order_ref"),
        merchant_id=maybe(notes, "merchant_id"),
        status=status,
        method=maybe(payment or {}, "method"),
        currency=text(dispute, "currency"),
        amount=_paise(dispute, "amount"),
        net=-taken if taken else ZERO,
        phase=maybe(dispute, "phase"),
        reason_code=maybe(dispute, "reason_code"),
        respond_by=from_epoch(dispute, "respond_by") if dispute.get("respond_by") else None,
        occurred_at=at,
        paid_on=ist_date(from_epoch(payment, "created_at")) if payment else None,
        raw_sha256=sha256,
        version=gateway_version(status, at),
    )


def _entity(payload: dict[str, Any], name: str) -> dict[str, Any] | None:
    wrapped = payload.get(name)
    if wrapped is None:
        return None
    entity = wrapped.get("entity") if isinstance(wrapped, dict) else None
    if not isinstance(entity, dict):
        raise UnreadableError(f"payload.{name}.entity is missing")
    return entity


def _status(entity: dict[str, Any], known: Mapping[str, GatewayStatus]) -> GatewayStatus:
    said = text(entity, "status")
    status = known.get(said)
    if status is None:
        raise UnreadableError(f"status {said!r} is none of {', '.join(known)}")
    return status


def _object(row: dict[str, Any], name: str) -> dict[str, Any]:
    """An object; Razorpay writes an empty one as []."""
    found = row.get(name)
    return found if isinstance(found, dict) else {}


def _notes(row: dict[str, Any]) -> dict[str, Any]:
    return _object(row, "notes")


def _paise(row: dict[str, Any], name: str) -> Decimal:
    try:
        return from_minor(row.get(name) or 0)
    except SettlementError as error:
        raise UnreadableError(f"{name}: {error}") from error


def _fee_and_tax(row: dict[str, Any]) -> tuple[Decimal, Decimal]:
    """Razorpay's fee includes the tax, and both are null before capture; ours stand apart."""
    tax = _paise(row, "tax")
    return _paise(row, "fee") - tax, tax
