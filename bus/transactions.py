"""Sending records that become visible together or not at all."""

from __future__ import annotations

import logging
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from confluent_kafka import KafkaError, KafkaException

from bus.errors import (
    BusError,
    CommitUnknownError,
    ProducerFencedError,
    RecordRefusedError,
    TransactionAbortedError,
    from_kafka,
)
from bus.sender import DELIVERY_MS, QUEUE_KBYTES, QUEUE_WAIT, Headers, Sender

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from bus.columns import ColumnEncoder
    from bus.settings import BusSettings

log = logging.getLogger("bus")

# Milliseconds a transaction may stay open: an 800 MB bank file takes minutes. Under the broker's default
# limit of 15 minutes (transaction.max.timeout.ms), above which init would be refused. A process that dies
# does not hold readers back this long: its successor's start with the same id ends the open transaction.
TRANSACTION_MS = 600_000
# Seconds one commit may take in all, its retries included. The broker may be restarting: see DELIVERY_MS.
COMMIT_WAIT = 300.0

# Seconds between two tries of a call that answers at once that it must be repeated.
_PAUSE = 0.1


class TransactionalProducer(Sender):
    """Sends records that become visible together or not at all; one thread uses it at a time."""

    def __init__(
        self,
        transactional_id: str,
        settings: BusSettings | None = None,
        *,
        schemas: Mapping[str, str] | None = None,
        transaction_ms: int = TRANSACTION_MS,
        queue_kbytes: int = QUEUE_KBYTES,
    ) -> None:
        """`queue_kbytes` bounds what waits in memory, where a process has little of it."""
        super().__init__(
            settings,
            schemas,
            {
                "client.id": transactional_id,
                "transactional.id": transactional_id,
                "transaction.timeout.ms": transaction_ms,
                # Never longer than the transaction, or the client refuses the pair.
                "delivery.timeout.ms": min(DELIVERY_MS, transaction_ms),
                "queue.buffering.max.kbytes": queue_kbytes,
                # Nobody waits for a single record's acknowledgement; what went wrong shows at the commit.
                "delivery.report.only.error": True,
            },
        )
        self._columns: dict[str, ColumnEncoder] = {}
        self._id = transactional_id
        self._started = False
        self._sent = 0

    def __enter__(self) -> TransactionalProducer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self, timeout: float = 60.0) -> None:
        """Take over the transactional id: ends what a dead predecessor left open, fences a live one."""
        if self._started:
            return
        self._patiently(self._client.init_transactions, timeout, "taking over the transactional id")
        self._started = True

    @contextmanager
    def transaction(self) -> Iterator[TransactionalProducer]:
        """Everything sent inside is visible to read_committed readers together, or never.

        1. Take over the transactional id, once per process.
        2. Begin.
        3. The caller sends; an exception goes to 5.
        4. Commit: waits for every acknowledgement, then marks the records visible.
        5. On any failure abort, so that readers are not held back, and raise what happened. Where even that
           fails, the client is replaced: taking over the id again ends whatever is open.

        Raises TransactionAbortedError or BrokerUnavailableError (send all of it again),
        CommitUnknownError (replace the producer, send again), ProducerFencedError (stop).
        """
        # 1.
        self.start()
        try:
            # 2.
            self._client.begin_transaction()
        except KafkaException as error:
            raise from_kafka(error, f"{self._id}: begin") from error
        try:
            # 3.
            yield self
            # 4.
            self._commit()
        except CommitUnknownError:
            # Aborting could contradict a commit that did arrive; whoever takes over makes the broker decide.
            self._replace()
            raise
        except ProducerFencedError:
            # The transaction is no longer ours to end.
            raise
        except BaseException:
            # 5.
            self._abort()
            raise

    def send(self, topic: str, key: str, record: Mapping[str, Any], headers: Headers | None = None) -> None:
        """Queue one record of the open transaction; a failed delivery shows at the commit."""
        self._produce(topic, key, self._encode(topic, record), headers, None, QUEUE_WAIT)
        self._sent += 1
        if self._sent % 1000 == 0:
            self._client.poll(0)

    def send_columns(self, topic: str, keys: Any, columns: Mapping[str, Any]) -> None:
        """Queue many records of the open transaction: `keys` is an Arrow string array, see ColumnEncoder."""
        from bus.columns import ColumnEncoder, values_of

        encoder = self._columns.get(topic)
        if encoder is None:
            encoder = self._columns[topic] = ColumnEncoder(*self._schema_id(topic), topic)
        produce = self._client.produce
        for key, value in zip(values_of(keys), values_of(encoder.encode(columns, len(keys))), strict=True):
            try:
                produce(topic, value, key)
            except (BufferError, KafkaException):
                # The queue is full, or worse: the way that waits for room, or says what is wrong.
                self._produce(topic, key, value, None, None, QUEUE_WAIT)
        self._sent += len(keys)
        self._client.poll(0)

    def close(self) -> None:
        """Let go; an open transaction was ended by its context manager, so nothing is left to flush."""
        self._registry.close()

    def _commit(self) -> None:
        try:
            self._patiently(self._client.commit_transaction, COMMIT_WAIT, "commit")
        except (ProducerFencedError, TransactionAbortedError, RecordRefusedError):
            raise
        except BusError as error:
            raise CommitUnknownError(
                f"{self._id}: nobody knows whether the commit took place: {error}"
            ) from error

    def _abort(self) -> None:
        try:
            self._patiently(self._client.abort_transaction, 60.0, "abort")
        except BusError as error:
            # The exception that led here says more than this one. Seen when an abort follows a commit so
            # closely that the broker still writes the commit's markers: it answers INVALID_TXN_STATE, and
            # the client gives itself up for dead.
            log.warning("%s; the client is replaced", error)
            self._replace()

    def _replace(self) -> None:
        self._client = self._connect()
        self._started = False

    def _patiently(self, call: Callable[[float], None], seconds: float, doing: str) -> None:
        """Repeat a call that its error calls retriable, until it is through or the seconds are over."""
        give_up = time.monotonic() + seconds
        while True:
            left = give_up - time.monotonic()
            try:
                call(max(1.0, min(left, 30.0)))
            except KafkaException as error:
                reason: KafkaError = error.args[0]
                if reason.retriable() and time.monotonic() < give_up:
                    time.sleep(_PAUSE)
                    continue
                named = from_kafka(reason, f"{self._id}: {doing}")
                if reason.txn_requires_abort() and not isinstance(named, RecordRefusedError):
                    named = TransactionAbortedError(str(named))
                raise named from error
            else:
                return
