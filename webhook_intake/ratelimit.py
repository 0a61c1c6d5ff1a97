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
from collections import deque
from dataclasses import dataclass, field
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
    """One source's minute in this process, and the requests that wait for its next share."""

    waiting: deque[asyncio.Future[int]] = field(default_factory=deque)
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
        self._asked: set[str] = set()
        self._asking: asyncio.Task[None] | None = None
        self._forgotten = 0

    def take(self, source: str) -> int | None:
        """0 when this request may come in, otherwise the seconds until its source may send again.

        None when the store must be asked first: see `pause`.
        """
        now = self._turn()
        one = self._sources.get(source)
        if one is None:
            return None
        # 2.
        if one.left and not one.waiting:
            one.left -= 1
            return 0
        # 4.
        return self._until_next(now) if one.spent else None

    async def pause(self, source: str) -> int:
        """The same, and the store is asked where it must be."""
        known = self.take(source)
        if known is not None:
            return known
        one = self._sources.setdefault(source, _Source())
        # 1. and 3.
        loop = asyncio.get_running_loop()
        future: asyncio.Future[int] = loop.create_future()
        one.waiting.append(future)
        self._asked.add(source)
        if self._asking is None:
            self._asking = loop.create_task(self._ask())
        return await future

    def _turn(self) -> float:
        """Now, and a new minute where one has begun; a clock that is set back opens none a second time."""
        now = self._clock()
        if now >= (self._minute + 1) * _MINUTE:
            self._minute = int(now // _MINUTE)
            self._sources = {name: _Source(one.waiting) for name, one in self._sources.items() if one.waiting}
        return now

    def _until_next(self, now: float) -> int:
        return max(1, math.ceil((self._minute + 1) * _MINUTE - now))

    async def _ask(self) -> None:
        """Ask for all who wait, one statement at a time: many new sources cost no more than one."""
        while self._asked:
            self._turn()
            asked, self._asked = self._asked, set()
            minute = self._minute
            granted = await self._lease(list(asked), minute)
            now = self._turn()
            for source in asked:
                one = self._sources.get(source)
                if one is None:
                    continue
                # A share of a minute that ended while it was asked for is worth nothing any more.
                if minute == self._minute:
                    count = min(self._share, self._limit - one.leased)
                    if granted is not None:
                        count = granted.get(source, 0)
                    one.left += count
                    one.leased += count
                    one.spent = count <= 0
                self._answer(source, one, now)
        self._asking = None

    async def _lease(self, sources: list[str], minute: int) -> Mapping[str, int] | None:
        try:
            granted = await self._shares.lease(sources, minute, share=self._share, limit=self._limit)
            if self._forgotten < minute:
                self._forgotten = minute
                await self._shares.forget_leases(minute)
        except UnavailableError:
            return None
        except Exception:
            # Nobody may wait for an answer that never comes.
            log.exception("leasing shares failed")
            return None
        return granted

    def _answer(self, source: str, one: _Source, now: float) -> None:
        """Let in as many as the share holds, in their order; the others wait for the next, if any."""
        while one.waiting and (one.left or one.spent):
            future = one.waiting.popleft()
            if future.done():
                continue
            if one.left:
                one.left -= 1
                future.set_result(0)
            else:
                future.set_result(self._until_next(now))
        if one.waiting:
            self._asked.add(source)
