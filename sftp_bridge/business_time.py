"""What time it is for the business: the wall clock's, or that of the last tick on calendar.ticks."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sftp_bridge.settings import BridgeSettings


class BusinessTime:
    """Read by the banks' tasks, advanced by the clock."""

    def __init__(self, settings: BridgeSettings) -> None:
        self._by_wall = settings.clock == "wall"
        self._tick: datetime | None = None
        # Why the clock stands still; None while it runs.
        self.problem: str | None = None

    def now(self) -> datetime | None:
        """Business time; None as long as no tick has told it."""
        return datetime.now(UTC) if self._by_wall else self._tick

    @property
    def last_tick(self) -> datetime | None:
        """The latest tick's time."""
        return self._tick

    def advance(self, at: datetime) -> None:
        """Time never goes back, whatever the order of ticks."""
        if self._tick is None or at > self._tick:
            self._tick = at
