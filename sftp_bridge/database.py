"""One connection to the operational Postgres, and its errors in this room's words."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.rows import dict_row

from sftp_bridge.errors import LedgerUnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator


class Database:
    """Connects when first needed and again after a failure; used by one thread at a time."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._connection: psycopg.Connection[Any] | None = None

    def close(self) -> None:
        """Let go of the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def select(self, sql: str, parameters: Any = ()) -> list[dict[str, Any]]:
        """Rows as dicts."""
        with self.translated(), self.connection().cursor(row_factory=dict_row) as cursor:
            return cursor.execute(sql, parameters).fetchall()

    def execute(self, sql: str, parameters: Any) -> None:
        """One statement that commits by itself."""
        with self.translated():
            self.connection().execute(sql, parameters)

    @contextmanager
    def transaction(self) -> Iterator[psycopg.Connection[Any]]:
        """Several statements that hold together or not at all."""
        with self.translated():
            connection = self.connection()
            with connection.transaction():
                yield connection

    @contextmanager
    def translated(self) -> Iterator[None]:
        """A Postgres that is away is this room's transient error; everything else is a bug and stays one."""
        try:
            yield
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            self.close()
            # The message may hold the address; never the password, which psycopg keeps out of it.
            raise LedgerUnavailableError(f"the operational Postgres: {error}") from error

    def connection(self) -> psycopg.Connection[Any]:
        """The open connection."""
        if self._connection is None or self._connection.closed:
            self._connection = psycopg.connect(
                self._dsn,
                autocommit=True,
                connect_timeout=10,
                application_name="settle-bridge",
                # A server that is gone without a word is noticed within a minute.
                keepalives_idle=20,
                keepalives_interval=10,
                keepalives_count=3,
            )
        return self._connection
