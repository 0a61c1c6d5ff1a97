"""Records to bytes and back: Avro in Confluent's wire format (a zero byte, the schema's id, the body)."""

from __future__ import annotations

import io
import struct
from datetime import datetime
from typing import TYPE_CHECKING, Any

from fastavro import parse_schema, schemaless_reader, schemaless_writer

from bus.errors import RecordRefusedError, UndecodableError
from bus.writer import UnusualError, writer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from bus.registry import Registry

_HEADER = struct.Struct(">bI")
# What the writer made for a schema raises for records that are fastavro's to write or to refuse.
_UNUSUAL = (UnusualError, TypeError, ValueError, AttributeError, KeyError)


def header(schema_id: int) -> bytes:
    """What stands before every record of that schema."""
    return _HEADER.pack(0, schema_id)


class Encoder:
    """Writes records of one schema; not to be shared between threads, since it reuses one buffer."""

    def __init__(self, schema: Mapping[str, Any], schema_id: int, name: str) -> None:
        self._name = name
        self._schema = parse_schema(dict(schema))
        self._header = header(schema_id)
        self._write = writer(schema)
        self._write_object = writer(schema, attributes=True)
        self._buffer = io.BytesIO()
        # One that may be null is a union, and of a union's branches fastavro does ask which one fits.
        self._booleans = [field["name"] for field in schema["fields"] if field["type"] == "boolean"]
        self._moments = _fields(schema, lambda kind: _logical(kind).startswith("timestamp"))

    def encode(self, record: Mapping[str, Any]) -> bytes:
        """One record's bytes."""
        if self._write is not None:
            try:
                return self._header + self._write(record)
            except _UNUSUAL:
                # Below it is written all the same, or refused by name.
                pass
        # Two things fastavro would write without a word: anything at all as a boolean, and a moment without
        # a zone as if it were this machine's.
        for name in self._booleans:
            if not isinstance(record.get(name), bool):
                raise RecordRefusedError(f"{self._name}: {name} is neither true nor false")
        for name in self._moments:
            moment = record.get(name)
            if isinstance(moment, datetime) and moment.tzinfo is None:
                raise RecordRefusedError(f"{self._name}: {name} has no time zone")
        buffer = self._buffer
        buffer.seek(0)
        buffer.truncate()
        buffer.write(self._header)
        try:
            schemaless_writer(buffer, self._schema, record, strict_allow_default=True)
        except (TypeError, ValueError, AttributeError, KeyError, OverflowError, ArithmeticError) as error:
            raise RecordRefusedError(f"{self._name}: {error}") from error
        return buffer.getvalue()

    def encode_object(self, record: object, otherwise: Callable[[], Mapping[str, Any]]) -> bytes:
        """The bytes of an object that has the schema's fields; `otherwise` gives it as a mapping."""
        if self._write_object is not None:
            try:
                return self._header + self._write_object(record)
            except _UNUSUAL:
                pass
        return self.encode(otherwise())

    def encode_many(self, records: Iterable[Mapping[str, Any]]) -> list[bytes]:
        """Many records' bytes, in order."""
        encode = self.encode
        return [encode(record) for record in records]


def _fields(schema: Mapping[str, Any], fits: Callable[[Any], bool]) -> tuple[str, ...]:
    """The record's fields of some kind, themselves or as a branch of a union."""
    return tuple(
        field["name"]
        for field in schema["fields"]
        if any(fits(kind) for kind in (field["type"] if isinstance(field["type"], list) else [field["type"]]))
    )


def _logical(kind: Any) -> str:
    return str(kind.get("logicalType", "")) if isinstance(kind, dict) else ""


class Decoder:
    """Reads any value or Avro key by the id in front of it, with the schema it was written with."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._parsed: dict[int, Any] = {}

    def decode(self, data: bytes, where: str = "") -> Any:
        """What the bytes say; logical types become Decimal, date and aware datetime."""
        if len(data) < _HEADER.size or data[0] != 0:
            raise UndecodableError(f"{where}: not in the registry's wire format")
        schema_id = _HEADER.unpack_from(data)[1]
        schema = self._parsed.get(schema_id)
        if schema is None:
            schema = self._parsed[schema_id] = parse_schema(self._registry.schema(schema_id))
        body = io.BytesIO(data)
        body.seek(_HEADER.size)
        try:
            return schemaless_reader(body, schema, None)
        except (EOFError, ValueError, IndexError, TypeError, struct.error) as error:
            raise UndecodableError(f"{where}: not readable with schema {schema_id}: {error}") from error

    def decode_key(self, data: bytes | None, where: str = "") -> Any:
        """A key: Avro where Debezium wrote it, plain text on our own topics."""
        if data is None:
            return None
        if len(data) >= _HEADER.size and data[0] == 0:
            return self.decode(data, where)
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError as error:
            raise UndecodableError(f"{where}: the key is neither text nor Avro") from error
