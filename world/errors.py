"""What can go wrong while a world is played.

    DemoError
    ├── OtherWorldError      this home holds another world or other data; a person decides
    ├── DoorError            a real door answered otherwise than it must, or not at all
    └── NotReadyError        a condition did not come true in time; the message says which

All end the demo; `settle demo` shows them as one sentence with exit code 2.
"""

from __future__ import annotations


class DemoError(Exception):
    """Anything that ends the demo before it could compare."""


class OtherWorldError(DemoError):
    """Raised before anything is written; shown with what to do."""


class DoorError(DemoError):
    """Raised by the players; what was sent before stays sent, and may be sent again."""


class NotReadyError(DemoError):
    """Raised by waits that have run out of time."""
