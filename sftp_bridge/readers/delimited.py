"""Delimited text files."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, BinaryIO

from sftp_bridge.errors import FileRefusedError
from sftp_bridge.readers.header_table import HeaderTableReader
from sftp_bridge.readers.text import Lines

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date

    from sftp_bridge.formats import Delimited


class DelimitedReader(HeaderTableReader):
    """One line of text at a time, quoted as in CSV."""

    def __init__(self, raw: BinaryIO, layout: Delimited, business_date: date) -> None:
        super().__init__(layout, business_date)
        self._lines = Lines(raw, layout.encoding)
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
            except csv.Error as error:
                self.excerpt = self._lines.excerpt
                raise FileRefusedError(f"not well-formed: {error}", line=begins) from error
            self.line, self.excerpt = begins, self._lines.excerpt
            yield [cell.strip() for cell in cells]

    def close(self) -> None:
        self._lines.close()
