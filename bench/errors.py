"""What can keep a measurement from being one.

BenchError
├── NotReadyError   a server that the bench needs does not answer
└── UnsoundError    both sides were counted and are not equal, or the end never came
"""

from __future__ import annotations


class BenchError(Exception):
    """Anything this room raises on purpose; the command line shows its text."""


class NotReadyError(BenchError):
    """Raised before measuring."""


class UnsoundError(BenchError):
    """Raised while measuring: what was printed so far is no figure."""
