"""Micro-batches: how many files one merge serves."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from snowflake_loader.datasets import Dataset
    from snowflake_loader.staging import Footer, StagedFile


@dataclass(frozen=True, slots=True)
class Limits:
    """The most that one batch may hold; the first file is always taken, however large."""

    files: int
    size: int
    rows: int


@dataclass(frozen=True, slots=True)
class Batch:
    """Files of one dataset that go through one landing table and one merge."""

    dataset: Dataset
    files: tuple[StagedFile, ...]
    rows: dict[str, int]
    id: str = field(default_factory=lambda: new_id())

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files)

    @property
    def expected(self) -> int:
        return sum(self.rows[file.name] for file in self.files)

    def halves(self) -> tuple[Batch, Batch]:
        """The same files as two batches, to find the one that is to blame."""
        middle = len(self.files) // 2
        return (
            Batch(self.dataset, self.files[:middle], self.rows),
            Batch(self.dataset, self.files[middle:], self.rows),
        )


def new_id() -> str:
    """Sorts by time, and two loaders never make the same one."""
    return f"{datetime.now(UTC):%Y%m%d_%H%M%S_%f}_{secrets.token_hex(4)}"


def ready(files: Sequence[StagedFile], now: datetime, gather_seconds: float, limits: Limits) -> bool:
    """Whether to go now, or to wait for company: yes once the oldest has waited, or a batch is full."""
    if not files:
        return False
    waited = (now - files[0].modified).total_seconds()
    full = len(files) >= limits.files or sum(file.size for file in files) >= limits.size
    return full or waited >= gather_seconds


def group(
    dataset: Dataset, files: Sequence[StagedFile], footers: dict[str, Footer], limits: Limits
) -> list[Batch]:
    """Cut files, in the order given, into as few batches as the limits allow."""
    batches: list[list[StagedFile]] = []
    size = rows = 0
    for file in files:
        count = footers[file.name].rows
        full = (
            not batches
            or len(batches[-1]) >= limits.files
            or size + file.size > limits.size
            or rows + count > limits.rows
        )
        if full:
            batches.append([])
            size = rows = 0
        batches[-1].append(file)
        size += file.size
        rows += count
    return [
        Batch(dataset, tuple(batch), {file.name: footers[file.name].rows for file in batch})
        for batch in batches
    ]
