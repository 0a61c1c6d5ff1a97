"""Tells a server that hangs from one that is only late, unwell, or waiting for another."""

from __future__ import annotations

# Seconds without any answer after which a server that was healthy counts as hung. Generous: on two busy cores
# a server in a long collection, or behind a large statement, answers late and must not be ended for it.
SILENT_SECONDS = 120.0
# With so many seconds between two looks the supervisor itself was not running (a suspended machine): it heard
# nothing because it did not listen.
DEAF_SECONDS = 10.0


class Silence:
    """How long a server has owed an answer, from the moment it was asked; `now` is a monotonic clock."""

    def __init__(self, limit: float = SILENT_SECONDS) -> None:
        self.limit = limit
        self._since: float | None = None
        self._looked = 0.0

    def asked(self, now: float) -> None:
        if self._since is None:
            self._since = now

    def broken(self) -> None:
        """It has answered, or is another process now."""
        self._since = None

    def too_long(self, now: float, *, its_own: bool) -> bool:
        """Called at every look; `its_own` is False while somebody that its answer depends on is not well."""
        deaf = now - self._looked > DEAF_SECONDS
        self._looked = now
        if self._since is None:
            return False
        if deaf or not its_own:
            self._since = now
        return now - self._since >= self.limit
