"""A bank's file as a stream of movements, checked against what the file says about itself.

Memory does not grow with the file. Whatever does not fit the bank's description, or contradicts the file's
own totals, refuses the whole file.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, BinaryIO

from settlement.masking import mask_text
from sftp_bridge.errors import FileRefusedError
from sftp_bridge.movements import Claim, Movement, Totals
from sftp_bridge.readers import reader_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date

    from sftp_bridge.formats import AnyFormat
    from sftp_bridge.movement_columns import MovementColumns
    from sftp_bridge.readers.reader import Reader


@dataclass(slots=True)
class Statement:
    """One pass over a file; iterate it once, then read what it found, refused or not."""

    raw: BinaryIO
    layout: AnyFormat
    business_date: date
    totals: Totals = field(default_factory=Totals)
    # The lines as they stand, repeated ones too: what the file's own word is about. Of a refused file as far
    # as it could be read.
    lines: Totals = field(default_factory=Totals)
    claim: Claim | None = None
    # Columns that the description does not know; accepted, and worth telling somebody.
    new_columns: tuple[str, ...] = ()
    # Lines that say again what a line of the same identity said; not in the totals.
    repeated: int = 0

    @property
    def note(self) -> str | None:
        """What was accepted and somebody should hear of."""
        names = ", ".join(mask_text(name) for name in self.new_columns)
        notes = [f"columns nobody described: {names}"] if names else []
        notes += [f"{self.repeated} lines repeat others and count once"] if self.repeated else []
        return "; ".join(notes) or None

    def __iter__(self) -> Iterator[Movement]:
        for movements in self.read():
            if isinstance(movements, Movement):
                yield movements
            else:
                yield from movements.movements()

    def read(self) -> Iterator[Movement | MovementColumns]:
        """One by one, or many at once where the file could be read so."""
        reader = reader_of(self.raw, self.layout, self.business_date)
        seen = _Seen()
        try:
            for movement in reader.movements():
                if not isinstance(movement, Movement):
                    # Of lines with an identity none come so.
                    counted = movement.totals()
                    self.lines.add_all(counted)
                    self.totals.add_all(counted)
                    yield movement
                    continue
                self.lines.add(movement)
                if seen.again(movement):
                    self.repeated += 1
                    continue
                self.totals.add(movement)
                yield movement
            _check(reader, self.lines)
        finally:
            self.claim, self.new_columns = reader.claim, reader.new_columns
            reader.close()


class _Seen:
    """Lines by their identity; some 200 bytes each, and none where the description names no identity."""

    def __init__(self) -> None:
        self._lines: dict[bytes, int] = {}

    def again(self, movement: Movement) -> bool:
        """Was exactly this said before? Something else under the same identity refuses the file."""
        if movement.identity is None:
            return False
        said = hash(replace(movement, line_no=0))
        key = bytes.fromhex(movement.identity)
        before = self._lines.get(key)
        if before is None:
            self._lines[key] = said
        elif before != said:
            raise FileRefusedError(
                "what makes the line one is that of an earlier line, which says something else",
                line=movement.line_no,
            )
        return before is not None


def _check(reader: Reader, lines: Totals) -> None:
    claim = reader.claim or Claim()
    for what, claimed, parsed in (
        ("movements", claim.count, lines.count),
        ("credits", claim.credit_total, lines.credit_total),
        ("debits", claim.debit_total, lines.debit_total),
    ):
        if claimed is not None and claimed != parsed:
            raise FileRefusedError(
                f"the trailer says {claimed} in {what}, the lines say {parsed}", line=reader.line
            )
