"""What is known of a bank's file for one cutoff: the words for it, and what each means to who waits for it.

Time's words, said while nothing has come:
    DUE         its business date has opened
    LATE        the grace is over
    MISSED      the business date has closed; a file that still comes is taken all the same
An arrival's words:
    PARTIAL     some of the cutoff's files are in, not all of them
    RECEIVED    all of them are in
    DUPLICATE   they are in, and bytes of them came again
    SUPERSEDED  they are in, and a correction has replaced one of them
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from settlement.errors import UnknownNameError


class CutoffStatus(StrEnum):
    """The latest word about a cutoff's file or files."""

    DUE = "DUE"
    LATE = "LATE"
    MISSED = "MISSED"
    PARTIAL = "PARTIAL"
    RECEIVED = "RECEIVED"
    DUPLICATE = "DUPLICATE"
    SUPERSEDED = "SUPERSEDED"


IN: Final = frozenset({CutoffStatus.RECEIVED, CutoffStatus.DUPLICATE, CutoffStatus.SUPERSEDED})
OVERDUE: Final = frozenset({CutoffStatus.LATE, CutoffStatus.MISSED})

# What a word is worth to who waits: only ever up, in whatever order words come, since what is in stays in and
# what is overdue stays overdue until it is in. A result's version counts these (settlement/versions.py).
TO_COME, MISSING, PRESENT = 1, 2, 3


def status(name: str) -> CutoffStatus:
    """The word of that name."""
    try:
        return CutoffStatus(name)
    except ValueError:
        raise UnknownNameError(f"cutoff status {name!r} is none of {', '.join(CutoffStatus)}") from None


def stage(name: str, *, late: bool = False) -> int:
    """To come, missing though its grace is over (`late` says it of a PARTIAL one), or present."""
    said = status(name)
    if said in IN:
        return PRESENT
    return MISSING if late or said in OVERDUE else TO_COME
