"""Records of one length, every column at its place."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

from sftp_bridge.errors import FileRefusedError
from sftp_bridge.movements import Claim
from sftp_bridge.readers.reader import Reader
from sftp_bridge.readers.table import Cells, claimed_count, claimed_total
from sftp_bridge.readers.text import Lines

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date

    from sftp_bridge.formats import FixedTrailer, FixedWidth, Slice
    from sftp_bridge.movements import Movement


class FixedWidthReader(Reader):
    """A record a line: header, movements, trailer, by what each says it is."""

    def __init__(self, raw: BinaryIO, layout: FixedWidth, business_date: date) -> None:
        super().__init__()
        self._layout = layout
        self._lines = Lines(raw, layout.encoding)
        self._cells = Cells(layout, layout.columns, business_date)
        self._headers = 0

    def close(self) -> None:
        self._lines.close()

    def _movements(self) -> Iterator[Movement]:
        layout = self._layout
        for text in self._lines:
            record = text.rstrip("\r\n").encode(layout.encoding)
            self.line, self.excerpt = self._lines.number, self._lines.excerpt
            if not record.strip():
                continue
            if self.claim is not None:
                raise FileRefusedError("something follows the trailer", line=self.line)
            if len(record) != layout.record_length:
                raise FileRefusedError(
                    f"a record of {len(record)} bytes where {layout.record_length} were agreed",
                    line=self.line,
                )
            if not self._is_movement(record):
                continue
            cells = [self._cut(record, place) for place in layout.slices.values()]
            movement = self._cells.read(cells, self.line)
            if movement is not None:
                yield movement
        if layout.trailer is not None and self.claim is None:
            raise FileRefusedError("the trailer is missing; the file was cut short", line=self.line)
        if not self.line:
            raise FileRefusedError("the file is empty")

    def _is_movement(self, record: bytes) -> bool:
        types = self._layout.record_type
        if types is None:
            return True
        trailer = self._layout.trailer
        kind = self._cut(record, types.column)
        if types.header is not None:
            self._headers += kind == types.header
            if (kind == types.header) != (self.line == 1) or self._headers > 1:
                raise FileRefusedError(
                    f"a header {types.header} must be the first record and no other; found {kind!r}",
                    line=self.line,
                )
        if trailer is not None and kind == types.trailer:
            self.claim = self._claim(record, trailer)
        elif kind not in (types.movement, types.header):
            raise FileRefusedError(f"a record of a type that was not agreed: {kind!r}", line=self.line)
        return kind == types.movement

    def _claim(self, record: bytes, trailer: FixedTrailer) -> Claim:
        def total(place: Slice | None) -> str | None:
            return None if place is None else self._cut(record, place)

        credit, debit = total(trailer.credit_total), total(trailer.debit_total)
        return Claim(
            claimed_count(self._cut(record, trailer.count), self.line),
            None if credit is None else claimed_total(credit, self._layout, self.line),
            None if debit is None else claimed_total(debit, self._layout, self.line),
        )

    def _cut(self, record: bytes, place: Slice) -> str:
        # Bytes, as the banks count; a character that a column cuts in two refuses the file.
        try:
            return record[place.at - 1 : place.end].decode(self._layout.encoding).strip()
        except UnicodeDecodeError as error:
            raise FileRefusedError(
                f"bytes {place.at} to {place.end} cut a character in two", line=self.line
            ) from error
