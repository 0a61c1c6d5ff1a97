"""Blocks of plain delimited lines, read column by column: the same movements, fifty times faster.

Plain is what could not be read in two ways: ASCII, a row a line, every cell in a form that is known at
sight. Whatever else a block holds, be it refused in the end or only unusual, the block is not read here at
all: row by row there is one place that knows what is right, and says which line is not.
"""

from __future__ import annotations

import re
from functools import partial
from typing import IO, TYPE_CHECKING, Any, Final, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from settlement.masking import mask_text
from sftp_bridge.errors import FileRefusedError
from sftp_bridge.formats import SignColumn, SignedColumn
from sftp_bridge.movement_columns import AMOUNT, MovementColumns, rupees
from sftp_bridge.readers.text import LINE_LIMIT

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sftp_bridge.formats import Delimited, Extract
    from sftp_bridge.readers.table import Cells

_QUOTE, _NEWLINE = ord('"'), ord("\n")
# References that are spelt as they are matched by, and are neither a card nor a number that lost its digits.
_REFERENCE: Final = r"^(?:[A-Z][A-Z0-9]{7,34}|[0-9]{12})$"
_NO_REFERENCE: Final = "0" * 12
# Digits in which a card, even beside letters, or an account may hide; settlement.masking looks closer.
_LONG_NUMBER: Final = (
    r"(?:^|[^A-Za-z0-9_])[0-9](?:[ -]?[0-9]){8,18}(?:[^A-Za-z0-9_]|$)|[0-9](?:[ -]?[0-9]){14}"
)
# A settlement reference that may be the card of a purchase.
_LIKE_A_CARD: Final = r"^\s*[0-9](?:[ -]?[0-9]){12}"
# What RE2 reads otherwise than Python does; most of what it does not know it refuses by itself.
_OTHER_IN_RE2: Final = re.compile(r"\{,|\[\[|\[:|\(\?(?!:|P<)")


class NotPlainError(Exception):
    """The block has to be read row by row."""


class PlainLines:
    """One file's description and header, applied to blocks of its lines."""

    def __init__(self, layout: Delimited, columns: Sequence[str], cells: Cells) -> None:
        """Raises NotPlainError where files of this description are never read so."""
        self._layout = layout
        self._cells = cells
        self._names = [str(place) for place in range(len(columns))]
        self._places = {name: str(place) for place, name in enumerate(columns)}
        wanted = {self._places[name] for name in layout.named} | {"0"}
        self._convert = csv.ConvertOptions(
            column_types=dict.fromkeys(self._names, pa.string()),
            include_columns=sorted(wanted, key=int),
            strings_can_be_null=False,
            check_utf8=False,
        )
        self._parse = csv.ParseOptions(delimiter=layout.delimiter, ignore_empty_lines=False)
        patterns = [
            layout.reference,
            *([layout.settlement_ref] if layout.settlement_ref else []),
            *layout.skip,
        ]
        if layout.identity or not layout.delimiter.isascii() or not all(map(_same_in_re2, patterns)):
            raise NotPlainError
        self._amount = _amount_form(layout)

    def read(self, block: bytes, first_line: int) -> tuple[MovementColumns, int] | None:
        """The movements and how many lines they stand on; None where the block is not plain."""
        try:
            return self._read(block, first_line)
        except (NotPlainError, FileRefusedError, pa.ArrowInvalid):
            return None

    def _read(self, block: bytes, first_line: int) -> tuple[MovementColumns, int]:
        text = np.frombuffer(block, np.uint8)
        ends = np.flatnonzero(text == _NEWLINE)
        _check_lines(block, text, ends)
        _check_quotes(text, ends, ord(self._layout.delimiter))
        table = csv.read_csv(
            cast("IO[bytes]", pa.BufferReader(block)),
            csv.ReadOptions(use_threads=False, block_size=len(block) + 1, column_names=self._names),
            self._parse,
            self._convert,
        )
        rows = len(ends)
        if table.num_rows != rows:
            raise NotPlainError
        numbers = pa.array(np.arange(first_line, first_line + rows, dtype=np.int32))
        table = table.append_column("line", numbers)
        trailer = self._layout.trailer
        if trailer is not None:
            _all(pc.invert(_is(_stripped(table["0"]), trailer.first)))
        for skip in self._layout.skip:
            found = pc.match_substring_regex(_stripped(table[self._places[skip.column]]), skip.pattern)
            if pc.any(found).as_py():
                table = table.filter(pc.invert(found))
        if not table.num_rows:
            raise NotPlainError
        return self._movements(table.combine_chunks()), rows

    def _movements(self, table: Any) -> MovementColumns:
        layout = self._layout
        days = self._column(table, layout.value_date.column).dictionary_encode()
        known = [self._cells.day(text, 0, layout.value_date.column) for text in days.dictionary.to_pylist()]
        direction, amount = self._money(partial(self._column, table))
        utr, settlement_ref = _found(layout.reference, self._column(table, layout.reference.column))
        if layout.settlement_ref is not None:
            other = _found(layout.settlement_ref, self._column(table, layout.settlement_ref.column))[1]
            settlement_ref = pc.coalesce(other, settlement_ref)
        _all(pc.match_substring_regex(utr.drop_null(), _REFERENCE))
        _all(pc.invert(_is(utr, _NO_REFERENCE)))
        _all(pc.invert(pc.match_substring_regex(settlement_ref, _LIKE_A_CARD)))
        return MovementColumns(
            line_no=table["line"].chunk(0),
            utr=utr,
            settlement_ref=settlement_ref,
            direction=direction,
            amount=amount,
            value_date=pa.array(known, pa.date32()).take(days.indices),
            narration=_masked(self._column(table, layout.narration), utr, settlement_ref),
        )

    def _column(self, table: Any, name: str) -> Any:
        return _stripped(table[self._places[name]].chunk(0))

    def _money(self, column: Any) -> tuple[Any, Any]:
        how = self._layout.amount
        if isinstance(how, SignColumn):
            sign = column(how.sign_column)
            credit = _is(sign, how.credit)
            _all(pc.or_(credit, _is(sign, how.debit)))
            amount = self._amounts(column(how.column))
        elif isinstance(how, SignedColumn):
            text = column(how.column)
            ends = pc.starts_with if how.sign == "leading" else pc.ends_with
            sign = r"^[+-]\s*" if how.sign == "leading" else r"\s*[+-]$"
            is_minus = ends(text, "-")
            credit = pc.invert(is_minus) if how.positive == "CR" else is_minus
            amount = self._amounts(pc.replace_substring_regex(text, sign, ""))
        else:
            credits_, debits = (
                self._amounts(pc.if_else(_is(text, ""), "0", text))
                for text in (column(how.credit_column), column(how.debit_column))
            )
            credit = pc.not_equal(credits_, _NOTHING)
            _all(pc.xor(credit, pc.not_equal(debits, _NOTHING)))
            amount = pc.if_else(credit, credits_, debits)
        _all(pc.greater(amount, _NOTHING))
        return pc.if_else(credit, "CR", "DR"), amount

    def _amounts(self, text: Any) -> Any:
        _all(pc.match_substring_regex(text, self._amount))
        layout = self._layout
        if layout.implied_decimals is not None:
            point = 10 ** (2 - layout.implied_decimals)
            return rupees(pc.cast(text, pa.int64()).to_numpy() * point)
        if layout.thousands:
            text = pc.replace_substring(text, layout.thousands, "")
        if layout.decimal != ".":
            text = pc.replace_substring(text, layout.decimal, ".")
        return pc.cast(text, AMOUNT)


_NOTHING = pa.scalar(0, AMOUNT)


def _all(conditions: Any) -> None:
    """Every one of them, or the block is not plain."""
    if not pc.all(conditions, min_count=0).as_py():
        raise NotPlainError


def _is(column: Any, text: str) -> Any:
    return pc.equal(column, pa.scalar(text))


def _stripped(text: Any) -> Any:
    return pc.ascii_trim_whitespace(text)


def _check_lines(block: bytes, text: Any, ends: Any) -> None:
    """No line is empty, too long or split otherwise than by LF or CRLF; no control characters but tabs."""
    returns = block.count(b"\r\n") if b"\r" in block else 0
    if (
        not block.isascii()
        or not block.endswith(b"\n")
        or block.count(b"\r") != returns
        or np.count_nonzero(text < ord(" ")) != len(ends) + returns + block.count(b"\t")
    ):
        raise NotPlainError
    lengths = np.diff(ends, prepend=-1)
    if lengths.max() >= LINE_LIMIT or lengths.min() <= (2 if returns else 1):
        raise NotPlainError


def _check_quotes(text: Any, ends: Any, delimiter: int) -> None:
    """Every quote begins or ends a whole cell within its line; none is doubled or stands alone."""
    quotes = np.flatnonzero(text == _QUOTE)
    if not len(quotes):
        return
    if len(quotes) % 2:
        raise NotPlainError
    opens, closes = quotes[::2], quotes[1::2]
    before = np.where(opens > 0, text[opens - 1], _NEWLINE)
    after = text[closes + 1]  # a block ends with the end of a line
    if not (
        np.isin(before, (delimiter, _NEWLINE)).all()
        and np.isin(after, (delimiter, _NEWLINE, ord("\r"))).all()
        and (np.searchsorted(ends, opens) == np.searchsorted(ends, closes)).all()
    ):
        raise NotPlainError


def _same_in_re2(extract: Extract) -> bool:
    """Does the pattern say the same to RE2 as to Python, for plain text?"""
    if _OTHER_IN_RE2.search(extract.pattern):
        return False
    try:
        pc.match_substring_regex(pa.array([""]), extract.pattern)
        if set(extract.regex.groupindex) & {"utr", "settlement_ref"}:
            pc.extract_regex(pa.array([""]), extract.pattern)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return False
    return True


def _found(extract: Extract, text: Any) -> tuple[Any, Any]:
    """UTR and settlement reference as the pattern finds them; an empty one is none."""
    nothing = pa.nulls(len(text), pa.string())
    names = extract.regex.groupindex
    if not set(names) & {"utr", "settlement_ref"}:
        return nothing, nothing
    groups = pc.extract_regex(text, extract.pattern)
    utr, settlement_ref = (
        _filled(groups, name) if name in names else nothing for name in ("utr", "settlement_ref")
    )
    return utr, settlement_ref


def _filled(groups: Any, name: str) -> Any:
    values = pc.struct_field(groups, name)
    return pc.if_else(_is(values, ""), pa.scalar(None, pa.string()), values)


def _masked(narrations: Any, utrs: Any, settlement_refs: Any) -> Any:
    """Card and account numbers crossed out, by the one who knows them, where there may be any."""
    suspect = pc.match_substring_regex(narrations, _LONG_NUMBER)
    if not pc.any(suspect).as_py():
        return narrations
    lines: Iterable[tuple[str, str | None, str | None]] = zip(
        *(column.filter(suspect).to_pylist() for column in (narrations, utrs, settlement_refs)), strict=True
    )
    masked = [mask_text(text, (utr, utr, settlement_ref)) for text, utr, settlement_ref in lines]
    return pc.replace_with_mask(narrations, suspect, pa.array(masked, pa.string()))


def _amount_form(layout: Delimited) -> str:
    """An amount without sign, currency or padding, at most two decimals."""
    if layout.implied_decimals is not None:
        return r"^[0-9]{1,15}$"
    point = re.escape(layout.decimal)
    whole = ["[0-9]{1,16}"]
    if layout.thousands:
        comma = re.escape(layout.thousands)
        whole += [
            f"[0-9]{{1,2}}(?:{comma}[0-9]{{2}})*{comma}[0-9]{{3}}",
            f"[0-9]{{1,3}}(?:{comma}[0-9]{{3}})+",
        ]
    return f"^(?:{'|'.join(whole)})(?:{point}[0-9]{{1,2}})?$"
