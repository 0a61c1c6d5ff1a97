"""What this process has seen of one bank; for the health page, the metrics and the consoles."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any


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

    def file(self, state: str) -> None:
        """One more file that ended so."""
        self.files[str(state)] = self.files.get(str(state), 0) + 1

    def polled(self, at: float) -> None:
        """One more poll, however it ended."""
        self.polls += 1
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
