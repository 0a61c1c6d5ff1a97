"""Places at which a test lets the process die a real death, to see that nothing is lost or doubled.

SETTLE_BRIDGE_CRASH_AT names one; reaching it is SIGKILL to oneself: no handler, no flush, no goodbye.
"""

from __future__ import annotations

import os
import signal
from typing import Final

STEPS: Final = (
    "listed",  # after 1
    "complete",  # after 2
    "transfer",  # in the middle of 3
    "registered",  # after 4
    "publishing",  # in the middle of 6, with records sent and the transaction open
    "archived",  # in 6, before the commit: the archive has the bytes
    "published",  # after 6: committed in Kafka, not yet LOADED in the ledger
    "loaded",  # after 7
    "touched",  # after 8
)
# Off that way: the word about bytes that came again is in Kafka, and not yet in the ledger.
SAID_AGAIN: Final = "said_again"

_at: str | None = None


def arm(step: str | None) -> None:
    """Die at this step from now on; None: at none."""
    global _at
    known = (*STEPS, SAID_AGAIN)
    if step is not None and step not in known:
        raise ValueError(f"no step {step}; there are {', '.join(known)}")
    _at = step


def reached(step: str) -> None:
    """Called by the way of one file between its steps."""
    if step == _at:
        os.kill(os.getpid(), signal.SIGKILL)
