"""Which business file a remote name speaks of: bank, business date, cutoff, part, revision.

A name that carries its business date and cutoff is believed, whenever the file comes: before its date opens,
after midnight, days later. A name that tells only when it was sent belongs to the cutoff that was due then.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING

from settlement.errors import CalendarError

if TYPE_CHECKING:
    from sftp_bridge.banks import Bank

_TOKENS = {
    "{business_date}": r"(?P<business_date>\d{8})",
    "{cutoff}": r"(?P<cutoff>\d{4})",
    # To the minute or to the second.
    "{sent_at}": r"(?P<sent_at>\d{12}(?:\d\d)?)",
    "{part}": r"(?P<part>\d{1,2})",
    "{revision}": r"(?P<revision>[1-9]\d{0,2})",
    # What stands in brackets may be missing.
    "[": "(?:",
    "]": ")?",
}


_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class BusinessFile:
    """What a file is about, whatever it is called."""

    bank: str
    business_date: date
    cutoff: str
    # As the name has it; None where the name carries none.
    named_revision: int | None
    # Which of the cutoff's files; None where there is but one.
    part: int | None = None

    @property
    def file_id(self) -> str:
        """The key on bank.files.received."""
        return file_id(self.bank, self.business_date, self.cutoff, self.part)

    @property
    def cutoff_id(self) -> str:
        """The key on bank.cutoffs, of the expectation it belongs to."""
        return file_id(self.bank, self.business_date, self.cutoff)


def file_id(bank: str, business_date: date, cutoff: str, part: int | None = None) -> str:
    """BANK|business date|cutoff, as settlement.banks writes it, for any bank that has a description.

    Where a cutoff has several files, |part follows. Without it, it is the expectation's key.
    """
    whole = f"{bank}|{business_date.isoformat()}|{cutoff}"
    return whole if part is None else f"{whole}|{part}"


def file_ids(bank: Bank, business_date: date, cutoff: str) -> list[str]:
    """Every business file that the bank owes for the cutoff."""
    count = bank.files.per_cutoff
    parts = range(1, count + 1) if count > 1 else (None,)
    return [file_id(bank.bank, business_date, cutoff, part) for part in parts]


def read_name(bank: Bank, name: str) -> BusinessFile | None:
    """The business file of that name; None for anything that is not exactly one of the bank's names.

    Only digits of the name are ever used, so a name can carry neither a path nor a control character on.
    """
    found = _regex(bank.files.name).fullmatch(name)
    if found is None:
        return None
    told = found.groupdict()
    try:
        place = (
            _sent(bank, told["sent_at"])
            if "sent_at" in told
            else _named(told["business_date"], told["cutoff"])
        )
    except (ValueError, OverflowError):
        return None
    part = int(told["part"]) if told.get("part") else None
    if place is None or place[1] not in bank.files.cutoffs:
        return None
    if part is not None and not 1 <= part <= bank.files.per_cutoff:
        return None
    revision = told.get("revision")
    return BusinessFile(bank.bank, *place, int(revision) if revision else None, part)


def last_due(bank: Bank, moment: datetime) -> tuple[date, str] | None:
    """The latest cutoff of a business day that had come at the moment; None where no holiday list tells."""
    day = moment.astimezone(bank.zone).date()
    try:
        while True:
            if bank.business_days.is_business_day(day):
                for cutoff in reversed(bank.files.cutoffs):
                    if bank.due_at(day, cutoff) <= moment:
                        return day, cutoff
            day -= _DAY
    except CalendarError:
        return None


def _named(business_date: str, cutoff: str) -> tuple[date, str]:
    return _date(business_date), f"{cutoff[:2]}:{cutoff[2:]}"


def _sent(bank: Bank, digits: str) -> tuple[date, str] | None:
    """Sent a little early, a file is the coming cutoff's; after midnight or on a holiday, the last one's."""
    at = time(int(digits[8:10]), int(digits[10:12]), int(digits[12:] or 0))
    sent = datetime.combine(_date(digits[:8]), at, bank.zone).astimezone(UTC)
    return last_due(bank, sent + timedelta(minutes=bank.files.early_minutes))


def _date(digits: str) -> date:
    return date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))


@lru_cache(maxsize=256)
def _regex(template: str) -> re.Pattern[str]:
    tokens = "|".join(map(re.escape, _TOKENS))
    # ASCII only: other scripts' digits are digits to \d as well.
    parts = re.split(f"({tokens})", template)
    return re.compile("".join(_TOKENS.get(part) or re.escape(part) for part in parts), re.ASCII)
