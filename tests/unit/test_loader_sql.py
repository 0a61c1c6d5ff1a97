"""The loader's statements, held word by word: what is tested here is what production runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from snowflake_loader import sql

GOLDEN = Path(__file__).parents[1] / "data" / "golden"

TARGET = sql.Target(
    "SP_V2_BANK_FILE_EXPECTATIONS", ("CUTOFF_ID",), ("CUTOFF_ID", "BANK", "BUSINESS_DATE", "STATUS", "AT")
)
COMPOSITE = sql.Target("LINES", ("FILE_ID", "LINE_NO"), ("FILE_ID", "LINE_NO", "AMOUNT"))
BATCH = "20260106_060000_000000_0a1b2c3d"
LANDING = sql.landing_name(BATCH)


@pytest.mark.parametrize(
    ("name", "statement"),
    [
        ("loader_create_landing", sql.create_landing(TARGET, LANDING)),
        ("loader_copy", sql.copy_into(LANDING, "SETTLE_STAGE", "bank_cutoffs", ["part-1", "dt=1/it's"])),
        ("loader_count", sql.count_landed(TARGET, LANDING)),
        ("loader_merge", sql.merge(TARGET, LANDING, BATCH)),
        ("loader_merge_composite_key", sql.merge(COMPOSITE, LANDING, BATCH)),
        ("loader_note_files", sql.note_files(2)),
        ("loader_known_files", sql.known_files(3)),
        ("loader_drop_landing", sql.drop_landing(LANDING)),
    ],
)
def test_statement_is_the_golden_one(name: str, statement: str) -> None:
    assert statement == (GOLDEN / f"{name}.sql").read_text().rstrip("\n")


def test_key_is_never_updated() -> None:
    update = sql.merge(TARGET, LANDING, BATCH).split("then update set")[1].split("when not matched")[0]
    assert '"CUTOFF_ID" =' not in update
    assert '"AT" = s."AT"' in update


def test_file_name_cannot_leave_its_quotes() -> None:
    statement = sql.copy_into(LANDING, "SETTLE_STAGE", "bank_cutoffs", ["a', 'b", "back\\slash"])
    assert "'a'', ''b'" in statement
    assert "'back\\\\slash'" in statement
