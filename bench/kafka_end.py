"""How many records a topic holds, and when they got there, seen from outside the programs that wrote them."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from bench.errors import NotReadyError, UnsoundError
from bus.settings import bus_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from confluent_kafka import Message

# Seconds between two looks at the ends. At 50,000 records a second one look is 2,500 records: below a
# hundredth of the smallest backlog, and 20 metadata requests a second do not show in the broker's load.
_LOOK = 0.05


@dataclass(frozen=True, slots=True)
class Arrival:
    """What came between two looks: how many, from the first growth to the last."""

    records: int
    began: float  # of time.perf_counter()
    ended: float

    @property
    def rate(self) -> float:
        """Records a second."""
        return self.records / (self.ended - self.began) if self.ended > self.began else 0.0


class Topic:
    """One topic's ends; for topics that are written without transactions an offset is a count."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._client = Consumer(
            {
                **bus_settings().client(),
                "group.id": "settle-bench",
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "enable.partition.eof": True,
                "log_level": 2,  # a broker on its way up is no news
            }
        )
        try:
            found = self._client.list_topics(name, timeout=20).topics[name]
        except KafkaException as error:
            raise NotReadyError(f"no answer from Kafka: {error}") from error
        if found.error is not None:
            raise NotReadyError(f"no topic {name}")
        self._partitions = [TopicPartition(name, p) for p in found.partitions]

    def close(self) -> None:
        """Let go of the connection."""
        self._client.close()

    def ends(self) -> dict[int, int]:
        """Every partition's end."""
        return {p.partition: self._client.get_watermark_offsets(p, timeout=20)[1] for p in self._partitions}

    def end(self) -> int:
        """The sum of the ends: the number of records ever written."""
        return sum(self.ends().values())

    def wait(self, records: int, since: int, silence: float = 300.0) -> Arrival:
        """Return when that many records came after `since`; raise when nothing comes for too long."""
        seen, target = since, since + records
        first: float | None = None
        last = moved = time.perf_counter()
        while seen < target:
            time.sleep(_LOOK)
            now, end = time.perf_counter(), self.end()
            if end > seen:
                # The first look that shows growth already holds what came before it: the clock
                # starts one look earlier.
                first = first if first is not None else now - _LOOK
                seen, last, moved = end, now, now
            elif now - moved > silence:
                raise UnsoundError(f"{self._name}: {seen - since} of {records} records came, then silence")
        return Arrival(seen - since, first or last, last)

    def read(self, since: dict[int, int]) -> Iterator[Message]:
        """Every message from these offsets to the ends of now."""
        until = self.ends()
        open_ends = {p for p, end in until.items() if end > since.get(p, 0)}
        self._client.assign([TopicPartition(self._name, p, since.get(p, 0)) for p in open_ends])
        while open_ends:
            for message in self._client.consume(1000, 5.0):
                partition, offset = message.partition(), message.offset()
                error = message.error()
                if error is not None:
                    # What stands last may be a transaction's mark, which nobody is given.
                    if error.code() == KafkaError._PARTITION_EOF:
                        open_ends.discard(partition or 0)
                    continue
                if partition is None or offset is None:
                    continue
                if offset < until[partition]:
                    yield message
                if offset + 1 >= until[partition]:
                    open_ends.discard(partition)
        self._client.unassign()
