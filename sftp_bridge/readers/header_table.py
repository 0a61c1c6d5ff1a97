"""Tables whose columns stand in a header: found by name, wherever they stand, and nothing else guessed.

A column that nobody described is accepted and told; one that is missing, renamed or twice refuses the file.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

from sftp_bridge.errors import FileRefusedError
from sftp_bridge.readers.reader import Reader
from sftp_bridge.readers.table import Cells, claim_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date

    from sftp_bridge.formats import HeaderTable
    from sftp_bridge.movement_columns import MovementColumns
    from sftp_bridge.movements import Movement


class HeaderTableReader(Reader):
    """Rows of cells below a header, and a trailer where one was agreed."""

    def __init__(self, layout: HeaderTable, business_date: date) -> None:
        super().__init__()
        self._table = layout
        self._business_date = business_date
        # The names in the file's own header, once it was read.
        self.columns: list[str] = []

    @abstractmethod
    def _rows(self) -> Iterator[list[str]]:
        """Stripped cells, row by row; sets `line`."""

    def _body(
        self,
        rows: Iterator[list[str]],
        cells_of: Cells,  # noqa: ARG002 - for who reads faster than by rows
    ) -> Iterator[list[str] | MovementColumns]:
        """What stands below the header: rows, and what was read of many at once."""
        yield from rows

    def _movements(self) -> Iterator[Movement | MovementColumns]:
        rows = self._rows()
        columns = self.columns = self._header(rows)
        cells_of = Cells(self._table, columns, self._business_date)
        trailer = self._table.trailer
        for cells in self._body(rows, cells_of):
            if not isinstance(cells, list):
                yield cells
                continue
            if not any(cells):
                continue
            if self.claim is not None:
                raise FileRefusedError("something follows the trailer", line=self.line)
            if trailer is not None and cells[0] == trailer.first:
                self.claim = claim_of(cells, trailer, self._table, self.line)
                continue
            if len(cells) != len(columns):
                raise FileRefusedError(
                    f"{len(cells)} cells where the header has {len(columns)}", line=self.line
                )
            movement = cells_of.read(cells, self.line)
            if movement is not None:
                yield movement
        if trailer is not None and self.claim is None:
            raise FileRefusedError("the trailer is missing; the file was cut short", line=self.line)

    def _header(self, rows: Iterator[list[str]]) -> list[str]:
        expected = list(self._table.header)
        found: list[str] = []
        for cells in rows:
            names = [" ".join(cell.split()) for cell in cells]
            if set(expected) <= set(names):
                self.new_columns = tuple(name for name in names if name and name not in expected)
                if len(names) - len(self.new_columns) - names.count("") != len(expected):
                    raise FileRefusedError("a column stands in the header twice", line=self.line)
                return names
            # Of what stands where the header should, the row most like it explains best what is wrong.
            if any(names) and (
                not found or len(set(names) & set(expected)) > len(set(found) & set(expected))
            ):
                found = names
            if self.line >= self._table.header_within_lines:
                break
        if not found:
            raise FileRefusedError("the file is empty")
        missing = [name for name in expected if name not in found]
        unknown = [name for name in found if name and name not in expected]
        raise FileRefusedError(
            f"the header is not the declared one; missing {missing}, unknown {unknown};"
            f" expected {expected}, found {found}",
            line=self.line,
            column=missing[0] if missing else None,
        )
