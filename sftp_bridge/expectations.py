"""What banks owe: one expected file per bank, business date and cutoff, and the latest word about it.

    DUE (1) ──grace over──> LATE (2) ──file loaded──> RECEIVED (3)

A word's version is its rank, so the words of one expectation may arrive in any order and twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from settlement.versions import cutoff_version
from sftp_bridge.names import file_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import date, datetime

    from sftp_bridge.banks import Bank

DUE, LATE, RECEIVED = "DUE", "LATE", "RECEIVED"


@dataclass(frozen=True, slots=True)
class Expectation:
    """One word about one expected file."""

    bank: str
    business_date: date
    cutoff: str
    cutoffs_in_day: int
    status: str
    due_at: datetime
    late_after: datetime
    at: datetime

    @property
    def cutoff_id(self) -> str:
        """The key on bank.cutoffs; the business file's id."""
        return file_id(self.bank, self.business_date, self.cutoff)

    @property
    def version(self) -> int:
        """Only grows on the way from DUE to RECEIVED."""
        return cutoff_version(self.status)

    def record(self) -> dict[str, Any]:
        """As bank.cutoffs has it."""
        return {
            "cutoff_id": self.cutoff_id,
            "bank": self.bank,
            "business_date": self.business_date,
            "cutoff": self.cutoff,
            "cutoffs_in_day": self.cutoffs_in_day,
            "status": self.status,
            "due_at": self.due_at,
            "at": self.at,
            "op": "u",
            "version": self.version,
            "position": 0,
        }


def word(bank: Bank, business_date: date, cutoff: str, status: str, at: datetime | None) -> Expectation:
    """One word, said at business time `at`, or at the cutoff itself where no business time is known yet."""
    due_at = bank.due_at(business_date, cutoff)
    return Expectation(
        bank=bank.bank,
        business_date=business_date,
        cutoff=cutoff,
        cutoffs_in_day=len(bank.files.cutoffs),
        status=status,
        due_at=due_at,
        late_after=bank.late_after(business_date, cutoff),
        at=at or due_at,
    )


def opened(banks: Iterable[Bank], business_date: date, at: datetime) -> list[Expectation]:
    """What all banks owe for a date that opens."""
    return [word(bank, business_date, cutoff, DUE, at) for bank in banks for cutoff in bank.files.cutoffs]


def late(kept: Iterable[Mapping[str, Any]], at: datetime) -> list[Expectation]:
    """Overdue rows of the ledger as LATE; `at` has passed all their graces."""
    return [
        Expectation(
            bank=row["bank"],
            business_date=row["business_date"],
            cutoff=row["cutoff"],
            cutoffs_in_day=row["cutoffs_in_day"],
            status=LATE,
            due_at=row["due_at"],
            late_after=row["late_after"],
            at=at,
        )
        for row in kept
    ]
