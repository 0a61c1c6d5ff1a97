"""One file's records, its word on bank.files.received and its cutoff's word: in one Kafka transaction."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from bus.consumer import read_topic
from bus.errors import BusError
from bus.producer import TransactionalProducer
from settlement.banks import record_id
from settlement.masking import mask_text
from settlement.versions import bank_version
from sftp_bridge import crash_points
from sftp_bridge.movements import Movement, Totals
from sftp_bridge.published_lines import PublishedLines
from sftp_bridge.revisions import changes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from sftp_bridge.archive import Archive
    from sftp_bridge.errors import FileRefusedError
    from sftp_bridge.expectations import Expectation
    from sftp_bridge.ledger import FileRow
    from sftp_bridge.movement_columns import MovementColumns
    from sftp_bridge.settings import BridgeSettings
    from sftp_bridge.statements import Statement

log = logging.getLogger("bridge")

RECORDS, FILES, CUTOFFS, DEAD = "bank.records", "bank.files.received", "bank.cutoffs", "bank.dead"
_SCHEMAS = {RECORDS: RECORDS, FILES: FILES, CUTOFFS: CUTOFFS, DEAD: "dead.letters"}

# Kilobytes of records waiting for the broker: a tenth of a second's worth, for every bank of the process.
_QUEUE_KBYTES = 24 * 1024


@dataclass(frozen=True, slots=True)
class Published:
    """What of a file is on the bus."""

    totals: Totals
    # None where another process committed it and only its totals are known.
    retracted: int | None


class Publisher:
    """One bank's transactional producer; used by one thread at a time.

    The transactional id is the bank's for ever, so whoever takes over ends what a dead process left open.
    """

    def __init__(self, bank: str, settings: BridgeSettings) -> None:
        self._topic = settings.topic
        self._id = f"{settings.topic_prefix}settle-bridge-{bank.lower()}"
        self._producer: TransactionalProducer | None = None

    def publish(
        self,
        row: FileRow,
        statement: Statement,
        before: Sequence[Iterable[Movement]],
        archive: Archive,
        lines_key: str,
        arrival: Expectation,
        archived: Callable[[], None],
    ) -> Published:
        """All or nothing, as the file is parsed.

        A file that is refused on its last line aborts the transaction: readers never see its first. Nothing
        is committed before `archived` has returned.
        """
        version = bank_version(row.business_date, row.revision)
        lines = PublishedLines()
        retracted = 0
        records, same = self._topic(RECORDS), _same_in_all(row, statement.layout.currency, version)
        try:
            with self._open().transaction() as transaction:
                for op, movement in _to_send(before, statement):
                    if not isinstance(movement, Movement):
                        keys = _record_ids(row.file_id, movement)
                        transaction.send_columns(records, keys, same | _said(keys, movement, op))
                        lines.add_all(movement)
                    else:
                        key = record_id(row.file_id, movement.place, movement.utr)
                        transaction.send(records, key, same | _said(key, movement, op))
                        if op == "u":
                            lines.add(movement)
                        else:
                            retracted += 1
                    crash_points.reached("publishing")
                transaction.send(self._topic(FILES), row.file_id, _file(row, statement.totals, version))
                transaction.send(self._topic(CUTOFFS), arrival.cutoff_id, arrival.record())
                archive.keep_published(lines_key, lines)
                archived()
        except BaseException:
            # Whatever it was, the next attempt begins with a new producer, which makes the broker decide
            # about a transaction whose end is not known.
            self.release()
            raise
        finally:
            lines.close()
        return Published(statement.totals, retracted)

    def already(self, row: FileRow) -> Published | None:
        """Was exactly this revision committed by somebody who died before saying so?

        1. Take over the transactional id: a commit that was under way is now either whole or gone.
        2. Look for the file's word on bank.files.received, which is in the same transaction as its records.
        """
        # 1.
        self._open().start()
        # 2.
        version = bank_version(row.business_date, row.revision)
        for found in read_topic(self._topic(FILES)):
            word = found.value
            if (word["file_id"], word["version"], word["sha256"]) == (row.file_id, version, row.sha256):
                return Published(
                    Totals(
                        word["record_count"],
                        word["credit_count"],
                        word["credit_total"],
                        word["debit_count"],
                        word["debit_total"],
                    ),
                    None,
                )
        return None

    def say(self, word: Expectation) -> None:
        """A word about a cutoff by itself, where no records go with it; fenced as they are."""
        try:
            with self._open().transaction() as transaction:
                transaction.send(self._topic(CUTOFFS), word.cutoff_id, word.record())
        except BusError:
            self.release()
            raise

    def dead_letter(self, row: FileRow, refused: FileRefusedError) -> None:
        """Tell the bus that a file was refused; its bytes stay in the archive, only the place goes on."""
        letter_id = hashlib.sha256(f"{row.file_id}|{row.sha256}".encode()).hexdigest()
        letter = {
            "letter_id": letter_id,
            "source": row.bank,
            "place": f"{row.raw_key}:{refused.line or 0}",
            "reason": f"{row.remote_name}: {refused}",
            "payload": mask_text(refused.excerpt).encode(),
            "at": datetime.now(UTC),
        }
        try:
            with self._open().transaction() as transaction:
                transaction.send(self._topic(DEAD), letter_id, letter)
        except BusError:
            self.release()
            raise

    def release(self) -> None:
        """Let go of the producer; the next use makes a new one."""
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.close()

    def _open(self) -> TransactionalProducer:
        if self._producer is None:
            self._producer = TransactionalProducer(
                self._id,
                schemas={self._topic(topic): schema for topic, schema in _SCHEMAS.items()},
                queue_kbytes=_QUEUE_KBYTES,
            )
        return self._producer


def _to_send(
    before: Sequence[Iterable[Movement]], statement: Statement
) -> Iterator[tuple[str, Movement | MovementColumns]]:
    """Every movement, and a delete for what no longer stands; of a first revision many at once."""
    if before:
        yield from changes(before, statement, by_identity=bool(statement.layout.identity))
    else:
        for movements in statement.read():
            yield "u", movements


def _same_in_all(row: FileRow, currency: str, version: int) -> dict[str, Any]:
    return {
        "bank": row.bank,
        "file_id": row.file_id,
        "file_name": row.remote_name,
        "sha256": row.sha256,
        "business_date": row.business_date,
        "revision": row.revision,
        "currency": currency,
        "account": None,
        "version": version,
    }


def _said(record_id: Any, movement: Movement | MovementColumns, op: str) -> dict[str, Any]:
    return {
        "record_id": record_id,
        "line_no": movement.line_no,
        "utr": movement.utr,
        "utr_raw": movement.utr_raw,
        "settlement_ref": movement.settlement_ref,
        "direction": movement.direction,
        "amount": movement.amount,
        "value_date": movement.value_date,
        "narration": movement.narration,
        "op": op,
        "position": movement.line_no,
    }


def _record_ids(file_id: str, movements: MovementColumns) -> Any:
    """As settlement.banks.record_id, of many."""
    places = movements.line_no.cast(pa.string())
    return pc.binary_join_element_wise(file_id, places, movements.utr.fill_null(""), "|")


def _file(row: FileRow, totals: Totals, version: int) -> dict[str, Any]:
    return {
        "file_id": row.file_id,
        "bank": row.bank,
        "business_date": row.business_date,
        "cutoff": row.cutoff,
        "file_name": row.remote_name,
        "revision": row.revision,
        "sha256": row.sha256,
        "size_bytes": row.size_bytes,
        "record_count": totals.count,
        "credit_count": totals.credit_count,
        "credit_total": totals.credit_total,
        "debit_count": totals.debit_count,
        "debit_total": totals.debit_total,
        "raw_key": row.raw_key,
        "supersedes": row.supersedes,
        "received_at": row.registered_at,
        "op": "u",
        "version": version,
        "position": 0,
    }
