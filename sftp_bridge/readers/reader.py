"""What all parsers have in common: the one interface, and a line's words around its amount."""

from __future__ import annotations

import hashlib
import re
from abc import ABC, abstractmethod
from datetime import date
from typing import TYPE_CHECKING

from settlement.errors import MoneyError, ReferenceDamagedError
from settlement.masking import has_card_number, is_card_number, mask_text
from settlement.money import parse_amount
from settlement.references import normalise_utr
from sftp_bridge.errors import FileRefusedError
from sftp_bridge.movements import Claim, Movement

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from decimal import Decimal

    from sftp_bridge.formats import Extract, Format
    from sftp_bridge.movement_columns import MovementColumns
    from sftp_bridge.movements import Totals

# Where a reference should stand some banks write the card of a purchase: digits, as many as cards have,
# beginning as cards do. References of that form are not known; it goes no further than the raw archive.
_CARD = re.compile(r"[2-6](?:[ -]?\d){12,18}", re.ASCII)
# Bytes of a line's identity: enough that two of a billion lines are not taken for one.
DIGEST = 16
_MONTHS = 12


class Reader(ABC):
    """One file's movements in the order of their lines; read once."""

    def __init__(self) -> None:
        # The line that was read last; its text goes to the dead letter when it is refused.
        self.line = 0
        self.excerpt = ""
        self.claim: Claim | None = None
        self.new_columns: tuple[str, ...] = ()

    def movements(self) -> Iterator[Movement | MovementColumns]:
        """All of them, some perhaps many at once; a refusal carries the text that it is about."""
        try:
            yield from self._movements()
        except FileRefusedError as error:
            error.excerpt = error.excerpt or self.excerpt
            raise

    @abstractmethod
    def _movements(self) -> Iterator[Movement | MovementColumns]:
        """As the format has them."""

    @abstractmethod
    def close(self) -> None:
        """Give the raw file back, open."""


class Words:
    """A line's references, narration and dates, by the columns that the description names."""

    def __init__(self, layout: Format, columns: Sequence[str], business_date: date) -> None:
        places = {name: at for at, name in enumerate(columns)}
        self._layout = layout
        self._business_date = business_date
        self._narration = places[layout.narration]
        self._reference = places[layout.reference.column]
        self._settlement = places[layout.settlement_ref.column] if layout.settlement_ref else None
        self._identity = [places[column] for column in layout.identity]
        self._skips = [(places[skip.column], skip.regex) for skip in layout.skip]

    def skips(self, cells: Sequence[str]) -> bool:
        """Is it a row that the description leaves out?"""
        return any(regex.search(cells[place]) for place, regex in self._skips)

    def movement(
        self, cells: Sequence[str], line: int, direction: str, amount: Decimal, value_date: date
    ) -> Movement:
        """The line with everything that is said about its money."""
        if not amount:
            raise FileRefusedError("a movement of nothing", line=line)
        layout = self._layout
        utr_raw, settlement_ref = _groups(layout.reference, cells[self._reference])
        if layout.settlement_ref is not None and self._settlement is not None:
            _, found = _groups(layout.settlement_ref, cells[self._settlement])
            settlement_ref = found or settlement_ref
        if utr_raw and _CARD.fullmatch(utr_raw.strip()) and has_card_number(utr_raw):
            utr_raw = None
        if settlement_ref and is_card_number(settlement_ref):
            settlement_ref = None
        try:
            utr = normalise_utr(utr_raw)
        except ReferenceDamagedError as error:
            raise FileRefusedError(str(error), line=line, column=layout.reference.column) from error
        narration = mask_text(cells[self._narration], (utr_raw, utr, settlement_ref))
        identity = self._one(cells, line) if self._identity else None
        return Movement(
            line, utr, utr_raw, settlement_ref, direction, amount, value_date, narration, identity
        )

    def _one(self, cells: Sequence[str], line: int) -> str:
        values = [cells[place] for place in self._identity]
        if not any(values):
            raise FileRefusedError(
                "empty, though it makes the line one", line=line, column=self._layout.identity[0]
            )
        # A digest: what is in it may be an account, and goes into a key that everybody reads.
        return hashlib.blake2b("\x1f".join(values).encode(), digest_size=DIGEST).hexdigest()

    def near(self, day: date, line: int, column: str) -> date:
        """The date, if it can be one of this business date's file."""
        if abs((day - self._business_date).days) > self._layout.value_date_within_days:
            raise FileRefusedError(
                f"{day} is not near the business date {self._business_date}; "
                "day and month may be swapped, or the file is another day's",
                line=line,
                column=column,
            )
        swapped = date(day.year, day.day, day.month) if day.day <= _MONTHS else day
        if swapped == self._business_date != day:
            raise FileRefusedError(
                f"{day} is the business date {swapped} with day and month swapped",
                line=line,
                column=column,
            )
        return day


def plain_amount(text: str, line: int, column: str) -> Decimal:
    """An unsigned amount with a point, as the standards write it."""
    if not re.fullmatch(r"\d+(\.\d*)?", text, re.ASCII):
        raise FileRefusedError(f"{text!r} is not an amount", line=line, column=column)
    try:
        return parse_amount(text.removesuffix("."))
    except MoneyError as error:
        raise FileRefusedError(str(error), line=line, column=column) from error


def same_currency(found: str, layout: Format, line: int, column: str) -> None:
    """Refuse money of another currency than the agreed one."""
    if found != layout.currency:
        raise FileRefusedError(f"{found} where {layout.currency} was agreed", line=line, column=column)


def balance_agrees(opening: Decimal, totals: Totals, closing: Decimal, line: int, column: str) -> None:
    """Opening balance and movements must make the closing balance."""
    if opening + totals.net != closing:
        raise FileRefusedError(
            f"the closing balance is said to be {closing}; opening {opening} and {totals.count} movements"
            f" ({totals.credit_total} in, {totals.debit_total} out) make {opening + totals.net}",
            line=line,
            column=column,
        )


def _groups(extract: Extract, text: str) -> tuple[str | None, str | None]:
    found = extract.regex.search(text)
    if found is None:
        return None, None
    groups = found.groupdict()
    return groups.get("utr") or None, groups.get("settlement_ref") or None
