"""What can go wrong between the connectors' files and the running connectors.

ConnectorsError
├── ConfigError              a file that no worker should see: not JSON, a secret in clear, an unknown name
├── InvalidConfigError       Connect's own validation refused a config
├── StalePlanError           what runs is no longer what the plan was made from
├── ConnectorFailedError     applied, but a task fails or does not start in time
├── GapError                 the slot begins after what is in Kafka: rows would be skipped
├── ConnectUnreachableError  no answer from the Connect worker                          (transient)
├── ConnectRefusedError      an answer of 4xx or 5xx
│   ├── NotThereError        404: no such connector
│   └── RebalancingError     409: the workers are sharing out the work              (transient, retried)
└── SourceUnreachableError   no answer from the source database                         (transient)
"""

from __future__ import annotations


class ConnectorsError(Exception):
    """Anything this room raises on purpose; the command line shows its text."""


class ConfigError(ConnectorsError):
    """Raised on reading the folder; the person who edited the file has to act."""


class InvalidConfigError(ConnectorsError):
    """Raised by planning; carries Connect's sentences, one per field."""


class StalePlanError(ConnectorsError):
    """Raised by applying; plan again and look at it."""


class ConnectorFailedError(ConnectorsError):
    """Raised after applying or restarting, when the tasks do not run within the time given."""


class GapError(ConnectorsError):
    """Raised before a restart; the connector needs a new snapshot with a raised epoch."""


class ConnectUnreachableError(ConnectorsError):
    """Raised by the REST client; nothing is known about what the worker did."""


class ConnectRefusedError(ConnectorsError):
    """Raised by the REST client with the status and Connect's own message."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"Connect answered {status}: {message}")
        self.status = status


class NotThereError(ConnectRefusedError):
    """Raised by the REST client; planning takes it as "to be created"."""


class RebalancingError(ConnectRefusedError):
    """Raised by the REST client when the rebalance outlasts its own retries."""


class SourceUnreachableError(ConnectorsError):
    """Raised by the slot's report; `status` shows it instead of the slot."""
