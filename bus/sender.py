"""What every producer does alike: connect, encode with the registry's ids, wait for room in the queue."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message
from confluent_kafka import Producer as Client

from bus.client_log import client_log
from bus.errors import BackpressureError, from_kafka
from bus.registry import Registry
from bus.settings import BusSettings, bus_settings
from bus.topics import load_schema, schema_name_of
from bus.wire import Encoder

log = logging.getLogger("bus")

# Milliseconds a record waits for company in its batch. Ten fill batches well above 10,000 records/s and
# cost a webhook nothing beside its five-second limit; at 0 every record is its own request and the broker
# does several times the work, at 50 the p99 from commit to Kafka alone eats the 50 ms we aim for.
LINGER_MS = 10
# Milliseconds until an unacknowledged record is given up and reported. Longer than a broker's restart (half a
# minute; two on a machine short of processor time), shorter than a transaction, so that a stuck record aborts
# it instead of outliving it.
DELIVERY_MS = 240_000
# Kilobytes and records waiting in memory. Bounded so that a broker that is away shows up as backpressure
# after some seconds of traffic and not as a process killed for memory.
QUEUE_KBYTES = 262_144
QUEUE_RECORDS = 500_000
# Milliseconds a topic may be unknown before a send to it fails: one just created takes about a second to be
# known everywhere, one that was never created should not keep anybody waiting for half a minute.
TOPIC_MS = 10_000
# Seconds a send may wait for room in that queue before it says so.
QUEUE_WAIT = 30.0

Headers = Sequence[tuple[str, str | bytes]]


class Sender:
    """What both producers share: the client, one encoder per topic, the wait for room."""

    def __init__(
        self,
        settings: BusSettings | None,
        schemas: Mapping[str, str] | None,
        extra: Mapping[str, Any],
    ) -> None:
        """`extra` are the client's own settings, on top of those that all producers share."""
        self._settings = settings or bus_settings()
        self._schemas = dict(schemas or {})
        self._registry = Registry(self._settings)
        self._encoders: dict[str, Encoder] = {}
        self._lock = threading.Lock()
        self._extra = dict(extra)
        self._client = self._connect()

    def _connect(self) -> Client:
        return Client(
            {
                **self._settings.client(),
                "acks": "all",
                "enable.idempotence": True,
                "compression.type": "lz4",
                "linger.ms": LINGER_MS,
                "delivery.timeout.ms": DELIVERY_MS,
                "queue.buffering.max.kbytes": QUEUE_KBYTES,
                "queue.buffering.max.messages": QUEUE_RECORDS,
                # The Java clients' way: a key lies in the same partition whoever wrote it.
                "partitioner": "murmur2_random",
                "topic.metadata.propagation.max.ms": TOPIC_MS,
                **self._extra,
            },
            logger=client_log,
        )

    def prepare(self, topics: Iterable[str]) -> None:
        """Register these topics' schemas now, so that no first send has to wait for the registry."""
        for topic in topics:
            self._encoder(topic)

    def encode_many(self, topic: str, records: Iterable[Mapping[str, Any]]) -> list[bytes]:
        """The bytes these records would be sent as."""
        encoder = self._encoder(topic)
        with self._lock:
            return encoder.encode_many(records)

    def _encoder(self, topic: str) -> Encoder:
        encoder = self._encoders.get(topic)
        if encoder is not None:
            return encoder
        with self._lock:
            encoder = self._encoders.get(topic)
            if encoder is None:
                encoder = self._encoders[topic] = Encoder(*self._schema_id(topic), topic)
            return encoder

    def _schema_id(self, topic: str) -> tuple[Mapping[str, Any], int]:
        schema = load_schema(self._schemas.get(topic) or schema_name_of(topic))
        return schema, self._registry.register(f"{topic}-value", schema)

    def _encode(self, topic: str, record: Mapping[str, Any]) -> bytes:
        encoder = self._encoders.get(topic) or self._encoder(topic)
        with self._lock:
            return encoder.encode(record)

    def _produce(
        self,
        topic: str,
        key: str | bytes,
        value: bytes,
        headers: Headers | None,
        on_delivery: Callable[[KafkaError | None, Message], None] | None,
        wait: float,
    ) -> None:
        give_up = time.monotonic() + wait
        more: dict[str, Any] = {}
        if headers:
            more["headers"] = list(headers)
        if on_delivery is not None:
            more["on_delivery"] = on_delivery
        while True:
            try:
                self._client.produce(topic, value, key, **more)
            except BufferError:
                if time.monotonic() >= give_up:
                    raise BackpressureError(
                        f"{topic}: the send queue is full and the broker does not empty it", retry_after=1.0
                    ) from None
                # Serving acknowledgements is what makes room.
                self._client.poll(0.05)
            except KafkaException as error:
                raise from_kafka(error, f"sending to {topic}") from error
            else:
                return
