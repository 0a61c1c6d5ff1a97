"""Many movements, column by column, as Arrow has them; what `movements.Movement` is one of."""

from __future__ import annotations

from dataclasses import dataclass, fields
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bus.columns import unscaled
from sftp_bridge.movements import Movement, Totals

if TYPE_CHECKING:
    from collections.abc import Iterator

AMOUNT: Final = pa.decimal128(18, 2)


@dataclass(frozen=True, slots=True)
class MovementColumns:
    """Lines in their order; the UTRs are as the bank wrote them, and no line has an identity of its own."""

    line_no: Any
    utr: Any
    settlement_ref: Any
    direction: Any
    amount: Any
    value_date: Any
    narration: Any

    @property
    def utr_raw(self) -> Any:
        """As the bank wrote them."""
        return self.utr

    def __len__(self) -> int:
        return len(self.line_no)

    def totals(self) -> Totals:
        """Counts and sums."""
        paise = unscaled(self.amount)
        credit = pc.equal(self.direction, pa.scalar("CR")).to_numpy(zero_copy_only=False)
        credits_, debits = paise[credit], paise[~credit]
        return Totals(len(self), len(credits_), _sum(credits_), len(debits), _sum(debits))

    def movements(self) -> Iterator[Movement]:
        """One by one."""
        columns = (getattr(self, field.name).to_pylist() for field in fields(self))
        for line_no, utr, settlement_ref, direction, amount, value_date, narration in zip(
            *columns, strict=True
        ):
            yield Movement(line_no, utr, utr, settlement_ref, direction, amount, value_date, narration)


def rupees(paise: Any) -> Any:
    """Amounts that are so many paise, none of them negative."""
    pairs: Any = np.zeros((len(paise), 2), np.int64)
    pairs[:, 0] = paise
    return pa.Array.from_buffers(AMOUNT, len(paise), [None, pa.py_buffer(pairs)])


def _sum(paise: Any) -> Decimal:
    # Sixty-four bits hold a few thousand of the largest amounts only.
    high, low = divmod(paise, 10**9)
    return (Decimal(int(high.sum())) * 10**9 + int(low.sum())).scaleb(-2)
