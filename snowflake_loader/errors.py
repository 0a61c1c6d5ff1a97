"""What can go wrong between the stage and the warehouse, and whether waiting helps.

LoaderError
├── SettingsError            a setting is missing or contradicts another: the process does not start
├── TransientError           the same step may work a little later: the batch is tried again
│   ├── WarehouseUnreachable the warehouse does not answer, or asks to come back
│   └── StageUnreachable     S3 does not answer
└── TerminalError            the same step will fail again: the batch is halved, a lone file parked
    ├── WarehouseRefused     the warehouse answered, and said no
    ├── BrokenFile           not readable as Parquet, or without the columns every row must have
    ├── SchemaMismatch       a file says something the table cannot hold; stops that table's batch, loudly
    ├── CountMismatch        the landing table does not hold what the files say they hold
    ├── Unforeseen           anything that has no name here: tried a few times, then parked
    └── MigrationError       the warehouse's history and the migrations in this folder disagree
"""

from __future__ import annotations


class LoaderError(Exception):
    """Whatever this room raises on purpose; the command line turns it into one sentence."""


class SettingsError(LoaderError):
    """Raised while settings are read; caught by the process's entry, which says what to set."""


class TransientError(LoaderError):
    """Caught by the loop, which waits and takes the batch again, without counting it against the files."""


class WarehouseUnreachable(TransientError):  # noqa: N818 - the name is what happened
    """Raised at the border to the connector for timeouts, lost sessions and refused connections."""


class StageUnreachable(TransientError):  # noqa: N818
    """Raised at the border to S3 when a listing or a read got no answer."""


class TerminalError(LoaderError):
    """Caught by the loop, which writes FAILED to the audit and isolates the file that is to blame."""


class WarehouseRefused(TerminalError):  # noqa: N818
    """Raised when a statement was answered with an error: wrong SQL, wrong data, missing rights."""


class BrokenFile(TerminalError):  # noqa: N818
    """Raised when a file's footer cannot be read; the file is parked and its neighbours load."""


class SchemaMismatch(TerminalError):  # noqa: N818
    """Raised before anything is copied, when a file has a column its table does not have or cannot hold."""


class CountMismatch(TerminalError):  # noqa: N818
    """Raised after the copy and before the merge, so that a part of a file never reaches a table."""


class Unforeseen(TerminalError):  # noqa: N818
    """Raised in place of an error nobody thought of, so that one batch cannot end the process."""


class MigrationError(TerminalError):
    """Raised by plan and apply, for example when an applied migration's text has changed."""
