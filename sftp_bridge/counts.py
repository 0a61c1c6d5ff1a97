"""What this process has seen of one bank; for the health page, the metrics and the consoles."""

from __future__ import annotations

import logging
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sftp_bridge.screen import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

log = logging.getLogger("bridge")

# Seconds between two lines about one transfer: files of 800 MB take minutes, most files none of them.
TOLD_EVERY = 10.0
_MEGABYTE = 1024 * 1024


@dataclass(slots=True)
class Transfer:
    """One file on its way from the bank's server."""

    name: str
    size: int
    began: float = field(default_factory=time.time)
    done: int = 0
    # Bytes of `done` that an earlier attempt had brought.
    resumed_at: int = 0
    _told: float = field(default_factory=time.monotonic)

    def goes_on(self, at: int) -> None:
        """So many bytes are there already."""
        self.done = self.resumed_at = at

    def took(self, length: int) -> None:
        """So many bytes more; says so now and then."""
        self.done += length
        now = time.monotonic()
        if now - self._told >= TOLD_EVERY:
            self._told = now
            log.info("%s", str(self))

    @property
    def rate(self) -> float:
        """Bytes a second, of this attempt."""
        return (self.done - self.resumed_at) / max(time.time() - self.began, 0.001)

    @property
    def seconds_left(self) -> float | None:
        """At this rate; None as long as nothing came."""
        return (self.size - self.done) / self.rate if self.rate > 0 else None

    def told(self) -> dict[str, Any]:
        """For programs."""
        left = self.seconds_left
        return {
            "name": printable(self.name),
            "bytes": self.done,
            "of_bytes": self.size,
            "bytes_per_second": round(self.rate),
            "seconds_left": None if left is None else round(left),
            "began": _moment(self.began),
            "says": str(self),
        }

    def __str__(self) -> str:
        done, size, rate = (value / _MEGABYTE for value in (self.done, self.size, self.rate))
        share = 100 * self.done // self.size if self.size else 100
        left = self.seconds_left
        ends = "" if left is None else f", {left:.0f} s left"
        return f"{printable(self.name)}: {done:.1f} of {size:.1f} MB ({share} %), {rate:.1f} MB/s{ends}"


@dataclass(slots=True)
class Counts:
    """Since the process began."""

    polls: int = 0
    failures: int = 0
    failures_in_a_row: int = 0
    last_poll: float | None = None
    last_success: float | None = None
    # What is wrong now; last_error stays when it is over.
    problem: str | None = None
    last_error: str | None = None
    last_error_at: float | None = None
    terminal: bool = False
    files: dict[str, int] = field(default_factory=dict)
    records: int = 0
    retracted: int = 0
    bytes_read: int = 0
    waiting: tuple[str, ...] = ()
    unrecognised: tuple[str, ...] = ()
    # Since when the bank is being asked; None between two polls.
    asked: float | None = None
    transferring: Transfer | None = None

    @contextmanager
    def transfer(self, name: str, size: int) -> Iterator[Transfer]:
        """A file is being read meanwhile."""
        self.transferring = Transfer(name, size)
        try:
            yield self.transferring
        finally:
            self.transferring = None

    def asks(self, at: float) -> None:
        """A poll begins."""
        self.asked = at

    def file(self, state: str) -> None:
        """One more file that ended so."""
        self.files[str(state)] = self.files.get(str(state), 0) + 1

    def polled(self, at: float) -> None:
        """One more poll, however it ended."""
        self.polls += 1
        self.asked = None
        self.last_poll = at

    def went_well(self) -> None:
        """The last poll found everything in order."""
        self.problem, self.terminal, self.failures_in_a_row = None, False, 0
        self.last_success = self.last_poll

    def went_wrong(self, said: str, *, terminal: bool) -> None:
        """The last poll ended so."""
        self.failures += 1
        self.failures_in_a_row += 1
        self.terminal = terminal
        self.problem = self.last_error = said
        self.last_error_at = self.last_poll

    @property
    def state(self) -> str:
        """ok: whoever was polled is well; starting: was not polled yet; degraded: with the problem."""
        return "starting" if not self.polls else "degraded" if self.problem else "ok"

    def health(self) -> dict[str, Any]:
        """In the words of sp_v2_sftp_connector_health, which are the health page's too."""
        return {
            "state": self.state,
            "problem": self.problem,
            "last_poll": _moment(self.last_poll),
            "last_success": _moment(self.last_success),
            "failures_in_a_row": self.failures_in_a_row,
            "last_error": self.last_error,
            "last_error_at": _moment(self.last_error_at),
            "outbox_waiting": len(self.waiting),
            "outbox_unrecognised": len(self.unrecognised),
        }


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
