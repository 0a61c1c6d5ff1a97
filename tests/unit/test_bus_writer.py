"""The writer made for a schema gives fastavro's bytes, and leaves to it what it is not sure of."""

from __future__ import annotations

import io
import random
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import StrEnum
from typing import Any

import pytest
from fastavro import parse_schema, schemaless_writer

from bus.errors import RecordRefusedError
from bus.topics import load_schema, topics
from bus.wire import Encoder
from bus.writer import UnusualError, writer

OURS = sorted({topic.schema_name for topic in topics().values() if topic.ours})
IST = timezone(timedelta(hours=5, minutes=30))
SMALL: dict[str, Any] = {
    "type": "record",
    "name": "Small",
    "fields": [
        {"name": "id", "type": "string"},
        {"name": "sum", "type": {"type": "bytes", "logicalType": "decimal", "precision": 18, "scale": 2}},
        {"name": "at", "type": ["null", {"type": "long", "logicalType": "timestamp-millis"}]},
        {"name": "day", "type": {"type": "int", "logicalType": "date"}},
        {"name": "said", "type": ["null", "string"], "default": None},
        {"name": "yes", "type": "boolean"},
        {"name": "count", "type": "int"},
    ],
}


class Word(StrEnum):
    HELLO = "hello"


def small(**change: Any) -> dict[str, Any]:
    usual = {"id": "a", "sum": Decimal("1.00"), "at": None, "day": date(2026, 1, 6), "said": None}
    return {**usual, "yes": True, "count": 0, **change}


def by_fastavro(schema: dict[str, Any], record: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    schemaless_writer(buffer, parse_schema(dict(schema)), record, strict_allow_default=True)
    return buffer.getvalue()


def some_value(kind: Any, chance: random.Random) -> Any:
    if isinstance(kind, list):
        return some_value(chance.choice(kind), chance)
    name = kind.get("logicalType", kind["type"]) if isinstance(kind, dict) else kind
    seconds = chance.randrange(2**32)
    values: dict[str, Any] = {
        "null": None,
        "string": "".join(chance.choices("aZ9 |/₹\u0905\U0001f4b0", k=chance.choice([0, 1, 7, 40, 700]))),
        "long": chance.choice([0, -1, 63, 64, -64, -65, 2**63 - 1, -(2**63), chance.getrandbits(40)]),
        "int": chance.choice([0, -1, 2**31 - 1, -(2**31)]),
        "boolean": chance.random() < 0.5,
        "date": date(1969, 12, 31) + timedelta(days=chance.choice([0, 1, 20_000])),
        "timestamp-millis": datetime.fromtimestamp(seconds + chance.random(), chance.choice([UTC, IST])),
        "decimal": Decimal(chance.choice([0, 1, -1, 127, 128, -128, -129, 10**18 - 1, 1 - 10**18])).scaleb(
            -2
        ),
        "bytes": chance.randbytes(9),
    }
    return values[str(name)]


@pytest.mark.parametrize("name", OURS)
def test_every_schema_of_ours_is_written_alike(name: str) -> None:
    schema, chance = load_schema(name), random.Random(7)
    encode = Encoder(schema, 7, name).encode
    for _ in range(300):
        record = {field["name"]: some_value(field["type"], chance) for field in schema["fields"]}
        assert encode(record)[5:] == by_fastavro(schema, record)


def test_the_topic_of_every_webhook_needs_nobody_else() -> None:
    schema, chance = load_schema("pg.transactions"), random.Random(8)
    write = writer(schema)
    assert write is not None
    for _ in range(300):
        record = {field["name"]: some_value(field["type"], chance) for field in schema["fields"]}
        assert write(record) == by_fastavro(schema, record)


@pytest.mark.parametrize(
    "change",
    [
        {"id": Word.HELLO},
        {"sum": Decimal(1)},
        {"sum": Decimal("1E+2")},
        {"sum": Decimal("-0.00")},
        {"at": datetime(1969, 12, 31, 23, 59, 59, 999_000, UTC)},
        {"at": 17},
        {"said": ""},
    ],
)
def test_what_is_unusual_but_fits_is_written_all_the_same(change: dict[str, Any]) -> None:
    record = small(**change)
    assert Encoder(SMALL, 7, "small").encode(record)[5:] == by_fastavro(SMALL, record)


@pytest.mark.parametrize(
    "change",
    [
        {"sum": 1.0},
        {"sum": Decimal("1.000")},
        {"sum": Decimal("NaN")},
        {"sum": Decimal(10**18)},
        {"id": None},
        {"id": 1},
        {"id": ["a"]},
        {"id": "\ud800"},
        {"said": b"a"},
        {"at": datetime(2026, 1, 6)},  # noqa: DTZ001 - refused for it
        {"yes": 1},
        {"count": True, "more": 1},
        {"more": 1},
    ],
)
def test_what_does_not_fit_is_refused(change: dict[str, Any]) -> None:
    encode = Encoder(SMALL, 7, "small").encode
    encode(small())
    with pytest.raises(RecordRefusedError):
        encode(small(**change))


def test_a_field_left_out_takes_its_default_or_is_refused() -> None:
    encode = Encoder(SMALL, 7, "small").encode
    assert encode({name: value for name, value in small().items() if name != "said"}) == encode(small())
    with pytest.raises(RecordRefusedError):
        encode({name: value for name, value in small().items() if name != "id"})


def test_of_two_that_are_equal_but_not_the_same_kind_only_one_is_taken() -> None:
    write = writer(SMALL)
    assert write is not None
    for change in ({"count": True}, {"yes": 0}, {"day": datetime(2026, 1, 6, tzinfo=UTC)}):
        write(small())
        with pytest.raises(UnusualError):
            write(small(**change))


def test_a_kind_it_does_not_know_is_left_to_fastavro() -> None:
    assert writer({"fields": [{"name": "a", "type": {"type": "array", "items": "string"}}]}) is None
    assert writer({"fields": [{"name": "a", "type": ["null", "string", "long"]}]}) is None
