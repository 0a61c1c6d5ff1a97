"""What a file is beside those known: the same again, a correction, or one that came too late."""

from __future__ import annotations

import hashlib
import heapq
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from sftp_bridge.movements import Movement


class State(StrEnum):
    """What became of a file."""

    RECEIVED = "RECEIVED"
    LOADED = "LOADED"
    QUARANTINED = "QUARANTINED"
    DUPLICATE = "DUPLICATE"
    SUPERSEDED = "SUPERSEDED"


@dataclass(frozen=True, slots=True)
class Known:
    """A file of the bank that is in the ledger already and no duplicate."""

    seq: int
    file_id: str
    revision: int
    sha256: str
    state: State
    record_count: int | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """How to register an arrival."""

    state: State
    revision: int
    supersedes: str | None = None
    duplicate_of: int | None = None


def judge(
    file_id: str,
    named_revision: int | None,
    same_file: Sequence[Known],
    same_bytes: Sequence[Known],
) -> Verdict:
    """The verdict over new bytes, from what is known of the business file and of the bytes.

    - The same bytes are a duplicate under any name. Two exceptions, since neither of the first was ever
      counted: a file without a movement looks alike at every cutoff, and a file that was quarantined under
      a wrong name may come again under the right one.
    - The revision is the name's, or one more than the last. A bank that sends new bytes under an old name
      means the next revision.
    - A revision lower than one that was taken came too late: recorded, never published.
    """
    for known in same_bytes:
        if known.file_id == file_id:
            return Verdict(State.DUPLICATE, known.revision, duplicate_of=known.seq)
        if known.state is not State.QUARANTINED and known.record_count != 0:
            return Verdict(State.DUPLICATE, named_revision or 1, duplicate_of=known.seq)
    taken = {known.revision: known for known in same_file}
    last = max(taken, default=0)
    wanted = named_revision or 1
    if wanted in taken:
        wanted = last + 1
    if wanted < last:
        return Verdict(State.SUPERSEDED, wanted)
    published = [one for one in same_file if one.state in (State.LOADED, State.SUPERSEDED, State.RECEIVED)]
    before = max(published, key=lambda one: one.revision, default=None)
    return Verdict(State.RECEIVED, wanted, supersedes=before.sha256 if before else None)


def changes(
    before: Sequence[Iterable[Movement]], now: Iterable[Movement], *, by_identity: bool = False
) -> Iterator[tuple[Literal["u", "d"], Movement]]:
    """What to publish: every movement of `now`, and a delete for each earlier one that no longer stands.

    A movement stands when `now` has its line with its UTR. By number, everything is ordered by line, so one
    of each is held at a time, whatever the size of the files. By identity a line may stand anywhere, so a
    digest of every key is held.
    """
    if by_identity:
        yield from _changes_anywhere(before, now)
        return
    earlier = heapq.merge(*before, key=lambda movement: movement.line_no)
    old = next(earlier, None)
    for movement in now:
        while old is not None and old.line_no <= movement.line_no:
            if (old.place, old.utr) != (movement.place, movement.utr):
                yield "d", old
            old = next(earlier, None)
        yield "u", movement
    while old is not None:
        yield "d", old
        old = next(earlier, None)


def _changes_anywhere(
    before: Iterable[Iterable[Movement]], now: Iterable[Movement]
) -> Iterator[tuple[Literal["u", "d"], Movement]]:
    done: set[bytes] = set()
    for movement in now:
        done.add(_key(movement))
        yield "u", movement
    for old in chain.from_iterable(before):
        key = _key(old)
        if key not in done:
            done.add(key)
            yield "d", old


def _key(movement: Movement) -> bytes:
    return hashlib.blake2b(f"{movement.place}|{movement.utr or ''}".encode(), digest_size=16).digest()
