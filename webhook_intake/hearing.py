"""What an event of the ledger says, and the letter for one that says nothing sensible."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from settlement.errors import SettlementError
from settlement.masking import mask_text
from webhook_intake.errors import RefusedError, UnreadableError
from webhook_intake.gates import READERS

if TYPE_CHECKING:
    from webhook_intake.records import Event, Heard

# Bytes of what was not understood that go into its letter: the ledger has the whole, and a letter the broker
# refuses for its size would hold up its neighbours for ever.
_LETTER_BYTES = 200_000


def hear(event: Event) -> Heard:
    """What an event of the ledger says; raises UnreadableError for any event that says nothing sensible."""
    reader = READERS[event.gateway]
    try:
        document = (
            event.document if event.document is not None else reader.read(event.content_type, event.body)
        )
        heard = reader.hear(document, event.received_at, event.sha256)
    except (RefusedError, SettlementError) as error:
        raise UnreadableError(str(error)) from error
    except (TypeError, ValueError, KeyError, AttributeError, ArithmeticError) as error:
        # A shape nobody foresaw must not fail its neighbours in the batch; it can be replayed after the fix.
        raise UnreadableError(f"unforeseen shape: {type(error).__name__}: {error}") from error
    if event.missed_on is None:
        return heard
    return replace(heard, words=tuple(replace(word, origin="POLL") for word in heard.words))


def dead_letter(source: str, place: str, reason: str, payload: bytes, sha256: str) -> dict[str, Any]:
    """A letter for pg.dead; the same problem at the same place has the same id."""
    return {
        "letter_id": hashlib.sha256(f"{place}|{sha256}".encode()).hexdigest()[:32],
        "source": source,
        "place": place,
        "reason": reason[:1000],
        "payload": mask_text(payload[:_LETTER_BYTES].decode("utf-8", "replace")).encode(),
        "at": datetime.now(UTC),
    }
