"""The Kafka client's own log lines, at a pace people can read.

The client tries a broker that is away twenty times a second and says so each time: within a minute of a
restart the log would hold nothing else, and the line that matters would be gone.
"""

from __future__ import annotations

import logging
import re
import time

# Seconds for which the same thing is not said again.
QUIET = 30.0


class OnceInAWhile(logging.Filter):
    """Lets a line through that was not said lately; numbers in it do not make it another line."""

    def __init__(self) -> None:
        super().__init__()
        self._said: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """True for what is new."""
        now = time.monotonic()
        line = re.sub(r"\d+", "#", record.getMessage())
        if now - self._said.get(line, -QUIET) < QUIET:
            return False
        if len(self._said) > 1000:
            self._said.clear()
        self._said[line] = now
        return True


client_log = logging.getLogger("bus.client")
client_log.addFilter(OnceInAWhile())
