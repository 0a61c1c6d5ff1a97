"""The loader as a process that never ends: look, load what is there, wait, look again.

Nothing here is needed for correctness: whatever this process forgets, the ledger and the versions know.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from snowflake_loader import audit, load, migrations, tables, warehouse
from snowflake_loader.batches import Limits, ready
from snowflake_loader.datasets import BY_NAME
from snowflake_loader.errors import LoaderError, TerminalError, TransientError
from snowflake_loader.state import State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from snowflake.connector import SnowflakeConnection

    from snowflake_loader.batches import Batch
    from snowflake_loader.datasets import Dataset
    from snowflake_loader.settings import LoaderSettings
    from snowflake_loader.staging import Stage, StagedFile
    from snowflake_loader.tables import Table

log = logging.getLogger("loader")

# A listing may take a tenth of this process's time; with more files than that it is asked for less often.
LISTING_SHARE = 10
# While the warehouse or S3 is away, the pause doubles up to this.
LONGEST_PAUSE_SECONDS = 30.0
# So many failures in a row are the table's fault and not its files': leave it alone for a while.
FAILURES_IN_A_ROW = 20
TABLE_PAUSE_SECONDS = 30.0
# A file that failed alone is looked at again after this, doubled each time: it may have been half-written.
FILE_PAUSE_SECONDS = 1.0
# How often parked files are looked at for a `settle load retry`; nothing is asked while none is parked.
PARKED_CHECK_SECONDS = 10.0


class Loader:
    """Loads what it finds; `cycle` is one look, `run` is for ever."""

    def __init__(
        self,
        settings: LoaderSettings,
        stage: Stage,
        connect: Callable[[], SnowflakeConnection],
        stop: threading.Event | None = None,
    ) -> None:
        self.settings = settings
        self.state = State()
        self.stop = stop or threading.Event()
        self._stage = stage
        self._connect = connect
        self._sessions: queue.LifoQueue[SnowflakeConnection] = queue.LifoQueue()
        self._tables: dict[str, Table] = {}
        self._done: set[str] = set()
        self._parked: set[str] = set()
        self._attempts: Counter[str] = Counter()
        # When to look again at a file that failed, or at a dataset whose table did.
        self._resting: dict[str, float] = {}
        self._owed: list[tuple[str, str]] = []
        self._parked_checked = 0.0
        self._limits = Limits(settings.max_files, settings.max_bytes, settings.max_rows)

    def prepare(self) -> bool:
        """Close what a dead loader left open; False while the warehouse's tables are not there yet."""
        with self._session() as session:
            if migrations.plan(session).pending:
                return False
            for batch_id in audit.sweep(session):
                log.warning("batch %s was left open by a loader that ended; closed as FAILED", batch_id)
        return True

    def run(self) -> None:
        """Look and load until told to stop; being away is an answer, not an end."""
        misses = 0
        prepared = False
        while not self.stop.is_set():
            began = time.monotonic()
            try:
                prepared = prepared or self.prepare()
                if prepared:
                    self.cycle()
                    self.state.well()
                else:
                    # Somebody's move, not a fault: whoever starts us must not see a sick process.
                    self.state.well("waiting for `settle warehouse apply`")
                misses = 0
            except LoaderError as error:
                misses += 1
                if misses == 1:
                    log.warning("%s; trying again", error)
                self.state.ill(str(error))
            pause = min(self.settings.poll_seconds * 2**misses, LONGEST_PAUSE_SECONDS) if misses else 0.0
            least = max(self.settings.poll_seconds, LISTING_SHARE * self.state.listing_seconds)
            self.stop.wait(max(pause, least - (time.monotonic() - began)))
        self.close()

    def once(self) -> None:
        """Load everything that is there now, wait for nothing."""
        self.prepare()
        while not self.stop.is_set() and (self.cycle(wait=False) or self._attempts):
            if self._resting.keys() & BY_NAME.keys():
                return
            self._resting.clear()

    def cycle(self, *, wait: bool = True) -> int:
        """Look once, and load what is ready; the number of files that were finished with."""
        self._pay_what_is_owed()
        self._unpark()
        pending = self._pending()
        moment = datetime.now(UTC)
        gather = self.settings.gather_seconds if wait else 0.0
        due = [
            (BY_NAME[name], files)
            for name, files in pending.items()
            if ready(files, moment, gather, self._limits)
        ]
        if not due:
            return 0
        with ThreadPoolExecutor(self.settings.parallel, thread_name_prefix="load") as pool:
            # The longest backlog first, so that the others fit in beside it.
            due.sort(key=lambda entry: -sum(file.size for file in entry[1]))
            futures = [pool.submit(self._serve, dataset, files) for dataset, files in due]
        return sum(future.result() for future in futures)

    def close(self) -> None:
        while True:
            try:
                session = self._sessions.get_nowait()
            except queue.Empty:
                return
            with suppress(Exception):
                session.close()

    def _pending(self) -> dict[str, list[StagedFile]]:
        began = time.monotonic()
        listed = self._stage.files()
        self.state.listing_seconds = time.monotonic() - began
        names = {file.name for file in listed}
        self._done &= names
        self._parked &= names
        self._resting = {name: until for name, until in self._resting.items() if until > began}
        pending: defaultdict[str, list[StagedFile]] = defaultdict(list)
        for file in listed:
            if file.dataset in BY_NAME and file.name not in self._done and file.name not in self._parked:
                pending[file.dataset].append(file)
        self.state.waiting({name: len(files) for name, files in pending.items()}, len(self._parked))
        return {
            name: [file for file in files if not self._rests(file.name)]
            for name, files in pending.items()
            if not self._rests(name)
        }

    def _rests(self, name: str) -> bool:
        return self._resting.get(name, 0.0) > time.monotonic()

    def _serve(self, dataset: Dataset, found: list[StagedFile]) -> int:
        """All that is pending for one dataset, batch after batch; its neighbours do not notice a failure."""
        finished = 0
        with self._session() as session:
            table = self._table(session, dataset)
            for at in range(0, len(found), self.settings.max_files):
                if self.stop.is_set():
                    break
                some = found[at : at + self.settings.max_files]
                taken = load.take(session, self._stage, self.settings, table, dataset, some)
                self._done.update(taken.done)
                for file, error in taken.unfit:
                    self._park(session, dataset, file, error)
                for file, error in taken.broken:
                    finished += self._miss(session, dataset, file, error)
                finished += len(taken.done) + len(taken.unfit)
                finished += self._load_all(session, table, taken.batches)
        return finished

    def _load_all(self, session: SnowflakeConnection, table: Table, batches: list[Batch]) -> int:
        finished = in_a_row = 0
        todo = list(batches)
        while todo and not self.stop.is_set():
            batch = todo.pop(0)
            name = batch.dataset.name
            try:
                loaded = load.load(session, self.settings, table, batch)
            except TransientError as error:
                self._owed.append((batch.id, str(error)))
                self.state.failed(name)
                raise
            except TerminalError as error:
                in_a_row += 1
                self.state.failed(name)
                log.error("%s: batch %s failed: %s", name, batch.id, error)  # noqa: TRY400
                # The table may have changed under us: describe it again before the next batch.
                self._tables.pop(name, None)
                if in_a_row >= FAILURES_IN_A_ROW:
                    self._resting[name] = time.monotonic() + TABLE_PAUSE_SECONDS
                    break
                if len(batch.files) > 1:
                    todo[:0] = batch.halves()
                    continue
                finished += self._miss(session, batch.dataset, batch.files[0], str(error), attempted=True)
                continue
            in_a_row = 0
            for file in batch.files:
                self._attempts.pop(file.name, None)
            finished += len(batch.files)
            self._done.update(file.name for file in batch.files)
            self.state.loaded(name, loaded)
            log.info(
                "%s: %d rows of %d files in batch %s, %d new, %d updated",
                name,
                loaded.landed,
                len(batch.files),
                batch.id,
                loaded.inserted,
                loaded.updated,
            )
        return finished

    def _miss(
        self,
        session: SnowflakeConnection,
        dataset: Dataset,
        file: StagedFile,
        error: str,
        *,
        attempted: bool = False,
    ) -> int:
        """A file failed alone: another try after a pause, and parked after the last; 1 when it is parked."""
        self._attempts[file.name] += 1
        tries = self._attempts[file.name]
        if tries < self.settings.attempts:
            log.warning("%s failed, try %d of %d: %s", file.name, tries, self.settings.attempts, error)
            self._resting[file.name] = time.monotonic() + FILE_PAUSE_SECONDS * 2**tries
            return 0
        self._park(session, dataset, file, error, attempted=attempted)
        return 1

    def _park(
        self,
        session: SnowflakeConnection,
        dataset: Dataset,
        file: StagedFile,
        error: str,
        *,
        attempted: bool = False,
    ) -> None:
        load.refuse(session, dataset, file, error, attempted=attempted)
        self._parked.add(file.name)
        self._attempts.pop(file.name, None)
        if not attempted:
            self.state.failed(dataset.name)
        log.error("%s is parked until `settle load retry`: %s", file.name, error)

    def _unpark(self) -> None:
        if not self._parked or time.monotonic() - self._parked_checked < PARKED_CHECK_SECONDS:
            return
        self._parked_checked = time.monotonic()
        with self._session() as session:
            self._parked.difference_update(audit.wanted_again(session))

    def _pay_what_is_owed(self) -> None:
        """Close the audit rows of batches during which the warehouse went away."""
        while self._owed:
            batch_id, error = self._owed[0]
            with self._session() as session:
                load.close_failed(session, batch_id, error)
            self._owed.pop(0)

    def _table(self, session: SnowflakeConnection, dataset: Dataset) -> Table:
        if dataset.name not in self._tables:
            table = tables.describe(session, dataset)
            if table is None:
                raise TransientError(f"{dataset.table} is not there; run `settle warehouse apply`")
            self._tables[dataset.name] = table
        return self._tables[dataset.name]

    @contextmanager
    def _session(self) -> Iterator[SnowflakeConnection]:
        """A session of the pool; one that failed for any reason is not used again."""
        try:
            session = self._sessions.get_nowait()
        except queue.Empty:
            session = self._connect()
        try:
            yield session
        except BaseException:
            with suppress(Exception):
                session.close()
            raise
        self._sessions.put(session)


def connect_for_loading() -> SnowflakeConnection:
    return warehouse.connect(query_tag="settlestream:loader")
