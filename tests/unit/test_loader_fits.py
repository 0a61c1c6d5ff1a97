"""What a staged file may say about a table: kept exactly, or refused before it is copied."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from snowflake_loader.errors import BrokenFile, SchemaMismatch
from snowflake_loader.sql import Target
from snowflake_loader.staging import Footer
from snowflake_loader.tables import Kind, Table, check_fits, fits

MONEY = Kind("NUMBER", 18, 2)
WHOLE = Kind("NUMBER", 38, 0)
TABLE = Table(Target("T", ("ID",), ("ID", "AMOUNT")), {"ID": Kind("TEXT"), "AMOUNT": MONEY})
COMPLETE: dict[str, Any] = {
    "ID": pa.string(),
    "AMOUNT": pa.decimal128(18, 2),
    "_OP": pa.string(),
    "_VERSION": pa.int64(),
    "_POSITION": pa.int64(),
}


@pytest.mark.parametrize(
    ("staged", "held", "kept"),
    [
        (pa.decimal128(18, 2), MONEY, True),
        (pa.decimal128(9, 2), MONEY, True),
        (pa.decimal128(18, 3), MONEY, False),
        (pa.decimal128(20, 2), MONEY, False),
        (pa.float64(), MONEY, False),
        (pa.float32(), WHOLE, False),
        (pa.int64(), WHOLE, True),
        (pa.int16(), WHOLE, True),
        (pa.string(), WHOLE, False),
        (pa.string(), Kind("TEXT"), True),
        (pa.binary(), Kind("TEXT"), False),
        (pa.date32(), Kind("DATE"), True),
        (pa.timestamp("us"), Kind("TIMESTAMP_NTZ"), True),
        (pa.timestamp("ns"), Kind("TIMESTAMP_NTZ"), True),
        (pa.string(), Kind("TIMESTAMP_NTZ"), False),
        (pa.bool_(), Kind("BOOLEAN"), True),
    ],
)
def test_every_value_is_kept_or_the_type_refused(staged: Any, held: Kind, kept: bool) -> None:
    assert fits(staged, held) is kept


def test_complete_file_fits() -> None:
    check_fits("f", Footer(1, COMPLETE), TABLE)


@pytest.mark.parametrize("missing", ["ID", "_OP", "_VERSION", "_POSITION"])
def test_file_without_identity_or_version_is_broken(missing: str) -> None:
    columns = {name: kind for name, kind in COMPLETE.items() if name != missing}
    with pytest.raises(BrokenFile, match=missing):
        check_fits("f", Footer(1, columns), TABLE)


def test_older_file_without_a_later_column_still_fits() -> None:
    check_fits("f", Footer(1, {name: kind for name, kind in COMPLETE.items() if name != "AMOUNT"}), TABLE)


def test_new_column_is_refused_with_the_way_out() -> None:
    with pytest.raises(SchemaMismatch, match="FEE not in T; add a migration"):
        check_fits("f", Footer(1, COMPLETE | {"FEE": pa.int64()}), TABLE)


def test_float_money_is_refused_by_name() -> None:
    with pytest.raises(SchemaMismatch, match=r"AMOUNT is double, T holds NUMBER\(18,2\)"):
        check_fits("f", Footer(1, COMPLETE | {"AMOUNT": pa.float64()}), TABLE)
