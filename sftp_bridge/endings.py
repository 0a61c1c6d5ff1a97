"""Does a file's last piece show that the file is whole? By what each format ends with."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sftp_bridge.formats import Bai2, Camt053, Delimited, FixedWidth, Mt940, Xlsx

if TYPE_CHECKING:
    from sftp_bridge.formats import AnyFormat

# Bytes at a file's end in which the last row must stand; rows have a few hundred. Of a zip, and so of
# a workbook, the end of its directory.
TAIL = 4096
_END_OF_ZIP = b"PK\x05\x06"
_END_OF_XML = re.compile(rb"</(\w+:)?Document\s*>\s*$")


def has_ending(layout: AnyFormat) -> bool:
    """Can the end of such a file be known at all?"""
    return not isinstance(layout, Delimited | FixedWidth) or layout.trailer is not None


def ends_whole(layout: AnyFormat, tail: bytes) -> bool:
    """Does the file's end hold what such a file ends with?"""
    if isinstance(layout, Xlsx):
        return _END_OF_ZIP in tail
    if isinstance(layout, Camt053):
        return _END_OF_XML.search(tail) is not None
    text = tail.decode(layout.encoding, errors="replace")
    last = text.rstrip("\r\n").replace("\r", "\n").rsplit("\n", 1)[-1]
    match layout:
        case Delimited(trailer=trailer):
            if trailer is None:
                return True
            first = last.split(layout.delimiter)[0].strip().strip('"')
            return text.endswith(("\n", "\r")) and first == trailer.first
        case FixedWidth(trailer=trailer, record_type=types):
            if trailer is None or types is None:
                return True
            record = last.encode(layout.encoding, errors="replace")
            kind = record[types.column.at - 1 : types.column.end].decode(layout.encoding, errors="replace")
            return len(record) == layout.record_length and kind.strip() == types.trailer
        case Mt940():
            return last.strip() in ("-", "-}") or last.startswith((":62F:", ":64:", ":65:"))
        case Bai2():
            return last.startswith("99,") and last.rstrip().endswith("/")
