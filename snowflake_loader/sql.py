"""The loader's statements as text: pure functions, each held by a golden file in tests/data/golden.

Names are quoted in upper case, which Snowflake treats as the plain name, so that a column may be called AT.
"""

# ruff: noqa: S608 - values are bound or quoted here; names come from this room's own map and the catalogue

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

# What each staged row carries beside its business columns, and what the table keeps of it.
STAGED = ("_OP", "_VERSION", "_POSITION")
KEPT = ("_VERSION", "_POSITION", "_DELETED", "_BATCH_ID")


@dataclass(frozen=True, slots=True)
class Target:
    """A table as it stands in the warehouse: key and business columns, in the table's own order."""

    table: str
    key: tuple[str, ...]
    columns: tuple[str, ...]


def landing_name(batch_id: str) -> str:
    return f"LANDING_{batch_id}".upper()


def create_landing(target: Target, landing: str) -> str:
    """An empty table of the target's own types, so that a file's values are cast once, on the way in."""
    columns = ",\n    ".join(_name(column) for column in (*target.columns, "_VERSION", "_POSITION"))
    return (
        f"create or replace transient table {landing} as\n"
        f'select\n    {columns},\n    cast(null as text) as "_OP"\n'
        f"from {target.table}\nwhere 1 = 0"
    )


def copy_into(landing: str, stage: str, folder: str, files: Sequence[str]) -> str:
    """All files of the batch, or none: names are relative to the dataset's folder on the stage.

    Without logical types Snowflake reads a moment of a Parquet file as the number it is stored as.
    """
    names = ",\n    ".join(_text(file) for file in files)
    return (
        f"copy into {landing}\nfrom @{stage}/{folder}/\nfiles = (\n    {names}\n)\n"
        "file_format = (type = parquet use_logical_type = true)\nmatch_by_column_name = case_insensitive"
    )


def count_landed(target: Target, landing: str) -> str:
    """How many rows arrived, and how many of them no version can be given to."""
    empty = " or ".join(f"{_name(column)} is null" for column in (*target.key, "_VERSION", "_POSITION"))
    return (
        f"select\n    count(*) as landed,\n"
        f"    count_if({empty} or \"_OP\" is null or \"_OP\" not in ('u', 'd')) as unusable\nfrom {landing}"
    )


def merge(target: Target, landing: str, batch_id: str) -> str:
    """Newest version of each key wins, whatever arrived first; a delete is kept as a version.

    The order inside the batch is total: rows that share a version are told apart by everything they carry, so
    that the same files give the same table in whatever order they are read.
    """
    key = ", ".join(_name(column) for column in target.key)
    order = ",\n            ".join(
        ['"_VERSION" desc', '"_POSITION" desc', '"_OP"', *map(_name, _without(target.columns, target.key))]
    )
    matched = " and ".join(f"t.{_name(column)} = s.{_name(column)}" for column in target.key)
    sets = ",\n    ".join(
        [f"{_name(column)} = s.{_name(column)}" for column in _without(target.columns, target.key)]
        + [f"{_name(column)} = {value}" for column, value in _kept(batch_id)]
    )
    columns = ",\n    ".join(_name(column) for column in (*target.columns, *KEPT))
    values = ",\n    ".join(
        [f"s.{_name(column)}" for column in target.columns] + [value for _, value in _kept(batch_id)]
    )
    return (
        f"merge into {target.table} as t\n"
        f"using (\n    select *\n    from {landing}\n"
        f"    qualify row_number() over (\n        partition by {key}\n"
        f"        order by\n            {order}\n    ) = 1\n) as s\n"
        f"on {matched}\n"
        'when matched and (\n    s."_VERSION" > t."_VERSION"\n'
        '    or (s."_VERSION" = t."_VERSION" and s."_POSITION" > t."_POSITION")\n) then update set\n'
        f"    {sets}\n"
        f"when not matched then insert (\n    {columns}\n) values (\n    {values}\n)"
    )


def drop_landing(landing: str) -> str:
    return f"drop table if exists {landing}"


def known_files(count: int) -> str:
    """Which of the files the ledger has already, as loaded or as parked."""
    return (
        "select file_name, status from load_files"
        f" where status <> 'RETRY' and file_name in ({', '.join('?' * count)})"
    )


def note_files(count: int) -> str:
    """Write files into the ledger; binds: dataset, table, status, batch, error, at, (file, rows, bytes)…"""
    rows = ", ".join(["(?, ?, ?)"] * count)
    return (
        "merge into load_files as t\n"
        "using (\n    select\n"
        "        ? as dataset, ? as table_name, ? as status, ? as batch_id, ? as error, ? as noted_at,\n"
        "        column1 as file_name, column2 as row_count, column3 as size_bytes\n"
        f"    from values {rows}\n) as s\n"
        "on t.file_name = s.file_name\n"
        "when matched and t.status <> 'LOADED' then update set\n"
        "    row_count = s.row_count, size_bytes = s.size_bytes, dataset = s.dataset,\n"
        "    table_name = s.table_name, status = s.status, batch_id = s.batch_id, error = s.error,\n"
        "    noted_at = s.noted_at\n"
        "when not matched then insert (\n"
        "    file_name, row_count, size_bytes, dataset, table_name, status, batch_id, error, noted_at\n"
        ") values (\n"
        "    s.file_name, s.row_count, s.size_bytes, s.dataset, s.table_name, s.status, s.batch_id,\n"
        "    s.error, s.noted_at\n)"
    )


def _kept(batch_id: str) -> list[tuple[str, str]]:
    return [
        ("_VERSION", 's."_VERSION"'),
        ("_POSITION", 's."_POSITION"'),
        ("_DELETED", "(s.\"_OP\" = 'd')"),
        ("_BATCH_ID", _text(batch_id)),
    ]


def _without(columns: Sequence[str], key: Sequence[str]) -> list[str]:
    return [column for column in columns if column not in key]


def _name(identifier: str) -> str:
    return '"' + identifier.replace('"', '""') + '"'


def _text(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"
