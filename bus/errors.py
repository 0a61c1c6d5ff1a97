"""What can go wrong between a room and the bus.

    BusError
    ├── BusTransientError            the same call may succeed later: bounded retries, then park
    │   ├── BrokerUnavailableError   no broker answered in time
    │   ├── RegistryUnavailableError no schema registry answered in time
    │   ├── BackpressureError        the send queue is full; carries retry_after
    │   ├── TransactionAbortedError  nothing of the transaction is visible; send all of it again
    │   └── CommitUnknownError       the commit was asked for, its answer never came
    └── BusTerminalError             the same call will fail again: a person or a fix is needed
        ├── ProducerFencedError      a newer process took over this transactional id
        ├── RecordRefusedError       the record does not fit its schema, or is too large
        ├── UndecodableError         bytes on a topic that are not what the registry says
        ├── UnknownTopicError        the topic does not exist, or no schema is named for it
        ├── SchemaMissingError       no such .avsc file, or no such id in the registry
        ├── SchemaIncompatibleError  the registry refused a schema that would break readers
        ├── NotPermittedError        the broker or the registry knows us and says no
        ├── TopicsFileError          topics.yaml cannot be read as what it should say
        └── BusSettingsError         SETTLE_BUS_* contradict each other

Whether to try again is read from the type alone; `from_kafka` is the one place that judges.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from confluent_kafka import KafkaError

if TYPE_CHECKING:
    from confluent_kafka import KafkaException


class BusError(Exception):
    """Anything the bus can say no with; callers that only log catch this one."""


class BusTransientError(BusError):
    """Raised when waiting may help; a room's own retry loop catches it."""


class BusTerminalError(BusError):
    """Raised when trying again cannot help; caught at the room's border, which parks or stops."""


class BrokerUnavailableError(BusTransientError):
    """Raised when no broker answers in time, by any call that needs one."""


class RegistryUnavailableError(BusTransientError):
    """Raised when the registry does not answer or answers 5xx, after its few quick retries."""


class BackpressureError(BusTransientError):
    """Raised by a send that finds the queue full; an HTTP intake turns it into 503 and Retry-After."""

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class TransactionAbortedError(BusTransientError):
    """Raised by `transaction()` when it was rolled back; the caller sends the whole unit again."""


class CommitUnknownError(BusTransientError):
    """Raised when a commit's answer never came.

    The producer must be replaced: the next one with the same transactional id makes the broker decide.
    Sending the unit again is safe since every record carries a version.
    """


class ProducerFencedError(BusTerminalError):
    """Raised when a newer process uses this transactional id; this process must stop."""


class RecordRefusedError(BusTerminalError):
    """Raised by a send whose record does not fit; the sender quarantines that record."""


class UndecodableError(BusTerminalError):
    """Raised by a reader for bytes it cannot read; names topic, partition and offset."""


class UnknownTopicError(BusTerminalError):
    """Raised for a topic that neither the broker nor topics.yaml knows."""


class SchemaMissingError(BusTerminalError):
    """Raised when a schema's file or its id does not exist."""


class SchemaIncompatibleError(BusTerminalError):
    """Raised when the registry refuses a schema; `settle topics apply` and start-ups show it."""


class NotPermittedError(BusTerminalError):
    """Raised when credentials are missing or not enough."""


class TopicsFileError(BusTerminalError):
    """Raised while reading topics.yaml; names the topic and the key."""


class BusSettingsError(BusTerminalError):
    """Raised at start-up when settings contradict each other; names the variables."""


_FENCED = {
    KafkaError._FENCED,
    KafkaError.INVALID_PRODUCER_EPOCH,
    KafkaError.PRODUCER_FENCED,
}
_UNKNOWN_TOPIC = {
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError._UNKNOWN_TOPIC,
    KafkaError._UNKNOWN_PARTITION,
}
_REFUSED = {
    KafkaError.MSG_SIZE_TOO_LARGE,
    KafkaError.INVALID_RECORD,
    KafkaError.INVALID_MSG,
}
_NOT_PERMITTED = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
    KafkaError.SASL_AUTHENTICATION_FAILED,
    KafkaError._AUTHENTICATION,
}


def from_kafka(problem: KafkaError | KafkaException, doing: str) -> BusError:
    """Translate the client's error into ours, once, at the border."""
    error = problem if isinstance(problem, KafkaError) else problem.args[0]
    said = f"{doing}: {error.str()} ({error.name()})"
    code = error.code()
    if code in _FENCED:
        return ProducerFencedError(said)
    if code in _UNKNOWN_TOPIC:
        return UnknownTopicError(said)
    if code in _REFUSED:
        return RecordRefusedError(said)
    if code in _NOT_PERMITTED:
        return NotPermittedError(said)
    if error.fatal():
        return BusTerminalError(said)
    if error.txn_requires_abort():
        return TransactionAbortedError(said)
    # What is left is the network, elections and time-outs; an error nobody foresaw also lands here,
    # because transient means bounded retries and then a park, never for ever.
    return BrokerUnavailableError(said)
