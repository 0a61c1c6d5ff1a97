"""Closes the gaps that webhooks leave: reads the gateways' lists and publishes what nobody told.

1. Business now, less a grace in which a webhook may still be on the way.
2. For each day from the cursor less the overlap up to then: the gateway's lists, page by page.
3. Compare each row with all that was heard about its payment; a row that says more was missed.
4. What was missed goes the way of a webhook (pipeline.py, steps 2 to 4) as the notice that should have come:
   kept before it is published, under the same key, with a version by the same rules.
5. Move the cursor to the end of the day read.

A crash between any two steps repeats work: what was kept is known at the next look. Gateways list by
creation, so the days before are read again now and then for payments captured or refunded late.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import logging
import threading
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, TypeVar, cast

from bus.errors import BusError
from settlement.calendar import IST, ist_date
from settlement.gateways import EntityType, GatewayStatus
from settlement.versions import GATEWAY_RANKS
from webhook_intake.business_time import Ticks, Wall
from webhook_intake.errors import GatewayError, GatewayRefusedError, UnavailableError, UnreadableError
from webhook_intake.fetching import Fetcher
from webhook_intake.gap_ledger import GapLedger
from webhook_intake.hearing import hear
from webhook_intake.lists import lists
from webhook_intake.records import Event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from webhook_intake.config import IntakeSettings
    from webhook_intake.ledger import Ledger
    from webhook_intake.lists import Lists
    from webhook_intake.metrics import Metrics
    from webhook_intake.pipeline import Pipeline
    from webhook_intake.records import Listed, Word

log = logging.getLogger("webhook_intake")

T = TypeVar("T")

_DAY = timedelta(days=1)
# A payment still under way is no loss: it is on the list again with its end.
_UNDER_WAY = frozenset({GatewayStatus.CREATED, GatewayStatus.PENDING})
_CAPTURED = GATEWAY_RANKS[GatewayStatus.CAPTURED]


@dataclass(slots=True)
class Closed:
    """How one gateway's look at its lists went."""

    gateway: str
    read_to: datetime | None = None
    listed: int = 0
    missed: int = 0
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class _Known:
    """What was heard about some payments: each record's rank, and the events it was heard in."""

    ranks: dict[str, int]
    keys: frozenset[str]


class GapCloser:
    """Looks at every gateway's lists in turn, in the server's loop; only the calls block a thread."""

    def __init__(
        self, settings: IntakeSettings, ledger: Ledger, pipeline: Pipeline, metrics: Metrics
    ) -> None:
        self._settings = settings
        self._ledger = ledger
        self._memory = GapLedger(ledger)
        self._pipeline = pipeline
        self._metrics = metrics
        self._stopping = threading.Event()
        self._fetcher = Fetcher(metrics, self._stopping)
        self._lists = lists(settings, self._fetcher)
        self._clock = Ticks() if settings.clock == "ticks" else Wall()

    async def for_ever(self) -> None:
        """Look until cancelled, unless turned off."""
        while self._settings.gap_seconds and self._lists:
            try:
                await self.look()
            except (UnavailableError, BusError) as error:
                log.warning("closing gaps: %s", error)
            except Exception:
                # What nobody foresaw must not end the looking for good; the next round tries again.
                log.exception("closing gaps failed")
            await asyncio.sleep(self._settings.gap_seconds)

    def stop(self) -> None:
        """Try no call again."""
        self._stopping.set()

    def close(self) -> None:
        """Let go of the connections, once nothing looks any more."""
        self._fetcher.close()
        self._clock.close()

    async def look(self, gateways: list[str] | None = None, *, everything: bool = False) -> list[Closed]:
        """One round; `everything` also looks where it is not due. Raises when Postgres or Kafka is away."""
        # 1.
        opened, now = await _aside(self._clock.moments)
        if now is None:
            return []
        until = now - timedelta(seconds=self._settings.gap_grace_seconds)
        rounds = [
            await self._look_at(one, opened, until, everything=everything)
            for name, one in self._lists.items()
            if gateways is None or name in gateways
        ]
        return [one for one in rounds if one is not None]

    async def _look_at(
        self, gateway: Lists, opened: datetime | None, until: datetime, *, everything: bool
    ) -> Closed | None:
        cursor = await self._memory.cursor(gateway.name)
        late = everything or cursor.late_age is None or cursor.late_age >= self._settings.reread_seconds
        # Another process has just looked; half the time, so that "every 300 s" is not every second round.
        looked = cursor.age is not None and cursor.age < self._settings.gap_seconds / 2
        stands_still = cursor.read_to is not None and until <= cursor.read_to
        if not everything and (looked or (stands_still and not late)):
            return None
        closed = Closed(gateway.name)
        overlap = timedelta(seconds=self._settings.gap_overlap_seconds)
        if late:
            overlap = max(overlap, self._settings.poll_overlap_days * _DAY)
        begin = min(cursor.read_to or opened or until, until) - overlap
        if self._settings.poll_from is not None:
            first = datetime.combine(self._settings.poll_from, datetime.min.time(), IST)
            begin = max(begin, first) if cursor.read_to or opened else first
        try:
            for day_begin, day_end in days(begin, until):
                await self._read(gateway, day_begin, day_end, closed)
                # 5.
                closed.read_to = day_end
        except GatewayError as error:
            closed.problem = str(error)
            log.warning("closing gaps: %s", error)
        await self._memory.move(
            gateway.name,
            closed.read_to,
            late=late and closed.problem is None,
            listed=closed.listed,
            missed=closed.missed,
            problem=closed.problem,
        )
        if closed.missed:
            log.warning("%s: %d payments and refunds had no webhook", gateway.name, closed.missed)
        return closed

    async def _read(self, gateway: Lists, begin: datetime, end: datetime, closed: Closed) -> None:
        # 2.
        pages = gateway.read(begin, end)
        while (page := await _aside(lambda: next(pages, None))) is not None:
            closed.listed += len(page)
            self._metrics.count("settle_intake_listed_total", len(page), gateway=gateway.name)
            # 3.
            known = await self._known({one.about for one in page})
            events = [await self._whole(gateway, one) for one in page if _missed(gateway.name, one, known)]
            # A row may come twice while a page shifts under the reader.
            missed = {one.event_key: one for one in events if one.event_key not in known.keys}
            # 4.
            await asyncio.gather(*(self._pipeline.submit(one) for one in missed.values()))
            closed.missed += len(missed)
            self._metrics.count("settle_intake_missed_total", len(missed), gateway=gateway.name)

    async def _known(self, about: Iterable[str]) -> _Known:
        events = await self._ledger.about(about, but=()) if about else []
        ranks: dict[str, int] = {}
        for event in events:
            for word in _words(event) or ():
                ranks[word.record_id] = max(ranks.get(word.record_id, 0), _rank(word))
        return _Known(ranks, frozenset(event.event_key for event in events))

    async def _whole(self, gateway: Lists, listed: Listed) -> Event:
        try:
            return _event(gateway.name, await _aside(lambda: gateway.whole(listed)))
        except GatewayRefusedError as error:
            # What the list itself says is better than nothing.
            log.warning("closing gaps: %s", error)
            return _event(gateway.name, listed)


async def _aside(call: Callable[[], T]) -> T:
    """A blocking call in a thread of its own, which does not hold up the process's end as a pool's would."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if future.cancelled():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(cast("T", result))

    def run() -> None:
        result, failed = None, None
        try:
            result = call()
        except BaseException as error:  # noqa: BLE001 - raised where it is awaited
            failed = error
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(settle, result, failed)

    threading.Thread(target=run, name="gaps", daemon=True).start()
    return await future


def days(begin: datetime, end: datetime) -> list[tuple[datetime, datetime]]:
    """This time in pieces that end with India's days: the gateways list a few days at most."""
    found = []
    while begin < end:
        midnight = datetime.combine(ist_date(begin) + _DAY, datetime.min.time(), IST)
        found.append((begin, min(midnight, end)))
        begin = midnight
    return found


def _missed(gateway: str, listed: Listed, known: _Known) -> bool:
    """Does a row say more than was heard? One that cannot be read does: it is kept, and a letter written."""
    words = _words(_event(gateway, listed))
    if words is None:
        return True
    return any(
        word.status not in _UNDER_WAY and _rank(word) > known.ranks.get(word.record_id, 0) for word in words
    )


def _rank(word: Word) -> int:
    """How far a record is; that a payment was refunded is the refund's own row to say."""
    rank = GATEWAY_RANKS[word.status]
    return min(rank, _CAPTURED) if word.entity_type == EntityType.PAYMENT else rank


def _words(event: Event) -> Sequence[Word] | None:
    try:
        return hear(event).words
    except UnreadableError:
        return None


def _event(gateway: str, listed: Listed) -> Event:
    # The standard library's: it also writes down text that is no Unicode, to be refused when it is read.
    body = json.dumps(listed.notice, default=str, sort_keys=True).encode()
    sha256 = hashlib.sha256(body).hexdigest()
    return Event(
        f"{gateway}:listed:{sha256[:32]}",
        gateway,
        datetime.now(UTC),
        sha256,
        "application/json",
        "{}",
        body,
        listed.about,
        ist_date(listed.at),
    )
