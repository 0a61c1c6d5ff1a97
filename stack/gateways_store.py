"""What the stand-in gateways know, in SQLite so that it survives a restart: settlement rows, and payments and
refunds they were told of.
"""

from __future__ import annotations

import sqlite3
from datetime import UTC, date, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_IST = timezone(timedelta(hours=5, minutes=30))

_TABLES = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;
-- Grain: one row per settlement line of a gateway; `seq` keeps the order in which lines first came.
CREATE TABLE IF NOT EXISTS rows (
    seq      INTEGER PRIMARY KEY,
    gateway  TEXT NOT NULL,
    identity TEXT NOT NULL,
    day      TEXT NOT NULL,
    body     BLOB NOT NULL,
    UNIQUE (gateway, identity)
);
CREATE INDEX IF NOT EXISTS rows_by_day ON rows (gateway, day, seq);
-- Grain: one row per payment, refund or dispute of a gateway, as its own API shows it; `at` is its creation.
CREATE TABLE IF NOT EXISTS told (
    seq      INTEGER PRIMARY KEY,
    gateway  TEXT NOT NULL,
    kind     TEXT NOT NULL CHECK (kind IN ('payments', 'refunds', 'disputes')),
    identity TEXT NOT NULL,
    at       INTEGER NOT NULL,
    body     BLOB NOT NULL,
    UNIQUE (gateway, kind, identity)
);
CREATE INDEX IF NOT EXISTS told_by_time ON told (gateway, kind, at, seq);
"""
_UPSERT = """
INSERT INTO rows (gateway, identity, day, body) VALUES (?, ?, ?, ?)
ON CONFLICT (gateway, identity) DO UPDATE SET day = excluded.day, body = excluded.body
"""
_UPSERT_ENTITY = """
INSERT INTO told (gateway, kind, identity, at, body) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (gateway, kind, identity) DO UPDATE SET at = excluded.at, body = excluded.body
"""
# Newest first, as Razorpay lists.
_ENTITIES = """
SELECT body FROM told WHERE gateway = ? AND kind = ? AND at BETWEEN ? AND ? ORDER BY at DESC, seq DESC
"""
_PAGE = """
SELECT body FROM rows WHERE gateway = ? AND day BETWEEN ? AND ? ORDER BY day, seq LIMIT ? OFFSET ?
"""


class Store:
    """Rows by gateway, day and order of arrival."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(folder / "gateways.db", isolation_level=None)
        self._db.executescript(_TABLES)

    def put(self, gateway: str, items: list[dict[str, Any]]) -> int:
        """Store or replace native rows; raises KeyError or ValueError for one without identity or date."""
        split = SPLIT[gateway]
        rows = [
            (gateway, identity, day.isoformat(), orjson.dumps(body))
            for item in items
            for identity, day, body in split(item)
        ]
        self._all(_UPSERT, rows)
        return len(rows)

    def _all(self, statement: str, rows: list[tuple[Any, ...]]) -> None:
        self._db.execute("BEGIN")
        try:
            self._db.executemany(statement, rows)
        except sqlite3.Error:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def tell(self, gateway: str, kind: str, items: list[dict[str, Any]]) -> int:
        """Store or replace entities; raises KeyError or ValueError for one without id or time."""
        identify = ENTITIES[gateway, kind]
        rows = []
        for item in items:
            identity, at = identify(item)
            rows.append((gateway, kind, identity, at, orjson.dumps(item)))
        self._all(_UPSERT_ENTITY, rows)
        return len(rows)

    def entities(self, gateway: str, kind: str, first: int = 0, last: int = 2**62) -> list[dict[str, Any]]:
        """Payments, refunds or disputes made in these seconds, the newest first."""
        found = self._db.execute(_ENTITIES, (gateway, kind, first, last))
        return [orjson.loads(row[0]) for row in found]

    def page(self, gateway: str, first: date, last: date, skip: int, count: int) -> list[bytes]:
        """Rows of these days, as stored."""
        found = self._db.execute(
            _PAGE,
            (gateway, first.isoformat(), last.isoformat(), count, skip),
        )
        return [row[0] for row in found]

    def count(self, gateway: str, first: date | None = None, last: date | None = None) -> int:
        """How many rows there are, of these days or in all."""
        found = self._db.execute(
            "SELECT count(*) FROM rows WHERE gateway = ? AND day BETWEEN ? AND ?",
            (gateway, (first or date.min).isoformat(), (last or date.max).isoformat()),
        )
        return int(found.fetchone()[0])

    def reset(self) -> None:
        """Forget everything."""
        self._db.execute("DELETE FROM rows")
        self._db.execute("DELETE FROM told")

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()


def _razorpay(item: dict[str, Any]) -> Iterator[tuple[str, date, dict[str, Any]]]:
    """Reported on the day (IST) it was settled; an unsettled item has no day and is not reported."""
    settled_at = int(item.get("settled_at") or 0)
    day = datetime.fromtimestamp(settled_at, UTC).astimezone(_IST).date() if item.get("settled") else date.min
    yield f"{item['type']}/{item['entity_id']}", day, item


def _payu(batch: dict[str, Any]) -> Iterator[tuple[str, date, dict[str, Any]]]:
    """A batch is stored row by row, each with its batch, and put together again page by page."""
    day = date.fromisoformat(str(batch["settlementCompletedDate"])[:10])
    head = {name: value for name, value in batch.items() if name != "transaction"}
    for row in batch["transaction"]:
        identity = f"{row['action']}/{row['payuId']}/{row.get('requestId') or '-'}"
        yield identity, day, {"batch": head, "row": row}


def _paytm(row: dict[str, Any]) -> Iterator[tuple[str, date, dict[str, Any]]]:
    """Reported on its payout date."""
    yield f"{row['transactionType']}/{row['transactionId']}", date.fromisoformat(row["payoutDate"]), row


SPLIT: dict[str, Callable[[dict[str, Any]], Iterator[tuple[str, date, dict[str, Any]]]]] = {
    "razorpay": _razorpay,
    "payu": _payu,
    "paytm": _paytm,
}


def seconds(text: str) -> int:
    """A gateway's time in seconds since 1970; without a zone it is Indian time."""
    at = datetime.fromisoformat(text)
    return int((at if at.tzinfo else at.replace(tzinfo=_IST)).timestamp())


# What tells each gateway's payments and refunds apart, and when they were made.
ENTITIES: dict[tuple[str, str], Callable[[dict[str, Any]], tuple[str, int]]] = {
    ("razorpay", "payments"): lambda item: (item["id"], int(item["created_at"])),
    ("razorpay", "refunds"): lambda item: (item["id"], int(item["created_at"])),
    ("razorpay", "disputes"): lambda item: (item["id"], int(item["created_at"])),
    ("payu", "payments"): lambda item: (item["id"], seconds(item["addedon"])),
    ("payu", "refunds"): lambda item: (item["RequestID"], seconds(item["RefundCreationDate"])),
    ("paytm", "payments"): lambda item: (item["txnId"], seconds(item["txnDate"])),
    ("paytm", "refunds"): lambda item: (item["refundId"], seconds(item["acceptRefundTimestamp"])),
}
