"""Many records of one schema at once, from columns: byte for byte what `wire.Encoder` writes one by one.

A file of six million lines is encoded in seconds, where a call per record would take minutes. Imported by
who sends columns only: Arrow takes 30 MB.
"""

from __future__ import annotations

import io
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from fastavro import parse_schema, schemaless_writer

from bus.errors import RecordRefusedError
from bus.wire import header

if TYPE_CHECKING:
    from collections.abc import Mapping

# Lengths and numbers below this are looked up as the bytes they are written as.
_COMMON: Final = 1024
# Digits of a decimal that fit the 64 bits which are computed with.
_DIGITS: Final = 18


class ColumnEncoder:
    """Writes records of one flat schema."""

    def __init__(self, schema: Mapping[str, Any], schema_id: int, name: str) -> None:
        self._name = name
        self._fields: list[tuple[str, Any]] = [(one["name"], one["type"]) for one in schema["fields"]]
        self._header = header(schema_id)
        self._common = _varints(np.arange(_COMMON, dtype=np.int64))

    def encode(self, columns: Mapping[str, Any], rows: int) -> Any:
        """A binary array, one value per record; a column is an Arrow array, or one value for all records."""
        pieces: list[Any] = []
        # A column may stand for several fields, such as a number that is the position as well.
        known: dict[tuple[int, str], tuple[bytes, list[Any]]] = {}
        constant = self._header
        for name, kind in self._fields:
            column = columns.get(name)
            if not isinstance(column, pa.Array):
                constant += self._written(name, kind, column)
                continue
            if len(column) != rows:
                raise RecordRefusedError(f"{self._name}: {name} has {len(column)} values for {rows} records")
            # Avro writes a long as it writes an int.
            same = (id(column), "int" if kind == "long" else str(kind))
            if same not in known:
                known[same] = self._column(name, kind, column)
            before, more = known[same]
            pieces += [pa.scalar(constant + before, pa.binary()), *more]
            constant = b""
        pieces.append(pa.scalar(constant, pa.binary()))
        # The last one is what stands between the pieces: nothing.
        return pc.binary_join_element_wise(*pieces, pa.scalar(b"", pa.binary()))

    def _written(self, name: str, kind: Any, value: Any) -> bytes:
        buffer = io.BytesIO()
        try:
            schemaless_writer(buffer, parse_schema(kind), value)
        except (TypeError, ValueError, AttributeError, KeyError, OverflowError, ArithmeticError) as error:
            raise RecordRefusedError(f"{self._name}: {name}: {error}") from error
        return buffer.getvalue()

    def _column(self, name: str, kind: Any, column: Any) -> tuple[bytes, list[Any]]:
        """What stands in front of every value, and the pieces of the values."""
        if not isinstance(kind, list):
            if column.null_count:
                raise RecordRefusedError(f"{self._name}: {name} is missing")
            return b"", self._values(name, kind, column)
        null, (other, filled) = _branches(kind)
        pieces = self._values(name, filled, column)
        if not column.null_count:
            return other, pieces
        joined = pc.binary_join_element_wise(
            pa.scalar(other, pa.binary()), *pieces, pa.scalar(b"", pa.binary())
        )
        return b"", [joined.fill_null(pa.scalar(null, pa.binary()))]

    def _values(self, name: str, kind: Any, column: Any) -> list[Any]:
        logical = kind.get("logicalType") if isinstance(kind, dict) else None
        plain = kind["type"] if isinstance(kind, dict) else kind
        if plain == "string" and logical is None and pa.types.is_string(column.type):
            text = column.cast(pa.binary())
            return [self._numbers(pc.binary_length(text)), text]
        if plain in ("int", "long") and logical is None and pa.types.is_integer(column.type):
            return [self._numbers(column)]
        if logical == "date" and pa.types.is_date32(column.type):
            return [self._numbers(column.cast(pa.int32()))]
        if (
            logical == "decimal"
            and pa.types.is_decimal(column.type)
            and column.type.scale == kind["scale"]
            and column.type.precision <= min(kind["precision"], _DIGITS)
            and not column.null_count
        ):
            return [_decimals(unscaled(column))]
        raise RecordRefusedError(f"{self._name}: {name} cannot be written from a column of {column.type}")

    def _numbers(self, column: Any) -> Any:
        if column.null_count:
            column = column.fill_null(0)
        values = column.to_numpy(zero_copy_only=False).astype(np.int64)
        if len(values) and values.min() >= 0 and values.max() < _COMMON:
            return self._common.take(column)
        return _varints(values)


def unscaled(decimals: Any) -> Any:
    """The whole numbers behind decimals of at most eighteen digits, such as paise."""
    pairs = np.frombuffer(decimals.buffers()[1], np.int64).reshape(-1, 2)
    return pairs[decimals.offset : decimals.offset + len(decimals), 0]


def values_of(binary: Any) -> list[bytes]:
    """The values of a binary or string array; ten times faster than Arrow's own list."""
    ends = np.frombuffer(binary.buffers()[1], np.int32)[
        binary.offset : binary.offset + len(binary) + 1
    ].tolist()
    data = binary.buffers()[2].to_pybytes() if binary.buffers()[2] is not None else b""
    return [data[begin:end] for begin, end in pairwise(ends)]


def _branches(kind: list[Any]) -> tuple[bytes, tuple[bytes, Any]]:
    """How a union of null and one other writes which it is."""
    if len(kind) != 2 or "null" not in kind:
        raise RecordRefusedError(f"a union of {kind} cannot be written from a column")
    null = kind.index("null")
    return bytes([2 * null]), (bytes([2 * (1 - null)]), kind[1 - null])


def _varints(values: Any) -> Any:
    """Whole numbers as Avro writes them: zigzag, seven bits a byte, the lowest first."""
    zigzag = ((values << 1) ^ (values >> 63)).view(np.uint64)
    widths = np.ones(len(zigzag), np.int32)
    widest = 1
    while widest < 10 and len(zigzag) and int(zigzag.max()) >> (7 * widest):
        widths += (zigzag >> np.uint64(7 * widest)) > 0
        widest += 1
    cells = np.empty((len(zigzag), widest), np.uint8)
    for at in range(widest):
        cells[:, at] = ((zigzag >> np.uint64(7 * at)) & np.uint64(0x7F)).astype(np.uint8)
        cells[:, at] |= np.where(widths > at + 1, 0x80, 0).astype(np.uint8)
    return _binary(cells[np.arange(widest)[None, :] < widths[:, None]], widths)


def _decimals(values: Any) -> Any:
    """Whole numbers as Avro writes a decimal: their length, then as few bytes as hold value and sign."""
    sizes = np.abs(values)
    widths = np.ones(len(values), np.int32)
    for at in range(1, 8):
        widths += sizes >= 1 << (8 * at - 1)
    cells = np.empty((len(values), 9), np.uint8)
    cells[:, 1:] = values.astype(">i8").view(np.uint8).reshape(-1, 8)
    first = 8 - widths
    cells[np.arange(len(values)), first] = (widths << 1).astype(np.uint8)
    return _binary(cells[np.arange(9)[None, :] >= first[:, None]], widths + 1)


def _binary(data: Any, widths: Any) -> Any:
    ends: Any = np.zeros(len(widths) + 1, np.int32)
    np.cumsum(widths, out=ends[1:])
    return pa.Array.from_buffers(pa.binary(), len(widths), [None, pa.py_buffer(ends), pa.py_buffer(data)])
