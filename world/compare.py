"""Sets what the warehouse holds beside what was planned: results row by row, mirrors column by column."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from snowflake_loader import warehouse
from snowflake_loader.errors import LoaderError
from world.errors import NotReadyError
from world.model import money
from world.rows import COLUMNS, MERCHANTS
from world.truth import Sums, Truth, Verdict, absent, sums, verdicts

if TYPE_CHECKING:
    from collections.abc import Iterable

    from snowflake.connector import SnowflakeConnection

    from world.model import World
    from world.rows import Row

# As the connector masks account numbers (column.mask.with.12.chars).
MASK: Final = "*" * 12

# Over exact numbers: of plain integers the local warehouse would make doubles.
_PULSE: Final = """
SELECT count(*) AS rows_there, count_if(_deleted) AS rows_gone,
       sum(cast(_version AS NUMBER(38, 0))) AS versions
FROM sp_v2_reconciliation_status
"""
_GROUPS: Final = """
SELECT level, outcome, count(*) AS rows_there
FROM sp_v2_reconciliation_status WHERE NOT _deleted GROUP BY level, outcome
"""
_RESULTS: Final = """
SELECT recon_key, level, outcome, expected_amount, found_amount, difference
FROM sp_v2_reconciliation_status WHERE NOT _deleted
"""

NOTHING: Final = Sums(0, Decimal("0.00"), Decimal("0.00"), Decimal("0.00"))


class Line(NamedTuple):
    """One line of the demo's table."""

    level: str
    outcome: str
    wanted: Sums
    found: Sums

    @property
    def equal(self) -> bool:
        """Every count and every sum, to the paisa."""
        return self.wanted == self.found


@dataclass
class Comparison:
    """All lines, and the rows behind those that differ."""

    lines: list[Line]
    wrong: list[str] = field(default_factory=list)
    wrong_count: int = 0
    foreign: int = 0

    @property
    def equal(self) -> bool:
        """Nothing differs, in sums or in any single row."""
        return all(line.equal for line in self.lines) and not self.wrong_count


class Mirror(NamedTuple):
    """One source table and its copy."""

    table: str
    source_rows: int
    copy_rows: int
    source_hash: str
    copy_hash: str
    planned: bool  # the source holds what was planned

    @property
    def equal(self) -> bool:
        """Source and copy hold the same rows, all columns."""
        return self.source_hash == self.copy_hash and self.planned


class Warehouse:
    """Asks the warehouse with the real client."""

    def __init__(self, world: World) -> None:
        self._wanted = verdicts(world)
        self._absent = absent(world)
        self._truth = sums(self._wanted)
        self._session: SnowflakeConnection | None = None

    def close(self) -> None:
        """End the session."""
        if self._session is not None:
            self._session.close()
            self._session = None

    def pulse(self) -> tuple[Any, ...]:
        """Something cheap that changes whenever a result does."""
        row = self._rows(_PULSE)[0]
        return tuple(row.values())

    def groups(self) -> dict[tuple[str, str], int]:
        """How many rows of each kind there are now."""
        return {(row["level"], row["outcome"]): int(row["rows_there"]) for row in self._rows(_GROUPS)}

    def looks_done(self) -> bool:
        """Could everything be there? Counts only; the comparison itself looks at every row."""
        now = self.groups()
        return all(now.get(key, 0) >= line.rows for key, line in self._truth.items())

    def progress(self) -> tuple[int, int]:
        """Rows that are as many as they should be, of all."""
        now = self.groups()
        there = sum(min(now.get(key, 0), line.rows) for key, line in self._truth.items())
        return there, len(self._wanted)

    def compare(self) -> Comparison:
        """Every row of this world, and none that must not be."""
        found: dict[str, Verdict] = {}
        wrong: list[str] = []
        wrong_count = foreign = 0
        for row in self._rows(_RESULTS):
            key = row["recon_key"]
            wanted = self._wanted.get(key)
            if wanted is None and key not in self._absent:
                foreign += 1
                continue
            expected, got = _paise(row["expected_amount"]), _paise(row["found_amount"])
            verdict = Verdict(row["level"], row["outcome"], expected, got)
            found[key] = verdict
            if verdict != wanted or _paise(row["difference"]) != got - expected:
                wrong_count += 1
                if len(wrong) < _SHOWN:
                    wrong.append(f"{key}: {_said(wanted)} was planned, {_said(verdict)} was found")
        missing = self._wanted.keys() - found.keys()
        wrong_count += len(missing)
        some = sorted(missing)[:_SHOWN]
        wrong += [f"{key}: {_said(self._wanted[key])} was planned, nothing was found" for key in some]
        return Comparison(_lines(self._truth, sums(found)), wrong, wrong_count, foreign)

    def mirror(self, table: str, source: Iterable[Row], planned: Iterable[Row]) -> Mirror:
        """Hash a source table and its copy over all rows and columns, masked as the connector masks."""
        columns = COLUMNS[table]
        masked = columns.index("account_number") if table == MERCHANTS else None
        theirs = {row[0]: row for row in source}
        names = ", ".join(columns)
        copies = self._rows(f"SELECT {names} FROM v_{table}")  # noqa: S608 - names of ours
        copied = [tuple(row[name] for name in columns) for row in copies]
        whole = all(theirs.get(row[0]) == row for row in planned)
        return Mirror(
            table, len(theirs), len(copied), _hash(theirs.values(), masked), _hash(copied, None), whole
        )

    def _rows(self, query: str) -> list[dict[str, Any]]:
        try:
            if self._session is None:
                self._session = warehouse.connect(query_tag="settlestream:demo")
            return warehouse.run(self._session, query).rows
        except LoaderError as error:
            raise NotReadyError(f"the warehouse: {error}") from error


# Rows named one by one when they differ; the rest are counted.
_SHOWN: Final = 20


def _lines(wanted: Truth, found: Truth) -> list[Line]:
    keys = sorted(wanted.keys() | found.keys())
    return [Line(*key, wanted.get(key, NOTHING), found.get(key, NOTHING)) for key in keys]


def _said(verdict: Verdict | None) -> str:
    if verdict is None:
        return "nothing"
    return f"{verdict.outcome}, expected {money(verdict.expected)}, found {money(verdict.found)},"


def _paise(amount: Any) -> int:
    return int(Decimal(amount).scaleb(2))


def _hash(rows: Iterable[Row], masked: int | None) -> str:
    """Over every row in the order of its key, every column in one spelling."""
    total = hashlib.sha256()
    for row in sorted(rows, key=lambda one: one[0]):
        values = row if masked is None else (*row[:masked], MASK, *row[masked + 1 :])
        total.update("\x1f".join(map(_plain, values)).encode() + b"\n")
    return total.hexdigest()


def _plain(value: Any) -> str:
    """One spelling for what two databases say in their own types; nothing at all is not the empty text."""
    if value is None:
        return "\x00"
    if isinstance(value, datetime):
        at = value if value.tzinfo is None else value.astimezone(UTC).replace(tzinfo=None)
        return at.isoformat(timespec="microseconds")
    if isinstance(value, Decimal):
        return f"{value:.2f}"
    return str(value)
