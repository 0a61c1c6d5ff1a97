"""What a bank's file looks like inside, by declaration: one description per kind of format.

Every description says where the references and the narration stand, in columns. Tables name their columns
themselves; MT940, camt.053 and BAI2 have the columns that their standards give them.
"""

from __future__ import annotations

import codecs
import re
from datetime import date  # noqa: TC003 - pydantic reads it when it runs
from functools import cached_property
from typing import Annotated, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator


class Part(BaseModel):
    """A piece of a description: nothing unknown in it, and never changed."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


def regular(pattern: str) -> str:
    """The pattern, if it is one."""
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from error
    return pattern


class DateColumn(Part):
    """A column of dates and the formats it may have, first that fits."""

    column: str
    formats: tuple[str, ...] = Field(min_length=1)


class SignColumn(Part):
    """One amount column, another says credit or debit."""

    how: Literal["sign_column"]
    column: str
    sign_column: str
    credit: str
    debit: str

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column, self.sign_column)


class TwoColumns(Part):
    """Credits and debits stand in columns of their own; exactly one of the two is filled."""

    how: Literal["two_columns"]
    credit_column: str
    debit_column: str

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.credit_column, self.debit_column)


class SignedColumn(Part):
    """One amount column with the sign in it, before or behind; a minus moves the other way."""

    how: Literal["signed"]
    column: str
    sign: Literal["leading", "trailing"] = "leading"
    positive: Literal["CR", "DR"] = "CR"

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,)


class Extract(Part):
    """Named groups taken out of a column; a text that does not match simply has none."""

    column: str
    pattern: str

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, pattern: str) -> str:
        return regular(pattern)

    @cached_property
    def regex(self) -> re.Pattern[str]:
        return re.compile(self.pattern)


class Skip(Extract):
    """Rows that are no movements."""

    pattern: str = Field(alias="matches")


class Trailer(Part):
    """The last row: its first cell, and where count and totals stand."""

    first: str
    count: int = Field(ge=1)
    credit_total: int = Field(ge=1)
    debit_total: int = Field(ge=1)


class Format(Part):
    """What every kind of file has."""

    # The first business date of files that look so; earlier ones had another format.
    since: date | None = Field(default=None, alias="from")
    currency: str = Field(pattern=r"^[A-Z]{3}$")
    value_date_within_days: int = Field(ge=1)
    narration: str
    reference: Extract
    settlement_ref: Extract | None = None
    skip: tuple[Skip, ...] = ()
    # Columns that together make a line one, wherever it stands; without any, every line is its own.
    identity: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns there are."""
        raise NotImplementedError

    @property
    def named(self) -> tuple[str, ...]:
        """The columns that the description speaks of."""
        names = [self.narration, self.reference.column]
        names += [self.settlement_ref.column] if self.settlement_ref else []
        names += [skip.column for skip in self.skip]
        return (*names, *self.identity)

    @model_validator(mode="after")
    def _columns_exist(self) -> Self:
        for column in self.named:
            if column not in self.columns:
                raise ValueError(f"{column!r} is none of the columns {', '.join(self.columns)}")
        return self


class Text(Part):
    """Written in an encoding that was agreed."""

    encoding: str = "utf-8"

    @field_validator("encoding")
    @classmethod
    def _known(cls, encoding: str) -> str:
        try:
            codecs.lookup(encoding)
        except LookupError as error:
            raise ValueError(f"no such encoding: {encoding}") from error
        return encoding


class Table(Format):
    """Rows of cells, one movement each."""

    value_date: DateColumn
    amount: Annotated[SignColumn | TwoColumns | SignedColumn, Field(discriminator="how")]
    decimal: Literal[".", ","] = "."
    thousands: Literal[",", ".", " ", "'", ""] = ","
    # Amounts are digits alone, so many of them behind a point that is not written.
    implied_decimals: int | None = Field(default=None, ge=0, le=2)

    @property
    def named(self) -> tuple[str, ...]:
        return (*super().named, self.value_date.column, *self.amount.columns)

    @model_validator(mode="after")
    def _signs_differ(self) -> Self:
        if self.decimal == self.thousands:
            raise ValueError("decimal and thousands signs are the same")
        return self


class HeaderTable(Table):
    """A table whose columns stand in a row of its own."""

    header: tuple[str, ...] = Field(min_length=2)
    header_within_lines: int = Field(default=1, ge=1, le=100)
    trailer: Trailer | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        return self.header

    @model_validator(mode="after")
    def _once_each(self) -> Self:
        if len(set(self.header)) != len(self.header):
            raise ValueError("a column stands in the header twice")
        return self


class Delimited(HeaderTable, Text):
    """A delimited text file."""

    kind: Literal["delimited"]
    delimiter: str = Field(default=",", min_length=1, max_length=1)


class Xlsx(HeaderTable):
    """One sheet of a workbook; the only one where none is named."""

    kind: Literal["xlsx"]
    sheet: str | None = None


class Slice(Part):
    """Bytes of a record; the first is 1, as in the banks' own papers."""

    at: int = Field(ge=1)
    length: int = Field(ge=1)

    @property
    def end(self) -> int:
        return self.at + self.length - 1


class RecordTypes(Part):
    """Where a record says what it is, and what it says; a header is the first, a trailer the last."""

    column: Slice
    movement: str
    header: str | None = None
    trailer: str | None = None


class FixedTrailer(Part):
    """Where the trailer's count and totals stand; totals are optional."""

    count: Slice
    credit_total: Slice | None = None
    debit_total: Slice | None = None


class FixedWidth(Table, Text):
    """Records of one length, columns by position."""

    kind: Literal["fixed_width"]
    record_length: int = Field(ge=2)
    slices: dict[str, Slice] = Field(min_length=2, alias="columns")
    record_type: RecordTypes | None = None
    trailer: FixedTrailer | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(self.slices)

    @model_validator(mode="after")
    def _fits_the_record(self) -> Self:
        places = dict(self.slices)
        if self.record_type:
            places["record_type"] = self.record_type.column
        if self.trailer:
            if self.record_type is None or self.record_type.trailer is None:
                raise ValueError("a trailer is known by its record_type, which is missing")
            totals = (self.trailer.count, self.trailer.credit_total, self.trailer.debit_total)
            places |= {f"trailer {at}": one for at, one in enumerate(totals) if one}
        for name, place in places.items():
            if place.end > self.record_length:
                raise ValueError(f"{name} ends at {place.end}, the record at {self.record_length}")
        return self


class Mt940(Format, Text):
    """SWIFT's customer statement, with its balances."""

    COLUMNS: ClassVar = ("customer_ref", "bank_ref", "type", "supplementary", "details")
    kind: Literal["mt940"]

    @property
    def columns(self) -> tuple[str, ...]:
        return self.COLUMNS


class Camt053(Format):
    """ISO 20022's bank to customer statement; columns are called as its elements are."""

    REFERENCES: ClassVar = (
        *("MsgId", "AcctSvcrRef", "PmtInfId", "InstrId", "EndToEndId", "UETR", "TxId", "ChqNb", "ClrSysRef"),
    )
    COLUMNS: ClassVar = ("NtryRef", *REFERENCES, "Ustrd", "AddtlNtryInf", "AddtlTxInf")
    kind: Literal["camt.053"]

    @property
    def columns(self) -> tuple[str, ...]:
        return self.COLUMNS


class Bai2(Format, Text):
    """The Bank Administration Institute's cash management file, with its control totals."""

    COLUMNS: ClassVar = ("type", "bank_ref", "customer_ref", "text")
    kind: Literal["bai2"]
    # Of the currency: amounts are whole numbers of its smallest unit.
    implied_decimals: int = Field(default=2, ge=0, le=2)

    @property
    def columns(self) -> tuple[str, ...]:
        return self.COLUMNS


AnyFormat = Annotated[Delimited | FixedWidth | Xlsx | Mt940 | Camt053 | Bai2, Field(discriminator="kind")]
