"""Delimited text files."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, BinaryIO, cast

from sftp_bridge.errors import FileRefusedError
from sftp_bridge.readers.blocks import Blocks, in_blocks
from sftp_bridge.readers.header_table import HeaderTableReader
from sftp_bridge.readers.text import Lines

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date

    from sftp_bridge.formats import Delimited
    from sftp_bridge.movement_columns import MovementColumns
    from sftp_bridge.readers.plain_lines import PlainLines
    from sftp_bridge.readers.table import Cells


class DelimitedReader(HeaderTableReader):
    """One line of text at a time, quoted as in CSV; of a large file, what is plain in blocks."""

    def __init__(self, raw: BinaryIO, layout: Delimited, business_date: date) -> None:
        super().__init__(layout, business_date)
        self._layout = layout
        self._blocks = Blocks(raw) if in_blocks(layout.encoding) else None
        self._lines = Lines(cast("BinaryIO", self._blocks or raw), layout.encoding)
        self._reader = csv.reader(self._lines, delimiter=layout.delimiter, strict=True)

    def _rows(self) -> Iterator[list[str]]:
        while True:
            # A quoted cell may go over lines; a row is where it begins.
            begins = self._lines.number + 1
            try:
                cells = next(self._reader)
            except StopIteration:
                self.line = max(self.line, self._lines.number)
                return
            except FileRefusedError:
                self.excerpt = self._lines.excerpt
                raise
            except csv.Error as error:
                self.excerpt = self._lines.excerpt
                raise FileRefusedError(f"not well-formed: {error}", line=begins) from error
            self.line, self.excerpt = begins, self._lines.excerpt
            yield [cell.strip() for cell in cells]

    def _body(self, rows: Iterator[list[str]], cells_of: Cells) -> Iterator[list[str] | MovementColumns]:
        """The rest of the block that the header stood in, row by row; then block after block."""
        blocks, lines = self._blocks, self._lines
        if blocks is None:
            yield from rows
            return
        plain: PlainLines | None = None
        yield from self._streamed(blocks, rows)
        for number, block in enumerate(iter(blocks.take, None)):
            if not number:
                # A small file is over before this, and never pays for what reads large ones.
                plain = _plain_lines(self._layout, self.columns, cells_of)
            read = plain.read(block, lines.number + 1) if plain and self.claim is None else None
            if read is None:
                blocks.stream(block)
                yield from self._streamed(blocks, rows)
            else:
                movements, count = read
                blocks.lines += count
                lines.skip(count)
                self.line = lines.number
                yield movements

    def _streamed(self, blocks: Blocks, rows: Iterator[list[str]]) -> Iterator[list[str]]:
        while self._lines.number < blocks.lines and (cells := next(rows, None)) is not None:
            yield cells

    def close(self) -> None:
        self._lines.close()


def _plain_lines(layout: Delimited, columns: list[str], cells_of: Cells) -> PlainLines | None:
    from sftp_bridge.readers.plain_lines import NotPlainError, PlainLines

    try:
        return PlainLines(layout, columns, cells_of)
    except NotPlainError:
        return None
