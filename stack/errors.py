"""What can go wrong with the stack, each told in one sentence that says what to do.

StackError
├── FetchError           a download failed; raised by `artifacts`, shown by the CLI
├── PortTakenError       somebody else listens where a server wants to; raised before anything starts
├── StartError           a server did not become healthy; carries the end of its log
├── LockError            requirements.txt could not be written anew
├── UnwellError          a server answered its health check with what is wrong; seen by the supervisor only
├── AlreadyRunningError  another supervisor has this SETTLE_HOME
└── NotRunningError      a command needs the stack and it is not up
"""

from __future__ import annotations


class StackError(Exception):
    """Caught once, in `stack.cli`, and shown as its message."""


class FetchError(StackError):
    """An artifact could not be had: no network, full disk, or bytes that are not what was locked."""


class PortTakenError(StackError):
    """A port is in use by a process that is not ours."""


class StartError(StackError):
    """A server exited or stayed unhealthy until its deadline."""


class LockError(StackError):
    """uv is missing, failed, or gave what must not be in the lock; shown by `python -m stack.lock`."""


class UnwellError(StackError):
    """Raised by a health check that was answered, though not well: whoever answers does not hang."""


class AlreadyRunningError(StackError):
    """A live supervisor owns this SETTLE_HOME."""


class NotRunningError(StackError):
    """There is no stack in this SETTLE_HOME to ask."""
