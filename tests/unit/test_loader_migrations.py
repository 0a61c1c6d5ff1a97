"""Migrations: numbered, documented, never changed once applied; and every dataset has its table."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from snowflake_loader import migrations
from snowflake_loader.datasets import DATASETS, Dataset
from snowflake_loader.errors import MigrationError
from snowflake_loader.migrations import Migration

ROOT = Path(__file__).parents[2]
VALUES = {"stage_url": "s3://bucket/", "storage_integration": "SETTLE_S3"}
STATEMENTS = [text for migration in migrations.read() for text in migration.statements(VALUES)]
# Where a dataset is an Avro topic of ours, the schema says which columns the table must have.
SCHEMAS = {
    "gateway_transactions": "pg.transactions",
    "bank_records": "bank.records",
    "bank_files": "bank.files.received",
    "bank_cutoffs": "bank.cutoffs",
    "enriched_transactions": "enriched.transactions",
    "recon_results": "recon.results",
}


def columns_of(table: str) -> list[str]:
    (text,) = (text for text in STATEMENTS if re.match(rf"create table if not exists {table} \(", text, re.I))
    columns = [line.split()[0].strip('"').lower() for line in text.splitlines()[1:-1]]
    # What came later stands behind what the loader adds; the order of columns says nothing.
    later = re.compile(rf"alter table {table} add column if not exists (\w+) ", re.I)
    added = [found[1] for text in STATEMENTS if (found := later.match(text))]
    return [*columns[:-4], *added, *columns[-4:]]


def test_numbers_have_no_gap() -> None:
    numbers = [int(migration.name[:4]) for migration in migrations.read()]
    assert numbers == list(range(1, len(numbers) + 1))


def test_every_statement_may_be_run_twice() -> None:
    for text in STATEMENTS:
        assert re.match(
            r"(create (table|stage)|alter table \w+ add column) if not exists |create or replace view ", text
        ), text[:60]


def test_every_object_says_its_grain_and_owner() -> None:
    for migration in migrations.read():
        for name in re.findall(r"^create .*?(\w+)(?: \(| as|)$", migration.text, re.M):
            assert re.search(rf"^-- {name}\. Grain: .+", migration.text, re.M), name
            comment = migration.text.split(f"-- {name}. Grain: ")[1].split("\ncreate")[0]
            assert "Owner: " in comment, name


@pytest.mark.parametrize("dataset", DATASETS, ids=lambda dataset: dataset.name)
def test_every_dataset_has_its_table(dataset: Dataset) -> None:
    columns = columns_of(dataset.table)
    assert columns[-4:] == ["_version", "_position", "_deleted", "_batch_id"]
    assert columns[0] == dataset.key[0].lower()


@pytest.mark.parametrize(("dataset", "schema"), SCHEMAS.items())
def test_tables_carry_exactly_what_the_topics_say(dataset: str, schema: str) -> None:
    fields = json.loads((ROOT / "schemas" / "avro" / f"{schema}.avsc").read_text())["fields"]
    (table,) = (entry.table for entry in DATASETS if entry.name == dataset)
    said = [field["name"] for field in fields if field["name"] not in {"op", "version", "position"}]
    assert columns_of(table)[:-4] == said


def test_money_is_a_decimal_everywhere() -> None:
    for text in STATEMENTS:
        assert not re.search(r"\b(float|double|real)\b", text)
        for column, kind in re.findall(r"^\s+(\w*(?:amount|total|fee|tax|net|gross))\s+(.+?),?$", text, re.M):
            assert kind == "number(18, 2)", column


def test_plan_is_what_the_ledger_has_not() -> None:
    one, two = Migration("0001_a", "select 1;"), Migration("0002_b", "select 2;")
    plan = migrations.compare([one, two], {"0001_a": one.sha256})
    assert plan.applied == ("0001_a",)
    assert plan.pending == (two,)


def test_changed_migration_is_refused() -> None:
    one = Migration("0001_a", "select 1;")
    with pytest.raises(MigrationError, match="changed after it was applied: 0001_a"):
        migrations.compare([one], {"0001_a": Migration("0001_a", "select 2;").sha256})


def test_applied_migration_that_is_gone_is_refused() -> None:
    with pytest.raises(MigrationError, match="not in this checkout: 0009_z"):
        migrations.compare([], {"0009_z": "x"})


def test_statements_are_split_and_filled() -> None:
    text = "-- a; comment\nselect '{{ stage_url }}';\n\nselect\n    2;\n"
    assert Migration("0001_a", text).statements(VALUES) == ["select 's3://bucket/'", "select\n    2"]


def test_unknown_placeholder_is_an_error() -> None:
    with pytest.raises(MigrationError, match="no value for nobody"):
        Migration("0001_a", "select {{ nobody }};").statements(VALUES)
