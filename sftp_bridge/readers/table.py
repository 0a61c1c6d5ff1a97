"""A row's cells to a movement, with every column's place looked up once."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from settlement.errors import MoneyError
from settlement.money import parse_amount
from sftp_bridge.errors import FileRefusedError
from sftp_bridge.formats import SignColumn, SignedColumn
from sftp_bridge.movements import Claim
from sftp_bridge.readers.reader import Words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sftp_bridge.formats import HeaderTable, Table, Trailer
    from sftp_bridge.movements import Movement


class Cells:
    """The description, applied to rows of text."""

    def __init__(self, layout: Table, columns: Sequence[str], business_date: date) -> None:
        self._layout = layout
        self._places = {name: at for at, name in enumerate(columns)}
        self._words = Words(layout, columns, business_date)
        self._dates: dict[str, date] = {}

    def read(self, cells: Sequence[str], line: int) -> Movement | None:
        """The movement, or None for a row that the description skips."""
        if self._words.skips(cells):
            return None
        column = self._layout.value_date.column
        value_date = self.day(cells[self._places[column]], line, column)
        direction, amount = self._amount(cells, line)
        return self._words.movement(cells, line, direction, amount, value_date)

    def day(self, text: str, line: int, column: str) -> date:
        """A date in one of the declared forms, near the business date."""
        known = self._dates.get(text)
        if known is not None:
            return known
        for form in self._layout.value_date.formats:
            try:
                day = datetime.strptime(text, form).replace(tzinfo=UTC).date()
            except ValueError:
                continue
            self._dates[text] = self._words.near(day, line, column)
            return day
        raise FileRefusedError(
            f"{text!r} is no date of the form {' or '.join(self._layout.value_date.formats)}",
            line=line,
            column=column,
        )

    def _amount(self, cells: Sequence[str], line: int) -> tuple[str, Decimal]:
        how = self._layout.amount
        if isinstance(how, SignedColumn):
            return self._signed(how, cells[self._places[how.column]], line)
        if isinstance(how, SignColumn):
            sign = cells[self._places[how.sign_column]]
            if sign not in (how.credit, how.debit):
                raise FileRefusedError(
                    f"{sign!r} is neither {how.credit} nor {how.debit}", line=line, column=how.sign_column
                )
            amount = self._positive(cells[self._places[how.column]], line, how.column)
            return ("CR" if sign == how.credit else "DR"), _something(amount, line, how.column)
        credit = self._positive(cells[self._places[how.credit_column]] or "0", line, how.credit_column)
        debit = self._positive(cells[self._places[how.debit_column]] or "0", line, how.debit_column)
        if bool(credit) == bool(debit):
            raise FileRefusedError(
                f"exactly one of {how.credit_column} and {how.debit_column} must be filled",
                line=line,
                column=how.credit_column,
            )
        return ("CR", credit) if credit else ("DR", debit)

    def _signed(self, how: SignedColumn, text: str, line: int) -> tuple[str, Decimal]:
        sign = text[:1] if how.sign == "leading" else text[-1:]
        rest = text.removeprefix(sign) if how.sign == "leading" else text.removesuffix(sign)
        if sign not in ("+", "-"):
            sign, rest = "+", text
        amount = self._positive(rest.strip(), line, how.column)
        direction = how.positive if sign == "+" else {"CR": "DR", "DR": "CR"}[how.positive]
        return direction, _something(amount, line, how.column)

    def _positive(self, text: str, line: int, column: str) -> Decimal:
        try:
            amount = declared_amount(text, self._layout)
        except MoneyError as error:
            raise FileRefusedError(str(error), line=line, column=column) from error
        if amount < 0:
            raise FileRefusedError(
                f"{text!r} is negative where a column or a sign of its own gives the direction",
                line=line,
                column=column,
            )
        return amount


def declared_amount(text: str, layout: Table) -> Decimal:
    """An amount with the bank's own decimal and thousands signs, or none at all; strict about both."""
    if layout.implied_decimals is not None:
        if not re.fullmatch(r"\d{1,18}", text, re.ASCII):
            raise MoneyError(f"{text!r} is not an amount of digits alone")
        return parse_amount(Decimal(text).scaleb(-layout.implied_decimals))
    # A point or comma that was not declared becomes what no amount may hold: 1.234,56 and 1,234.56 never
    # pass for each other.
    signs: dict[str, str | int | None] = {",": "\0", ".": "\0"}
    if layout.thousands:
        signs[layout.thousands] = ","
    signs[layout.decimal] = "."
    try:
        return parse_amount(text.translate(str.maketrans(signs)))
    except MoneyError:
        raise MoneyError(f"{text!r} is not an amount") from None


def claimed_count(text: str, line: int) -> int:
    """A trailer's count."""
    if not re.fullmatch(r"\d{1,12}", text, re.ASCII):
        raise FileRefusedError(f"the trailer's count {text!r} is not a number", line=line)
    return int(text)


def claimed_total(text: str, layout: Table, line: int) -> Decimal:
    """A trailer's sum."""
    try:
        return declared_amount(text, layout)
    except MoneyError as error:
        raise FileRefusedError(f"the trailer's total is not an amount: {error}", line=line) from error


def claim_of(cells: Sequence[str], trailer: Trailer, layout: HeaderTable, line: int) -> Claim:
    """What a trailer row says."""

    def cell(at: int, what: str) -> str:
        if at >= len(cells):
            raise FileRefusedError(f"the trailer has no {what}", line=line)
        return cells[at]

    return Claim(
        claimed_count(cell(trailer.count, "count"), line),
        claimed_total(cell(trailer.credit_total, "credit total"), layout, line),
        claimed_total(cell(trailer.debit_total, "debit total"), layout, line),
    )


def _something(amount: Decimal, line: int, column: str) -> Decimal:
    if not amount:
        raise FileRefusedError("a movement of nothing", line=line, column=column)
    return amount
