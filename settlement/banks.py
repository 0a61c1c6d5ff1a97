"""The banks: when their statement files are due, and the ids of what those files hold."""

from __future__ import annotations

from datetime import date, datetime, time
from enum import StrEnum
from typing import Final

from settlement.calendar import IST
from settlement.errors import UnknownNameError


class Bank(StrEnum):
    """A bank that sends us statement files."""

    AXIS = "AXIS"
    HDFC = "HDFC"
    ICICI = "ICICI"


class Direction(StrEnum):
    """Which way a statement line moves money, seen from us."""

    CR = "CR"
    DR = "DR"


# One file per bank, business date and cutoff; HH:MM in IST.
CUTOFFS: Final = {
    Bank.AXIS: ("11:30", "15:30", "20:00"),
    Bank.HDFC: ("10:00", "14:00", "18:00", "22:00"),
    Bank.ICICI: ("09:30", "21:30"),
}


def bank(name: str) -> Bank:
    """The bank of that name, however it is spelt in case."""
    try:
        return Bank(name.strip().upper())
    except ValueError:
        raise UnknownNameError(f"bank {name!r} is none of {', '.join(Bank)}") from None


def due_at(name: str, business_date: date, cutoff: str) -> datetime:
    """When the file of that cutoff is due."""
    return datetime.combine(business_date, time.fromisoformat(_known(name, cutoff)), IST)


def cutoff_of(name: str, at: time) -> str:
    """The cutoff whose file holds a movement at that time of day; after the last one, the last."""
    for cutoff in CUTOFFS[bank(name)]:
        if at <= time.fromisoformat(cutoff):
            return cutoff
    return CUTOFFS[bank(name)][-1]


def file_id(name: str, business_date: date, cutoff: str) -> str:
    """The business file, whatever its name or revision; also the expectation's key."""
    return f"{bank(name)}|{business_date.isoformat()}|{_known(name, cutoff)}"


def record_id(file: str, line: int | str, utr: str | None) -> str:
    """A line's key on bank.records: its number in the file, or what else makes it one.

    It holds the UTR the line is matched by: a line whose UTR is corrected is a new record and a delete of
    the old, so both settlements hear of it.
    """
    return f"{file}|{line}|{utr or ''}"


def _known(name: str, cutoff: str) -> str:
    known = CUTOFFS[bank(name)]
    if cutoff not in known:
        raise UnknownNameError(f"{bank(name)} has no cutoff {cutoff!r}; it has {', '.join(known)}")
    return cutoff
