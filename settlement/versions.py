"""Which word about a key is the newest: versions that only grow, and positions within one version.

Latest by (version, position) wins everywhere. How each source comes by its numbers, and why, is in
docs/adr/0003-versions.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from settlement.cutoffs import PRESENT, CutoffStatus
from settlement.cutoffs import status as cutoff_status
from settlement.errors import UnknownNameError, VersionRangeError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date, datetime

# Versions are Avro longs and BIGINT columns.
_LARGEST: Final = 2**63 - 1

# Room for log positions under one epoch: 10^15 bytes of WAL are 900 TiB, years at any rate we plan for.
EPOCH_STEP: Final = 10**15
# A result's version is a hundred times its evidence's, which holds a Postgres version: 90 · 10^15 · 100 still
# fits a BIGINT. An epoch is raised only when a slot was lost.
LAST_EPOCH: Final = 90
# Rows of an initial snapshot count as older than every change: a transaction that was in flight while the
# slot was made commits after the snapshot, yet its records may carry positions below the snapshot's.
SNAPSHOT_LSN: Final = 1

# Room for seconds since 1970 under one rank: 10^10 lasts until the year 2286.
RANK_STEP: Final = 10**10
# A gateway numbers nothing, and its clock may stand still between two events: the rank decides first.
GATEWAY_RANKS: Final = {
    "CREATED": 1,
    "PENDING": 2,
    "FAILED": 3,
    "AUTHORIZED": 4,
    "CAPTURED": 5,
    "SETTLED": 5,
    "REFUNDED": 6,
    # A dispute. The bank may ask for more while it looks: those two follow each other by time. Some are
    # closed without a winner; once one is won or lost, nothing else is heard of it.
    "OPEN": 1,
    "ACTION_REQUIRED": 3,
    "UNDER_REVIEW": 3,
    "CLOSED": 5,
    "WON": 6,
    "LOST": 6,
}

# Room for revisions of one business file.
REVISION_STEP: Final = 10_000

# Room for what moves a result that waits while its evidence stands still: the day's close, the bank's files.
RESULT_STEP: Final = 100
# Of one bank and business date. With more, the last of them would be in without the result's version growing.
MOST_CUTOFFS: Final = (RESULT_STEP - 1) // PRESENT

# Time's words in their order. Any arrival's word is later than all of them: it is never too late for money.
CUTOFF_RANKS: Final = {CutoffStatus.DUE: 1, CutoffStatus.LATE: 2, CutoffStatus.MISSED: 3}
# Room for all of time's words below the first arrival's, and for one of time's above each: PARTIAL, and late.
CUTOFF_STEP: Final = 10


def postgres_version(epoch: int, lsn: int | None, *, snapshot: bool) -> int:
    """A change's version: the epoch of its slot, then its place in the write-ahead log."""
    if not 1 <= epoch <= LAST_EPOCH:
        raise VersionRangeError(f"epoch {epoch} is not between 1 and {LAST_EPOCH}")
    if snapshot:
        return epoch * EPOCH_STEP + SNAPSHOT_LSN
    if lsn is None or not SNAPSHOT_LSN < lsn < EPOCH_STEP:
        raise VersionRangeError(f"log position {lsn} is not between {SNAPSHOT_LSN + 1} and {EPOCH_STEP - 1}")
    return epoch * EPOCH_STEP + lsn


def gateway_version(status: str, at: datetime) -> int:
    """A gateway's word: the status's rank, then the gateway's own time."""
    rank = GATEWAY_RANKS.get(status)
    if rank is None:
        raise UnknownNameError(f"gateway status {status!r} is none of {', '.join(GATEWAY_RANKS)}")
    seconds = epoch_seconds(at)
    if not 0 <= seconds < RANK_STEP:
        raise VersionRangeError(f"{at.isoformat()} is outside 1970 to 2286")
    return rank * RANK_STEP + seconds


def bank_version(business_date: date, revision: int) -> int:
    """A bank file's version: its business date, then its revision; its lines are the positions."""
    if not 0 <= revision < REVISION_STEP:
        raise VersionRangeError(f"revision {revision} is not between 0 and {REVISION_STEP - 1}")
    return int(business_date.strftime("%Y%m%d")) * REVISION_STEP + revision


def cutoff_version(status: str, arrival: int | None = None, *, late: bool = False) -> int:
    """A word about an expected file: time's by their rank, then an arrival's by the number of that word.

    Not the number of the file: one that was refused may be replayed after a later one was taken.
    """
    said = cutoff_status(status)
    if said in CUTOFF_RANKS:
        return CUTOFF_RANKS[said]
    if arrival is None or not 0 < arrival <= _LARGEST // CUTOFF_STEP - 1:
        raise VersionRangeError(f"{said} is an arrival's word, and {arrival} is not a number of one")
    return arrival * CUTOFF_STEP + late


def tick_version(at: datetime) -> int:
    """A tick's version: its business time in seconds."""
    return epoch_seconds(at)


def result_version(evidence: Iterable[int], rules_version: int, *, in_time: int = 0) -> int:
    """A result's version: the sum of its evidence's versions, so that any new word raises it.

    Evidence that was deleted keeps contributing with the delete's version; left out, the sum would fall.
    `in_time` counts only while a result waits: 1 once the day has closed, or the sum of its files' stages.
    It comes after the evidence, so a result that no longer waits is newer whatever time has said.
    """
    version = RESULT_STEP * (sum(evidence) + rules_version) + min(in_time, RESULT_STEP - 1)
    if not 0 <= version <= _LARGEST:
        raise VersionRangeError(f"a result's version {version} does not fit 64 bits")
    return version


def epoch_seconds(at: datetime) -> int:
    """Whole seconds since 1970; a time without a zone is refused, since it could mean any."""
    if at.tzinfo is None:
        raise VersionRangeError(f"{at.isoformat()} has no time zone")
    return int(at.timestamp())


def is_newer(this: tuple[int, int], that: tuple[int, int] | None) -> bool:
    """May `this` (version, position) replace `that`? The same word again may not."""
    return that is None or this > that
