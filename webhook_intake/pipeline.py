"""From a verified webhook to an acknowledged record, many at a time, each answered only for itself.

1. Verify the signature (server.py, before anything reaches this module).
2. Write raw body, sha256 and headers into the event ledger; the commit is on disk.
3. Parse, publish to Kafka and wait for every acknowledgement; what cannot be parsed goes to pg.dead.
4. Mark the events published.
5. Answer 2xx.

A crash or an outage between 2 and 4 leaves unpublished rows: the gateway got no 2xx and comes again, and the
sweeper publishes them whether it does or not. Doubling is harmless, since key and version are the same.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import Counter
from typing import TYPE_CHECKING

from bus.errors import BusError, BusTransientError, RecordRefusedError
from settlement.gateways import EntityType
from webhook_intake.acks import Acks
from webhook_intake.errors import UnavailableError, UnreadableError
from webhook_intake.gates import READERS
from webhook_intake.hearing import dead_letter, hear
from webhook_intake.ledger import Ledger, Mark
from webhook_intake.refunds import after_refunds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bus.producer import Producer
    from webhook_intake.metrics import Metrics
    from webhook_intake.records import Event, Heard, RefundFact, Word

log = logging.getLogger("webhook_intake")

TOPIC = "pg.transactions"
DEAD_TOPIC = "pg.dead"

# Seconds a first request waits for company. Under load the batch before it takes longer than this anyway;
# alone it costs two milliseconds of the five seconds a gateway gives.
_GATHER_SECONDS = 0.002
# Events in one commit: more make the statement long and the first answer late, fewer make more fsyncs.
_BATCH = 400
# Batches under way at once: while one waits for Kafka, the next is in Postgres.
_BATCHES = 3
# Events waiting or under way; beyond it the answer is 503: no gateway waits longer.
_WAITING = 8_000
# Seconds until a batch counts as failed. Razorpay hangs up after five.
_SECONDS = 4.0
# Seconds of refusing at once after a failure, so that an outage is not a queue of slow failures.
_PAUSE = 1.0
# Seconds after which an unpublished row is nobody's any more: longer than a batch may take.
_ABANDONED = 10.0
_SWEEP_SECONDS = 5.0


class Pipeline:
    """Takes verified events; `submit` returns when the event is in Kafka and raises when it is not."""

    def __init__(self, ledger: Ledger, producer: Producer, metrics: Metrics) -> None:
        self._ledger = ledger
        self._producer = producer
        self._metrics = metrics
        self._pending: list[tuple[Event, asyncio.Future[None]]] = []
        self._under_way = 0
        self._events_under_way = 0
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._refusing_until = 0.0
        self.problem: str | None = None

    async def submit(self, event: Event) -> None:
        """Steps 2 to 4 for one event, together with others."""
        if time.monotonic() < self._refusing_until:
            raise UnavailableError(self.problem or "not available")
        if len(self._pending) + self._events_under_way >= _WAITING:
            raise UnavailableError("too many events are waiting")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        self._pending.append((event, future))
        self._start_soon(_GATHER_SECONDS)
        await future

    async def drain(self) -> None:
        """Wait for everything under way."""
        while self._tasks or self._pending:
            if self._tasks:
                await asyncio.wait(self._tasks)
            else:
                await asyncio.sleep(_GATHER_SECONDS)

    def _start(self) -> None:
        self._timer = None
        if not self._pending or self._under_way >= _BATCHES:
            return
        batch, self._pending = self._pending[:_BATCH], self._pending[_BATCH:]
        self._under_way += 1
        self._events_under_way += len(batch)
        task = asyncio.get_running_loop().create_task(self._run(batch))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self._start_soon(0)

    def _start_soon(self, seconds: float) -> None:
        if self._pending and self._timer is None and self._under_way < _BATCHES:
            self._timer = asyncio.get_running_loop().call_later(seconds, self._start)

    async def _run(self, batch: list[tuple[Event, asyncio.Future[None]]]) -> None:
        failed: UnavailableError | None = None
        began = time.monotonic()
        try:
            async with asyncio.timeout(_SECONDS):
                await self._deliver(list({event.event_key: event for event, _ in batch}.values()))
            self.problem = None
        except UnavailableError as error:
            failed = error
        except TimeoutError:
            failed = UnavailableError("Kafka did not acknowledge in time")
        except Exception as error:
            log.exception("a batch of %d events failed", len(batch))
            failed = UnavailableError(f"internal error: {type(error).__name__}")
        finally:
            self._under_way -= 1
            self._events_under_way -= len(batch)
            if failed is not None:
                if self.problem is None:
                    log.warning("refusing webhooks: %s", failed)
                self.problem = str(failed)
                self._refusing_until = time.monotonic() + _PAUSE
            self._metrics.count("settle_intake_batches_total")
            self._metrics.count("settle_intake_batch_seconds_total", time.monotonic() - began)
            for _, future in batch:
                if future.done():
                    continue
                if failed is None:
                    # 5.
                    future.set_result(None)
                else:
                    future.set_exception(failed)
            self._start_soon(0)

    async def _deliver(self, events: Sequence[Event]) -> None:
        # 2.
        new = await self._ledger.keep(events)
        todo = list(events)
        if len(new) < len(events):
            done = await self._ledger.published(
                event.event_key for event in events if event.event_key not in new
            )
            self._metrics.count("settle_intake_duplicates_total", len(done))
            todo = [event for event in events if event.event_key not in done]
        if not todo:
            return
        # 3.
        marks = await self.publish(todo)
        # 4.
        await self._ledger.mark(marks)

    async def publish(self, events: Sequence[Event]) -> list[Mark]:
        """Step 3 for events of the ledger: words to pg.transactions, what is not understood to pg.dead."""
        marks = {event.event_key: Mark(event.event_key, "PUBLISHED") for event in events}
        heard: list[tuple[Event, Heard]] = []
        letters: list[tuple[Event, str]] = []
        for event in events:
            try:
                heard.append((event, hear(event)))
            except UnreadableError as error:
                letters.append((event, str(error)))
        words = [(event, word) for event, said in heard for word in said.words]
        words += await self._after_refunds(heard)
        acks = Acks(len(words))
        for event, word in words:
            try:
                self._producer.send_then(TOPIC, word.record_id, word.avro(), acks.then, wait=0.0)
            except RecordRefusedError as error:
                acks.skip()
                letters.append((event, str(error)))
            except BusError as error:
                raise UnavailableError(f"Kafka: {error}") from error
        await acks.all()
        if letters:
            await self._bury(letters)
            for event, reason in letters:
                marks[event.event_key] = Mark(event.event_key, "DEAD", reason[:500])
        for origin, count in Counter(word.origin for _, word in words).items():
            self._metrics.count("settle_intake_records_total", count, topic=TOPIC, origin=origin)
        return list(marks.values())

    async def _after_refunds(self, heard: Sequence[tuple[Event, Heard]]) -> list[tuple[Event, Word]]:
        """Payments as they stand after refunds, from all events of the ledger about them."""
        events: dict[str, Event] = {}
        for event, said in heard:
            if READERS[event.gateway].refunds_apart:
                payments = {fact.payment_id for fact in said.refunds}
                payments |= {word.entity_id for word in said.words if word.entity_type == EntityType.PAYMENT}
                events |= {f"{event.gateway}:{payment}": event for payment in payments}
        if not events:
            return []
        captured: dict[str, Word] = {}
        facts: dict[str, list[RefundFact]] = {}
        known = list(heard)
        for other in await self._ledger.about(events, but=(event.event_key for event, _ in heard)):
            with contextlib.suppress(UnreadableError):
                known.append((other, hear(other)))
        for other, said in known:
            for word in said.words:
                if word.entity_type == EntityType.PAYMENT and word.status == "CAPTURED":
                    captured[f"{word.gateway}:{word.entity_id}"] = word
            for fact in said.refunds:
                facts.setdefault(f"{other.gateway}:{fact.payment_id}", []).append(fact)
        found = []
        for name, payment in captured.items():
            left = after_refunds(payment, facts.get(name, ()))
            if left is not None:
                found.append((events[name], left))
        return found

    async def _bury(self, letters: Sequence[tuple[Event, str]]) -> None:
        acks = Acks(len(letters))
        for event, reason in letters:
            letter = dead_letter(event.gateway, event.event_key, reason, event.body, event.sha256)
            try:
                self._producer.send_then(DEAD_TOPIC, letter["letter_id"], letter, acks.then, wait=0.0)
            except BusError as error:
                raise UnavailableError(f"Kafka: {error}") from error
        await acks.all()
        self._metrics.count("settle_intake_records_total", len(letters), topic=DEAD_TOPIC, origin="WEBHOOK")

    async def sweep(self, older_than: float = _ABANDONED) -> int:
        """Publish what a crash or an outage left in the ledger; gives how many events."""
        swept = 0
        while events := await self._ledger.unpublished(older_than, _BATCH):
            async with asyncio.timeout(60):
                await self._ledger.mark(await self.publish(events))
            swept += len(events)
        if swept:
            self._metrics.count("settle_intake_swept_total", swept)
            log.info("published %d events that an earlier process or outage had left", swept)
        return swept

    async def replay(self, limit: int = 10_000) -> tuple[int, int]:
        """Read dead events again, after a fix; gives how many were read and how many stay dead."""
        events = await self._ledger.dead(limit)
        still = 0
        for at in range(0, len(events), _BATCH):
            marks = await self.publish(events[at : at + _BATCH])
            await self._ledger.mark(marks)
            still += sum(mark.outcome == "DEAD" for mark in marks)
        return len(events), still

    async def sweep_for_ever(self) -> None:
        """At start everything unpublished is an earlier process's; afterwards only what is abandoned."""
        older_than = 0.0
        while True:
            try:
                await self.sweep(older_than)
                older_than = _ABANDONED
            except (UnavailableError, BusTransientError, TimeoutError) as error:
                log.warning("sweeping: %s", error or "no answer in time")
            await asyncio.sleep(_SWEEP_SECONDS)
