"""How far the gateways' lists were read, and what was missed; beside the events in the ledger."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datetime import date, datetime

    from webhook_intake.ledger import Ledger

# Ages by the database's clock: the processes that share a cursor need not agree on the time.
_CURSOR = """
SELECT read_to, extract(epoch FROM now() - polled_at)::float8, extract(epoch FROM now() - late_at)::float8
FROM gap_cursors WHERE gateway = %s
"""
_MOVE = """
INSERT INTO gap_cursors AS c (gateway, read_to, polled_at, late_at, listed, missed, problem)
VALUES (%(gateway)s, %(read_to)s, now(), CASE WHEN %(late)s THEN now() END, %(listed)s, %(missed)s,
        %(problem)s)
ON CONFLICT (gateway) DO UPDATE
SET read_to = greatest(c.read_to, excluded.read_to), polled_at = now(),
    late_at = coalesce(excluded.late_at, c.late_at), listed = c.listed + excluded.listed,
    missed = c.missed + excluded.missed, problem = excluded.problem
"""
_CURSORS = "SELECT gateway, read_to, polled_at, listed, problem FROM gap_cursors ORDER BY gateway"
_MISSED = """
SELECT gateway, missed_on, about, received_at, outcome FROM webhook_log
WHERE missed_on IS NOT NULL ORDER BY gateway, missed_on, received_at, event_key
"""


@dataclass(frozen=True, slots=True)
class GapCursor:
    """Up to when a gateway's lists were read, and how many seconds ago; None where never."""

    read_to: datetime | None = None
    age: float | None = None
    late_age: float | None = None


@dataclass(frozen=True, slots=True)
class Missed:
    """A payment or refund that no webhook told."""

    gateway: str
    day: date
    payment: str
    noticed_at: datetime
    outcome: str | None


class GapLedger:
    """The gap closer's memory; every method raises UnavailableError when Postgres does not answer."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def cursor(self, gateway: str) -> GapCursor:
        """How far this gateway was read."""
        async with self._ledger.connection() as connection:
            row = await (await connection.execute(_CURSOR, (gateway,))).fetchone()
        return GapCursor(*row) if row else GapCursor()

    async def move(
        self,
        gateway: str,
        read_to: datetime | None,
        *,
        late: bool,
        listed: int,
        missed: int,
        problem: str | None,
    ) -> None:
        """Write down how a look went."""
        said = {"gateway": gateway, "read_to": read_to, "late": late, "listed": listed, "missed": missed}
        async with self._ledger.connection() as connection:
            await connection.execute(_MOVE, {**said, "problem": problem})

    async def cursors(self) -> list[dict[str, Any]]:
        """Every gateway's cursor."""
        names = ("gateway", "read_to", "polled_at", "listed", "problem")
        async with self._ledger.connection() as connection:
            rows = await (await connection.execute(_CURSORS)).fetchall()
        return [dict(zip(names, row, strict=True)) for row in rows]

    async def missed(self) -> list[Missed]:
        """All that was missed, by gateway and business date."""
        async with self._ledger.connection() as connection:
            rows = await (await connection.execute(_MISSED)).fetchall()
        return [
            Missed(row[0], row[1], str(row[2]).removeprefix(f"{row[0]}:"), row[3], row[4]) for row in rows
        ]
