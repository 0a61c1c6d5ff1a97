"""The operational Postgres: what arrived, what became of it, what is expected.

One connection, used by one thread at a time. Every statement commits by itself; what belongs together is
in one transaction.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.rows import class_row, dict_row

from settlement.cutoffs import IN
from sftp_bridge.checksums import Checked
from sftp_bridge.database import Database
from sftp_bridge.errors import BankBusyError, FileUnknownError
from sftp_bridge.expectations import Expectation, Standing
from sftp_bridge.movements import Claim
from sftp_bridge.names import BusinessFile
from sftp_bridge.revisions import Known, State, judge

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from datetime import date, datetime
    from decimal import Decimal

    from sftp_bridge.errors import FileRefusedError
    from sftp_bridge.movements import Totals
    from sftp_bridge.remote import Listed
    from sftp_bridge.statements import Statement

SCHEMA = Path(__file__).parent / "schema.sql"

# First half of this room's advisory locks, so that they are nobody else's.
_LOCKS = 0x5F7B
_DDL_LOCK = 0
# What the columns hold. A refused file may claim anything, and must be told all the same.
_COUNTS, _SUMS = 2**31, 10**16
_EXPECTATION = tuple(field.name for field in fields(Expectation))


@dataclass(frozen=True, slots=True)
class FileRow:
    """One row of bank_files."""

    seq: int
    bank: str
    file_id: str
    business_date: date
    cutoff: str
    revision: int
    state: str
    remote_name: str
    remote_mtime: int
    size_bytes: int
    sha256: str
    raw_key: str
    lines_key: str | None
    supersedes: str | None
    duplicate_of: int | None
    claimed_count: int | None
    claimed_credit: Decimal | None
    claimed_debit: Decimal | None
    parsed_count: int | None
    parsed_credit: Decimal | None
    parsed_debit: Decimal | None
    record_count: int | None
    credit_count: int | None
    credit_total: Decimal | None
    debit_count: int | None
    debit_total: Decimal | None
    retracted_count: int | None
    note: str | None
    checksum_algorithm: str | None
    checksum_claimed: str | None
    checksum_computed: str | None
    reason: str | None
    reason_line: int | None
    reason_column: str | None
    attempts: int
    registered_at: datetime
    finished_at: datetime | None
    remote_done_at: datetime | None
    word_due: bool

    @property
    def business(self) -> BusinessFile:
        """What it is about."""
        _, _, _, *part = self.file_id.split("|")
        return BusinessFile(self.bank, self.business_date, self.cutoff, None, int(part[0]) if part else None)

    @property
    def checked(self) -> Checked | None:
        """The bank's word about the bytes, and theirs; None where the bank said nothing."""
        if self.checksum_algorithm is None or self.checksum_claimed is None or self.checksum_computed is None:
            return None
        return Checked(self.checksum_algorithm, self.checksum_claimed, self.checksum_computed)

    @property
    def is_unvouched(self) -> bool:
        """Was it refused because the bank's checksum is of other bytes?"""
        return self.state == State.QUARANTINED and self.checked is not None and not self.checked.agrees

    def computed(self, algorithm: str) -> str | None:
        """What the bytes hash to, as far as it was ever computed."""
        if algorithm == self.checksum_algorithm:
            return self.checksum_computed
        return self.sha256 if algorithm == "sha256" else None


class Ledger(Database):
    """Files and expectations."""

    def apply_schema(self) -> None:
        """Create what is missing; several processes may start at once."""
        with self.transaction() as connection:
            connection.execute("SELECT pg_advisory_xact_lock(%s, %s)", (_LOCKS, _DDL_LOCK))
            connection.execute(SCHEMA.read_bytes())

    @contextmanager
    def bank_lock(self, bank: str, wait_seconds: float = 0) -> Iterator[None]:
        """Nobody else works on this bank's files meanwhile; a process that dies lets go by dying."""
        with self.translated():
            connection = self.connection()
            if wait_seconds:
                connection.execute("SELECT set_config('lock_timeout', %s, false)", (f"{wait_seconds:g}s",))
                try:
                    connection.execute("SELECT pg_advisory_lock(%s, hashtext(%s))", (_LOCKS, bank))
                except psycopg.errors.LockNotAvailable:
                    raise BankBusyError(f"{bank}: another process is at its files") from None
                finally:
                    connection.execute("SELECT set_config('lock_timeout', '0', false)")
            else:
                row = connection.execute(
                    "SELECT pg_try_advisory_lock(%s, hashtext(%s))", (_LOCKS, bank)
                ).fetchone()
                if row is None or not row[0]:
                    raise BankBusyError(f"{bank}: another process is at its files")
        try:
            yield
        finally:
            self.unlock(bank)

    def unlock(self, bank: str) -> None:
        """Let others at the bank's files; a lost connection has done so already."""
        connection = self._connection
        if connection is not None and not connection.closed:
            try:
                connection.execute("SELECT pg_advisory_unlock(%s, hashtext(%s))", (_LOCKS, bank))
            except psycopg.OperationalError:
                self.close()

    def register(
        self,
        business: BusinessFile,
        file: Listed,
        sha256: str,
        size: int,
        raw_key: str,
        checked: Checked | None = None,
    ) -> tuple[FileRow, bool]:
        """The row of these bytes from this arrival, and whether it is new.

        The same arrival again (same name, size and time, same bytes) is the row that is there: the way of
        the file goes on where it stopped. So it does where the bytes were refused for a wrong checksum alone
        and come again beside the right one.
        """
        with self.transaction() as connection, connection.cursor(row_factory=class_row(FileRow)) as cursor:
            again = cursor.execute(
                "SELECT * FROM bank_files WHERE bank = %s AND sha256 = %s AND remote_name = %s"
                " AND remote_mtime = %s AND remote_done_at IS NULL ORDER BY seq DESC LIMIT 1",
                (business.bank, sha256, file.name, file.mtime),
            ).fetchone()
            if again is None and checked is not None and checked.agrees:
                again = cursor.execute(
                    "UPDATE bank_files SET remote_name = %s, remote_mtime = %s, remote_done_at = NULL"
                    " WHERE file_id = %s AND sha256 = %s AND state = 'QUARANTINED'"
                    " AND checksum_claimed <> checksum_computed RETURNING *",
                    (file.name, file.mtime, business.file_id, sha256),
                ).fetchone()
            if again is not None:
                vouched = _vouch(cursor, again, checked) if checked is not None else None
                return vouched or again, False
            known = self._known(connection, business, sha256)
            verdict = judge(business.file_id, business.named_revision, *known)
            row = cursor.execute(
                "INSERT INTO bank_files (bank, file_id, business_date, cutoff, revision, state, remote_name,"
                " remote_mtime, size_bytes, sha256, raw_key, supersedes, duplicate_of, word_due,"
                " checksum_algorithm, checksum_claimed, checksum_computed, finished_at)"
                " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s,"
                " CASE WHEN %s THEN now() END) RETURNING *",
                (
                    business.bank,
                    business.file_id,
                    business.business_date,
                    business.cutoff,
                    verdict.revision,
                    verdict.state,
                    file.name,
                    file.mtime,
                    size,
                    sha256,
                    raw_key,
                    verdict.supersedes,
                    verdict.duplicate_of,
                    verdict.state is State.DUPLICATE,
                    checked.algorithm if checked else None,
                    checked.claimed if checked else None,
                    checked.computed if checked else None,
                    verdict.state is not State.RECEIVED,
                ),
            ).fetchone()
            assert row is not None  # noqa: S101 - an INSERT … RETURNING gives its row
            return row, True

    def latest(self, bank: str, remote_name: str) -> FileRow | None:
        """The last arrival under that name."""
        rows = self._rows(
            "WHERE bank = %s AND remote_name = %s ORDER BY seq DESC LIMIT 1", (bank, remote_name)
        )
        return rows[0] if rows else None

    def vouched(self, row: FileRow, checked: Checked) -> FileRow:
        """The bank's word about bytes in the archive; where it alone was missing, they go on their way."""
        with self.transaction() as connection, connection.cursor(row_factory=class_row(FileRow)) as cursor:
            return _vouch(cursor, row, checked) or row

    def announce(self, seq: int, lines_key: str) -> None:
        """Before the first record is sent: where its movements will be kept."""
        self.execute("UPDATE bank_files SET lines_key = %s WHERE seq = %s", (lines_key, seq))

    def loaded(
        self,
        row: FileRow,
        totals: Totals,
        statement: Statement | None,
        retracted: int | None,
        expectation: Expectation,
    ) -> None:
        """The file is out: mark it, what it supersedes, and its expectation, together.

        No statement: a process that died has read it, and only what was published is known.
        """
        with self.transaction() as connection:
            connection.execute(
                "UPDATE bank_files SET state = 'LOADED', record_count = %s, credit_count = %s,"
                " credit_total = %s, debit_count = %s, debit_total = %s, retracted_count = %s, note = %s,"
                " reason = NULL, reason_line = NULL, reason_column = NULL, finished_at = now()"
                " WHERE seq = %s",
                (
                    totals.count,
                    totals.credit_count,
                    totals.credit_total,
                    totals.debit_count,
                    totals.debit_total,
                    retracted,
                    statement.note if statement else None,
                    row.seq,
                ),
            )
            _put_read(connection, row.seq, statement)
            connection.execute(
                "UPDATE bank_files SET state = 'SUPERSEDED' WHERE file_id = %s AND state = 'LOADED'"
                " AND revision < %s",
                (row.file_id, row.revision),
            )
            _put_expectation(connection, expectation)

    def quarantined(self, seq: int, refused: FileRefusedError, statement: Statement | None) -> None:
        """The file was refused whole; without a statement before a line of it was read."""
        with self.transaction() as connection:
            connection.execute(
                "UPDATE bank_files SET state = 'QUARANTINED', reason = %s, reason_line = %s,"
                " reason_column = %s, lines_key = NULL, finished_at = now() WHERE seq = %s",
                (refused.reason, refused.line, refused.column, seq),
            )
            _put_read(connection, seq, statement)

    def superseded(self, seq: int) -> None:
        """A replayed file that a newer revision has overtaken."""
        self.execute(
            "UPDATE bank_files SET state = 'SUPERSEDED', lines_key = NULL, finished_at = now()"
            " WHERE seq = %s",
            (seq,),
        )

    def replay(self, seq: int) -> None:
        """Back on its way, from the archive."""
        self.execute(
            "UPDATE bank_files SET state = 'RECEIVED', attempts = 0, finished_at = NULL"
            " WHERE seq = %s AND state = 'QUARANTINED'",
            (seq,),
        )

    def stumbled(self, seq: int, reason: str) -> int:
        """One more attempt ended in something nobody foresaw; how many there were."""
        rows = self.select(
            "UPDATE bank_files SET attempts = attempts + 1, reason = %s WHERE seq = %s RETURNING attempts",
            (reason, seq),
        )
        return int(rows[0]["attempts"]) if rows else 0

    def remote_done(self, seq: int) -> None:
        """The remote file is out of the outbox."""
        self.execute("UPDATE bank_files SET remote_done_at = now() WHERE seq = %s", (seq,))

    def unfinished(self, bank: str) -> list[FileRow]:
        """Registered and not yet out, oldest first."""
        return self._rows("WHERE bank = %s AND state = 'RECEIVED' ORDER BY seq", (bank,))

    def to_move_away(self, bank: str) -> list[FileRow]:
        """Done with, and perhaps still in the outbox."""
        return self._rows(
            "WHERE bank = %s AND state <> 'RECEIVED' AND remote_done_at IS NULL ORDER BY seq", (bank,)
        )

    def newer_loaded(self, file_id: str, revision: int) -> bool:
        """Is a later revision of the business file out already?"""
        return bool(
            self._rows(
                "WHERE file_id = %s AND revision > %s AND state IN ('LOADED', 'SUPERSEDED') LIMIT 1",
                (file_id, revision),
            )
        )

    def published_before(self, file_id: str, revision: int) -> list[tuple[str, bool]]:
        """Where the movements are kept that may stand on the bus for this business file now.

        The latest revision that was published (true: they must be there), and any later one whose fate is
        not known (false: it may have died before it kept them).
        """
        keys = []
        for row in self._rows(
            "WHERE file_id = %s AND revision < %s AND lines_key IS NOT NULL AND state <> 'DUPLICATE'"
            " ORDER BY revision DESC",
            (file_id, revision),
        ):
            is_out = row.state in (State.LOADED, State.SUPERSEDED)
            keys.append((str(row.lines_key), is_out))
            if is_out:
                break
        return keys

    def files(
        self, bank: str | None = None, state: str | None = None, day: date | None = None, limit: int = 200
    ) -> list[FileRow]:
        """Newest first."""
        return self._rows(
            "WHERE (%(bank)s::text IS NULL OR bank = %(bank)s) AND (%(state)s::text IS NULL OR"
            " state = %(state)s) AND (%(day)s::date IS NULL OR business_date = %(day)s)"
            " ORDER BY seq DESC LIMIT %(limit)s",
            {"bank": bank, "state": state, "day": day, "limit": limit},
        )

    def find(self, wanted: str) -> list[FileRow]:
        """By number, business file (BANK|date|HH:MM[|part], also with / or :) or the beginning of a hash."""
        if wanted.isdecimal() and len(wanted) < 12:
            rows = self._rows("WHERE seq = %s", (int(wanted),))
        else:
            rows = self._rows(
                "WHERE file_id = %(id)s OR starts_with(file_id, %(id)s || '|')"
                " OR (length(%(said)s) >= 8 AND starts_with(sha256, lower(%(said)s))) ORDER BY seq",
                {"id": _business_id(wanted), "said": wanted},
            )
        if not rows:
            raise FileUnknownError(f"no file {wanted}; `settle files list` shows their numbers")
        return rows

    def standing(self, file: BusinessFile, owed: Collection[str]) -> Standing:
        """The cutoff as it is before a file of it is loaded, and a number for the word that it will bring.

        A number is never given twice, so whoever says the word again after a crash says it anew.
        """
        (row,) = self.select(
            "SELECT nextval('bank_file_words') AS number, kept.*, array(SELECT DISTINCT file_id"
            " FROM bank_files WHERE file_id = ANY(%s) AND state = 'LOADED') AS loaded"
            " FROM (VALUES (1)) AS always LEFT JOIN sp_v2_bank_file_expectations AS kept ON cutoff_id = %s",
            ([*owed, file.file_id], file.cutoff_id),
        )
        kept = _expectation(row) if row["cutoff_id"] is not None else None
        return Standing(row["number"], frozenset(row["loaded"]), kept)

    def came_again(self, row: FileRow) -> tuple[int, Expectation] | None:
        """A number for the word about bytes that came again; None unless their own cutoff's files are in.

        The bytes decide, not the name: sent again under another cutoff's name, they are still not its file.
        """
        found = self.select(
            "SELECT nextval('bank_file_words') AS number, kept.* FROM sp_v2_bank_file_expectations AS kept"
            " JOIN bank_files AS first USING (bank, business_date, cutoff)"
            " WHERE first.seq = %s AND status = ANY(%s)",
            (row.duplicate_of, sorted(IN)),
        )
        return (found[0]["number"], _expectation(found[0])) if found else None

    def said(self, row: FileRow, expectation: Expectation | None) -> None:
        """What there was to say about an arrival without records is on the bus."""
        with self.transaction() as connection:
            connection.execute("UPDATE bank_files SET word_due = false WHERE seq = %s", (row.seq,))
            if expectation is not None:
                _put_expectation(connection, expectation)

    def unsaid(self, bank: str) -> list[FileRow]:
        """Arrivals without records whose word is still to be said, oldest first."""
        return self._rows("WHERE bank = %s AND word_due ORDER BY seq", (bank,))

    def put_expectation(self, expectation: Expectation) -> None:
        """Keep a word about an expected file, unless a later one is there."""
        with self.transaction() as connection:
            _put_expectation(connection, expectation)

    def expectations(
        self, bank: str | None = None, day: date | None = None, status: str | None = None
    ) -> list[dict[str, Any]]:
        """What banks owe and what became of it, by date and cutoff."""
        return self.select(
            "SELECT * FROM sp_v2_bank_file_expectations WHERE (%(bank)s::text IS NULL OR bank = %(bank)s)"
            " AND (%(day)s::date IS NULL OR business_date = %(day)s)"
            " AND (%(status)s::text IS NULL OR status = %(status)s) ORDER BY business_date, bank, cutoff",
            {"bank": bank, "day": day, "status": status},
        )

    def overdue(self, banks: Collection[str], now: datetime) -> list[Expectation]:
        """Not all in at these banks, though their grace has passed, and nobody has said so yet."""
        rows = self.select(
            "SELECT * FROM sp_v2_bank_file_expectations WHERE status IN ('DUE', 'PARTIAL') AND NOT late"
            " AND late_after < %s AND bank = ANY(%s) ORDER BY late_after, cutoff_id",
            (now, list(banks)),
        )
        return [_expectation(row) for row in rows]

    def outstanding(self, banks: Collection[str], business_date: date) -> list[Expectation]:
        """Not all in at these banks for that date."""
        rows = self.select(
            "SELECT * FROM sp_v2_bank_file_expectations WHERE status IN ('DUE', 'LATE', 'PARTIAL')"
            " AND business_date = %s AND bank = ANY(%s) ORDER BY cutoff_id",
            (business_date, list(banks)),
        )
        return [_expectation(row) for row in rows]

    def _known(
        self, connection: psycopg.Connection[Any], business: BusinessFile, sha256: str
    ) -> tuple[list[Known], list[Known]]:
        columns = "SELECT seq, file_id, revision, sha256, state, record_count FROM bank_files"
        with connection.cursor(row_factory=dict_row) as cursor:
            same_file = cursor.execute(
                f"{columns} WHERE file_id = %s AND state <> 'DUPLICATE'", (business.file_id,)
            ).fetchall()
            same_bytes = cursor.execute(
                f"{columns} WHERE bank = %s AND sha256 = %s AND state <> 'DUPLICATE'", (business.bank, sha256)
            ).fetchall()
        return [_known(row) for row in same_file], [_known(row) for row in same_bytes]

    def _rows(self, where: str, parameters: Any = ()) -> list[FileRow]:
        with self.translated(), self.connection().cursor(row_factory=class_row(FileRow)) as cursor:
            # `where` is always text of this module; values are parameters.
            return cursor.execute(f"SELECT * FROM bank_files {where}", parameters).fetchall()  # noqa: S608


def _expectation(row: Mapping[str, Any]) -> Expectation:
    return Expectation(**{name: row[name] for name in _EXPECTATION})


def _vouch(cursor: psycopg.Cursor[FileRow], row: FileRow, checked: Checked) -> FileRow | None:
    """The latest word about a row's bytes; one that agrees at last sends it on its way again."""
    return cursor.execute(
        "UPDATE bank_files SET checksum_algorithm = %(algorithm)s, checksum_claimed = %(claimed)s,"
        " checksum_computed = %(computed)s,"
        " state = CASE WHEN %(mends)s THEN 'RECEIVED' ELSE state END,"
        " finished_at = CASE WHEN %(mends)s THEN NULL ELSE finished_at END"
        " WHERE seq = %(seq)s RETURNING *",
        {
            "seq": row.seq,
            "algorithm": checked.algorithm,
            "claimed": checked.claimed,
            "computed": checked.computed,
            "mends": checked.agrees and row.is_unvouched,
        },
    ).fetchone()


def _put_expectation(connection: psycopg.Connection[Any], one: Expectation) -> None:
    connection.execute(
        "INSERT INTO sp_v2_bank_file_expectations AS kept (cutoff_id, bank, business_date, cutoff,"
        " cutoffs_in_day, status, version, due_at, late_after, at, late, files_expected, files_received,"
        " last_file) VALUES (%(cutoff_id)s, %(bank)s, %(business_date)s, %(cutoff)s, %(cutoffs_in_day)s,"
        " %(status)s, %(version)s, %(due_at)s, %(late_after)s, %(at)s, %(late)s, %(files_expected)s,"
        " %(files_received)s, %(last_file)s)"
        " ON CONFLICT (cutoff_id) DO UPDATE SET status = excluded.status, version = excluded.version,"
        " due_at = excluded.due_at, late_after = excluded.late_after, at = excluded.at,"
        " late = excluded.late, files_expected = excluded.files_expected,"
        " files_received = excluded.files_received, last_file = excluded.last_file, updated_at = now()"
        " WHERE kept.version < excluded.version",
        {**asdict(one), "cutoff_id": one.cutoff_id, "status": str(one.status)},
    )


def _put_read(connection: psycopg.Connection[Any], seq: int, statement: Statement | None) -> None:
    """What the file claims and what was parsed of it; nothing where it is not known."""
    read: tuple[int | Decimal | None, ...] = (None,) * 6
    if statement is not None:
        claim, lines = statement.claim or Claim(), statement.lines
        read = (
            *(_within(claim.count, _COUNTS), _within(claim.credit_total, _SUMS)),
            *(_within(claim.debit_total, _SUMS), _within(lines.count, _COUNTS)),
            *(_within(lines.credit_total, _SUMS), _within(lines.debit_total, _SUMS)),
        )
    connection.execute(
        "UPDATE bank_files SET claimed_count = %s, claimed_credit = %s, claimed_debit = %s,"
        " parsed_count = %s, parsed_credit = %s, parsed_debit = %s WHERE seq = %s",
        (*read, seq),
    )


def _within(value: int | Decimal | None, limit: int) -> int | Decimal | None:
    return value if value is not None and -limit < value < limit else None


def _known(row: dict[str, Any]) -> Known:
    return Known(**{**row, "state": State(row["state"])})


_BUSINESS_ID = re.compile(r"(\w+)[|:/](\d{4}-\d\d-\d\d)[|:/](\d\d:\d\d)(?:[|:/](\d+))?")


def _business_id(wanted: str) -> str | None:
    found = _BUSINESS_ID.fullmatch(wanted)
    return "|".join(part for part in (found[1].upper(), *found.groups()[1:]) if part) if found else None
