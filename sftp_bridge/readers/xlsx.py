"""Workbooks, row by row. What a spreadsheet has rounded is refused, never guessed back."""

from __future__ import annotations

import zipfile
import zlib
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, BinaryIO
from xml.etree.ElementTree import ParseError

import openpyxl
from defusedxml import DefusedXmlException

from sftp_bridge.errors import FileRefusedError
from sftp_bridge.readers.header_table import HeaderTableReader
from sftp_bridge.unpack import spooled

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sftp_bridge.formats import Xlsx

# Digits that a spreadsheet's number keeps; more of them are rounded, or noise that arithmetic left.
_DIGITS = 15
# Excel's own limit. A sheet that claims rows behind it would be walked through row by empty row.
_ROWS = 1_048_576
# Megabytes that a workbook may have when its zip is open, and of them those that are held in memory: texts
# and styles. Sheets are read as a stream.
_MEGABYTES, _HELD_MEGABYTES = 4096, 256
_BROKEN = (
    *(KeyError, ValueError, TypeError, IndexError, AttributeError, EOFError, OSError, OverflowError),
    *(zipfile.BadZipFile, zlib.error, ParseError, DefusedXmlException, NotImplementedError),
)


class XlsxReader(HeaderTableReader):
    """The described sheet; `line` is the sheet's own row."""

    def __init__(self, raw: BinaryIO, layout: Xlsx, business_date: date) -> None:
        super().__init__(layout, business_date)
        self._raw = raw
        self._layout = layout
        self._spool: BinaryIO | None = None
        self._book: Any = None
        self._strict = frozenset(layout.named)

    def close(self) -> None:
        if self._book is not None:
            self._book.close()
        if self._spool is not None:
            self._spool.close()

    def _rows(self) -> Iterator[list[str]]:
        sheet = self._open()
        rows = iter(sheet.iter_rows(values_only=True))
        while (values := self._next(rows)) is not None:
            self.line += 1
            if self.line > _ROWS:
                raise FileRefusedError(f"more than {_ROWS} rows", line=self.line)
            self.excerpt = ", ".join("" if value is None else str(value) for value in values)[:500]
            cells = [self._text(value, at) for at, value in enumerate(values)]
            # Of the header's width, whatever empty cells the row has behind it or lacks.
            width = len(self.columns)
            cells += [""] * (width - len(cells))
            while len(cells) > width and not cells[-1]:
                cells.pop()
            yield cells

    def _text(self, value: object, at: int) -> str:
        column = self.columns[at] if at < len(self.columns) else None
        if value is None:
            return ""
        if isinstance(value, bool):
            return str(value)
        if isinstance(value, int | float):
            return self._number(value, column)
        if isinstance(value, datetime | date):
            return value.strftime(self._layout.value_date.formats[0])
        return str(value).strip()

    def _number(self, value: float, column: str | None) -> str:
        number = Decimal(repr(value))
        if column in self._strict and len(number.normalize().as_tuple().digits) > _DIGITS:
            raise FileRefusedError(
                f"{value!r} has more than the {_DIGITS} digits that a spreadsheet keeps exactly; the bank"
                " must send it as text or rounded",
                line=self.line,
                column=column,
            )
        if number.is_finite() and number == number.to_integral_value():
            number = number.to_integral_value()
        return f"{number:f}".replace(".", self._layout.decimal)

    def _open(self) -> Any:
        self._spool = spooled(self._raw)
        try:
            with zipfile.ZipFile(self._spool) as archive:
                sizes = {member.filename: member.file_size for member in archive.infolist()}
            held = sum(size for name, size in sizes.items() if not name.startswith("xl/worksheets/"))
            for megabytes, size in ((_MEGABYTES, sum(sizes.values())), (_HELD_MEGABYTES, held)):
                if size > megabytes * 1024 * 1024:
                    raise FileRefusedError(
                        f"the workbook has {size} bytes inside where {megabytes} MB can be read"
                    )
            self._book = openpyxl.load_workbook(self._spool, read_only=True, data_only=True, keep_links=False)
            sheets = self._book.worksheets
            if self._layout.sheet is not None:
                sheets = [sheet for sheet in sheets if sheet.title == self._layout.sheet]
            if len(sheets) != 1:
                raise FileRefusedError(
                    f"sheet {self._layout.sheet or 'alone'} expected, found {self._book.sheetnames}"
                )
            # What the sheet says of its own size is often wrong.
            sheets[0].reset_dimensions()
            return sheets[0]
        except _BROKEN as error:
            raise FileRefusedError(f"no workbook, damaged or cut short: {error}") from error

    def _next(self, rows: Iterator[Sequence[object]]) -> Sequence[object] | None:
        try:
            return next(rows, None)
        except _BROKEN as error:
            raise FileRefusedError(f"the sheet is damaged: {error}", line=self.line + 1) from error
