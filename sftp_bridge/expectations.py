"""What banks owe: one expectation per bank, business date and cutoff, and the latest word about it.

    DUE ──grace over──> LATE ──date closed──> MISSED        said by the clock
     └────────┴───────────┴──file loaded──> PARTIAL, RECEIVED, DUPLICATE, SUPERSEDED     said by arrivals

An arrival's word outranks every word of time, and among arrivals the later one wins, so the words of one
expectation may come in any order and twice (settlement/versions.py). What is in stays in.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from settlement.cutoffs import IN, CutoffStatus
from settlement.versions import cutoff_version
from sftp_bridge.names import file_id, file_ids

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date, datetime

    from sftp_bridge.banks import Bank
    from sftp_bridge.names import BusinessFile

DUE, LATE, MISSED, PARTIAL, RECEIVED, DUPLICATE, SUPERSEDED = CutoffStatus


@dataclass(frozen=True, slots=True)
class Expectation:
    """One word about what a bank owes for one cutoff; a row of sp_v2_bank_file_expectations."""

    bank: str
    business_date: date
    cutoff: str
    cutoffs_in_day: int
    status: str
    version: int
    due_at: datetime
    late_after: datetime
    at: datetime
    # The grace is over, or the date closed, and not everything is in.
    late: bool = False
    files_expected: int = 1
    files_received: int = 0
    last_file: str | None = None

    @property
    def cutoff_id(self) -> str:
        """The key on bank.cutoffs."""
        return file_id(self.bank, self.business_date, self.cutoff)

    def record(self) -> dict[str, Any]:
        """As bank.cutoffs has it."""
        return {
            "cutoff_id": self.cutoff_id,
            "bank": self.bank,
            "business_date": self.business_date,
            "cutoff": self.cutoff,
            "cutoffs_in_day": self.cutoffs_in_day,
            "status": str(self.status),
            "due_at": self.due_at,
            "at": self.at,
            "files_expected": self.files_expected,
            "files_received": self.files_received,
            "late": self.late,
            "last_file": self.last_file,
            "op": "u",
            "version": self.version,
            "position": 0,
        }


@dataclass(frozen=True, slots=True)
class Standing:
    """What the ledger knows of a cutoff while one more file of it is on its way."""

    # Of the word that the file will bring.
    number: int
    # Its business files that are LOADED.
    loaded: frozenset[str]
    kept: Expectation | None


def opened(
    banks: Iterable[Bank], business_date: date, at: datetime, *, business_day: bool
) -> list[Expectation]:
    """What banks owe for a date that opens; nothing on a day that is none of theirs."""
    return [
        _word(bank, business_date, cutoff, DUE, cutoff_version(DUE), at)
        for bank in banks
        if bank.owes_on(business_date, told=business_day)
        for cutoff in bank.files.cutoffs
    ]


def overdue(kept: Iterable[Expectation], at: datetime) -> list[Expectation]:
    """Graces that are over at this time: nothing there is LATE, a part is still PARTIAL, and late."""
    return [_in_vain(one, LATE, at) for one in kept if one.late_after < at and one.status in (DUE, PARTIAL)]


def missed(kept: Iterable[Expectation], at: datetime) -> list[Expectation]:
    """A date that closes: nothing there is MISSED, a part is late."""
    return [_in_vain(one, MISSED, at) for one in kept if one.status in (DUE, LATE, PARTIAL)]


def arrived(
    bank: Bank, file: BusinessFile, file_name: str, standing: Standing, at: datetime | None
) -> Expectation:
    """The word of a file that is loaded now; where no business time is known, said at the cutoff."""
    owed = file_ids(bank, file.business_date, file.cutoff)
    kept = standing.kept
    was_in = kept is not None and kept.status in IN
    received = len(standing.loaded | {file.file_id})
    if was_in:
        status = SUPERSEDED if file.file_id in standing.loaded else RECEIVED
    else:
        status = RECEIVED if received >= len(owed) else PARTIAL
    over = at is not None and at > bank.late_after(file.business_date, file.cutoff)
    late = status == PARTIAL and (over or (kept is not None and (kept.late or kept.status in (LATE, MISSED))))
    version = cutoff_version(status, standing.number, late=late)
    return replace(
        _word(bank, file.business_date, file.cutoff, status, version, at),
        late=late,
        files_received=received,
        last_file=file_name,
    )


def came_again(kept: Expectation, number: int, file_name: str, at: datetime | None) -> Expectation:
    """The word for bytes that came again; `kept` is in, else there would be nothing to say."""
    return replace(
        kept,
        status=DUPLICATE,
        version=cutoff_version(DUPLICATE, number),
        at=at or kept.at,
        last_file=file_name,
    )


def _in_vain(kept: Expectation, status: CutoffStatus, at: datetime) -> Expectation:
    if kept.status == PARTIAL:
        # One more than the arrival's own word, and less than the next arrival's.
        return kept if kept.late else replace(kept, late=True, version=kept.version + 1, at=at)
    return replace(kept, status=status, late=True, version=cutoff_version(status), at=at)


def _word(
    bank: Bank, business_date: date, cutoff: str, status: str, version: int, at: datetime | None
) -> Expectation:
    due_at = bank.due_at(business_date, cutoff)
    return Expectation(
        bank=bank.bank,
        business_date=business_date,
        cutoff=cutoff,
        cutoffs_in_day=len(bank.files.cutoffs),
        status=status,
        version=version,
        due_at=due_at,
        late_after=bank.late_after(business_date, cutoff),
        at=at or due_at,
        files_expected=bank.files.per_cutoff,
    )
