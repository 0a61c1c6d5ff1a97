"""What can go wrong between a bank's server and the bus.

    BridgeError
    ├── BridgeTransientError         the same step may succeed at the next poll; nothing was changed
    │   ├── RemoteUnavailableError   the bank's server does not answer, or the line broke
    │   ├── RequestFailedError       the bank's server answers, and says that this one request failed
    │   ├── ArchiveUnavailableError  S3 does not take or give the raw bytes
    │   ├── LedgerUnavailableError   the operational Postgres does not answer
    │   ├── FileChangedError         the remote file changed while it was read; the next poll reads it anew
    │   └── BankBusyError            another process is at this bank's files right now
    └── BridgeTerminalError          a person or a fix is needed
        ├── HostKeyError             the server's host key is not the pinned one; not a byte was read
        ├── AccessRefusedError       the server knows us and says no, or a key file is missing
        ├── KeyUnusableError         an OpenPGP key is missing or cannot be used; the files wait for it
        ├── FileRefusedError         the file cannot be what its bank's description says: quarantined whole
        ├── FileUnknownError         no such file in the ledger
        ├── NotReplayableError       it is not quarantined, or the checksum given is of other bytes
        ├── BankUnknownError         no such bank under banks/
        ├── BankConfigError          a bank's description contradicts itself; names the file and the key
        └── BridgeSettingsError      SETTLE_BRIDGE_* contradict each other

Foreign errors are translated once: SSH in `remote`, S3 in `archive`, Postgres in `database`. The bank's
task decides by type alone: transient waits for the next poll, terminal is shown on the health page.
"""

from __future__ import annotations

from settlement.masking import mask_text


class BridgeError(Exception):
    """Anything this room can say no with."""


class BridgeTransientError(BridgeError):
    """Raised when the next poll may succeed; the bank's task catches it and goes on."""


class RemoteUnavailableError(BridgeTransientError):
    """Raised by `remote` when the bank's server does not answer or the transfer broke off."""


class RequestFailedError(BridgeTransientError):
    """Raised by `remote` when the server says no to one request; the file is let be, its neighbours go on."""


class ArchiveUnavailableError(BridgeTransientError):
    """Raised by `archive` when S3 does not answer."""


class LedgerUnavailableError(BridgeTransientError):
    """Raised by `database` when Postgres does not answer."""


class FileChangedError(BridgeTransientError):
    """Raised after a transfer whose file is not the one that was listed; nothing was registered."""


class BankBusyError(BridgeTransientError):
    """Raised when another process holds the bank's lock; the caller waits or says so."""


class BridgeTerminalError(BridgeError):
    """Raised when trying again cannot help; shown on the health page and by `settle banks check`."""


class HostKeyError(BridgeTerminalError):
    """Raised before authentication when the host key is not the pinned one."""


class AccessRefusedError(BridgeTerminalError):
    """Raised when our key is missing, unreadable or not accepted, or a folder is closed to us."""


class KeyUnusableError(BridgeTerminalError):
    """Raised by `unpack` when an OpenPGP key is missing or unusable: not the file's fault, which waits."""


class FileRefusedError(BridgeTerminalError):
    """Raised by `unpack`, `readers` and `statements`.

    `ingest` catches it, quarantines the file and goes on with its neighbours.
    """

    def __init__(
        self, reason: str, *, line: int | None = None, column: str | None = None, excerpt: str = ""
    ) -> None:
        # A refused cell may hold anything, and this text goes to the ledger, the log and the bus.
        reason = mask_text(reason)
        place = "".join(
            [f"line {line}: " if line is not None else "", f"column {column}: " if column is not None else ""]
        )
        super().__init__(f"{place}{reason}")
        self.reason = reason
        self.line = line
        self.column = column
        # What stood there, for the dead letter; masked by whoever publishes it.
        self.excerpt = excerpt


class FileUnknownError(BridgeTerminalError):
    """Raised by look-ups of a person's FILE_ID; caught by the command line."""


class NotReplayableError(BridgeTerminalError):
    """Raised by a replay of a file that is not quarantined, or with a checksum of other bytes; caught by the
    command line."""


class BankUnknownError(BridgeTerminalError):
    """Raised for a bank that has no description; caught by the command line."""


class BankConfigError(BridgeTerminalError):
    """Raised while reading banks/*.yaml, at start-up; names the file and the key."""


class BridgeSettingsError(BridgeTerminalError):
    """Raised at start-up; names the variables, never a secret's value."""
