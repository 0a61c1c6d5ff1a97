"""One gateway's word as a record of pg.transactions; what every gateway's module builds."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from decimal import Decimal
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from settlement.calendar import ist_date
from settlement.gateways import EntityType, GatewayStatus, LineType, record_id, settlement_bank
from settlement.versions import gateway_version
from webhook_intake.native import normal_utr

if TYPE_CHECKING:
    from datetime import date, datetime

ZERO = Decimal("0.00")


# Made for every webhook, as Heard, Checked and Event below; frozen ones cost four times as much to make.
@dataclass(slots=True, kw_only=True)
class Word:
    """What a gateway said of one payment, refund, dispute or settlement line; the fields are the topic's."""

    gateway: str
    entity_type: str
    entity_id: str
    status: str
    amount: Decimal
    occurred_at: datetime
    version: int
    raw_sha256: str
    origin: str = "WEBHOOK"
    record_id: str = ""
    line_type: str | None = None
    transaction_id: str | None = None
    order_ref: str | None = None
    merchant_id: str | None = None
    method: str | None = None
    currency: str = "INR"
    fee: Decimal = ZERO
    tax: Decimal = ZERO
    net: Decimal = ZERO
    refunded_amount: Decimal = ZERO
    settlement_id: str | None = None
    utr: str | None = None
    utr_raw: str | None = None
    settled_on: date | None = None
    bank: str | None = None
    paid_on: date | None = None
    op: str = "u"
    position: int = 0
    payment_id: str | None = None
    dispute_id: str | None = None
    phase: str | None = None
    reason_code: str | None = None
    respond_by: datetime | None = None

    def __post_init__(self) -> None:
        if not self.record_id:
            self.record_id = f"{self.gateway}:{self.entity_type}:{self.entity_id}"

    def avro(self) -> dict[str, Any]:
        """The record as the topic's schema wants it."""
        return dict(zip(FIELDS, _fields(self), strict=True))


FIELDS = tuple(Word.__dataclass_fields__)
_fields = attrgetter(*FIELDS)


@dataclass(frozen=True, slots=True)
class RefundFact:
    """A refund as an event told it: enough to say what is left of the payment, once that is known too."""

    payment_id: str
    refund_id: str
    amount: Decimal
    at: datetime
    # What is refunded in all, where the gateway says so (Paytm); None where it only says this refund (PayU).
    total: Decimal | None = None


@dataclass(slots=True)
class Heard:
    """What one event says: words to publish, and refunds whose payment other events know."""

    words: tuple[Word, ...] = ()
    refunds: tuple[RefundFact, ...] = ()


@dataclass(slots=True)
class Checked:
    """A request whose signature holds: its identity and what was read from it on the way."""

    event_key: str
    # None where the signature holds over bytes that cannot be read: kept, and a dead letter.
    document: Any = None
    problem: str | None = None
    # gateway:payment id, to find all that was heard about one payment.
    about: str | None = None


@dataclass(slots=True)
class Event:
    """A verified webhook as the ledger keeps it, or the one that should have come.

    `document` is what was already read from it, if anything.
    """

    event_key: str
    gateway: str
    received_at: datetime
    sha256: str
    content_type: str
    headers: str
    body: bytes
    about: str | None = None
    # The day of a payment or refund whose webhook never came; None for a webhook.
    missed_on: date | None = None
    document: Any = None


@dataclass(frozen=True, slots=True)
class Line:
    """A settlement line as polled: the word, and what makes it the same line when its UTR changes."""

    line_key: str
    word: Word


def settlement_line(
    *,
    gateway: str,
    name: str,
    entity_id: str,
    line_type: LineType,
    settlement_id: str,
    utr_raw: str | None,
    settled_at: datetime,
    amount: Decimal,
    fee: Decimal,
    tax: Decimal,
    net: Decimal,
    raw_sha256: str,
    settled_on: date | None = None,
    paid_at: datetime | None = None,
    transaction_id: str | None = None,
    order_ref: str | None = None,
    merchant_id: str | None = None,
    method: str | None = None,
    currency: str = "INR",
    payment_id: str | None = None,
    dispute_id: str | None = None,
) -> Line:
    """A row of a settlement report; `name` tells it from the gateway's other rows.

    Settlement and UTR are part of the record's key: a line that gains its UTR is matched elsewhere.
    """
    utr = normal_utr(utr_raw)
    word = Word(
        gateway=gateway,
        entity_type=EntityType.SETTLEMENT_LINE,
        entity_id=entity_id,
        record_id=record_id(gateway, EntityType.SETTLEMENT_LINE, f"{name}@{settlement_id}/{utr or '-'}"),
        line_type=line_type,
        transaction_id=transaction_id,
        order_ref=order_ref,
        merchant_id=merchant_id,
        status=GatewayStatus.SETTLED,
        method=method,
        currency=currency,
        amount=abs(amount),
        fee=fee,
        tax=tax,
        net=net,
        settlement_id=settlement_id,
        utr=utr,
        utr_raw=utr_raw,
        settled_on=settled_on or ist_date(settled_at),
        bank=settlement_bank(gateway),
        occurred_at=settled_at,
        paid_on=ist_date(paid_at) if paid_at else None,
        origin="POLL",
        raw_sha256=raw_sha256,
        version=gateway_version(GatewayStatus.SETTLED, settled_at),
        payment_id=payment_id,
        dispute_id=dispute_id,
    )
    return Line(f"{gateway}:{name}", word)


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a report: rows read, rows not understood, and how much there is in all."""

    lines: tuple[Line, ...] = ()
    dead: tuple[tuple[bytes, str], ...] = field(default=())
    rows: int = 0
    more: bool = False


@dataclass(frozen=True, slots=True)
class Listed:
    """A row of a gateway's list of payments or refunds, as the notice that should have come."""

    # gateway:payment id.
    about: str
    notice: dict[str, Any]
    at: datetime

    def saying(self, notice: dict[str, Any]) -> Listed:
        """The same row with more to say."""
        return replace(self, notice=notice)
