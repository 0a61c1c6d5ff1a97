"""From a verified webhook to an acknowledged record, many at a time, each answered only for itself.

1. Verify the signature (server.py, before anything reaches this module).
2. Write raw body, sha256 and headers into the event ledger; the commit is on disk.
3. Parse, publish to Kafka and wait for every acknowledgement; what cannot be parsed goes to pg.dead.
4. Answer 2xx.
5. Mark the batch published.

A crash or an outage between 2 and 5 leaves unpublished batches: without a 2xx the gateway comes again, and
the sweeper publishes them whether it does or not. Doubling is harmless, since key and version are the same.
That is also why 5 comes after the answer and is not waited for on disk. A duplicate that comes before its
mark is known by the batch's number, so that in this process it changes nothing either.

2 and 3 stay one after the other although both are done before the answer: what is on the topic must be in the
ledger, where refunds find their payments and a dead letter its whole body, also when the process dies in
between and the gateway never comes again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import Counter, deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from bus.errors import BusError, BusTransientError, RecordRefusedError
from settlement.gateways import EntityType
from webhook_intake.errors import UnavailableError, UnreadableError
from webhook_intake.gates import READERS
from webhook_intake.hearing import dead_letter, hear
from webhook_intake.ledger import DEAD, PUBLISHED, Ledger, Mark
from webhook_intake.refunds import after_refunds

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

    from bus.loop_producer import LoopProducer
    from webhook_intake.metrics import Metrics
    from webhook_intake.records import Event, Heard, RefundFact, Word

log = logging.getLogger("webhook_intake")

TOPIC = "pg.transactions"
DEAD_TOPIC = "pg.dead"

# Events in one commit: more make the statement long and the first answer late, fewer make more fsyncs.
_BATCH = 400
# Batches under way at once: while one waits for the disk and one for Kafka, the next is read and written
# down.
_BATCHES = 3
# Seconds between the beginnings of two batches while one is under way, unless so many events wait already:
# each costs about the same whatever it holds, so many small ones would keep the processor from the work
# itself. Alone, nothing waits.
_APART, _ENOUGH = 0.003, 128
# Events waiting or under way; beyond it the answer is 503: no gateway waits longer.
_WAITING = 8_000
# Seconds until a batch counts as failed. Razorpay hangs up after five.
_SECONDS = 4.0
# Seconds of refusing at once after a failure, so that an outage is not a queue of slow failures.
_PAUSE = 1.0
# Seconds in which marks are gathered: one statement for all of them, and no batch waits for it.
_MARK_SECONDS = 0.05
# Seconds after which an unpublished batch is nobody's any more: longer than one may take.
_ABANDONED = 10.0
_SWEEP_SECONDS = 5.0
# Seconds between two looks while everything under way comes to its end.
_DRAIN_LOOK = 0.002

Then = Callable[["UnavailableError | None"], None]


class Pipeline:
    """Takes verified events; each is told when it is in Kafka, or why it is not."""

    def __init__(self, ledger: Ledger, producer: LoopProducer, metrics: Metrics) -> None:
        self._ledger = ledger
        self._producer = producer
        self._metrics = metrics
        self._pending: deque[Event] = deque()
        # Whom to tell of each event that waits or is under way: one that comes twice meanwhile is one.
        self._waiting: dict[str, list[Then]] = {}
        self._under_way = 0
        self._starting: asyncio.Handle | None = None
        self._starting_now = False
        # When the last batch began, by the loop's clock.
        self._started = 0.0
        self._tasks: set[asyncio.Task[None]] = set()
        # Batches that Kafka has and whose mark is not written yet.
        self._unmarked: list[int] = []
        self._marking = False
        self._refusing_until = 0.0
        self.problem: str | None = None

    async def submit(self, event: Event) -> None:
        """Steps 2 and 3 for one event, together with others; raises UnavailableError."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def then(error: UnavailableError | None) -> None:
            if future.done():
                return
            if error is None:
                future.set_result(None)
            else:
                future.set_exception(error)

        self.submit_then(event, then)
        await future

    def submit_then(self, event: Event, then: Then) -> None:
        """The same, and then call: the cheapest way."""
        if self._refusing_until and time.monotonic() < self._refusing_until:
            then(UnavailableError(self.problem or "not available"))
            return
        same = self._waiting.get(event.event_key)
        if same is not None:
            self._metrics.count("settle_intake_duplicates_total")
            same.append(then)
            return
        if len(self._waiting) >= _WAITING:
            then(UnavailableError("too many events are waiting"))
            return
        self._waiting[event.event_key] = [then]
        self._pending.append(event)
        self._start_soon()

    async def drain(self) -> None:
        """Wait for everything under way, and for its marks."""
        while self._tasks or self._pending:  # noqa: ASYNC110 - once in a process's life
            await asyncio.sleep(_DRAIN_LOOK)

    def _start_soon(self) -> None:
        if not self._pending or self._under_way >= _BATCHES:
            return
        # In the loop's next round: what was received in this one comes along.
        now = not self._under_way or len(self._pending) >= _ENOUGH
        if self._starting is not None:
            if not now or self._starting_now:
                return
            self._starting.cancel()
        loop = asyncio.get_running_loop()
        self._starting_now = now
        self._starting = (
            loop.call_soon(self._start) if now else loop.call_at(self._started + _APART, self._start)
        )

    def _start(self) -> None:
        self._starting = None
        if self._pending:
            batch = [self._pending.popleft() for _ in range(min(_BATCH, len(self._pending)))]
            self._under_way += 1
            self._started = asyncio.get_running_loop().time()
            self._spawn(self._run(batch))
            self._start_soon()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, batch: list[Event]) -> None:
        failed: UnavailableError | None = None
        began = time.monotonic()
        try:
            async with asyncio.timeout(_SECONDS):
                await self._deliver(batch)
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
            if failed is not None:
                if self.problem is None:
                    log.warning("refusing webhooks: %s", failed)
                self.problem = str(failed)
                self._refusing_until = time.monotonic() + _PAUSE
            self._metrics.count("settle_intake_batches_total")
            self._metrics.count("settle_intake_batch_seconds_total", time.monotonic() - began)
            self._start_soon()
            # 4.
            for event in batch:
                for then in self._waiting.pop(event.event_key):
                    then(failed)

    async def _deliver(self, events: Sequence[Event]) -> None:
        # 2.
        kept = await self._ledger.keep(events)
        todo = events
        if kept.new < len(events):
            done = await self._ledger.ended((event.event_key for event in events), self._unmarked)
            self._metrics.count("settle_intake_duplicates_total", len(done))
            todo = [event for event in events if event.event_key not in done]
        # 3.
        marks = await self.publish(todo) if todo else []
        if kept.new == len(events):
            # All of them end with their batch, but those that are dead.
            marks = [mark for mark in marks if mark.outcome != PUBLISHED]
        if marks:
            # Before the batch's own mark, which says that all others are published.
            await self._ledger.end(marks)
        # 5.
        self._mark_soon(kept.batch)

    def _mark_soon(self, batch: int) -> None:
        self._unmarked.append(batch)
        if not self._marking:
            self._marking = True
            self._spawn(self._mark())

    async def _mark(self) -> None:
        try:
            while self._unmarked:
                await asyncio.sleep(_MARK_SECONDS)
                batches = list(self._unmarked)
                try:
                    await self._ledger.mark(batches)
                except UnavailableError as error:
                    log.warning("%d batches stay unmarked until they are swept: %s", len(batches), error)
                self._unmarked = self._unmarked[len(batches) :]
        finally:
            self._marking = False

    async def publish(self, events: Sequence[Event]) -> list[Mark]:
        """Step 3 for events of the ledger: words to pg.transactions, what is not understood to pg.dead."""
        heard: list[tuple[Event, Heard]] = []
        letters: dict[str, tuple[Event, str]] = {}
        for event in events:
            try:
                heard.append((event, hear(event)))
            except UnreadableError as error:
                letters[event.event_key] = (event, str(error))
        words = [(event, word) for event, said in heard for word in said.words]
        words += await self._after_refunds(heard)
        records = []
        for event, word in words:
            try:
                records.append((word.record_id, self._producer.encode_object(TOPIC, word, word.avro)))
            except RecordRefusedError as error:
                letters[event.event_key] = (event, str(error))
        await self._send(TOPIC, records)
        if letters:
            await self._bury(list(letters.values()))
        for origin, count in Counter(word.origin for _, word in words).items():
            self._metrics.count("settle_intake_records_total", count, topic=TOPIC, origin=origin)
        return [
            Mark(event.event_key, DEAD, letters[event.event_key][1][:500])
            if event.event_key in letters
            else Mark(event.event_key, PUBLISHED)
            for event in events
        ]

    async def _send(self, topic: str, records: Sequence[tuple[str, bytes]]) -> None:
        try:
            await self._producer.deliver(topic, records)
        except BusError as error:
            raise UnavailableError(f"Kafka: {error}") from error

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
        records = []
        for event, reason in letters:
            letter = dead_letter(event.gateway, event.event_key, reason, event.body, event.sha256)
            records.append((letter["letter_id"], self._producer.encode(DEAD_TOPIC, letter)))
        await self._send(DEAD_TOPIC, records)
        self._metrics.count("settle_intake_records_total", len(letters), topic=DEAD_TOPIC, origin="WEBHOOK")

    async def sweep(self, older_than: float = _ABANDONED) -> int:
        """Publish what a crash or an outage left in the ledger; gives how many events."""
        swept = 0
        while (found := await self._ledger.unpublished(older_than, _BATCH)) is not None:
            batch, events = found
            async with asyncio.timeout(60):
                # Each for itself, since a batch may be larger than what is read of it at once.
                await self._ledger.end(await self.publish(events))
            if len(events) < _BATCH:
                await self._ledger.mark([batch])
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
            await self._ledger.end(marks)
            still += sum(mark.outcome == DEAD for mark in marks)
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
