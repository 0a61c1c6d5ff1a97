"""Plays our own side: SQL into the payment company's database.

1. Before the connector: the tables, all merchants, and the first day as it ended.
2. While it streams: the second day as it happens, pending first, then decided, with the gateway's answer.
3. Then what happens to sales later: refunds, deletes, changed primary keys; and merchants renamed.

A database that already holds rows of this world is brought to the same end by the rows that differ, so
that playing again, or going on after an interruption, ends equal.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import psycopg
from psycopg import sql

from world.errors import DoorError
from world.model import rupees
from world.rows import (
    COLUMNS,
    MERCHANTS,
    RESPONSES,
    TRANSACTIONS,
    Row,
    decided_transaction,
    first_merchants,
    first_transaction,
    last_merchants,
    last_rows,
    responses,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from world.model import Sale, World

DDL: Final = Path(__file__).with_name("source.sql")
# Rows of one transaction: small enough to look like a day's work, large enough not to be its own bottleneck.
_BATCH: Final = 1_000

_DECIDE: Final = """
UPDATE transactions_to_settle AS t SET status = v.status, updated_at = v.at
FROM unnest(%b::text[], %b::text[], %b::timestamptz[]) AS v(id, status, at)
WHERE t.transaction_id = v.id
"""
_REFUND: Final = """
UPDATE transactions_to_settle AS t SET refunded_amount = v.amount, updated_at = v.at
FROM unnest(%b::text[], %b::numeric[], %b::timestamptz[]) AS v(id, amount, at)
WHERE t.transaction_id = v.id
"""
_RENAME: Final = """
UPDATE merchant_data AS m SET merchant_name = v.name, updated_at = v.at
FROM unnest(%b::text[], %b::text[], %b::timestamptz[]) AS v(id, name, at)
WHERE m.merchant_id = v.id
"""
_REKEY: Final = "UPDATE transactions_to_settle SET transaction_id = %s WHERE transaction_id = %s"
_DELETE: Final = "DELETE FROM transactions_to_settle WHERE transaction_id = ANY(%b::text[])"


class SourceDatabase:
    """The payment company's database, written by its own role."""

    def __init__(self, dsn: str, world: World, tell: Callable[[str], None] = lambda _: None) -> None:
        self._world = world
        self.tell = tell
        try:
            self._db = psycopg.connect(dsn, autocommit=True)
        except psycopg.OperationalError as error:
            raise DoorError(f"the payment company's database does not answer: {error}") from None

    def close(self) -> None:
        """Let go of the connection."""
        self._db.close()

    def prepare(self) -> bool:
        """Make the tables; True when nothing of a world was written into them yet."""
        self._db.execute(DDL.read_bytes())
        row = self._db.execute(
            """
            SELECT EXISTS (SELECT FROM transactions_to_settle WHERE transaction_id ~ '^T(XN|MP)2601')
                OR EXISTS (SELECT FROM merchant_data WHERE merchant_id ~ '^MER[0-9]{6}$')
            """
        ).fetchone()
        return row is not None and not row[0]

    def snapshot(self) -> int:
        """Step 1; the number of rows."""
        days = self._sales(0)
        count = self._copy(MERCHANTS, first_merchants(self._world))
        count += self._copy(TRANSACTIONS, (decided_transaction(sale) for sale in days))
        count += self._copy(RESPONSES, (row for sale, row in responses(self._world) if sale.day == 0))
        self.tell(f"{count:,} rows before the connector")
        return count

    def stream(self) -> int:
        """Steps 2 and 3; the number of changes."""
        done = 0
        # 2.
        answers = {sale.transaction_id: row for sale, row in responses(self._world) if sale.day == 1}
        for batch in _batches(self._sales(1)):
            done += self._copy(TRANSACTIONS, (first_transaction(sale) for sale in batch))
            decided = [sale for sale in batch if sale.status != "PENDING"]
            with self._db.transaction():
                self._db.execute(
                    _DECIDE,
                    (
                        [sale.born_as or sale.transaction_id for sale in decided],
                        [sale.status for sale in decided],
                        [sale.decided_at for sale in decided],
                    ),
                )
                mine = (answers[sale.transaction_id] for sale in batch if sale.transaction_id in answers)
                done += self._copy(RESPONSES, mine)
            done += len(decided)
            self.tell(f"{done:,} changes")
        # 3.
        done += self._later()
        self.tell(f"{done:,} changes")
        return done

    def _later(self) -> int:
        refunded = [sale for sale in self._world.sales if sale.refunded_at is not None]
        for batch in _batches(refunded):
            keys = [sale.born_as or sale.transaction_id for sale in batch]
            amounts = [rupees(sale.refunded) for sale in batch]
            self._db.execute(_REFUND, (keys, amounts, [sale.refunded_at for sale in batch]))
        rekeyed = [sale for sale in self._world.sales if sale.born_as]
        for sale in rekeyed:
            self._db.execute(_REKEY, (sale.transaction_id, sale.born_as))
        deleted = [sale.transaction_id for sale in self._world.sales if sale.deleted]
        self._db.execute(_DELETE, (deleted,))
        pairs = zip(last_merchants(self._world), self._world.merchants, strict=True)
        renamed = [row for row, merchant in pairs if merchant.later_name]
        self._db.execute(_RENAME, ([m[0] for m in renamed], [m[1] for m in renamed], [m[5] for m in renamed]))
        return len(refunded) + len(rekeyed) + len(deleted) + len(renamed)

    def heal(self) -> int:
        """Bring what is there to the world's end by the rows that differ; how many did."""
        changed = 0
        for table, wanted in last_rows(self._world).items():
            columns = COLUMNS[table]
            there = {row[0]: row for row in self.rows(table)}
            differing = [row for row in wanted if there.get(row[0]) != row]
            surplus = there.keys() - {row[0] for row in wanted}
            mine = [key for key in surplus if self._is_mine(table, key)]
            name, key = sql.Identifier(table), sql.Identifier(columns[0])
            with self._db.transaction():
                gone = [row[0] for row in differing if row[0] in there] + mine
                self._db.execute(sql.SQL("DELETE FROM {} WHERE {} = ANY(%s)").format(name, key), (gone,))
                self._copy(table, differing)
            changed += len(differing) + len(mine)
        self.tell(f"{changed:,} rows differed")
        return changed

    def count(self, table: str) -> int:
        """How many rows there are."""
        row = self._db.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table))).fetchone()
        return int(row[0]) if row else 0

    def _is_mine(self, table: str, key: Any) -> bool:
        """A row that only this world could have left behind on the way."""
        return table == TRANSACTIONS and str(key).startswith(("TXN2601", "TMP2601"))

    def rows(self, table: str) -> Iterator[Row]:
        """All rows of a source table, in no order, columns as in `COLUMNS`."""
        columns = sql.SQL(", ").join(map(sql.Identifier, COLUMNS[table]))
        query = sql.SQL("SELECT {} FROM {}").format(columns, sql.Identifier(table))
        yield from self._db.execute(query, binary=True)

    def _sales(self, day: int) -> list[Sale]:
        return [sale for sale in self._world.sales if sale.day == day]

    def _copy(self, table: str, rows: Iterable[Row]) -> int:
        columns = sql.SQL(", ").join(map(sql.Identifier, COLUMNS[table]))
        copy = sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(table), columns)
        count = 0
        with self._db.cursor() as cursor, cursor.copy(copy) as writer:
            for row in rows:
                writer.write_row(row)
                count += 1
        return count


def _batches(sales: Sequence[Sale]) -> Iterator[Sequence[Sale]]:
    for at in range(0, len(sales), _BATCH):
        yield sales[at : at + _BATCH]
