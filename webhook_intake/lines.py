"""The poll ledger: which settlement lines were published, as what; what is new is found in bulk.

A line is matched by its UTR or settlement, so those are part of its record's key. A line that gains or
changes them is a new record, and the old record is deleted with a version above its last.
"""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import orjson
import psycopg

from webhook_intake.errors import UnavailableError
from webhook_intake.ledger import SCHEMA
from webhook_intake.records import FIELDS, Line

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# What may differ between two readings of the same row: where it was read from and how it was numbered.
_NOT_CONTENT = ("raw_sha256", "version")
# Fields that came when lines had been published without: a line that has none is the same line.
_LATER = ("payment_id", "dispute_id", "phase", "reason_code", "respond_by")
_MONEY = ("amount", "fee", "tax", "net", "refunded_amount")
_DATES = ("settled_on", "paid_on")
# Rows published at once: bounds memory after an outage.
_BATCH = 20_000

_INCOMING = """
CREATE TEMPORARY TABLE incoming (
    record_id text COLLATE "C", line_key text COLLATE "C", gateway text, content text, version bigint,
    record bytea
) ON COMMIT DROP
"""
_COPY = "COPY incoming (record_id, line_key, gateway, content, version, record) FROM STDIN (FORMAT binary)"
_NEW_OR_CHANGED = """
INSERT INTO poll_lines AS p (record_id, line_key, gateway, content, op, version, record)
SELECT i.record_id, i.line_key, i.gateway, i.content, 'u', i.version, i.record
FROM incoming AS i LEFT JOIN poll_lines AS known USING (record_id)
WHERE known.record_id IS NULL OR known.content <> i.content OR known.op <> 'u'
ORDER BY i.record_id
ON CONFLICT (record_id) DO UPDATE
SET content = excluded.content, op = 'u', version = greatest(excluded.version, p.version + 1),
    record = excluded.record, seen_at = now(), published_at = NULL
"""
_MOVED = """
UPDATE poll_lines AS p
SET op = 'd', version = p.version + 1, seen_at = now(), published_at = NULL
FROM incoming AS i
WHERE p.line_key = i.line_key AND p.record_id <> i.record_id AND p.op = 'u'
"""
_UNPUBLISHED = """
SELECT record_id, op, version, record FROM poll_lines
WHERE gateway = %s AND published_at IS NULL ORDER BY record_id LIMIT %s
"""
_MARK = """
UPDATE poll_lines AS p SET published_at = now()
FROM unnest(%b::text[], %b::bigint[]) AS m(record_id, version)
WHERE p.record_id = m.record_id AND p.version = m.version
"""
_CURSOR = "SELECT day FROM poll_cursors WHERE gateway = %s"
_MOVE_CURSOR = """
INSERT INTO poll_cursors AS c (gateway, day, polled_at, lines, published, dead, problem)
VALUES (%(gateway)s, %(day)s, now(), %(lines)s, %(published)s, %(dead)s, %(problem)s)
ON CONFLICT (gateway) DO UPDATE
SET day = greatest(c.day, excluded.day), polled_at = now(), lines = c.lines + excluded.lines,
    published = c.published + excluded.published, dead = c.dead + excluded.dead, problem = excluded.problem
"""
_CURSORS = """
SELECT gateway, day, polled_at, lines, published, dead, problem,
       (SELECT count(*) FROM poll_lines AS l WHERE l.gateway = c.gateway AND l.op = 'u') AS live,
       (SELECT count(*) FROM poll_lines AS l
        WHERE l.gateway = c.gateway AND l.published_at IS NULL) AS unpublished
FROM poll_cursors AS c ORDER BY gateway
"""
_EVENT_COUNTS = """
SELECT gateway, count(*) FILTER (WHERE missed_on IS NULL), count(*) FILTER (WHERE published_at IS NULL),
       count(*) FILTER (WHERE outcome = 'DEAD'), max(received_at) FILTER (WHERE missed_on IS NULL),
       count(missed_on)
FROM webhook_log GROUP BY gateway ORDER BY gateway
"""
# One lock number per gateway, so that two polls of one gateway do not wait for each other row by row.
_LOCK = "SELECT pg_advisory_xact_lock(5111002, hashtext(%s))"


@dataclass(frozen=True, slots=True)
class Change:
    """A record to publish: the topic's fields with their final op and version."""

    record_id: str
    version: int
    record: dict[str, Any]


class LineLedger:
    """The poll ledger in Postgres; one thread uses it at a time."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._connection: psycopg.Connection[tuple[Any, ...]] | None = None

    def close(self) -> None:
        """Let go of the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def setup(self) -> None:
        """Make the tables, for a process that is not the server."""
        with self._using() as connection, connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(5111001)")
            connection.execute(SCHEMA.read_bytes())

    def take(self, gateway: str, lines: Sequence[Line]) -> None:
        """Write down which lines are new, changed or moved, in one transaction; they await publishing."""
        # A row may come twice while pages shift under the reader: the later reading counts.
        latest = {line.line_key: line for line in lines}
        with self._using() as connection, connection.transaction(), connection.cursor() as cursor:
            cursor.execute(_LOCK, (gateway,))
            cursor.execute(_INCOMING)
            with cursor.copy(_COPY) as copy:
                copy.set_types(["text", "text", "text", "text", "int8", "bytea"])
                for line in latest.values():
                    word = line.word
                    record, content = _pack(line)
                    copy.write_row((word.record_id, line.line_key, gateway, content, word.version, record))
            cursor.execute("ANALYZE incoming")
            cursor.execute(_NEW_OR_CHANGED)
            cursor.execute(_MOVED)

    def unpublished(self, gateway: str) -> list[Change]:
        """Records that await publishing, also those an earlier process left."""
        with self._using() as connection:
            rows = connection.execute(_UNPUBLISHED, (gateway, _BATCH)).fetchall()
        return [Change(row[0], row[2], _unpack(row[3], row[1], row[2])) for row in rows]

    def published(self, changes: Sequence[Change]) -> None:
        """These are acknowledged; one that changed meanwhile still awaits its new version."""
        with self._using() as connection:
            connection.execute(_MARK, ([one.record_id for one in changes], [one.version for one in changes]))

    def cursor(self, gateway: str) -> date | None:
        """The last day read to its end."""
        with self._using() as connection:
            row = connection.execute(_CURSOR, (gateway,)).fetchone()
        return row[0] if row else None

    def move_cursor(
        self, gateway: str, day: date | None, *, lines: int, published: int, dead: int, problem: str | None
    ) -> None:
        """Write down how a poll went."""
        with self._using() as connection:
            connection.execute(
                _MOVE_CURSOR,
                {
                    "gateway": gateway,
                    "day": day,
                    "lines": lines,
                    "published": published,
                    "dead": dead,
                    "problem": problem,
                },
            )

    def cursors(self) -> list[dict[str, Any]]:
        """Every gateway's cursor and counts."""
        with self._using() as connection:
            found = connection.execute(_CURSORS)
            names = [column.name for column in found.description or ()]
            return [dict(zip(names, row, strict=True)) for row in found.fetchall()]

    def event_counts(self) -> list[tuple[Any, ...]]:
        """Per gateway: webhooks, what is unpublished or dead, the last webhook's time, what was missed."""
        with self._using() as connection:
            return connection.execute(_EVENT_COUNTS).fetchall()

    @contextmanager
    def _using(self) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
        try:
            if self._connection is None or self._connection.closed:
                self._connection = psycopg.connect(
                    self._dsn, autocommit=True, connect_timeout=5, application_name="webhook_intake poll"
                )
            yield self._connection
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            self.close()
            raise UnavailableError(
                f"Postgres: {type(error).__name__} {error.sqlstate or ''}".strip()
            ) from error


def _pack(line: Line) -> tuple[bytes, str]:
    """The record as stored, and the hash of what makes it the same content."""
    record = {name: getattr(line.word, name) for name in FIELDS}
    whole = orjson.dumps(record, default=str)
    for name in (*_NOT_CONTENT, *(name for name in _LATER if record[name] is None)):
        del record[name]
    return whole, hashlib.sha256(orjson.dumps(record, default=str)).hexdigest()[:32]


def _unpack(stored: bytes, op: str, version: int) -> dict[str, Any]:
    record: dict[str, Any] = orjson.loads(stored)
    for name in _MONEY:
        record[name] = Decimal(record[name])
    for name in _DATES:
        record[name] = date.fromisoformat(record[name]) if record[name] else None
    record["occurred_at"] = datetime.fromisoformat(record["occurred_at"])
    return record | {"op": op, "version": version}
