"""Waiting for many acknowledgements of the bus at once."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import TYPE_CHECKING

from webhook_intake.errors import UnavailableError

if TYPE_CHECKING:
    from bus.errors import BusError


class Acks:
    """Waits for a known number of acknowledgements; wakes the loop once."""

    def __init__(self, count: int) -> None:
        self._left = count
        self._lock = threading.Lock()
        self._loop = asyncio.get_running_loop()
        self._done = asyncio.Event()
        self._error: BusError | None = None
        if not count:
            self._done.set()

    def then(self, delivery: object, error: BusError | None) -> None:  # noqa: ARG002 - the bus's signature
        """One acknowledgement, from the bus's thread."""
        self._error = self._error or error
        self.skip()

    def skip(self) -> None:
        """One fewer to wait for."""
        with self._lock:
            self._left -= 1
            last = self._left == 0
        if last:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                self._loop.call_soon_threadsafe(self._done.set)

    async def all(self) -> None:
        """Until the last one is in; raises if any failed."""
        await self._done.wait()
        if self._error is not None:
            raise UnavailableError(f"Kafka: {self._error}")
