"""A bank's file as a stream of movements, checked against what the file says about itself.

Memory does not grow with the file. Whatever does not fit the bank's description, or contradicts the file's
own totals, refuses the whole file.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO

from settlement.masking import mask_text
from sftp_bridge.errors import FileRefusedError
from sftp_bridge.movements import Claim, Movement, Totals
from sftp_bridge.readers import reader_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date

    from sftp_bridge.formats import AnyFormat
    from sftp_bridge.readers.reader import Reader


@dataclass(slots=True)
class Statement:
    """One pass over a file; iterate it once, then read `totals` and `claim`."""

    raw: BinaryIO
    layout: AnyFormat
    business_date: date
    totals: Totals = field(default_factory=Totals)
    claim: Claim | None = None
    # Columns that the description does not know; accepted, and worth telling somebody.
    new_columns: tuple[str, ...] = ()

    @property
    def note(self) -> str | None:
        """What was accepted and somebody should hear of."""
        names = ", ".join(mask_text(name) for name in self.new_columns)
        return f"columns nobody described: {names}" if names else None

    def __iter__(self) -> Iterator[Movement]:
        reader = reader_of(self.raw, self.layout, self.business_date)
        try:
            for movement in reader.movements():
                self.totals.add(movement)
                yield movement
            self._check(reader)
            self.claim, self.new_columns = reader.claim, reader.new_columns
        finally:
            reader.close()

    def _check(self, reader: Reader) -> None:
        claim = reader.claim or Claim()
        for what, claimed, parsed in (
            ("movements", claim.count, self.totals.count),
            ("credits", claim.credit_total, self.totals.credit_total),
            ("debits", claim.debit_total, self.totals.debit_total),
        ):
            if claimed is not None and claimed != parsed:
                raise FileRefusedError(
                    f"the trailer says {claimed} in {what}, the lines say {parsed}", line=reader.line
                )
