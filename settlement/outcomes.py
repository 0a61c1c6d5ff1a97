"""What reconciliation says about one payment or one settlement, and why: the reference for the SQL.

The SQL in flink_jobs decides at scale; these functions decide one case the same way, so that a test can
hold one against the other. The first rule that holds decides; `docs/reconciliation.md` has them as a table.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from settlement.cutoffs import MISSING, PRESENT, stage
from settlement.gateways import CAPTURED, GatewayStatus
from settlement.money import ZERO, format_rupees, quantize

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from decimal import Decimal


class Level(StrEnum):
    """Which two stories are compared."""

    PAYMENT = "PAYMENT"  # ours against the gateway's, by transaction id
    SETTLEMENT = "SETTLEMENT"  # the gateway's against the bank's, by UTR


class Outcome(StrEnum):
    """What is known now."""

    MATCHED = "MATCHED"
    AMOUNT_MISMATCH = "AMOUNT_MISMATCH"
    DATE_MISMATCH = "DATE_MISMATCH"
    MERCHANT_MISMATCH = "MERCHANT_MISMATCH"
    STATUS_MISMATCH = "STATUS_MISMATCH"
    DUPLICATE_IN_BANK = "DUPLICATE_IN_BANK"
    DUPLICATE_IN_GATEWAY = "DUPLICATE_IN_GATEWAY"
    MISSING_IN_BANK = "MISSING_IN_BANK"
    MISSING_IN_GATEWAY = "MISSING_IN_GATEWAY"
    MISSING_IN_SYSTEM = "MISSING_IN_SYSTEM"
    AWAITING_BANK_FILE = "AWAITING_BANK_FILE"
    BANK_FILE_LATE = "BANK_FILE_LATE"
    AWAITING_GATEWAY = "AWAITING_GATEWAY"


# Nothing is wrong yet; more evidence is due.
WAITING: Final = frozenset({Outcome.AWAITING_BANK_FILE, Outcome.BANK_FILE_LATE, Outcome.AWAITING_GATEWAY})


def recon_key(level: str, match_key: str) -> str:
    """A result's key on recon.results."""
    return f"{Level(level)}:{match_key}"


@dataclass(frozen=True)
class Tolerance:
    """How far two stories may lie apart and still agree: the larger of an amount and a percentage."""

    amount: Decimal = ZERO
    percent: Decimal = ZERO
    days: int = 0

    def allows_amount(self, difference: Decimal, expected: Decimal) -> bool:
        """Is the difference small enough beside what was expected?"""
        return abs(difference) <= max(self.amount, abs(expected) * self.percent / 100)

    def allows_days(self, one: date | None, other: date | None) -> bool:
        """Are the dates near enough? A date nobody named disagrees with none."""
        return one is None or other is None or abs((one - other).days) <= self.days


EXACT: Final = Tolerance()


@dataclass(frozen=True)
class OurPayment:
    """A live row of transactions_to_settle; a deleted one is passed as None."""

    merchant_id: str
    status: str  # PENDING, SUCCESS or FAILED
    amount: Decimal
    refunded: Decimal
    paid_on: date

    @property
    def expected(self) -> Decimal:
        """What should be left with the gateway: nothing of a failed payment."""
        return ZERO if self.status == "FAILED" else quantize(self.amount - self.refunded)


@dataclass(frozen=True)
class GatewayPayment:
    """The gateway's latest word on one of its payments."""

    merchant_id: str | None
    status: str
    amount: Decimal
    refunded: Decimal
    paid_on: date | None

    @property
    def captured(self) -> bool:
        """Did the gateway take the money, whatever it gave back since?"""
        return self.status in CAPTURED


@dataclass(frozen=True)
class GatewaySettlement:
    """All live settlement lines behind one UTR, summed: gross − fee − tax − refunds ± adjustments = net."""

    lines: int
    net: Decimal
    settled_on: date | None


@dataclass(frozen=True)
class BankRow:
    """A live statement line under the UTR."""

    direction: str  # CR or DR
    amount: Decimal
    value_date: date


@dataclass(frozen=True)
class Cutoffs:
    """What is known of the files a bank owes for one business date."""

    expected: int
    received: int = 0
    late: int = 0

    @classmethod
    def told(cls, expected: int, words: Iterable[tuple[str, bool]]) -> Cutoffs:
        """From the latest word about each cutoff: its status, and whether it says that it is late."""
        stages = [stage(status, late=late) for status, late in words]
        return cls(expected, stages.count(PRESENT), stages.count(MISSING))

    @property
    def complete(self) -> bool:
        """Has every file of the date arrived?"""
        return 0 < self.expected <= self.received


@dataclass(frozen=True)
class Decision:
    """An outcome, its reason for people, and the sums behind it; difference is found minus expected."""

    outcome: Outcome
    reason: str
    expected: Decimal
    found: Decimal

    @property
    def difference(self) -> Decimal:
        """Found minus expected, with its sign."""
        return self.found - self.expected


def decide_payment(
    ours: OurPayment | None,
    theirs: Sequence[GatewayPayment],
    *,
    day_closed: bool,
    tolerance: Tolerance = EXACT,
) -> Decision | None:
    """Ours against the gateway's; None where neither has anything to say, so that a row is withdrawn.

    1. We have none: captured there → MISSING_IN_SYSTEM, else nothing to say.
    2. Captured more than once → DUPLICATE_IN_GATEWAY.
    3. The gateway has none: nothing owed, or missing, or awaited until the day closes.
    4. Merchant, 5. status; 6. pending on both sides is awaited; 7. amount or refund, 8. date, in this order.
    9. MATCHED.
    """
    captured = [one for one in theirs if one.captured]
    expected = ours.expected if ours else ZERO
    found = quantize(sum((one.amount - one.refunded for one in captured), ZERO))

    def say(outcome: Outcome, reason: str) -> Decision:
        return Decision(outcome, reason, expected, found)

    # 1.
    if ours is None:
        if not captured:
            return None
        return say(
            Outcome.MISSING_IN_SYSTEM,
            f"the gateway captured {format_rupees(found)} for a transaction that we do not have",
        )
    # 2.
    if len(captured) > 1:
        return say(
            Outcome.DUPLICATE_IN_GATEWAY, f"the gateway captured {len(captured)} payments for one transaction"
        )
    # 3.
    if not theirs:
        if ours.status == "FAILED":
            return say(Outcome.MATCHED, "failed on our side, unknown to the gateway: nothing is owed")
        if day_closed:
            return say(
                Outcome.MISSING_IN_GATEWAY, "the gateway has no payment, and the payment's day has closed"
            )
        return say(Outcome.AWAITING_GATEWAY, "the gateway has said nothing yet")
    told = captured[0] if captured else _furthest(theirs)
    # 4.
    if told.merchant_id is not None and told.merchant_id != ours.merchant_id:
        return say(
            Outcome.MERCHANT_MISMATCH,
            f"ours is of merchant {ours.merchant_id}, the gateway's of {told.merchant_id}",
        )
    # 5.
    if _status_disagrees(ours.status, told):
        return say(Outcome.STATUS_MISMATCH, f"ours is {ours.status}, the gateway's {told.status}")
    # 6.
    if ours.status == "PENDING":
        return say(Outcome.AWAITING_GATEWAY, "pending on both sides")
    # 7. Where no money moved on either side there is nothing to compare.
    if captured:
        if not tolerance.allows_amount(told.amount - ours.amount, ours.amount):
            return say(
                Outcome.AMOUNT_MISMATCH,
                f"the gateway's amount differs by {format_rupees(told.amount - ours.amount, sign=True)}",
            )
        if not tolerance.allows_amount(told.refunded - ours.refunded, ours.refunded):
            return say(
                Outcome.AMOUNT_MISMATCH,
                f"the gateway's refunds differ by {format_rupees(told.refunded - ours.refunded, sign=True)}",
            )
    # 8.
    if not tolerance.allows_days(told.paid_on, ours.paid_on):
        return say(Outcome.DATE_MISMATCH, f"ours was paid on {ours.paid_on}, the gateway's on {told.paid_on}")
    # 9.
    return say(Outcome.MATCHED, "both sides agree")


def decide_settlement(
    gateway: GatewaySettlement | None,
    bank_rows: Sequence[BankRow],
    cutoffs: Cutoffs,
    *,
    tolerance: Tolerance = EXACT,
) -> Decision | None:
    """The gateway's payout against the bank's credits less reversals; None where neither is left.

    1. Neither → nothing to say. 2. Only the bank → MISSING_IN_GATEWAY.
    3. Only the gateway: missing once every file of the date is in, late when one is overdue, else awaited.
    4. The sum does not fit: DUPLICATE_IN_BANK with more than one credit, else AMOUNT_MISMATCH.
    5. DATE_MISMATCH. 6. MATCHED.
    """
    arrived = [row for row in bank_rows if row.direction == "CR"]
    signed = (row.amount if row.direction == "CR" else -row.amount for row in bank_rows)
    found = quantize(sum(signed, ZERO))
    known = gateway is not None and gateway.lines > 0
    expected = quantize(gateway.net) if gateway is not None and known else ZERO
    difference = found - expected

    def say(outcome: Outcome, reason: str) -> Decision:
        return Decision(outcome, reason, expected, found)

    # 1. and 2.
    if gateway is None or not known:
        if not bank_rows:
            return None
        return say(
            Outcome.MISSING_IN_GATEWAY, "the bank shows a movement that no gateway settlement explains"
        )
    # 3.
    if not bank_rows:
        if cutoffs.complete:
            return say(
                Outcome.MISSING_IN_BANK, f"all {cutoffs.expected} files of the date are in, without a credit"
            )
        if cutoffs.late:
            return say(Outcome.BANK_FILE_LATE, "no credit yet, and a file of the date is overdue")
        return say(Outcome.AWAITING_BANK_FILE, "no credit yet, and more files of the date are to come")
    # 4.
    if not tolerance.allows_amount(difference, expected):
        if len(arrived) > 1:
            return say(
                Outcome.DUPLICATE_IN_BANK,
                f"{len(arrived)} credits, {format_rupees(difference, sign=True)} beside the settlement",
            )
        return say(
            Outcome.AMOUNT_MISMATCH,
            f"the bank's credit differs by {format_rupees(difference, sign=True)}",
        )
    # 5.
    value_date = min((row.value_date for row in arrived or bank_rows), default=None)
    if not tolerance.allows_days(value_date, gateway.settled_on):
        return say(
            Outcome.DATE_MISMATCH,
            f"the gateway paid out on {gateway.settled_on}, the bank's value date is {value_date}",
        )
    # 6.
    return say(Outcome.MATCHED, "both sides agree")


# Of several attempts none of which was captured, the one that came furthest speaks for the transaction.
_FURTHEST: Final = (
    GatewayStatus.AUTHORIZED,
    GatewayStatus.PENDING,
    GatewayStatus.CREATED,
    GatewayStatus.FAILED,
)


def _furthest(theirs: Sequence[GatewayPayment]) -> GatewayPayment:
    order = {status.value: -place for place, status in enumerate(_FURTHEST)}

    def how_far(one: GatewayPayment) -> tuple[int, date, str]:
        # Of two that came equally far the later one; the last resort only keeps the choice from chance.
        return order.get(one.status, -len(order)), one.paid_on or date.min, one.merchant_id or ""

    return max(theirs, key=how_far)


def _status_disagrees(ours: str, told: GatewayPayment) -> bool:
    if ours == "SUCCESS":
        return not told.captured
    if ours == "FAILED":
        return told.captured
    # PENDING: the gateway already knows how it ended.
    return told.captured or told.status == GatewayStatus.FAILED
