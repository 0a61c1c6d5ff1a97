"""The way of one bank's files, from the bank's server to the bus."""

from __future__ import annotations

import asyncio
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, BinaryIO, ParamSpec, TypeVar

from bus.errors import BusError, RecordRefusedError
from settlement.masking import mask_text
from sftp_bridge import consoles, crash_points
from sftp_bridge.archive import Archive
from sftp_bridge.checksums import READ, Checked, claimed_by, computed_of
from sftp_bridge.completeness import Candidate, Outbox
from sftp_bridge.counts import Counts
from sftp_bridge.endings import TAIL, ends_whole
from sftp_bridge.errors import (
    AccessRefusedError,
    BridgeError,
    FileChangedError,
    FileRefusedError,
    NotReplayableError,
    RemoteUnavailableError,
    RequestFailedError,
)
from sftp_bridge.expectations import arrived, came_again
from sftp_bridge.ledger import FileRow, Ledger
from sftp_bridge.names import file_ids
from sftp_bridge.publish import Publisher
from sftp_bridge.remote import Listed, Remote
from sftp_bridge.revisions import State
from sftp_bridge.spool import SpoolFolder
from sftp_bridge.statements import Statement
from sftp_bridge.unpack import tail_of, unpacked

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from concurrent.futures import Future
    from datetime import date

    from sftp_bridge.banks import Bank
    from sftp_bridge.business_time import BusinessTime
    from sftp_bridge.formats import AnyFormat
    from sftp_bridge.settings import BridgeSettings
    from sftp_bridge.spool import Spool

log = logging.getLogger("bridge")

_P = ParamSpec("_P")
_T = TypeVar("_T")

# Attempts at one file that end in an error nobody foresaw. Then it is parked as QUARANTINED, so that its
# neighbours go on and a person looks at it.
ATTEMPTS = 3
# Polls for which a file is let be that we may not read or move: reading 800 MB again every minute, only to
# be refused again, would help nobody.
LET_BE_POLLS = 30


@dataclass(frozen=True, slots=True)
class Stored:
    """A file's bytes, at hand or still to be fetched from the archive, and its word that it has them."""

    spool: Spool
    # None where they come from there.
    word: Future[None] | None = None
    fetch: Callable[[], None] | None = None

    def opened(self) -> BinaryIO:
        """From the first byte; only now are they fetched, since what is published already needs none."""
        if self.fetch is not None:
            self.fetch()
        return self.spool.opened()

    def through(self) -> None:
        """Wait for that word; raises when there is none."""
        if self.word is not None:
            self.word.result()
            crash_points.reached("archived")


class BankFiles:
    """One bank's files on their way:

    1. List the bank's outbox.
    2. Take only what is whole, by the way the bank says so.
    3. Stream the raw bytes to the archive, hashed as they pass; a transfer that breaks off goes on where it
       was. Storing goes on beside 4 and 5; nothing is committed, refused or touched before it is through.
       Where a checksum was agreed, it goes into the ledger with them, and 5 refuses what it is not of.
    4. Register them in the ledger under their hash: new, the same again, or the next revision.
    5. Decrypt, unpack, parse and validate, as a stream.
    6. Publish all records, the retractions of the revision before, bank.files.received and the cutoff's
       word in one Kafka transaction; 5 feeds it, so a file refused on its last line publishes nothing.
    7. Mark the file LOADED.
    8. Touch the remote last: move it away.

    A process that dies leaves the file where the next one finds it. Before 4: on the bank's server, as if
    nothing had been. Between 4 and 6: RECEIVED in the ledger, its bytes in the archive or still on the
    bank's server; the open transaction is aborted by whoever takes over the bank's transactional id. Between
    6 and 7: RECEIVED as well, but bank.files.received has this revision, so it is marked without being sent
    again. (Were it sent again, it would carry the same keys and versions, and nothing downstream lets a
    version replace itself.) Between 7 and 8: the file is found again, hashed again, recognised, moved away.

    Bytes that came again take no part in 5 to 7. What their cutoff hears of them is said when all files are
    through: Kafka first, the ledger after, so that a process that dies in between says it again.
    """

    def __init__(self, bank: Bank, settings: BridgeSettings, business_time: BusinessTime) -> None:
        self.bank = bank
        self.counts = Counts()
        self.remote = Remote(bank, settings)
        self._time = business_time
        self._outbox = Outbox(bank)
        self._ledger = Ledger(settings.dsn.get_secret_value())
        self._archive = Archive(settings)
        self._publisher = Publisher(bank.bank, settings)
        self._keys_dir = settings.keys_dir
        # This bank's own thread for everything that blocks: a slow store holds up one bank, and the
        # connection and the producer are never used by two threads.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=bank.slug)
        # And one for what is stored meanwhile.
        self._storing = ThreadPoolExecutor(1, thread_name_prefix=f"{bank.slug}-archive")
        self._spools = SpoolFolder(settings.spool_dir, f"{settings.topic_prefix}{bank.slug}")
        self._stopping = False
        # Files that the bank's server would not let us read or move, the poll at which to try again, and why.
        self._let_be: dict[Listed, tuple[int, BridgeError]] = {}

    async def poll(self, wait_for_lock: float = 0) -> None:
        """Once through everything there is to do for this bank."""
        lock = self._ledger.bank_lock(self.bank.bank, wait_for_lock)
        await self._blocking(lock.__enter__)
        try:
            await self._poll()
        finally:
            self.counts.waiting = self._outbox.waiting
            self.counts.unrecognised = self._outbox.unrecognised
            await self._blocking(self._publisher.release)
            await self._blocking(partial(lock.__exit__, None, None, None))

    async def replay(self, row: FileRow, wait_for_lock: float, checksum: str | None = None) -> FileRow:
        """A quarantined file again, from the archive; with a checksum that the bank gave by another way."""
        lock = self._ledger.bank_lock(self.bank.bank, wait_for_lock)
        await self._blocking(lock.__enter__)
        try:
            if checksum is not None:
                await self._blocking(self._ledger.vouched, row, self._told(row, checksum))
            await self._blocking(self._ledger.replay, row.seq)
            for unfinished in await self._blocking(self._ledger.unfinished, self.bank.bank):
                await self._finish_stored(unfinished)
            return (await self._blocking(self._ledger.find, str(row.seq)))[0]
        finally:
            await self._blocking(self._publisher.release)
            await self._blocking(partial(lock.__exit__, None, None, None))

    async def show(self) -> None:
        """To the consoles: how the last poll went."""
        await self._blocking(
            consoles.put_health, self._ledger, self.bank.bank, self.remote.address, self.counts
        )

    def stop(self) -> None:
        """Finish the file at hand, begin no other."""
        self._stopping = True

    async def close(self) -> None:
        """Let go of every connection."""
        await self.remote.close()
        await self._blocking(self._ledger.close)
        self._thread.shutdown(wait=False)
        self._storing.shutdown(wait=False)

    async def _poll(self) -> None:
        # What a process before us left between 4 and 7.
        unstored = [
            row
            for row in await self._blocking(self._ledger.unfinished, self.bank.bank)
            if not await self._finish_stored(row)
        ]
        # 1.
        listing = await self.remote.list_outbox()
        crash_points.reached("listed")
        await self._blocking(self._spools.sweep, listing)
        for row in unstored:
            if Listed(row.remote_name, row.size_bytes, row.remote_mtime) not in listing:
                gone = FileRefusedError("gone from the bank's server before its bytes were stored")
                await self._blocking(self._quarantine, row, gone)
        done = await self._done_with(listing)
        self._let_be = {file: one for file, one in self._let_be.items() if file in listing}
        # 2.
        candidates = self._outbox.whole(listing, time.monotonic(), done)
        for checksum in self._outbox.alone:
            await self._unless_let_be(checksum, partial(self._hear, checksum))
        for candidate in candidates:
            if self._stopping:
                return
            await self._unless_let_be(candidate.file, partial(self._take, candidate))
        for row in await self._blocking(self._ledger.unsaid, self.bank.bank):
            await self._blocking(self._say_again, row)
        # A file that is let be is still in the outbox, and the bank not well.
        for _, error in self._let_be.values():
            raise error

    async def _unless_let_be(self, file: Listed, do: Callable[[], Awaitable[None]]) -> None:
        """One file's trouble with the bank's server is not its neighbours'."""
        if file in self._let_be and self._let_be[file][0] > self.counts.polls:
            return
        try:
            await do()
        except FileChangedError as error:
            log.info("%s: %s", self.bank.bank, error)
        except (AccessRefusedError, RequestFailedError) as error:
            self._let_be[file] = (self.counts.polls + LET_BE_POLLS, error)
        else:
            self._let_be.pop(file, None)

    async def _take(self, candidate: Candidate) -> None:
        """Steps 3 to 8 for one whole file."""
        business = candidate.business
        if candidate.wants_ending and not await self._has_ending(candidate.file, business.business_date):
            self._outbox.waiting += (candidate.file.name,)
            return
        crash_points.reached("complete")
        spool = self._spools.spool(candidate.file)
        try:
            # 3.
            with self.counts.transfer(candidate.file.name, candidate.file.size) as transfer:
                await self.remote.read(candidate.file, spool, transfer)
            checked = await self._checked(candidate, spool)
        except BaseException:
            # What came is kept for the next poll to go on from.
            spool.close()
            raise
        self.counts.bytes_read += spool.size
        raw_key = self._archive.raw_key(self.bank.slug, business.business_date, spool.sha256)
        stored = self._storing.submit(self._archive.keep_raw, raw_key, spool)
        try:
            # 4.
            row, is_new = await self._blocking(
                self._ledger.register, business, candidate.file, spool.sha256, spool.size, raw_key, checked
            )
            crash_points.reached("registered")
            if is_new:
                log.info(
                    "%s: %s is %s revision %d, %s",
                    row.bank,
                    row.remote_name,
                    row.file_id,
                    row.revision,
                    row.state,
                )
                if row.state != State.RECEIVED:
                    self.counts.file(row.state)
            # 5., 6., 7.
            if row.state == State.RECEIVED and not await self._finish(row, Stored(spool, stored), is_new):
                return
            await asyncio.wrap_future(stored)
        finally:
            (kept,), _ = await asyncio.wait([asyncio.wrap_future(stored)])
            if kept.exception() is None:
                spool.discard()
            else:
                spool.close()
        # 8.
        await self._move_away(row, candidate)
        crash_points.reached("touched")

    async def _finish_stored(self, row: FileRow) -> bool:
        """Steps 5 to 7 from the archive; false when the bytes never got there."""
        if not await self._blocking(self._archive.has_raw, row.raw_key, row.size_bytes):
            return False
        spool = self._spools.temporary(row.size_bytes)
        try:
            fetch = partial(self._archive.fetch_raw, row.raw_key, spool)
            await self._finish(row, Stored(spool, fetch=fetch))
        finally:
            spool.discard()
        return True

    async def _checked(self, candidate: Candidate, spool: Spool) -> Checked | None:
        """What the checksum file beside the file says, and what the bytes say."""
        how, beside = self.bank.checksum, candidate.checksum
        if how is None or beside is None:
            return None
        claimed = claimed_by(await self.remote.tail(beside, READ), candidate.file.name, how)
        computed = spool.sha256
        if how.algorithm != "sha256":
            with spool.opened() as file:
                computed = await self._blocking(computed_of, file, how.algorithm)
        return Checked(how.algorithm, claimed, computed)

    async def _hear(self, checksum: Listed) -> None:
        """A checksum file alone: perhaps the right one at last, for bytes that are in the archive since long.

        One that says something else belongs to a file that is still to come, and is let be.
        """
        how, name = self.bank.checksum, self._outbox.file_of(checksum.name)
        row = await self._blocking(self._ledger.latest, self.bank.bank, name) if name else None
        if how is None or name is None or row is None or not checksum.size:
            return
        claimed = claimed_by(await self.remote.tail(checksum, READ), name, how)
        checked = Checked(how.algorithm, claimed, row.computed(how.algorithm) or "")
        if not checked.agrees:
            return
        row = await self._blocking(self._ledger.vouched, row, checked)
        if row.state == State.RECEIVED:
            log.info("%s: %s has its right checksum now", row.bank, row.remote_name)
            await self._finish_stored(row)
        await self.remote.move_to_processed(checksum.name, str(row.seq))

    async def _finish(self, row: FileRow, raw: Stored, fresh: bool = False) -> bool:
        """Steps 5 to 7; true when the file is done with. What nobody foresaw parks it after some attempts."""
        (outcome,) = await asyncio.gather(
            self._blocking(self._publish, row, raw, fresh), return_exceptions=True
        )
        if outcome is None:
            return True
        if isinstance(outcome, BridgeError | BusError) or not isinstance(outcome, Exception):
            raise outcome
        said = mask_text(f"{type(outcome).__name__}: {outcome}")
        attempts = await self._blocking(self._ledger.stumbled, row.seq, said)
        log.error("%s: attempt %d at it failed", row.remote_name, attempts, exc_info=outcome)
        if attempts >= ATTEMPTS:
            refused = FileRefusedError(f"parked after {attempts} attempts: {said}")
            await self._blocking(self._quarantine, row, refused)
        return attempts >= ATTEMPTS

    def _told(self, row: FileRow, checksum: str) -> Checked:
        """What a person heard from the bank; refused unless it is about these bytes."""
        if self.bank.checksum is None or row.checked is None:
            raise NotReplayableError(
                f"{row.file_id}: no checksum was agreed with {row.bank}, so none is missing"
            )
        checked = replace(row.checked, claimed=checksum.strip().lower())
        if not checked.agrees:
            raise NotReplayableError(
                f"{row.file_id}: the archived bytes have the {checked.algorithm} {checked.computed}, not"
                f" {checked.claimed}; the bank must send the file again"
            )
        return checked

    def _publish(self, row: FileRow, raw: Stored, fresh: bool) -> None:
        if self._ledger.newer_loaded(row.file_id, row.revision):
            self._ledger.superseded(row.seq)
            self.counts.file(State.SUPERSEDED)
            return
        owed = file_ids(self.bank, row.business_date, row.cutoff)
        standing = self._ledger.standing(row.business, owed)
        word = arrived(self.bank, row.business, row.remote_name, standing, self._time.now())
        published = None if fresh else self._publisher.already(row)
        statement: Statement | None = None
        if published is None:
            lines_key = self._archive.published_key(
                self.bank.slug, row.business_date, row.cutoff, row.revision, row.business.part
            )
            before = self._ledger.published_before(row.file_id, row.revision)
            self._ledger.announce(row.seq, lines_key)
            # 5.
            try:
                if self.bank.checksum is not None and row.checked is not None:
                    row.checked.require()
                with raw.opened() as file, unpacked(file, self.bank.files, self._keys_dir) as inside:
                    statement = Statement(inside, self._format(row.business_date), row.business_date)
                    # 6.
                    published = self._publisher.publish(
                        row,
                        statement,
                        [self._archive.published(key, required=is_out) for key, is_out in before],
                        self._archive,
                        lines_key,
                        word,
                        raw.through,
                    )
            except FileRefusedError as refused:
                raw.through()
                self._quarantine(row, refused, statement)
                return
            except RecordRefusedError as error:
                raw.through()
                misfit = FileRefusedError(f"a record does not fit the bus: {error}")
                self._quarantine(row, misfit, statement)
                return
            if statement.note:
                log.warning("%s: %s", row.remote_name, statement.note)
        else:
            log.info("%s: was published by a process that died before saying so", row.remote_name)
            # With a number of its own: what that process said of the cutoff may not hold any more.
            self._publisher.say(word)
        crash_points.reached("published")
        # 7.
        self._ledger.loaded(row, published.totals, statement, published.retracted, word)
        crash_points.reached("loaded")
        self.counts.file(State.LOADED)
        self.counts.records += published.totals.count
        self.counts.retracted += published.retracted or 0
        log.info(
            "%s: %s revision %d LOADED, %d records, %d retracted",
            row.bank,
            row.file_id,
            row.revision,
            published.totals.count,
            published.retracted or 0,
        )

    def _say_again(self, row: FileRow) -> None:
        """Once the files are in, their cutoff hears that bytes of them came again."""
        found = self._ledger.came_again(row)
        word = None
        if found is not None:
            number, kept = found
            word = came_again(kept, number, row.remote_name, self._time.now())
            self._publisher.say(word)
            crash_points.reached(crash_points.SAID_AGAIN)
        self._ledger.said(row, word)

    def _quarantine(
        self, row: FileRow, refused: FileRefusedError, statement: Statement | None = None
    ) -> None:
        """Refused whole. The dead letter first: dying in between sends the same letter again, not none."""
        self._publisher.dead_letter(row, refused)
        self._ledger.quarantined(row.seq, refused, statement)
        self.counts.file(State.QUARANTINED)
        log.warning("%s: %s QUARANTINED: %s", row.bank, row.remote_name, refused)

    async def _move_away(self, row: FileRow, candidate: Candidate) -> None:
        """What stands beside it first: alone, it would one day call a half-uploaded file whole."""
        for read in filter(None, (candidate.file, candidate.checksum)):
            if await self.remote.stat(read.name) != read:
                raise FileChangedError(f"{read.name} changed after it was read; it is taken anew")
        for beside in (candidate.marker, candidate.checksum.name if candidate.checksum else None):
            if beside is not None:
                await self.remote.move_to_processed(beside, str(row.seq))
        await self.remote.move_to_processed(candidate.file.name, str(row.seq))
        await self._blocking(self._ledger.remote_done, row.seq)

    async def _done_with(self, listing: Sequence[Listed]) -> set[Listed]:
        """Listed files that only have to be moved away; what is gone from the listing is noted as moved."""
        listed = {one.name: one for one in listing}
        done: set[Listed] = set()
        for row in await self._blocking(self._ledger.to_move_away, self.bank.bank):
            there = listed.get(row.remote_name)
            if there == Listed(row.remote_name, row.size_bytes, row.remote_mtime):
                done.add(there)
            else:
                await self._blocking(self._ledger.remote_done, row.seq)
        return done

    async def _has_ending(self, file: Listed, business_date: date) -> bool:
        """At the file's own end; of a packed one the whole must be read to see the end of what is inside."""
        layout = self.bank.format_on(business_date)
        if layout is None:
            return True
        try:
            if not self.bank.files.unpack:
                return ends_whole(layout, await self.remote.tail(file, TAIL))
            spool = self._spools.temporary(file.size)
            try:
                await self.remote.read(file, spool)
                tail = await self._blocking(self._tail_inside, spool)
            finally:
                spool.discard()
        except (RemoteUnavailableError, RequestFailedError, FileChangedError, FileRefusedError) as error:
            log.info("%s", error)
            return False
        return ends_whole(layout, tail)

    def _format(self, business_date: date) -> AnyFormat:
        layout = self.bank.format_on(business_date)
        if layout is None:
            first = self.bank.formats[0].since
            raise FileRefusedError(f"a file of {business_date}; the first format described is from {first}")
        return layout

    def _tail_inside(self, spool: Spool) -> bytes:
        with spool.opened() as file, unpacked(file, self.bank.files, self._keys_dir) as inside:
            return tail_of(inside, TAIL)

    async def _blocking(self, call: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, partial(call, *args, **kwargs))
