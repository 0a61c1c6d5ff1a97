"""How many requests a source may send in a minute, counted over all processes together.

1. A process leases a share of a source's minute from a store that all of them ask.
2. It counts the share down alone: most requests cost a look into a dictionary.
3. A share that is used up is followed by the next; shares shrink as the minute fills, so that little of it
   lies unused in one process while another refuses.
4. No share left: refused until the minute ends, without asking again.

While the store does not answer, each process holds the limit on its own.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from webhook_intake.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

log = logging.getLogger("webhook_intake")

_MINUTE = 60
# Parts of the limit leased at once: the store is asked some forty times per source and minute at most.
_PARTS = 20


class Shares(Protocol):
    """What all processes lease from."""

    async def lease(
        self, sources: Sequence[str], minute: int, *, share: int, limit: int
    ) -> Mapping[str, int]:
        """Up to a share of the minute for each source; raises UnavailableError when there is no answer."""

    async def forget_leases(self, before: int) -> None:
        """Let go of the minutes before this one."""


@dataclass(slots=True)
class _Source:
    """One source's minute in this process."""

    left: int = 0
    leased: int = 0
    spent: bool = False


class RateLimit:
    """Says of each request whether its source may still send."""

    def __init__(self, shares: Shares, per_minute: int, clock: Callable[[], float] = time.time) -> None:
        self._shares = shares
        self._limit = per_minute
        self._share = max(1, per_minute // _PARTS)
        self._clock = clock
        self._minute = 0
        self._sources: dict[str, _Source] = {}
        self._asked: dict[str, asyncio.Future[None]] = {}
        self._asking: asyncio.Task[None] | None = None
        self._forgotten = 0

    async def pause(self, source: str) -> int:
        """0 when this request may come in; otherwise the seconds until the source may send again."""
        while True:
            now = self._clock()
            # A clock that is set back does not open a minute a second time.
            if now >= (self._minute + 1) * _MINUTE:
                self._minute = int(now // _MINUTE)
                self._sources = {}
            one = self._sources.get(source)
            if one is None:
                one = self._sources[source] = _Source()
            # 2.
            if one.left:
                one.left -= 1
                return 0
            # 4.
            if one.spent:
                return max(1, math.ceil((self._minute + 1) * _MINUTE - now))
            # 1. and 3.
            await self._lease(source)

    async def _lease(self, source: str) -> None:
        loop = asyncio.get_running_loop()
        future = self._asked.get(source)
        if future is None:
            future = self._asked[source] = loop.create_future()
        if self._asking is None:
            self._asking = loop.create_task(self._ask())
        # Others may wait for the same answer: one that goes away must not take it from them.
        await asyncio.shield(future)

    async def _ask(self) -> None:
        """Ask for all who wait, one statement at a time: many new sources cost no more than one."""
        while self._asked:
            asked, self._asked = self._asked, {}
            minute = self._minute
            granted: Mapping[str, int] | None
            try:
                granted = await self._shares.lease(list(asked), minute, share=self._share, limit=self._limit)
                if self._forgotten < minute:
                    self._forgotten = minute
                    await self._shares.forget_leases(minute)
            except UnavailableError:
                granted = None
            except Exception:
                # Nobody may wait for an answer that never comes.
                log.exception("leasing shares failed")
                granted = None
            for source, future in asked.items():
                if minute == self._minute:
                    self._grant(self._sources[source], None if granted is None else granted.get(source, 0))
                if not future.done():
                    future.set_result(None)
        self._asking = None

    def _grant(self, one: _Source, granted: int | None) -> None:
        count = min(self._share, self._limit - one.leased) if granted is None else granted
        one.left += count
        one.leased += count
        one.spent = count <= 0
