"""A target table as the warehouse describes it, and whether a staged file fits into it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from snowflake_loader import warehouse
from snowflake_loader.errors import BrokenFile, SchemaMismatch
from snowflake_loader.sql import KEPT, STAGED, Target

if TYPE_CHECKING:
    from snowflake.connector import SnowflakeConnection

    from snowflake_loader.datasets import Dataset
    from snowflake_loader.staging import Footer


@dataclass(frozen=True, slots=True)
class Kind:
    """A column's type, as far as a file can break it."""

    name: str
    precision: int = 0
    scale: int = 0

    def __str__(self) -> str:
        return f"NUMBER({self.precision},{self.scale})" if self.name == "NUMBER" else self.name


@dataclass(frozen=True, slots=True)
class Table:
    """What the SQL builders need, and the types beside it."""

    target: Target
    kinds: dict[str, Kind]


def describe(session: SnowflakeConnection, dataset: Dataset) -> Table | None:
    """The table as it is now; None while its migration has not been applied."""
    rows = warehouse.run(
        session,
        "select column_name, data_type, numeric_precision, numeric_scale from information_schema.columns"
        " where table_schema = current_schema() and table_name = ? order by ordinal_position",
        (dataset.table,),
    ).rows
    kinds = {
        str(row["column_name"]): Kind(
            str(row["data_type"]), int(row["numeric_precision"] or 0), int(row["numeric_scale"] or 0)
        )
        for row in rows
    }
    if not kinds:
        return None
    columns = tuple(name for name in kinds if name not in KEPT)
    return Table(Target(dataset.table, dataset.key, columns), kinds)


def check_fits(file: str, footer: Footer, table: Table) -> None:
    """Refuse a file before anything of it is copied, when the copy would lose or bend what it says."""
    target = table.target
    missing = [name for name in (*target.key, *STAGED) if name not in footer.columns]
    if missing:
        raise BrokenFile(f"{file}: without {', '.join(missing)}")
    business = {name: kind for name, kind in footer.columns.items() if name not in STAGED}
    unknown = [name for name in business if name not in target.columns]
    if unknown:
        raise SchemaMismatch(
            f"{file}: {', '.join(unknown)} not in {target.table}; add a migration,"
            " `settle warehouse apply`, then `settle load retry`"
        )
    for name, kind in business.items():
        if not fits(kind, table.kinds[name]):
            raise SchemaMismatch(f"{file}: {name} is {kind}, {target.table} holds {table.kinds[name]}")


def fits(staged: Any, held: Kind) -> bool:
    """Whether every value of the staged type is kept exactly; a float never is money."""
    match held.name:
        case "NUMBER":
            if pa.types.is_decimal(staged):
                whole = held.precision - held.scale
                return bool(staged.scale <= held.scale and staged.precision - staged.scale <= whole)
            return pa.types.is_integer(staged)
        case "TEXT":
            return pa.types.is_string(staged) or pa.types.is_large_string(staged)
        case "DATE":
            return pa.types.is_date(staged)
        case "BOOLEAN":
            return pa.types.is_boolean(staged)
        case "TIMESTAMP_NTZ":
            return pa.types.is_timestamp(staged)
        case _:
            return True
