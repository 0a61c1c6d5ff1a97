"""One micro-batch from the stage into its table, in steps whose order is the guarantee.

1. List the finished files of each dataset, and leave out those that the ledger has.
2. Group them into a micro-batch by files, bytes and rows.
3. Write the audit row as STARTED, before anything happens in the warehouse.
4. COPY the files into a landing table of this batch alone.
5. Check what landed against what the files' own footers say, before any of it can be seen.
6. MERGE by (key, version): one statement, atomic in Snowflake, and without effect when it is run again.
7. Note the files in the ledger.
8. Close the audit row as LOADED.
9. Drop the landing table.

Killed between any two of them, the files are not in the ledger and are taken again from step 1, or they are
and nothing is left to do but close the audit row. Running 4 to 6 twice, or in two loaders at once, changes
nothing: step 6 takes a row only if its version is newer than the one in the table. No two steps need a
transaction around them; see docs/adr/0006-merge-by-version.md.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from snowflake_loader import audit, sql, tables, warehouse
from snowflake_loader.batches import Batch, Limits, group
from snowflake_loader.crash import point
from snowflake_loader.errors import (
    BrokenFile,
    CountMismatch,
    LoaderError,
    SchemaMismatch,
    TransientError,
    Unforeseen,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from snowflake.connector import SnowflakeConnection

    from snowflake_loader.datasets import Dataset
    from snowflake_loader.settings import LoaderSettings
    from snowflake_loader.staging import Footer, Stage, StagedFile
    from snowflake_loader.tables import Table

log = logging.getLogger("loader")


@dataclass(frozen=True, slots=True)
class Loaded:
    """What one batch did to its table."""

    batch: Batch
    landed: int
    inserted: int
    updated: int


@dataclass(frozen=True, slots=True)
class Taken:
    """What steps 1 and 2 made of the files that were found."""

    batches: list[Batch]
    done: list[str]
    broken: list[tuple[StagedFile, str]]
    unfit: list[tuple[StagedFile, str]]


def take(
    session: SnowflakeConnection,
    stage: Stage,
    settings: LoaderSettings,
    table: Table,
    dataset: Dataset,
    found: Sequence[StagedFile],
) -> Taken:
    """Steps 1 and 2 for the files of one dataset that this process has not seen finished."""
    # 1  The ledger has the last word on what is new.
    known = audit.known(session, [file.name for file in found])
    new = [file for file in found if file.name not in known]
    point("listed", settings.crash_at)
    # 2  Footers say how many rows there are, and whether the table can hold them.
    footers: dict[str, Footer] = {}
    broken: list[tuple[StagedFile, str]] = []
    unfit: list[tuple[StagedFile, str]] = []
    for file in new:
        try:
            footer = stage.footer(file)
            tables.check_fits(file.name, footer, table)
            footers[file.name] = footer
        except BrokenFile as error:
            broken.append((file, str(error)))
        except SchemaMismatch as error:
            unfit.append((file, str(error)))
    good = [file for file in new if file.name in footers]
    limits = Limits(settings.max_files, settings.max_bytes, settings.max_rows)
    batches = group(dataset, good, footers, limits)
    point("grouped", settings.crash_at)
    return Taken(batches, list(known), broken, unfit)


def load(session: SnowflakeConnection, settings: LoaderSettings, table: Table, batch: Batch) -> Loaded:
    """Steps 3 to 9 for one batch; on any failure the audit says FAILED before the error goes on."""
    started = audit.now()
    landing = sql.landing_name(batch.id)
    # 3
    audit.start(session, batch)
    point("started", settings.crash_at)
    try:
        loaded, query_ids = _move(session, settings, table, batch, landing)
        # 7
        counted = [(file, batch.rows[file.name]) for file in batch.files]
        audit.note_files(session, batch.dataset, counted, status="LOADED", batch_id=batch.id)
        point("recorded", settings.crash_at)
        # 8
        audit.finish(
            session,
            batch.id,
            landed=loaded.landed,
            inserted=loaded.inserted,
            updated=loaded.updated,
            query_ids=query_ids,
            started=started,
        )
        point("finished", settings.crash_at)
    except TransientError:
        # The warehouse does not answer: the loop closes this audit row as soon as it does again.
        raise
    except Exception as error:
        named = error if isinstance(error, LoaderError) else Unforeseen(f"{type(error).__name__}: {error}")
        close_failed(session, batch.id, f"{type(error).__name__}: {error}")
        raise named from error
    # 9
    warehouse.run(session, sql.drop_landing(landing))
    point("dropped", settings.crash_at)
    return loaded


def close_failed(session: SnowflakeConnection, batch_id: str, error: str) -> None:
    """Say FAILED where it will be looked for, then leave nothing of the batch behind."""
    audit.fail(session, batch_id, error)
    warehouse.run(session, sql.drop_landing(sql.landing_name(batch_id)))


def refuse(
    session: SnowflakeConnection, dataset: Dataset, file: StagedFile, error: str, *, attempted: bool = False
) -> None:
    """Park a file: FAILED in the audit, and PARKED in the ledger so that it is not taken again and again."""
    batch = Batch(dataset, (file,), {file.name: 0})
    if not attempted:
        audit.start(session, batch)
        audit.fail(session, batch.id, error)
    audit.note_files(session, dataset, [(file, None)], status="PARKED", batch_id=batch.id, error=error)


def _move(
    session: SnowflakeConnection, settings: LoaderSettings, table: Table, batch: Batch, landing: str
) -> tuple[Loaded, dict[str, str]]:
    target = table.target
    # 4  A landing table that nobody else writes to; then the files, all or none.
    warehouse.run(session, sql.create_landing(target, landing))
    point("landed", settings.crash_at)
    names = [file.inside for file in batch.files]
    copied = warehouse.run(session, sql.copy_into(landing, settings.stage, batch.dataset.name, names))
    point("copied", settings.crash_at)
    # 5  COPY skips a file it thinks it knows, and not every warehouse undoes a copy that failed half-way.
    counts = warehouse.run(session, sql.count_landed(target, landing)).rows[0]
    landed, unusable = int(counts["landed"]), int(counts["unusable"])
    if landed != batch.expected:
        raise CountMismatch(f"{landed} rows landed, {batch.expected} are in the files")
    if unusable:
        raise CountMismatch(f"{unusable} of {landed} rows have no key, no version or an unknown _op")
    point("checked", settings.crash_at)
    # 6
    merged = warehouse.run(session, sql.merge(target, landing, batch.id))
    point("merged", settings.crash_at)
    counted = merged.rows[0]
    loaded = Loaded(
        batch,
        landed,
        int(counted.get("number of rows inserted", 0)),
        int(counted.get("number of rows updated", 0)),
    )
    return loaded, {"copy": copied.query_id, "merge": merged.query_id}
