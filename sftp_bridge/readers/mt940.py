"""SWIFT MT940: tags 20, 25, 28C, 60, 61, 86, 62; balances are checked statement by statement."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from settlement.money import ZERO
from sftp_bridge.errors import FileRefusedError
from sftp_bridge.movements import Movement, Totals
from sftp_bridge.readers.reader import Reader, Words, balance_agrees, plain_amount, same_currency
from sftp_bridge.readers.text import Lines

if TYPE_CHECKING:
    from collections.abc import Iterator
    from decimal import Decimal

    from sftp_bridge.formats import Mt940

_TAG = re.compile(r":(\d{2}[A-Z]?):(.*)", re.ASCII | re.DOTALL)
_BALANCE = re.compile(r"([CD])(\d{6})([A-Z]{3})(\d{1,14},\d{0,14})", re.ASCII)
# Date, entry date, direction, funds letter, amount, type, then both references.
_ENTRY = re.compile(
    r"(?P<day>\d{6})(?:\d{4})?(?P<direction>RC|RD|C|D)(?:[A-Z])?(?P<amount>\d{1,14},\d{0,14})"
    r"(?P<type>[NFS][A-Z0-9]{3})(?P<customer_ref>.*?)(?://(?P<bank_ref>.*))?",
    re.ASCII,
)
# A reversed credit takes money, a reversed debit gives it back.
_DIRECTIONS = {"C": "CR", "D": "DR", "RC": "DR", "RD": "CR"}
# Characters of a full line of :86:; a word goes on behind it without a space.
_FULL = 65
# Lines of one field. The longest, :86:, has six; some banks write more.
_FIELD_LINES = 64


class _Field(NamedTuple):
    tag: str
    lines: list[str]
    line: int


@dataclass(slots=True)
class _Statement:
    """From one opening balance to its closing one."""

    opening: Decimal = ZERO
    is_open: bool = False
    totals: Totals = field(default_factory=Totals)
    # The balance that the next part of this statement must open with.
    carried: Decimal | None = None


class Mt940Reader(Reader):
    """One field at a time; a movement is its :61: with the :86: behind it."""

    def __init__(self, raw: BinaryIO, layout: Mt940, business_date: date) -> None:
        super().__init__()
        self._layout = layout
        self._lines = Lines(raw, layout.encoding)
        self._words = Words(layout, layout.columns, business_date)
        self._state = _Statement()
        self._statements = 0
        # Between the beginning of a SWIFT text block and its end.
        self._in_block = False

    def close(self) -> None:
        self._lines.close()

    def _movements(self) -> Iterator[Movement]:
        entry: _Field | None = None
        for one in self._fields():
            if entry is not None:
                details = one.lines if one.tag == "86" else []
                yield from self._entry(entry, details)
                entry = None
            if one.tag == "61":
                if not self._state.is_open:
                    raise FileRefusedError(
                        ":61: stands before an opening balance", line=one.line, column="61"
                    )
                entry = one
            elif one.tag in ("60F", "60M"):
                self._open(one)
            elif one.tag in ("62F", "62M"):
                self._close(one)
        if entry is not None or self._state.is_open:
            raise FileRefusedError(
                "the closing balance :62F: is missing; the file was cut short", line=self.line
            )
        if not self._statements:
            raise FileRefusedError("no statement in it", line=self.line)
        if self._state.carried is not None or self._in_block:
            raise FileRefusedError("the last part of a statement is missing; cut short", line=self.line)

    def _fields(self) -> Iterator[_Field]:
        current: _Field | None = None
        for raw in self._lines:
            text = raw.rstrip("\r\n")
            self.line, self.excerpt = self._lines.number, self._lines.excerpt
            if text.startswith(("{", "-}")):
                self._in_block = text.rstrip().endswith("{4:")
                continue
            if text.strip() in ("", "-"):
                continue
            found = _TAG.fullmatch(text)
            if found is None and current is None:
                raise FileRefusedError(f"{text[:20]!r} is no tag of an MT940", line=self.line)
            if found is not None:
                if current is not None:
                    yield current
                current = _Field(found[1], [found[2]], self.line)
            elif current is not None:
                current.lines.append(text)
                if len(current.lines) > _FIELD_LINES:
                    raise FileRefusedError(f"a field of more than {_FIELD_LINES} lines", line=self.line)
        if current is not None:
            yield current

    def _open(self, one: _Field) -> None:
        state = self._state
        if state.is_open:
            raise FileRefusedError(
                "a statement opens before the last one closed", line=one.line, column=one.tag
            )
        opening = self._balance(one)
        if one.tag == "60M" and state.carried is not None and opening != state.carried:
            raise FileRefusedError(
                f"opens with {opening} where the part before closed with {state.carried}",
                line=one.line,
                column=one.tag,
            )
        self._state = _Statement(opening, is_open=True)
        self._statements += 1

    def _close(self, one: _Field) -> None:
        state = self._state
        if not state.is_open:
            raise FileRefusedError("a closing balance without an opening one", line=one.line, column=one.tag)
        closing = self._balance(one)
        balance_agrees(state.opening, state.totals, closing, one.line, one.tag)
        self._state = _Statement(carried=closing if one.tag == "62M" else None)

    def _balance(self, one: _Field) -> Decimal:
        found = _BALANCE.fullmatch(one.lines[0].strip())
        if found is None:
            raise FileRefusedError(f"{one.lines[0]!r} is no balance", line=one.line, column=one.tag)
        sign, day, currency, amount = found.groups()
        _day(day, one.line, one.tag)
        same_currency(currency, self._layout, one.line, one.tag)
        balance = plain_amount(amount.replace(",", "."), one.line, one.tag)
        return balance if sign == "C" else -balance

    def _entry(self, one: _Field, details: list[str]) -> Iterator[Movement]:
        found = _ENTRY.fullmatch(one.lines[0].rstrip())
        if found is None:
            raise FileRefusedError(f"{one.lines[0]!r} is no statement line", line=one.line, column="61")
        cells = [
            found["customer_ref"].strip(),
            (found["bank_ref"] or "").strip(),
            found["type"],
            " ".join(text.strip() for text in one.lines[1:]),
            _joined(details),
        ]
        amount = plain_amount(found["amount"].replace(",", "."), one.line, "61")
        day = self._words.near(_day(found["day"], one.line, "61"), one.line, "61")
        movement = self._words.movement(cells, one.line, _DIRECTIONS[found["direction"]], amount, day)
        self._state.totals.add(movement)
        if not self._words.skips(cells):
            yield movement


def _joined(lines: list[str]) -> str:
    text = ""
    for line in lines:
        text += line if len(line) >= _FULL else f"{line.rstrip()} "
    return text.strip()


def _day(text: str, line: int, tag: str) -> date:
    try:
        return datetime.strptime(text, "%y%m%d").replace(tzinfo=UTC).date()
    except ValueError as error:
        raise FileRefusedError(f"{text!r} is no date", line=line, column=tag) from error
