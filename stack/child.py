"""Becomes a server: records itself, ties its life to the supervisor's, then turns into the program.

    python -IS child.py RECORD SIGNAL USER SUPERVISOR_PID PROGRAM ARGUMENT…

1. The record (pid and start time) is on disk before the program exists: no crash can leave an unknown child.
2. root is dropped. 3. Linux sends SIGNAL when the supervisor dies; it is asked after the drop, which would
undo it. 4. exec keeps the pid, so the record stays true.

Uses nothing but the standard library: it runs without site-packages, in twenty milliseconds.
"""

from __future__ import annotations

import ctypes
import json
import os
import pwd
import signal
import sys
from pathlib import Path

PR_SET_PDEATHSIG = 1


def start_time(pid: int) -> str:
    """Together with the pid this names one process for ever: boot, and clock ticks after it."""
    try:
        # The program's name is in brackets and may hold anything; the numbers follow the last one.
        ticks = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except (OSError, IndexError):
        return "unknown"
    return f"{boot}/{ticks}"


def main(arguments: list[str]) -> None:
    record, number, user, supervisor, *program = arguments
    # 1.
    path = Path(record)
    part = path.with_suffix(f".{os.getpid()}")
    part.write_text(
        json.dumps({"pid": os.getpid(), "started": start_time(os.getpid()), "program": program[0]})
    )
    part.rename(path)
    # 2.
    if user != "-":
        entry = pwd.getpwnam(user)
        os.setgroups([])
        os.setgid(entry.pw_gid)
        os.setuid(entry.pw_uid)
    # 3.
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(number), 0, 0, 0)
    if os.getppid() != int(supervisor):  # it died between fork and here
        os.kill(os.getpid(), signal.SIGKILL)
    # 4.
    os.execv(program[0], program)  # noqa: S606 - no shell is the point


if __name__ == "__main__":
    main(sys.argv[1:])
