"""Sending from an event loop that serves the acknowledgements itself.

`Producer` has a thread for them, which at ten thousand records a second spends its time asking for the
interpreter that the loop holds. Here the loop looks for acknowledgements while some are awaited, and only
then.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from confluent_kafka import KafkaError, KafkaException, Message

from bus.errors import BackpressureError, from_kafka
from bus.sender import Sender

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bus.errors import BusError
    from bus.settings import BusSettings

# Milliseconds a record waits for company. What is delivered together is handed over in one go, which takes
# less.
_LINGER_MS: Final = 1
# Seconds between two looks for acknowledgements.
_LOOK: Final = 0.001


class LoopProducer(Sender):
    """Delivers records together; for those whose acknowledgement a coroutine waits for."""

    def __init__(
        self,
        settings: BusSettings | None = None,
        *,
        client_id: str = "settlestream",
        schemas: Mapping[str, str] | None = None,
    ) -> None:
        """`schemas` names the .avsc for topics that topics.yaml does not know (tests have their own)."""
        super().__init__(settings, schemas, {"client.id": client_id, "linger.ms": _LINGER_MS})
        self._awaited: set[_Delivery] = set()
        self._looking = False

    def encode(self, topic: str, record: Mapping[str, object]) -> bytes:
        """A record's bytes; raises RecordRefusedError for one that does not fit."""
        return self._encode(topic, record)

    def encode_object(
        self, topic: str, record: object, otherwise: Callable[[], Mapping[str, object]]
    ) -> bytes:
        """The same for an object that has the schema's fields; `otherwise` gives it as a mapping."""
        encoder = self._encoders.get(topic) or self._encoder(topic)
        return encoder.encode_object(record, otherwise)

    async def deliver(self, topic: str, records: Sequence[tuple[str, bytes]]) -> None:
        """Send encoded records by key and wait until all are acknowledged; raises the first failure.

        Never blocks the loop: a full queue raises BackpressureError. Records before it may arrive all the
        same.
        """
        if not records:
            return
        delivery = _Delivery(len(records), topic)
        messages = [{"key": key, "value": value} for key, value in records]
        try:
            sent = self._client.produce_batch(topic, messages, on_delivery=delivery.ended)
        except BufferError:
            sent = 0
        except KafkaException as error:
            raise from_kafka(error, f"sending to {topic}") from error
        if sent < len(records):
            raise BackpressureError(
                f"{topic}: the send queue is full and the broker does not empty it", retry_after=1.0
            )
        self._awaited.add(delivery)
        self._look_soon()
        try:
            await delivery.future
        finally:
            self._awaited.discard(delivery)

    def close(self, timeout: float = 30.0) -> None:
        """Wait for what is under way and let go."""
        self._client.flush(timeout)
        self._registry.close()

    def _look_soon(self) -> None:
        if not self._looking and self._awaited:
            self._looking = True
            asyncio.get_running_loop().call_later(_LOOK, self._look)

    def _look(self) -> None:
        self._looking = False
        self._client.poll(0)
        self._look_soon()


class _Delivery:
    """Records that are awaited together."""

    __slots__ = ("_error", "_left", "_topic", "future")

    def __init__(self, count: int, topic: str) -> None:
        self._left = count
        self._topic = topic
        self._error: BusError | None = None
        self.future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def ended(self, error: KafkaError | None, message: Message) -> None:  # noqa: ARG002 - the client's signature
        """One of them was acknowledged, or will never be."""
        if error is not None and self._error is None:
            self._error = from_kafka(error, f"sending to {self._topic}")
        self._left -= 1
        if self._left or self.future.done():
            return
        if self._error is not None:
            self.future.set_exception(self._error)
        else:
            self.future.set_result(None)
