"""The warehouse's tables as numbered .sql files, and the ledger of those that were applied.

A plan is data: which files are new. Apply runs exactly the plan it is given:

1. refuse when an applied file's text has changed since, or has gone;
2. run the statements of each new file in order; every one of them may be run twice;
3. note the file with its checksum, so that a run that was cut off goes on where it stopped.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from snowflake_loader import warehouse
from snowflake_loader.errors import MigrationError, WarehouseRefused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from snowflake.connector import SnowflakeConnection

FOLDER = Path(__file__).parent / "migrations"

LEDGER = """
create table if not exists settle_migrations (
    name        text not null,
    sha256      text not null,
    applied_at  timestamp_ntz not null
)
"""
_PLACEHOLDER = re.compile(r"\{\{ (\w+) \}\}")


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered file: its text as in the repository, which the checksum is taken of."""

    name: str
    text: str

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()

    def statements(self, values: dict[str, str]) -> list[str]:
        """The file's statements, filled in; a name that nobody gave a value for is an error."""
        missing = set(_PLACEHOLDER.findall(self.text)) - values.keys()
        if missing:
            raise MigrationError(f"{self.name}: no value for {', '.join(sorted(missing))}")
        filled = _PLACEHOLDER.sub(lambda match: values[match[1]], self.text)
        code = "\n".join(line for line in filled.splitlines() if not line.lstrip().startswith("--"))
        return [statement.strip() for statement in re.split(r";[ \t]*(?:\n|$)", code) if statement.strip()]


@dataclass(frozen=True, slots=True)
class Plan:
    """What apply will do, and what stands already."""

    applied: tuple[str, ...]
    pending: tuple[Migration, ...]


def read(folder: Path = FOLDER) -> list[Migration]:
    """All migrations, in the order of their numbers."""
    return [
        Migration(file.stem, file.read_text()) for file in sorted(folder.glob("[0-9][0-9][0-9][0-9]_*.sql"))
    ]


def compare(migrations: Iterable[Migration], ledger: dict[str, str]) -> Plan:
    """Set the files beside the ledger (name to checksum)."""
    known = {migration.name: migration for migration in migrations}
    gone = ledger.keys() - known.keys()
    if gone:
        raise MigrationError(f"applied, but not in this checkout: {', '.join(sorted(gone))}")
    changed = [name for name, sha256 in ledger.items() if known[name].sha256 != sha256]
    if changed:
        names = ", ".join(sorted(changed))
        raise MigrationError(
            f"changed after it was applied: {names}; put the text back and add a new migration"
        )
    pending = tuple(migration for name, migration in known.items() if name not in ledger)
    return Plan(tuple(sorted(ledger)), pending)


def plan(session: SnowflakeConnection) -> Plan:
    """Read the ledger; a warehouse without one has everything still to come."""
    try:
        rows = warehouse.run(session, "select name, sha256 from settle_migrations").rows
    except WarehouseRefused as error:
        if "does not exist" not in str(error):
            raise
        rows = []
    return compare(read(), {row["name"]: row["sha256"] for row in rows})


def apply(
    session: SnowflakeConnection,
    shown: Plan,
    values: dict[str, str],
    told: Callable[[str], None] = lambda _: None,
) -> None:
    """Run the plan that was shown."""
    warehouse.run(session, LEDGER)
    for migration in shown.pending:
        # 2  The statements, each repeatable.
        for statement in migration.statements(values):
            warehouse.run(session, statement)
        # 3  The note.
        warehouse.run(
            session,
            "insert into settle_migrations (name, sha256, applied_at) select ?, ?, ?"
            " where not exists (select 1 from settle_migrations where name = ?)",
            (migration.name, migration.sha256, datetime.now(UTC).replace(tzinfo=None), migration.name),
        )
        told(migration.name)
