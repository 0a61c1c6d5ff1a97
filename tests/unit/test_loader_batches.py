"""How staged files become micro-batches, and which names are files at all."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from snowflake_loader.batches import Limits, group, new_id, ready
from snowflake_loader.datasets import BY_NAME, DATASETS
from snowflake_loader.staging import Footer, StagedFile, is_finished

NOON = datetime(2026, 1, 6, 12, tzinfo=UTC)
DATASET = BY_NAME["bank_records"]
LIMITS = Limits(files=3, size=100, rows=1000)


def files(*sizes: int) -> list[StagedFile]:
    return [StagedFile(NOON, f"bank_records/part-{at}", size) for at, size in enumerate(sizes)]


def footers(some: list[StagedFile], rows: int = 1) -> dict[str, Footer]:
    return {file.name: Footer(rows, {}) for file in some}


def cut(some: list[StagedFile], rows: int = 1) -> list[int]:
    batches = group(DATASET, some, footers(some, rows), LIMITS)
    assert [file for batch in batches for file in batch.files] == some, "in order, each exactly once"
    return [len(batch.files) for batch in batches]


def test_cuts_by_count() -> None:
    assert cut(files(1, 1, 1, 1, 1, 1, 1)) == [3, 3, 1]


def test_cuts_by_bytes() -> None:
    assert cut(files(60, 40, 1)) == [2, 1]


def test_cuts_by_rows() -> None:
    assert cut(files(1, 1, 1), rows=600) == [1, 1, 1]


def test_a_file_over_every_limit_goes_alone() -> None:
    assert cut(files(1, 5000, 1)) == [1, 1, 1]


def test_nothing_gives_no_batch() -> None:
    assert cut([]) == []


def test_batch_knows_what_its_files_hold() -> None:
    some = files(10, 20)
    (batch,) = group(DATASET, some, footers(some, 7), LIMITS)
    assert (batch.size, batch.expected) == (30, 14)


def test_halves_share_nothing_and_lose_nothing() -> None:
    some = files(1, 2, 3)
    (batch,) = group(DATASET, some, footers(some), LIMITS)
    left, right = batch.halves()
    assert left.files + right.files == batch.files
    assert len({batch.id, left.id, right.id}) == 3
    assert left.expected + right.expected == batch.expected


def test_waits_for_company_only_as_long_as_told() -> None:
    one = files(1)
    assert ready(one, NOON, 0, LIMITS)
    assert not ready(one, NOON + timedelta(seconds=9), 10, LIMITS)
    assert ready(one, NOON + timedelta(seconds=10), 10, LIMITS)
    assert ready(files(1, 1, 1), NOON, 10, LIMITS), "a full batch does not wait"
    assert ready(files(100), NOON, 10, LIMITS)
    assert not ready([], NOON, 0, LIMITS)


def test_batch_ids_sort_by_time_and_name_a_table() -> None:
    ids = [new_id() for _ in range(50)]
    assert len(set(ids)) == 50
    assert [entry[:22] for entry in ids] == sorted(entry[:22] for entry in ids)
    assert all(entry.replace("_", "").isalnum() for entry in ids)


@pytest.mark.parametrize(
    ("name", "finished"),
    [
        ("bank_records/part-1", True),
        ("bank_records/dt=2026-01-06/part-1.parquet", True),
        ("bank_records/_part-1_tmp_7f", False),
        ("bank_records/.part-1.inprogress", False),
        ("bank_records/_temporary/part-1", False),
        ("_SUCCESS", False),
        ("part-outside-any-dataset", False),
    ],
)
def test_only_finished_names_are_taken(name: str, finished: bool) -> None:
    assert is_finished(name) is finished


def test_a_file_knows_its_dataset_and_its_name_inside() -> None:
    file = StagedFile(NOON, "bank_records/dt=1/part-1", 1)
    assert (file.dataset, file.inside) == ("bank_records", "dt=1/part-1")


def test_datasets_and_tables_are_one_to_one() -> None:
    assert len({dataset.name for dataset in DATASETS}) == len({d.table for d in DATASETS}) == len(DATASETS)
