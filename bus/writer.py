"""A writer made for one schema, for records of the shape that nearly all have.

Avro says how each field is written; which field is what kind is known once the schema is. So the writer is
put together from one expression per field, as a named tuple is, and asks nothing again for each record. It
only takes what it is sure of: text, whole numbers, dates, moments with a zone, and decimals with exactly the
schema's digits behind the point. For anything else it raises `UnusualError`, and the record is fastavro's to
write or to refuse: what comes out is the same bytes either way.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Write = Callable[[Any], bytes]

# Texts, dates and amounts that were written lately, by field: statuses, gateways and days come again and
# again.
_REMEMBERED: Final = 256
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_DAY: Final = date(1970, 1, 1).toordinal()


class UnusualError(Exception):
    """Raised for a value that is not plainly the field's kind; caught by the encoder, which asks fastavro."""


def writer(schema: Mapping[str, Any], *, attributes: bool = False) -> Write | None:
    """A function from a record to its body; None where the schema has a kind of field this cannot write.

    With `attributes` the record is an object that has the schema's fields.
    """
    space: dict[str, Any] = {"UnusualError": UnusualError, **_FUNCTIONS}
    fields = []
    for number, field in enumerate(schema["fields"]):
        value = f"record.{field['name']}" if attributes else f"record[{field['name']!r}]"
        written = _written(field["type"], value, number, space)
        if written is None:
            return None
        fields.append(written)
    too_much = f"    if len(record) != {len(fields)}:\n        raise UnusualError\n"
    source = (
        f"def write(record):\n{'' if attributes else too_much}    return b''.join(({', '.join(fields)},))\n"
    )
    exec(source, space)  # noqa: S102 - made here, from a schema of ours
    write: Write = space["write"]
    return write


def _written(kind: Any, value: str, number: int, space: dict[str, Any]) -> str | None:
    """The expression that writes a field's value; what it needs beside it is put into `space`."""
    if isinstance(kind, list):
        if len(kind) != 2 or "null" not in kind:
            return None
        null = kind.index("null")
        other = _written(kind[1 - null], "value", number, space)
        if other is None:
            return None
        return f"{_BYTES[null << 1]!r} if (value := {value}) is None else {_BYTES[1 - null << 1]!r} + {other}"
    name = kind.get("logicalType", kind["type"]) if isinstance(kind, dict) else kind
    if name in ("long", "int", "boolean", "timestamp-millis"):
        return f"{name.replace('-', '_')}({value})"
    memory = f"memory_{number}"
    space[memory] = {}
    if name in ("string", "date"):
        return f"{name}({value}, {memory})"
    if name == "decimal" and kind["type"] == "bytes":
        space[f"quantum_{number}"] = Decimal(1).scaleb(-kind["scale"])
        return f"decimal({value}, quantum_{number}, {kind['scale']}, {10 ** kind['precision']}, {memory})"
    return None


def _text(value: Any, memory: dict[str, bytes]) -> bytes:
    known = memory.get(value)
    if known is not None:
        return known
    if not isinstance(value, str):
        raise UnusualError
    encoded = value.encode()
    size = len(encoded)
    written = (_SIZES[size] if size < _SHORT else _long(size)) + encoded
    if len(memory) < _REMEMBERED:
        memory[value] = written
    return written


def _boolean(value: Any) -> bytes:
    if value is True:
        return _BYTES[1]
    if value is False:
        return _BYTES[0]
    raise UnusualError


def _int(value: Any) -> bytes:
    if type(value) is not int or not -(2**31) <= value < 2**31:
        raise UnusualError
    return _long(value)


def _long(value: Any) -> bytes:
    if type(value) is not int or not -(2**63) <= value < 2**63:
        raise UnusualError
    rest = value << 1 if value >= 0 else ~(value << 1)
    if rest < 128:
        return _BYTES[rest]
    written = bytearray()
    while rest > 127:
        written.append(rest & 127 | 128)
        rest >>= 7
    written.append(rest)
    return bytes(written)


def _day(value: Any, memory: dict[date, bytes]) -> bytes:
    known = memory.get(value)
    if known is not None:
        return known
    if type(value) is not date:
        raise UnusualError
    written = _long(value.toordinal() - _EPOCH_DAY)
    if len(memory) < _REMEMBERED:
        memory[value] = written
    return written


def _moment(value: Any) -> bytes:
    if type(value) is not datetime or value.tzinfo is None or value < _EPOCH:
        raise UnusualError
    since = value - _EPOCH
    return _long((since.days * 86_400 + since.seconds) * 1000 + since.microseconds // 1000)


def _amount(value: Any, quantum: Decimal, scale: int, limit: int, memory: dict[int, bytes]) -> bytes:
    if type(value) is not Decimal or not value.same_quantum(quantum):
        raise UnusualError
    whole = int(value.scaleb(scale))
    known = memory.get(whole)
    if known is not None:
        return known
    if not -limit < whole < limit:
        raise UnusualError
    size = (whole.bit_length() + 8) >> 3
    written = _SIZES[size] + whole.to_bytes(size, "big", signed=True)
    if len(memory) < _REMEMBERED:
        memory[whole] = written
    return written


_BYTES: Final = [bytes([number]) for number in range(256)]
_SHORT: Final = 512
_SIZES: Final = [_long(size) for size in range(_SHORT)]
# By the names that schemas give the kinds.
_FUNCTIONS: Final = {
    "string": _text,
    "boolean": _boolean,
    "int": _int,
    "long": _long,
    "date": _day,
    "timestamp_millis": _moment,
    "decimal": _amount,
}
