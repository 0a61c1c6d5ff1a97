"""Reading records: only what was committed, decoded by the schema each was written with."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from confluent_kafka import (
    OFFSET_BEGINNING,
    TIMESTAMP_NOT_AVAILABLE,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)
from confluent_kafka import Consumer as Client

from bus.client_log import client_log
from bus.errors import BrokerUnavailableError, UndecodableError, UnknownTopicError, from_kafka
from bus.registry import Registry
from bus.settings import BusSettings, bus_settings
from bus.wire import Decoder

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

log = logging.getLogger("bus")

# Records taken from the client in one call: large enough that the call does not count, small enough that
# a reader who stops early has not decoded much for nothing.
_BATCH = 500
# Seconds a metadata question may take.
_ANSWER = 10.0
# Seconds to wait for a finished commit's markers. They take milliseconds; longer means a transaction is open.
_MARKERS = 3.0


class Record(NamedTuple):
    """One decoded record and the place it lies."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int | None
    key: Any
    value: Any
    headers: dict[str, bytes]

    @property
    def place(self) -> str:
        """topic-partition@offset, as dead letters name it."""
        return f"{self.topic}-{self.partition}@{self.offset}"


class Consumer:
    """Yields committed records of some topics; offsets are committed only when told to."""

    def __init__(
        self,
        topics: Sequence[str],
        *,
        group: str,
        settings: BusSettings | None = None,
        from_start: bool = True,
    ) -> None:
        self._settings = settings or bus_settings()
        self._registry = Registry(self._settings)
        self._decoder = Decoder(self._registry)
        self._client = _client(self._settings, group, from_start)
        self._client.subscribe(list(topics))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def poll(self, timeout: float = 1.0, limit: int = _BATCH) -> list[Record]:
        """What is there, waiting for the first record at most that long; an empty list when none comes."""
        records = []
        for message in _take(self._client, limit, timeout):
            error = message.error()
            if error is None:
                records.append(_record(message, self._decoder))
            elif error.code() != KafkaError._PARTITION_EOF:
                raise from_kafka(error, "reading")
        return records

    def commit(self) -> None:
        """Everything yielded so far is done with."""
        try:
            self._client.commit(asynchronous=False)
        except KafkaException as error:
            if error.args[0].code() != KafkaError._NO_OFFSET:
                raise from_kafka(error, "committing offsets") from error

    def close(self) -> None:
        """Leave the group."""
        self._client.close()
        self._registry.close()


def read_topic(
    topic: str,
    *,
    from_start: bool = True,
    until_end: bool = True,
    timeout: float = 30.0,
    settings: BusSettings | None = None,
) -> Iterator[Record]:
    """A topic's committed records.

    With `until_end` it ends where the topic ended when the reading began: everything committed before is
    in, and a transaction that is open then is not waited for. Without, it goes on for ever.
    `timeout` is how long silence may last before the broker counts as gone.
    """
    settings = settings or bus_settings()
    registry = Registry(settings)
    decoder = Decoder(registry)
    client = _client(settings, "settle-reader", from_start)
    try:
        ends = _ends(client, settings, topic)
        client.assign(
            [
                TopicPartition(topic, partition, OFFSET_BEGINNING if from_start else end)
                for partition, (_, end) in ends.items()
            ]
        )
        open_ends = {partition: end for partition, (start, end) in ends.items() if from_start and start < end}
        heard = time.monotonic()
        while open_ends or not until_end:
            messages = _take(client, _BATCH, 0.5)
            now = time.monotonic()
            heard = now if messages else heard
            if until_end and now - heard >= timeout:
                raise BrokerUnavailableError(f"reading {topic}: the broker fell silent for {timeout:g} s")
            for message in messages:
                error, partition = message.error(), message.partition() or 0
                if error is not None:
                    if error.code() != KafkaError._PARTITION_EOF:
                        raise from_kafka(error, f"reading {topic}")
                    # Also how a partition ends whose last offsets hold aborted records or markers.
                    open_ends.pop(partition, None)
                    continue
                offset = message.offset() or 0
                if until_end and offset >= open_ends.get(partition, 0):
                    open_ends.pop(partition, None)
                    continue
                yield _record(message, decoder)
                if until_end and offset + 1 >= open_ends[partition]:
                    del open_ends[partition]
    finally:
        client.close()
        registry.close()


def _take(client: Client, limit: int, timeout: float) -> list[Message]:
    """Wait for one message only: the client's own `consume` waits for all of them or the time's end."""
    first = client.poll(timeout)
    return [] if first is None else [first, *client.consume(limit, 0)]


def _client(settings: BusSettings, group: str, from_start: bool, isolation: str = "read_committed") -> Client:
    return Client(
        {
            **settings.client(),
            "group.id": group,
            "isolation.level": isolation,
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest" if from_start else "latest",
        },
        logger=client_log,
    )


def _ends(client: Client, settings: BusSettings, topic: str) -> dict[int, tuple[int, int]]:
    """For every partition where its committed records begin and end now.

    1. Ask how far the partitions are written, committed or not.
    2. Ask how far they may be read, until that is as far or a short time is over: a commit is answered
       before its markers are written, and a reader that comes at once would miss what was just committed.
    """
    raw = _client(settings, "settle-reader", from_start=True, isolation="read_uncommitted")
    try:
        # 1.
        found = client.list_topics(topic, timeout=_ANSWER).topics[topic]
        if found.error is not None:
            raise UnknownTopicError(f"the broker knows no topic {topic}")
        written = {partition: _watermarks(raw, topic, partition)[1] for partition in found.partitions}
        # 2.
        give_up = time.monotonic() + _MARKERS
        while True:
            ends = {partition: _watermarks(client, topic, partition) for partition in written}
            if all(ends[partition][1] >= end for partition, end in written.items()):
                return ends
            if time.monotonic() > give_up:
                return ends
            time.sleep(0.02)
    except KafkaException as error:
        raise from_kafka(error, f"asking about {topic}") from error
    finally:
        raw.close()


def _watermarks(client: Client, topic: str, partition: int) -> tuple[int, int]:
    found = client.get_watermark_offsets(TopicPartition(topic, partition), timeout=_ANSWER)
    if found is None:
        raise BrokerUnavailableError(f"{topic}-{partition}: no answer about its end")
    return found


def _record(message: Message, decoder: Decoder) -> Record:
    topic, partition, offset = message.topic() or "", message.partition() or 0, message.offset() or 0
    where = f"{topic}-{partition}@{offset}"
    kind, timestamp = message.timestamp()
    value, key = message.value(), message.key()
    if isinstance(key, str) or isinstance(value, str):
        raise UndecodableError(f"{where}: the client gave text where bytes were meant")
    return Record(
        topic,
        partition,
        offset,
        None if kind == TIMESTAMP_NOT_AVAILABLE else timestamp,
        decoder.decode_key(key, where),
        None if value is None else decoder.decode(value, where),
        _headers(message),
    )


def _headers(message: Message) -> dict[str, bytes]:
    headers: Any = message.headers() or []  # the client's stub also allows a mapping's keys
    return {
        name: content.encode() if isinstance(content, str) else content or b"" for name, content in headers
    }
