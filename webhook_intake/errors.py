"""What can go wrong at the gateways' door.

IntakeError
├── RefusedError              the request is answered 4xx: counted, audited, nothing else written
│   ├── ForgedError           401: the signature fits no secret we know
│   └── MalformedError        400: what the signature stands over cannot be read
├── UnreadableError           verified or polled, but not understood: kept, dead letter, replayable
├── UnavailableError          503: could not be made durable or published; carries retry_after
├── GatewayError              a gateway's REST API
│   ├── GatewayBusyError      429, 5xx or no answer: bounded retries, then the next poll
│   └── GatewayRefusedError   4xx or an answer of another shape: a person must look
└── IntakeSettingsError       SETTLE_INTAKE_* are missing or contradict each other
"""

from __future__ import annotations


class IntakeError(Exception):
    """Anything this room can say no with."""


class RefusedError(IntakeError):
    """Raised while verifying; the HTTP border turns it into `status`."""

    status = 400


class ForgedError(RefusedError):
    """Raised when no current or previous secret gives this signature; answered 401."""

    status = 401


class MalformedError(RefusedError):
    """Raised when the signed text cannot be found in the request; answered 400."""


class UnreadableError(IntakeError):
    """Raised by a gateway's parser; the ledger marks the event DEAD and a letter goes to pg.dead."""


class UnavailableError(IntakeError):
    """Raised when Postgres or Kafka did not confirm in time; answered 503, so the gateway comes again."""

    def __init__(self, message: str, retry_after: int = 1) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class GatewayError(IntakeError):
    """Raised by a report client; the poller logs it and goes on with the next gateway."""


class GatewayBusyError(GatewayError):
    """Raised after bounded retries of 429, 5xx or silence; the next poll tries again."""


class GatewayRefusedError(GatewayError):
    """Raised when the gateway says no to our credentials or answers in another shape."""


class IntakeSettingsError(IntakeError):
    """Raised at start-up; names the variables, never a value."""
