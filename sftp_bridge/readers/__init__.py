"""One small parser per kind of format, all of them a `Reader`."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

from sftp_bridge.formats import Bai2, Camt053, Delimited, FixedWidth, Mt940, Xlsx
from sftp_bridge.readers.bai2 import Bai2Reader
from sftp_bridge.readers.camt053 import Camt053Reader
from sftp_bridge.readers.delimited import DelimitedReader
from sftp_bridge.readers.fixed_width import FixedWidthReader
from sftp_bridge.readers.mt940 import Mt940Reader
from sftp_bridge.readers.xlsx import XlsxReader

if TYPE_CHECKING:
    from datetime import date

    from sftp_bridge.formats import AnyFormat
    from sftp_bridge.readers.reader import Reader


def reader_of(raw: BinaryIO, layout: AnyFormat, business_date: date) -> Reader:
    """The parser for files that are described so."""
    match layout:
        case Delimited():
            return DelimitedReader(raw, layout, business_date)
        case FixedWidth():
            return FixedWidthReader(raw, layout, business_date)
        case Xlsx():
            return XlsxReader(raw, layout, business_date)
        case Mt940():
            return Mt940Reader(raw, layout, business_date)
        case Camt053():
            return Camt053Reader(raw, layout, business_date)
        case Bai2():
            return Bai2Reader(raw, layout, business_date)
