"""A statement file's lines to movements, by the bank's declared layout, as a stream.

Memory does not grow with the file: one line is held at a time, and no line may be longer than
LINE_LIMIT. Whatever does not fit the declaration refuses the whole file, with line and column.
"""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, BinaryIO, cast

from settlement.errors import MoneyError, ReferenceDamagedError
from settlement.masking import has_card_number, mask_text
from settlement.money import ZERO, parse_amount
from settlement.references import normalise_utr
from sftp_bridge.banks import SignColumn
from sftp_bridge.errors import FileRefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence
    from decimal import Decimal

    from sftp_bridge.banks import Delimited, Trailer

# Characters of one line. Statement lines have a few hundred; without a limit one line of 100 MB, or one
# quotation mark that never closes, would be read into memory whole.
LINE_LIMIT = 64 * 1024
# Where a reference should stand some banks write the card of a purchase: digits alone, as many as cards have,
# beginning as cards do. References of that form are not known; it goes no further than the raw archive.
_CARD = re.compile(r"[2-6]\d{12,18}", re.ASCII)
# Characters of a refused line that go on to the dead letter.
_EXCERPT = 500


@dataclass(frozen=True, slots=True)
class Movement:
    """One line that moves money."""

    line_no: int
    utr: str | None
    utr_raw: str | None
    settlement_ref: str | None
    direction: str
    amount: Decimal
    value_date: date
    narration: str


@dataclass(slots=True)
class Totals:
    """Counts and sums of some movements."""

    count: int = 0
    credit_count: int = 0
    credit_total: Decimal = ZERO
    debit_count: int = 0
    debit_total: Decimal = ZERO

    def add(self, movement: Movement) -> None:
        """Count one more."""
        self.count += 1
        if movement.direction == "CR":
            self.credit_count += 1
            self.credit_total += movement.amount
        else:
            self.debit_count += 1
            self.debit_total += movement.amount


@dataclass(frozen=True, slots=True)
class Claim:
    """What the file itself says it holds."""

    count: int
    credit_total: Decimal
    debit_total: Decimal


@dataclass(slots=True)
class Statement:
    """One pass over a file; iterate it once, then read `totals` and `claim`."""

    raw: BinaryIO
    layout: Delimited
    business_date: date
    totals: Totals = field(default_factory=Totals)
    claim: Claim | None = None
    # Columns that the description does not know; accepted, and worth telling somebody.
    new_columns: tuple[str, ...] = ()
    _dates: dict[str, date] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Movement]:
        rows = _Rows(self.raw, self.layout)
        try:
            yield from self._movements(rows)
        finally:
            rows.close()

    def _movements(self, rows: _Rows) -> Iterator[Movement]:
        columns = self._header(rows)
        width = len(columns)
        row_of = _RowReader(self.layout, {name: at for at, name in enumerate(columns)}, self._date)
        trailer = self.layout.trailer
        for cells in rows:
            line = rows.line
            if not any(cells):
                continue
            if self.claim is not None:
                raise FileRefusedError("something follows the trailer", line=line, excerpt=rows.excerpt)
            if trailer is not None and cells[0] == trailer.first:
                self.claim = _claim(cells, trailer, self.layout, line)
                continue
            if len(cells) != width:
                raise FileRefusedError(
                    f"{len(cells)} cells where the header has {width}", line=line, excerpt=rows.excerpt
                )
            try:
                movement = row_of.read(cells, line)
            except FileRefusedError as error:
                error.excerpt = error.excerpt or rows.excerpt
                raise
            if movement is not None:
                self.totals.add(movement)
                yield movement
        self._check(rows.line)

    def _header(self, rows: _Rows) -> list[str]:
        expected = list(self.layout.header)
        found: list[str] = []
        for cells in rows:
            names = [" ".join(cell.split()) for cell in cells]
            if set(expected) <= set(names):
                self.new_columns = tuple(name for name in names if name and name not in expected)
                if len(names) - len(self.new_columns) - names.count("") != len(expected):
                    raise FileRefusedError("a column stands in the header twice", line=rows.line)
                return names
            # Of what stands where the header should, the row most like it explains best what is wrong.
            if any(names) and (
                not found or len(set(names) & set(expected)) > len(set(found) & set(expected))
            ):
                found = names
            if rows.line >= self.layout.header_within_lines:
                break
        if not found:
            raise FileRefusedError("the file is empty", line=rows.line)
        missing = [name for name in expected if name not in found]
        raise FileRefusedError(
            f"the header is not the declared one; expected {expected}, found {found}",
            line=rows.line,
            column=missing[0] if missing else None,
        )

    def _date(self, text: str, line: int, column: str) -> date:
        known = self._dates.get(text)
        if known is not None:
            return known
        for form in self.layout.value_date.formats:
            try:
                day = datetime.strptime(text, form).replace(tzinfo=UTC).date()
            except ValueError:
                continue
            if abs((day - self.business_date).days) > self.layout.value_date_within_days:
                raise FileRefusedError(
                    f"{day} is not near the business date {self.business_date}; "
                    "day and month may be swapped, or the file is another day's",
                    line=line,
                    column=column,
                )
            self._dates[text] = day
            return day
        raise FileRefusedError(
            f"{text!r} is no date of the form {' or '.join(self.layout.value_date.formats)}",
            line=line,
            column=column,
        )

    def _check(self, line: int) -> None:
        if self.layout.trailer is None:
            return
        if self.claim is None:
            raise FileRefusedError("the trailer is missing; the file was cut short", line=line)
        for what, claimed, parsed in (
            ("movements", self.claim.count, self.totals.count),
            ("credits", self.claim.credit_total, self.totals.credit_total),
            ("debits", self.claim.debit_total, self.totals.debit_total),
        ):
            if claimed != parsed:
                raise FileRefusedError(
                    f"the trailer says {claimed} in {what}, the lines say {parsed}", line=line
                )


class _RowReader:
    """Cells to a movement, with every column's place looked up once."""

    def __init__(
        self, layout: Delimited, places: dict[str, int], read_date: Callable[[str, int, str], date]
    ) -> None:
        self._layout = layout
        self._places = places
        self._read_date = read_date
        self._skips = [(places[skip.column], skip.regex) for skip in layout.skip]

    def read(self, cells: Sequence[str], line: int) -> Movement | None:
        """The movement, or None for a row that the description skips."""
        layout, places = self._layout, self._places
        for place, regex in self._skips:
            if regex.search(cells[place]):
                return None
        column = layout.value_date.column
        value_date = self._read_date(cells[places[column]], line, column)
        direction, amount = self._amount(cells, line)
        utr_raw, settlement_ref = self._references(cells)
        try:
            utr = normalise_utr(utr_raw)
        except ReferenceDamagedError as error:
            raise FileRefusedError(str(error), line=line, column=layout.reference.column) from error
        narration = mask_text(cells[places[layout.narration]], (utr_raw, utr, settlement_ref))
        return Movement(line, utr, utr_raw, settlement_ref, direction, amount, value_date, narration)

    def _amount(self, cells: Sequence[str], line: int) -> tuple[str, Decimal]:
        how = self._layout.amount
        if isinstance(how, SignColumn):
            sign = cells[self._places[how.sign_column]]
            if sign not in (how.credit, how.debit):
                raise FileRefusedError(
                    f"{sign!r} is neither {how.credit} nor {how.debit}", line=line, column=how.sign_column
                )
            amount = self._positive(cells[self._places[how.column]], line, how.column)
            if not amount:
                raise FileRefusedError("a movement of nothing", line=line, column=how.column)
            return ("CR" if sign == how.credit else "DR"), amount
        credit = self._positive(cells[self._places[how.credit_column]] or "0", line, how.credit_column)
        debit = self._positive(cells[self._places[how.debit_column]] or "0", line, how.debit_column)
        if bool(credit) == bool(debit):
            raise FileRefusedError(
                f"exactly one of {how.credit_column} and {how.debit_column} must be filled",
                line=line,
                column=how.credit_column,
            )
        return ("CR", credit) if credit else ("DR", debit)

    def _positive(self, text: str, line: int, column: str) -> Decimal:
        try:
            amount = _declared_amount(text, self._layout)
        except MoneyError as error:
            raise FileRefusedError(str(error), line=line, column=column) from error
        if amount < 0:
            raise FileRefusedError(
                f"{text!r} is negative; the direction has a column of its own", line=line, column=column
            )
        return amount

    def _references(self, cells: Sequence[str]) -> tuple[str | None, str | None]:
        layout = self._layout
        utr: str | None = None
        settlement: str | None = None
        if found := layout.reference.regex.search(cells[self._places[layout.reference.column]]):
            groups = found.groupdict()
            utr, settlement = groups.get("utr"), groups.get("settlement_ref")
            if utr and _CARD.fullmatch(utr.strip()) and has_card_number(utr):
                utr = None
        if layout.settlement_ref is not None and (
            found := layout.settlement_ref.regex.search(cells[self._places[layout.settlement_ref.column]])
        ):
            settlement = found["settlement_ref"]
        return utr, settlement


class _Rows:
    """Rows of stripped cells; knows the line each row began on."""

    def __init__(self, raw: BinaryIO, layout: Delimited) -> None:
        self.line = 0
        self.excerpt = ""
        self._read_lines = 0
        self._raw = raw
        self._layout = layout
        self._text = self._lines()
        self._reader = csv.reader(self._text, delimiter=layout.delimiter, strict=True)

    def __iter__(self) -> Iterator[list[str]]:
        while True:
            begins = self._read_lines + 1
            try:
                cells = next(self._reader)
            except StopIteration:
                self.line = max(self.line, self._read_lines)
                return
            except csv.Error as error:
                raise FileRefusedError(
                    f"not well-formed: {error}", line=begins, excerpt=self.excerpt
                ) from error
            self.line = begins
            yield [cell.strip() for cell in cells]

    def close(self) -> None:
        """Give the raw file back, open."""
        self._text.close()

    def _lines(self) -> Generator[str, None, None]:
        encoding = self._layout.encoding
        given = self._raw
        own = not isinstance(given, io.BufferedReader)
        buffered = (
            given if isinstance(given, io.BufferedReader) else io.BufferedReader(cast("io.RawIOBase", given))
        )
        start = buffered.peek(4)[:4]
        if start[:2] in (b"\xff\xfe", b"\xfe\xff") and not encoding.lower().startswith("utf-16"):
            raise FileRefusedError(f"the file is UTF-16 where {encoding} was agreed", line=1)
        if start[:3] == b"\xef\xbb\xbf":
            buffered.read(3)
        text = io.TextIOWrapper(buffered, encoding=encoding, errors="strict", newline="")
        try:
            while True:
                try:
                    line = text.readline(LINE_LIMIT)
                except UnicodeDecodeError as error:
                    raise FileRefusedError(
                        f"not {encoding}: {error.reason}", line=self._read_lines + 1
                    ) from error
                if not line:
                    return
                self._read_lines += 1
                self.excerpt = line[:_EXCERPT]
                if len(line) >= LINE_LIMIT and not line.endswith(("\n", "\r")):
                    raise FileRefusedError(
                        f"the line is longer than {LINE_LIMIT} characters", line=self._read_lines
                    )
                if "\0" in line:
                    raise FileRefusedError("the line holds NUL bytes", line=self._read_lines)
                yield line
        finally:
            text.detach()
            if own:
                buffered.detach()


def _declared_amount(text: str, layout: Delimited) -> Decimal:
    """An amount with the bank's own decimal and thousands signs; strict about both."""
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


def _claim(cells: Sequence[str], trailer: Trailer, layout: Delimited, line: int) -> Claim:
    def cell(at: int, what: str) -> str:
        if at >= len(cells):
            raise FileRefusedError(f"the trailer has no {what}", line=line)
        return cells[at]

    count = cell(trailer.count, "count")
    if not re.fullmatch(r"\d{1,12}", count, re.ASCII):
        raise FileRefusedError(f"the trailer's count {count!r} is not a number", line=line)
    try:
        return Claim(
            int(count),
            _declared_amount(cell(trailer.credit_total, "credit total"), layout),
            _declared_amount(cell(trailer.debit_total, "debit total"), layout),
        )
    except MoneyError as error:
        raise FileRefusedError(f"the trailer's total is not an amount: {error}", line=line) from error
