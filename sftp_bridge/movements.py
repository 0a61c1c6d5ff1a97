"""What every format's parser gives: movements, and what the file says about itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from settlement.money import ZERO

if TYPE_CHECKING:
    from datetime import date
    from decimal import Decimal


@dataclass(frozen=True, slots=True)
class Movement:
    """One line that moves money."""

    # Where a format has no lines of text: the row of the sheet, the number of the entry.
    line_no: int
    utr: str | None
    utr_raw: str | None
    settlement_ref: str | None
    direction: str
    amount: Decimal
    value_date: date
    narration: str
    # A digest of what makes the line one by its bank's description; None where only its place does.
    identity: str | None = None

    @property
    def place(self) -> str | int:
        """What tells the line from the others of its file, in every revision."""
        return self.identity or self.line_no


@dataclass(slots=True)
class Totals:
    """Counts and sums of some movements."""

    count: int = 0
    credit_count: int = 0
    credit_total: Decimal = ZERO
    debit_count: int = 0
    debit_total: Decimal = ZERO

    def add(self, movement: Movement) -> None:
        """Count one more."""
        self.count += 1
        if movement.direction == "CR":
            self.credit_count += 1
            self.credit_total += movement.amount
        else:
            self.debit_count += 1
            self.debit_total += movement.amount

    def add_all(self, other: Totals) -> None:
        """Count what somebody else has counted."""
        self.count += other.count
        self.credit_count += other.credit_count
        self.credit_total += other.credit_total
        self.debit_count += other.debit_count
        self.debit_total += other.debit_total

    @property
    def net(self) -> Decimal:
        """What the movements change the balance by."""
        return self.credit_total - self.debit_total


@dataclass(frozen=True, slots=True)
class Claim:
    """What the file itself says it holds; None where it says nothing."""

    count: int | None = None
    credit_total: Decimal | None = None
    debit_total: Decimal | None = None
