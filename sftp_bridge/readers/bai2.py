"""BAI2: records 01 to 99 nested in each other, every level with its control total.

A level's control total is the sum of all amounts in it, balances too, and its record count includes itself.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from sftp_bridge.errors import FileRefusedError
from sftp_bridge.movements import Movement, Totals
from sftp_bridge.readers.reader import Reader, Words, balance_agrees
from sftp_bridge.readers.text import LINE_LIMIT, Lines

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sftp_bridge.formats import Bai2

_RECORD = re.compile(r"(01|02|03|16|49|88|98|99),(.*)", re.ASCII | re.DOTALL)
_AMOUNT = re.compile(r"[+-]?\d{1,17}", re.ASCII)
# The only group that may be read as it stands: 2 deletes, 3 corrects, 4 is a test.
_UPDATE = "1"
_OPENING, _CLOSING, _CREDITS, _DEBITS, _NO_MONEY = "010", "015", "100", "400", 890
# What each record may stand in: the last level that is open.
_INSIDE = {"01": "", "02": "01", "03": "02", "16": "03", "49": "03", "98": "02", "99": "01"}


class _Record(NamedTuple):
    code: str
    text: str
    line: int
    # Lines that it takes, itself and its continuations: what the counts count.
    lines: int


@dataclass(slots=True)
class _Level:
    code: str
    amounts: int = 0
    # What is directly in it: accounts of a group, groups of a file.
    parts: int = 0
    records: int = 0
    totals: Totals = field(default_factory=Totals)
    stated: dict[str, int] = field(default_factory=dict)


class Bai2Reader(Reader):
    """One record at a time, with its continuations; a movement is its 16."""

    def __init__(self, raw: BinaryIO, layout: Bai2, business_date: date) -> None:
        super().__init__()
        self._layout = layout
        self._lines = Lines(raw, layout.encoding)
        self._words = Words(layout, layout.columns, business_date)
        self._open: list[_Level] = []
        self._as_of: date = business_date
        self._files = 0

    def close(self) -> None:
        self._lines.close()

    def _movements(self) -> Iterator[Movement]:
        for record in self._records():
            above = self._open[-1].code if self._open else ""
            if above != _INSIDE[record.code]:
                raise FileRefusedError(
                    f"record {record.code} stands in {above or 'nothing'}",
                    line=record.line,
                    column=record.code,
                )
            for level in self._open:
                level.records += record.lines
            if record.code == "16":
                yield from self._detail(record)
            elif record.code in ("01", "02", "03"):
                self._begin(record)
            else:
                self._end(record)
        if self._open or not self._files:
            raise FileRefusedError("the file trailer 99 is missing; the file was cut short", line=self.line)

    def _records(self) -> Iterator[_Record]:
        current: _Record | None = None
        for raw in self._lines:
            self.line, self.excerpt = self._lines.number, self._lines.excerpt
            text = raw.strip()
            if not text:
                continue
            found = _RECORD.fullmatch(text)
            if found is None:
                raise FileRefusedError(f"{text[:20]!r} is no BAI2 record", line=self.line)
            if found[1] != "88":
                if current is not None:
                    yield current
                current = _Record(found[1], found[2], self.line, 1)
                continue
            if current is None:
                raise FileRefusedError("88 continues nothing", line=self.line, column="88")
            # A slash ends a field at the end of a line; without one it is text that goes on.
            is_field = current.text.endswith("/")
            joined = current.text.removesuffix("/") + "," if is_field else f"{current.text} "
            current = _Record(current.code, joined + found[2], current.line, current.lines + 1)
            if len(current.text) > LINE_LIMIT:
                raise FileRefusedError(f"a record longer than {LINE_LIMIT} characters", line=current.line)
        if current is not None:
            yield current

    def _begin(self, record: _Record) -> None:
        level = _Level(record.code, records=record.lines)
        parts = record.text.removesuffix("/").split(",")
        if record.code == "02":
            self._group(parts, record)
        elif record.code == "03":
            self._account(level, parts, record)
        if self._open:
            self._open[-1].parts += 1
        self._open.append(level)

    def _group(self, parts: list[str], record: _Record) -> None:
        status, day, currency = _at(parts, 2), _at(parts, 3), _at(parts, 5)
        if status != _UPDATE:
            raise FileRefusedError(
                f"group status {status!r}: only updates ({_UPDATE}) can be read",
                line=record.line,
                column="02",
            )
        self._currency(currency or self._layout.currency, record)
        self._as_of = _day(day, record)

    def _account(self, level: _Level, parts: list[str], record: _Record) -> None:
        self._currency(_at(parts, 1) or self._layout.currency, record)
        rest = parts[2:]
        while any(rest):
            kind, amount = _at(rest, 0), _at(rest, 1)
            if amount:
                level.stated[kind] = _whole(amount, record)
                level.amounts += level.stated[kind]
            _, rest = _funds(rest[3:], record)

    def _detail(self, record: _Record) -> Iterator[Movement]:
        parts = record.text.removesuffix("/").split(",")
        kind, amount = _at(parts, 0), _at(parts, 1)
        if not re.fullmatch(r"\d{3}", kind, re.ASCII):
            raise FileRefusedError(f"{kind!r} is no type code", line=record.line, column="16")
        if int(kind) == _NO_MONEY:
            return
        direction = _direction(int(kind), record)
        units = _whole(amount, record)
        if units < 0:
            raise FileRefusedError(f"{amount} is negative; its type gives the direction", line=record.line)
        day, rest = _funds(parts[2:], record)
        cells = [kind, _at(rest, 0), _at(rest, 1), ",".join(rest[2:]).strip()]
        value_date = self._words.near(day or self._as_of, record.line, "16")
        value = Decimal(units).scaleb(-self._layout.implied_decimals)
        movement = self._words.movement(cells, record.line, direction, value, value_date)
        self._open[-1].amounts += units
        self._open[-1].totals.add(movement)
        if not self._words.skips(cells):
            yield movement

    def _end(self, record: _Record) -> None:
        level = self._open.pop()
        said = record.text.removesuffix("/").split(",")
        parts = {"98": {"accounts": level.parts}, "99": {"groups": level.parts}}.get(record.code, {})
        parsed = {"control total": level.amounts} | parts | {"records": level.records}
        for at, (what, found) in enumerate(parsed.items()):
            claimed = _whole(_at(said, at), record)
            if claimed != found:
                raise FileRefusedError(
                    f"the {what} is said to be {claimed}, the lines say {found}",
                    line=record.line,
                    column=record.code,
                )
        if record.code == "49":
            self._balances(level, record)
        if self._open:
            self._open[-1].amounts += level.amounts
        else:
            self._files += 1

    def _balances(self, level: _Level, record: _Record) -> None:
        def stated(kind: str) -> Decimal | None:
            units = level.stated.get(kind)
            return None if units is None else Decimal(units).scaleb(-self._layout.implied_decimals)

        opening, closing = stated(_OPENING), stated(_CLOSING)
        if opening is not None and closing is not None:
            balance_agrees(opening, level.totals, closing, record.line, _CLOSING)
        for kind, parsed in ((_CREDITS, level.totals.credit_total), (_DEBITS, level.totals.debit_total)):
            claimed = stated(kind)
            if claimed is not None and claimed != parsed:
                raise FileRefusedError(
                    f"the account says {claimed}, the lines say {parsed}", line=record.line, column=kind
                )

    def _currency(self, found: str, record: _Record) -> None:
        if found != self._layout.currency:
            raise FileRefusedError(
                f"{found} where {self._layout.currency} was agreed", line=record.line, column=record.code
            )


def _funds(parts: list[str], record: _Record) -> tuple[date | None, list[str]]:
    """Behind an amount: when it can be used, in as many fields as its type has, and what follows."""
    kind = _at(parts, 0)
    if kind in ("", "0", "1", "2", "Z"):
        return None, parts[1:]
    if kind == "S":
        return None, parts[4:]
    if kind == "V":
        return _day(_at(parts, 1), record), parts[3:]
    if kind == "D" and _at(parts, 1).isdecimal():
        return None, parts[2 + 2 * int(parts[1]) :]
    raise FileRefusedError(f"{kind!r} is no funds type", line=record.line, column=record.code)


def _direction(kind: int, record: _Record) -> str:
    if 100 <= kind <= 399 or 920 <= kind <= 959:
        return "CR"
    if 400 <= kind <= 699 or 960 <= kind <= 999:
        return "DR"
    raise FileRefusedError(
        f"type code {kind:03d} says neither credit nor debit", line=record.line, column="16"
    )


def _whole(text: str, record: _Record) -> int:
    if not _AMOUNT.fullmatch(text.strip()):
        raise FileRefusedError(f"{text!r} is no whole number", line=record.line, column=record.code)
    return int(text)


def _day(text: str, record: _Record) -> date:
    try:
        return datetime.strptime(text, "%y%m%d").replace(tzinfo=UTC).date()
    except ValueError as error:
        raise FileRefusedError(f"{text!r} is no date", line=record.line, column=record.code) from error


def _at(parts: list[str], at: int) -> str:
    return parts[at].strip() if at < len(parts) else ""
