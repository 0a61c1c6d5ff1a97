"""Sending records: acknowledged by all replicas, never doubled by a retry, in Avro of the registry.

`Producer` sends single records, `TransactionalProducer` those that must be visible together or not at all.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, NamedTuple

from confluent_kafka import KafkaError, KafkaException, Message

from bus.errors import BrokerUnavailableError, BusError, from_kafka
from bus.sender import DELIVERY_MS, QUEUE_WAIT, Headers, Sender
from bus.transactions import TransactionalProducer

if TYPE_CHECKING:
    from bus.settings import BusSettings

__all__ = ["Delivery", "Headers", "Producer", "Then", "TransactionalProducer"]

log = logging.getLogger("bus")


class Delivery(NamedTuple):
    """Where an acknowledged record lies."""

    topic: str
    partition: int
    offset: int


Then = Callable[[Delivery | None, BusError | None], None]


class Producer(Sender):
    """Sends single records; for those whose acknowledgement somebody waits for.

    A thread of its own serves acknowledgements, so nobody has to poll.
    """

    def __init__(
        self,
        settings: BusSettings | None = None,
        *,
        client_id: str = "settlestream",
        schemas: Mapping[str, str] | None = None,
    ) -> None:
        """`schemas` names the .avsc for topics that topics.yaml does not know (tests have their own)."""
        super().__init__(settings, schemas, {"client.id": client_id})
        self._failed: BusError | None = None
        self._waiters: list[tuple[asyncio.Future[Delivery], Delivery | None, BusError | None]] = []
        self._waiters_lock = threading.Lock()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="bus-acknowledgements", daemon=True)
        self._thread.start()

    def __enter__(self) -> Producer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def send(
        self, topic: str, key: str, record: Mapping[str, Any], headers: Headers | None = None
    ) -> Future[Delivery]:
        """Send and get a future that holds the delivery, or raises why there is none."""
        future: Future[Delivery] = Future()
        # From here on it cannot be cancelled: the record is on its way, and its end will be told.
        future.set_running_or_notify_cancel()

        def then(delivery: Delivery | None, error: BusError | None) -> None:
            if error is not None:
                future.set_exception(error)
            elif delivery is not None:
                future.set_result(delivery)

        self.send_then(topic, key, record, then, headers)
        return future

    def send_then(
        self,
        topic: str,
        key: str,
        record: Mapping[str, Any],
        then: Then,
        headers: Headers | None = None,
        wait: float = QUEUE_WAIT,
    ) -> None:
        """Send and have `then(delivery, error)` called from the acknowledging thread: the cheapest way."""

        def on_delivery(error: KafkaError | None, message: Message) -> None:
            if error is not None:
                named = from_kafka(error, f"sending to {topic}")
                self._failed = self._failed or named
                then(None, named)
            else:
                then(Delivery(topic, message.partition() or 0, message.offset() or 0), None)

        self._produce(topic, key, self._encode(topic, record), headers, on_delivery, wait)

    def send_async(
        self, topic: str, key: str, record: Mapping[str, Any], headers: Headers | None = None
    ) -> asyncio.Future[Delivery]:
        """Send from an event loop; never blocks it once `prepare` was called: a full queue raises.

        Acknowledgements that arrive together wake the loop once, so thousands in flight are cheap.
        """
        future: asyncio.Future[Delivery] = asyncio.get_running_loop().create_future()

        def then(delivery: Delivery | None, error: BusError | None) -> None:
            with self._waiters_lock:
                self._waiters.append((future, delivery, error))

        self.send_then(topic, key, record, then, headers, wait=0.0)
        return future

    def flush(self, timeout: float = DELIVERY_MS / 1000) -> None:
        """Wait until everything sent is acknowledged; raises the first failure since the last flush."""
        try:
            left = self._client.flush(timeout)
        except KafkaException as error:
            raise from_kafka(error, "flushing") from error
        finally:
            self._wake_loops()
        failed, self._failed = self._failed, None
        if failed is not None:
            raise failed
        if left:
            raise BrokerUnavailableError(f"{left} records were not acknowledged within {timeout:g} s")

    def close(self, timeout: float = 30.0) -> None:
        """Flush and let go; raises like flush."""
        try:
            self.flush(timeout)
        finally:
            self._closing.set()
            self._thread.join(5)
            self._registry.close()

    def _serve(self) -> None:
        while not self._closing.is_set():
            try:
                self._client.poll(0.1)
            except Exception:
                # Raised by somebody's `then`. If it ended this thread, nobody would hear of an end again.
                log.exception("a callback failed for a delivery that had ended")
            self._wake_loops()

    def _wake_loops(self) -> None:
        with self._waiters_lock:
            if not self._waiters:
                return
            waiters, self._waiters = self._waiters, []
        by_loop: dict[asyncio.AbstractEventLoop, list[Any]] = {}
        for waiter in waiters:
            by_loop.setdefault(waiter[0].get_loop(), []).append(waiter)
        for loop, group in by_loop.items():
            try:
                loop.call_soon_threadsafe(_resolve, group)
            except RuntimeError:  # the loop is closed: nobody waits any more
                log.warning("%d acknowledgements came after their event loop had closed", len(group))


def _resolve(
    group: list[tuple[asyncio.Future[Delivery], Delivery | None, BusError | None]],
) -> None:
    for future, delivery, error in group:
        if future.done():  # whoever waited was cancelled
            continue
        if error is not None:
            future.set_exception(error)
        elif delivery is not None:
            future.set_result(delivery)
