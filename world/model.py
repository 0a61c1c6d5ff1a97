"""The nouns of the world: merchants, sales, what the gateways captured, payouts and bank lines.

Money is whole paise inside the generator and becomes Decimal where it leaves it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Final, NamedTuple

from settlement.calendar import IST

# Monday and Tuesday: payouts at T+1 to T+3 fall on the four business days after the first of them.
SALE_DAYS: Final = (date(2026, 1, 5), date(2026, 1, 6))
PAYOUT_DAYS: Final = tuple(date(2026, 1, day) for day in (6, 7, 8, 9))
# Business time when the story ends: the last evening files of HDFC (22:00) and ICICI (21:30) are not due yet.
END: Final = datetime.combine(PAYOUT_DAYS[-1], time(21, 0), IST)

GATEWAYS: Final = ("razorpay", "payu", "paytm")
BANK_OF: Final = {"razorpay": "HDFC", "payu": "AXIS", "paytm": "ICICI"}
# As the banks and we agreed; written down again here because the world plays the banks' side.
CUTOFFS: Final = {
    "AXIS": ("11:30", "15:30", "20:00"),
    "HDFC": ("10:00", "14:00", "18:00", "22:00"),
    "ICICI": ("09:30", "21:30"),
}

FileKey = tuple[str, date, str]  # bank, business date, cutoff

# The files with a story of their own.
NEVER_ARRIVES: Final[FileKey] = ("AXIS", PAYOUT_DAYS[2], "15:30")
ARRIVES_LATE: Final[FileKey] = ("HDFC", PAYOUT_DAYS[1], "14:00")
IS_CORRECTED: Final[FileKey] = ("HDFC", PAYOUT_DAYS[2], "18:00")
COMES_TWICE: Final[FileKey] = ("AXIS", PAYOUT_DAYS[0], "11:30")
NOT_DUE_YET: Final[tuple[FileKey, ...]] = (
    ("HDFC", PAYOUT_DAYS[3], "22:00"),
    ("ICICI", PAYOUT_DAYS[3], "21:30"),
)


def rupees(paise: int) -> Decimal:
    """Paise as the doors want them."""
    return Decimal(paise).scaleb(-2)


def money(paise: int) -> str:
    """Paise as gateways and banks write them: 1234.50."""
    sign = "-" if paise < 0 else ""
    whole, rest = divmod(abs(paise), 100)
    return f"{sign}{whole}.{rest:02d}"


def at_ist(day: date, seconds: int, micros: int = 0) -> datetime:
    """A moment by its Indian day and the seconds into it."""
    return datetime.combine(day, time(), IST) + timedelta(seconds=seconds, microseconds=micros)


class Merchant(NamedTuple):
    """Somebody who sells, through one gateway, paid out T+cycle business days later."""

    merchant_id: str
    name: str
    later_name: str | None  # renamed while the world plays
    cycle: int
    gateway: str
    account: str


class Refund(NamedTuple):
    """Money given back."""

    refund_id: str
    paise: int
    at: datetime


@dataclass(slots=True)
class Capture:
    """A gateway's payment for one of our transactions (or for one that we do not have)."""

    gateway: str
    entity_id: str
    transaction_id: str
    merchant_id: str
    order_ref: str
    method: str
    paise: int
    at: datetime
    ok: bool = True  # captured; False: failed
    refund: Refund | None = None
    rrn: str = ""
    # How its notices travel.
    authorized_first: bool = False
    out_of_order: bool = False
    twice: bool = False


@dataclass(slots=True)
class Sale:
    """A transaction of ours: how it begins, how it ends, and what the gateway says about it."""

    transaction_id: str
    merchant: Merchant
    order_ref: str
    method: str
    paise: int
    day: int  # which of SALE_DAYS
    paid_at: datetime
    status: str  # in the end
    outcome: str | None  # of the PAYMENT level; None: no row
    decided_at: datetime
    refunded: int = 0
    refunded_at: datetime | None = None
    note: str | None = None
    born_as: str | None = None  # its primary key before it was changed
    deleted: bool = False
    captures: list[Capture] = field(default_factory=list)

    @property
    def updated_at(self) -> datetime:
        """When the row last changed."""
        if self.refunded_at is not None:
            return self.refunded_at
        return self.paid_at if self.status == "PENDING" else self.decided_at

    @property
    def expected(self) -> int:
        """What should be left with the gateway."""
        return 0 if self.status == "FAILED" or self.deleted else self.paise - self.refunded

    @property
    def found(self) -> int:
        """What is left with the gateway."""
        return sum(c.paise - (c.refund.paise if c.refund else 0) for c in self.captures if c.ok)


class PayoutLine(NamedTuple):
    """One line of a gateway's settlement report."""

    kind: str  # PAYMENT, REFUND or ADJUSTMENT
    entity_id: str
    capture: Capture | None
    gross: int
    fee: int
    tax: int
    net: int
    carries_utr: bool = True


@dataclass(slots=True)
class Payout:
    """One settlement: everything a gateway pays one merchant on one day, in one transfer."""

    gateway: str
    merchant: Merchant
    on: date
    settlement_id: str
    utr: str | None
    file: FileKey  # the statement that shows (or would show) its credit
    lines: list[PayoutLine] = field(default_factory=list)
    outcome: str = "MATCHED"
    found: int = 0
    raw_utr: str = ""  # as the gateway writes it
    utr_later: bool = False  # first reported without its UTR

    @property
    def net(self) -> int:
        """What should arrive at the bank."""
        return sum(line.net for line in self.lines)


class BankLine(NamedTuple):
    """One movement on a bank's statement."""

    utr: str
    reference: str  # the settlement it names
    gateway: str
    direction: str  # CR or DR
    paise: int
    value_date: date


class Plan(NamedTuple):
    """How many of everything, at one scale."""

    merchants: int
    sales: int
    outcomes: dict[str, int]
    payouts: dict[str, int]
    counts: dict[str, int]


@dataclass(slots=True)
class World:
    """Everything that will be played."""

    seed: int
    scale: float
    plan: Plan
    merchants: list[Merchant]
    sales: list[Sale]
    unknown: list[Capture]  # captured at the gateway, never ours
    payouts: list[Payout]
    strays: list[BankLine]  # credits nobody at a gateway knows
    files: dict[FileKey, list[BankLine]]
    first_revision: list[BankLine]  # of the corrected file
