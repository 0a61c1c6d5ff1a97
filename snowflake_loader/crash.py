"""Places where the loader may be killed, by name, so that a test can kill it there and nowhere else.

SETTLE_LOADER_CRASH_AT=<step> makes the process SIGKILL itself right after that step, as a machine would.
"""

from __future__ import annotations

import os
import signal

from snowflake_loader.errors import SettingsError

STEPS = (
    "listed",
    "grouped",
    "started",
    "landed",
    "copied",
    "checked",
    "merged",
    "recorded",
    "finished",
    "dropped",
)


def point(step: str, crash_at: str | None) -> None:
    """Die here if this is the step that was named."""
    if crash_at is None:
        return
    if crash_at not in STEPS:
        raise SettingsError(f"SETTLE_LOADER_CRASH_AT is none of {', '.join(STEPS)}")
    if step == crash_at:
        os.kill(os.getpid(), signal.SIGKILL)
