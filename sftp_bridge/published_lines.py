"""What of a file was published, written down while it is sent: what its correction is compared with."""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING, Any, BinaryIO, Final, cast

import pyarrow as pa
from pyarrow import ipc

from sftp_bridge.movement_columns import AMOUNT, MovementColumns
from sftp_bridge.movements import Movement
from sftp_bridge.spool import SPOOL_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator

# Single lines that are written together.
_TOGETHER: Final = 4096
# What makes a record's key, and its money; its words are not needed to take it back.
_SCHEMA: Final = pa.schema(
    cast(
        "Any",
        [
            pa.field("line_no", pa.int32(), nullable=False),
            pa.field("utr", pa.string()),
            pa.field("settlement_ref", pa.string()),
            pa.field("direction", pa.string(), nullable=False),
            pa.field("amount", AMOUNT, nullable=False),
            pa.field("value_date", pa.date32(), nullable=False),
            pa.field("identity", pa.string()),
        ],
    )
)


class PublishedLines:
    """Movements in the order they are sent; compressed, so that they need little room."""

    def __init__(self) -> None:
        self._file = cast("BinaryIO", tempfile.SpooledTemporaryFile(max_size=SPOOL_BYTES))  # noqa: SIM115
        options = ipc.IpcWriteOptions(compression="zstd", use_threads=False)
        sink = pa.PythonFile(cast("Any", self._file), mode="w")
        self._stream = ipc.new_stream(sink, _SCHEMA, options=options)
        self._single: list[Movement] = []

    def add(self, movement: Movement) -> None:
        """The next line."""
        self._single.append(movement)
        if len(self._single) >= _TOGETHER:
            self._write_single()

    def add_all(self, movements: MovementColumns) -> None:
        """The next lines."""
        self._write_single()
        nobody = pa.nulls(len(movements), pa.string())
        self._write([getattr(movements, name, nobody) for name in _SCHEMA.names])

    def finished(self) -> BinaryIO:
        """Everything, from the first byte."""
        self._write_single()
        self._stream.close()
        self._file.seek(0)
        return self._file

    def close(self) -> None:
        """Free the memory or the disk."""
        self._file.close()

    def _write_single(self) -> None:
        if self._single:
            self._write(
                [
                    pa.array([getattr(one, field.name) for one in self._single], field.type)
                    for field in _SCHEMA
                ]
            )
            self._single.clear()

    def _write(self, columns: list[Any]) -> None:
        self._stream.write_batch(pa.record_batch(columns, schema=_SCHEMA))


def movements_in(lines: BinaryIO) -> Iterator[Movement]:
    """The movements that were written down so, without their words."""
    with ipc.open_stream(cast("Any", lines)) as stream:
        for batch in stream:
            for row in batch.to_pylist():
                yield Movement(**row, utr_raw=row["utr"], narration="")
