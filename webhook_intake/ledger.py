"""The event ledger: raw webhooks in the operational Postgres, written before anyone is answered."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import psycopg
from psycopg.rows import tuple_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from webhook_intake.arrays import blobs, dates, moments, register, texts
from webhook_intake.errors import UnavailableError
from webhook_intake.records import Event

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Sequence
    from datetime import datetime

SCHEMA = Path(__file__).parent / "schema.sql"

# Connections: the batches under way, their marks, the sweeper, and one for questions.
_CONNECTIONS = 7
# Seconds to wait for a connection, and for one statement: under the five seconds Razorpay gives an answer.
_SECONDS = 3.0
# Any fixed number: makes two processes that start together create the tables one after the other.
_SETUP_LOCK = 5_111_001
_EVENT_KEY = attrgetter("event_key")

# The batch's row and its events are one commit.
_KEEP = """
WITH batch AS (
    INSERT INTO webhook_batches DEFAULT VALUES RETURNING batch
), kept AS (
    INSERT INTO webhook_events (event_key, gateway, received_at, sha256, content_type, headers, body, about,
                                missed_on, batch)
    SELECT event.*, batch.batch
    FROM unnest(%b::text[], %b::text[], %b::timestamptz[], %b::text[], %b::text[], %b::text[], %b::bytea[],
                %b::text[], %b::date[]) AS event, batch
    ON CONFLICT (event_key) DO NOTHING
    RETURNING 1
)
SELECT batch.batch, (SELECT count(*) FROM kept) FROM batch
"""
_ENDED = """
SELECT event_key FROM webhook_log
WHERE event_key = ANY(%b::text[]) AND (outcome IS NOT NULL OR batch = ANY(%b::bigint[]))
"""
# Not waited for on disk: a mark that a crash loses makes the sweeper publish the events again, with the same
# keys and versions.
_NOT_WAITED_FOR = "WITH lazily AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true))"
_MARK = f"""
{_NOT_WAITED_FOR}
UPDATE webhook_batches SET published_at = now() FROM lazily
WHERE batch = ANY(%b::bigint[]) AND published_at IS NULL
"""  # noqa: S608 - a constant of ours
_END = f"""
{_NOT_WAITED_FOR}
INSERT INTO webhook_outcomes (event_key, outcome, reason)
SELECT ended.* FROM lazily, unnest(%b::text[], %b::text[], %b::text[]) AS ended
ON CONFLICT (event_key) DO UPDATE
SET outcome = excluded.outcome, reason = excluded.reason, published_at = now()
"""  # noqa: S608 - a constant of ours
_EVENT = "event_key, gateway, received_at, sha256, content_type, headers, body, about, missed_on"
_OPEN_BATCH = """
SELECT batch FROM webhook_batches
WHERE published_at IS NULL AND kept_at <= now() - make_interval(secs => %s)
ORDER BY kept_at LIMIT 1
"""
_UNPUBLISHED = f"""
SELECT {_EVENT} FROM webhook_events AS e
WHERE batch = %s AND NOT EXISTS (SELECT FROM webhook_outcomes AS o WHERE o.event_key = e.event_key)
ORDER BY event_key LIMIT %s
"""  # noqa: S608
_DEAD = f"""
SELECT {_EVENT} FROM webhook_events JOIN webhook_outcomes USING (event_key)
WHERE outcome = 'DEAD' ORDER BY received_at LIMIT %s
"""  # noqa: S608
_ABOUT = f"""
SELECT {_EVENT} FROM webhook_events WHERE about = ANY(%b::text[]) AND event_key <> ALL(%b::text[])
"""  # noqa: S608
_AUDIT = """
INSERT INTO webhook_audit (at, gateway, status, reason, peer, sha256, size, count)
SELECT * FROM unnest(%b::timestamptz[], %b::text[], %b::int[], %b::text[], %b::text[], %b::text[], %b::int[],
                     %b::int[])
"""
# A minute that a process's clock is behind counts into the newer one: the sum is never more than the limit.
_GRANT = """
greatest(0, least(%(limit)s::int - r.used, greatest(1, least(%(share)s::int, (%(limit)s::int - r.used) / 4))))
"""
_LEASE = f"""
INSERT INTO webhook_rates AS r (source, minute, used, granted)
SELECT source, %(minute)s::bigint, %(share)s::int, %(share)s::int
FROM unnest(%(sources)b::text[]) AS asked(source) ORDER BY source
ON CONFLICT (source) DO UPDATE
SET minute = greatest(r.minute, excluded.minute),
    used = CASE WHEN excluded.minute > r.minute THEN excluded.used ELSE r.used + {_GRANT} END,
    granted = CASE WHEN excluded.minute > r.minute THEN excluded.granted ELSE {_GRANT} END
RETURNING source, granted
"""  # noqa: S608 - a constant of ours
# Rows that a lease under way holds are left for the next minute: waiting for them could be a deadlock.
_FORGET = """
DELETE FROM webhook_rates
WHERE source IN (SELECT source FROM webhook_rates WHERE minute < %s FOR UPDATE SKIP LOCKED)
"""


# How an event ends.
PUBLISHED, DEAD = "PUBLISHED", "DEAD"


@dataclass(frozen=True, slots=True)
class Mark:
    """How an event ended."""

    event_key: str
    outcome: str
    reason: str | None = None


class Kept(NamedTuple):
    """A commit of events: its number, and how many of them had not been kept before."""

    batch: int
    new: int


@dataclass(frozen=True, slots=True)
class Refusal:
    """A request that was not let in, without its body."""

    at: datetime
    gateway: str
    status: int
    reason: str
    peer: str
    sha256: str
    size: int
    count: int = 1


class Ledger:
    """Durable memory of the intake; every method raises UnavailableError when Postgres does not answer."""

    def __init__(self, dsn: str) -> None:
        self._pool: AsyncConnectionPool[psycopg.AsyncConnection[tuple[Any, ...]]] = AsyncConnectionPool(
            dsn,
            min_size=1,
            max_size=_CONNECTIONS,
            open=False,
            timeout=_SECONDS,
            reconnect_timeout=10.0,
            configure=_configure,
            kwargs={
                "autocommit": True,
                "row_factory": tuple_row,
                "connect_timeout": 3,
                "application_name": "webhook_intake",
                # A few statements, all known: prepared at their first use.
                "prepare_threshold": 0,
            },
        )

    async def open(self) -> None:
        """Begin connecting, and make the tables."""
        await self._pool.open(wait=False)
        try:
            async with self.connection(20.0) as connection, connection.transaction():
                await connection.execute("SELECT pg_advisory_xact_lock(%s)", (_SETUP_LOCK,))
                await connection.execute(SCHEMA.read_bytes(), prepare=False)
        except psycopg.Error as error:
            raise UnavailableError(
                f"Postgres: {type(error).__name__} {error.sqlstate or ''}".strip()
            ) from error

    async def close(self) -> None:
        """Let go of the connections."""
        await self._pool.close(5)

    async def keep(self, events: Sequence[Event]) -> Kept:
        """Write raw events durably, as one batch."""
        # Two batches that hold the same keys in different orders would wait for each other.
        rows = sorted(events, key=_EVENT_KEY)
        columns = (
            texts([event.event_key for event in rows]),
            texts([event.gateway for event in rows]),
            moments([event.received_at for event in rows]),
            texts([event.sha256 for event in rows]),
            texts([event.content_type for event in rows]),
            texts([event.headers for event in rows]),
            blobs([event.body for event in rows]),
            texts([event.about for event in rows]),
            dates([event.missed_on for event in rows]),
        )
        async with self.connection() as connection:
            row = await (await connection.execute(_KEEP, columns)).fetchone()
        return Kept(*row) if row else Kept(0, 0)

    async def ended(self, keys: Iterable[str], marking: Iterable[int]) -> set[str]:
        """Which of these events need nothing more; `marking` are batches whose mark is on its way."""
        async with self.connection() as connection:
            cursor = await connection.execute(_ENDED, (list(keys), list(marking)))
            return {row[0] for row in await cursor.fetchall()}

    async def mark(self, batches: Sequence[int]) -> None:
        """Write down that Kafka has these batches."""
        async with self.connection() as connection:
            await connection.execute(_MARK, (list(batches),))

    async def end(self, marks: Sequence[Mark]) -> None:
        """Write down how single events ended, where it is not with their batch."""
        rows = sorted(marks, key=lambda mark: mark.event_key)
        async with self.connection() as connection:
            await connection.execute(
                _END,
                (
                    [one.event_key for one in rows],
                    [one.outcome for one in rows],
                    [one.reason for one in rows],
                ),
            )

    async def unpublished(self, older_than: float, limit: int) -> tuple[int, list[Event]] | None:
        """A batch that was kept but, as far as is known, not published, and its events; None without one."""
        async with self.connection() as connection:
            row = await (await connection.execute(_OPEN_BATCH, (older_than,))).fetchone()
            if row is None:
                return None
            cursor = await connection.execute(_UNPUBLISHED, (row[0], limit))
            return row[0], [Event(*event) for event in await cursor.fetchall()]

    async def dead(self, limit: int) -> list[Event]:
        """Events that could not be understood."""
        async with self.connection() as connection:
            cursor = await connection.execute(_DEAD, (limit,))
            return [Event(*row) for row in await cursor.fetchall()]

    async def about(self, payments: Iterable[str], but: Iterable[str]) -> list[Event]:
        """The events about these payments (`gateway:payment id`), but those with these keys."""
        async with self.connection() as connection:
            cursor = await connection.execute(_ABOUT, (list(payments), list(but)))
            return [Event(*row) for row in await cursor.fetchall()]

    async def audit(self, refusals: Sequence[Refusal]) -> None:
        """Write down who was not let in."""
        columns = [list(column) for column in zip(*(_row(one) for one in refusals), strict=True)]
        async with self.connection() as connection:
            await connection.execute(_AUDIT, columns)

    async def lease(self, sources: Sequence[str], minute: int, *, share: int, limit: int) -> dict[str, int]:
        """Up to a share of each source's minute, out of what all processes may take together."""
        asked = {"sources": list(sources), "minute": minute, "share": share, "limit": limit}
        async with self.connection() as connection:
            cursor = await connection.execute(_LEASE, asked)
            return {row[0]: row[1] for row in await cursor.fetchall()}

    async def forget_leases(self, before: int) -> None:
        """Let go of the minutes before this one."""
        async with self.connection() as connection:
            await connection.execute(_FORGET, (before,))

    async def answers(self) -> bool:
        """Does Postgres answer?"""
        try:
            async with self.connection() as connection:
                await connection.execute("SELECT 1")
        except UnavailableError:
            return False
        return True

    @asynccontextmanager
    async def connection(
        self, seconds: float = _SECONDS
    ) -> AsyncIterator[psycopg.AsyncConnection[tuple[Any, ...]]]:
        """A connection of the pool for one statement or transaction."""
        try:
            async with asyncio.timeout(seconds), self._pool.connection(seconds) as connection:
                yield connection
        except (psycopg.OperationalError, psycopg.InterfaceError, PoolTimeout, TimeoutError) as error:
            # The driver's text can hold the address; its type and SQLSTATE say enough.
            state = getattr(error, "sqlstate", None) or ""
            raise UnavailableError(f"Postgres: {type(error).__name__} {state}".strip()) from error


async def _configure(connection: psycopg.AsyncConnection[Any]) -> None:
    register(connection)


def _row(one: Refusal) -> tuple[Any, ...]:
    return (one.at, one.gateway, one.status, one.reason, one.peer, one.sha256, one.size, one.count)
