"""The contracts between rooms: every schema stands, and none may break a reader."""

from __future__ import annotations

import copy
import io
import json
import random
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from fastavro import parse_schema, schemaless_reader, schemaless_writer

from bus.compatibility import breaks
from bus.topics import SCHEMAS_DIR, load_schema, topics

if TYPE_CHECKING:
    from pathlib import Path

CURRENT = sorted(path.stem for path in SCHEMAS_DIR.glob("*.avsc"))
RELEASED = sorted((SCHEMAS_DIR / "baseline").glob("*.avsc"))
VERSIONED = [name for name in CURRENT if name != "dead.letters"]


def released_name(path: Path) -> str:
    return path.stem.rpartition(".")[0]


@pytest.mark.parametrize("name", CURRENT)
def test_schema_parses_and_says_what_it_is(name: str) -> None:
    schema = load_schema(name)
    parse_schema(copy.deepcopy(schema))
    assert schema["namespace"] == "settlestream"
    assert schema["doc"]


def test_every_topic_has_its_schema_and_its_key_in_it() -> None:
    for topic in topics().values():
        if topic.ours:
            fields = {field["name"]: field for field in load_schema(topic.schema_name)["fields"]}
            assert fields[topic.key]["type"] == "string", topic.name


def test_every_schema_is_a_topics() -> None:
    assert {topic.schema_name for topic in topics().values() if topic.ours} == set(CURRENT)


@pytest.mark.parametrize("name", VERSIONED)
def test_every_row_carries_op_version_and_position(name: str) -> None:
    fields = {field["name"]: field["type"] for field in load_schema(name)["fields"]}
    assert (fields["op"], fields["version"], fields["position"]) == ("string", "long", "long")


@pytest.mark.parametrize("name", CURRENT)
def test_money_is_decimal_and_never_floating(name: str) -> None:
    text = json.dumps(load_schema(name))
    assert '"float"' not in text
    assert '"double"' not in text
    for field in load_schema(name)["fields"]:
        if field["name"].endswith(("amount", "_total")) or field["name"] in ("fee", "tax", "net", "gross"):
            kinds = field["type"] if isinstance(field["type"], list) else [field["type"]]
            decimal = next(kind for kind in kinds if kind != "null")
            assert (decimal["logicalType"], decimal["precision"], decimal["scale"]) == ("decimal", 18, 2)


def test_every_schema_has_a_released_version() -> None:
    assert {released_name(path) for path in RELEASED} == set(CURRENT), (
        "copy a new schema to schemas/avro/baseline/<name>.<n>.avsc when it is released"
    )


@pytest.mark.parametrize("path", RELEASED, ids=lambda path: path.stem)
def test_todays_schema_reads_every_released_one(path: Path) -> None:
    old = json.loads(path.read_text(encoding="utf-8"))
    new = load_schema(released_name(path))
    assert breaks(new, old) == []
    rng = random.Random(path.stem)
    for _ in range(20):
        record = sample(old, rng)
        read = through_bytes(old, new, record)
        assert {key: read[key] for key in record if key in read} == {
            key: value for key, value in record.items() if key in read
        }


# One deliberate change each; the check must see those that break and let the others pass.
def _without(schema: dict[str, Any], name: str) -> dict[str, Any]:
    return {**schema, "fields": [field for field in schema["fields"] if field["name"] != name]}


def _changed(schema: dict[str, Any], place: str, /, **change: Any) -> dict[str, Any]:
    return {
        **schema,
        "fields": [{**field, **change} if field["name"] == place else field for field in schema["fields"]],
    }


def _with(schema: dict[str, Any], **field: Any) -> dict[str, Any]:
    return {**schema, "fields": [*schema["fields"], field]}


BANK = load_schema("bank.records")
DECIMAL = {"type": "bytes", "logicalType": "decimal", "precision": 18, "scale": 2}

BREAKING = {
    "new field without default": _with(BANK, name="branch", type="string"),
    "required field removed": _without(BANK, "amount"),
    "field renamed": _changed(BANK, "bank", name="bank_code"),
    "text becomes a number": _changed(BANK, "currency", type="int"),
    "long narrowed to int": _changed(BANK, "version", type="int"),
    "scale changed": _changed(BANK, "amount", type={**DECIMAL, "scale": 4}),
    "precision changed": _changed(BANK, "amount", type={**DECIMAL, "precision": 12}),
    "decimal becomes double": _changed(BANK, "amount", type="double"),
    "decimal becomes plain bytes": _changed(BANK, "amount", type="bytes"),
    "optional made required": _changed(BANK, "utr", type="string"),
    "date becomes a plain int": _changed(BANK, "value_date", type="int"),
    "record renamed": {**BANK, "name": "StatementLine"},
    "namespace changed": {**BANK, "namespace": "elsewhere"},
}
HARMLESS = {
    "nothing": BANK,
    "new field with default": _with(BANK, name="branch", type=["null", "string"], default=None),
    "required made optional": _changed(BANK, "currency", type=["null", "string"]),
    "int widened to long": _changed(BANK, "line_no", type="long"),
    "other words in doc": {**_changed(BANK, "bank", doc="The bank."), "doc": "A line."},
    "fields in another order": {**BANK, "fields": BANK["fields"][::-1]},
    "renamed with an alias": _changed(BANK, "bank", name="bank_code", aliases=["bank"]),
    "optional field removed": _without(BANK, "narration"),
}


@pytest.mark.parametrize("change", BREAKING)
def test_the_check_sees_a_breaking_change(change: str) -> None:
    assert breaks(BREAKING[change], BANK)


@pytest.mark.parametrize("change", HARMLESS)
def test_the_check_lets_a_harmless_change_pass_and_it_really_reads(change: str) -> None:
    assert breaks(HARMLESS[change], BANK) == []
    rng = random.Random(change)
    for _ in range(20):
        record = sample(BANK, rng)
        assert through_bytes(BANK, HARMLESS[change], record)["record_id"] == record["record_id"]


def test_what_avro_itself_cannot_read_the_check_refuses_too() -> None:
    """Random changes: wherever fastavro's resolution fails on real bytes, the check must have said so."""
    rng = random.Random(20260106)
    unreadable = 0
    for _ in range(300):
        changed = random_change(BANK, rng)
        if not all(readable(changed, sample(BANK, rng)) for _ in range(5)):
            unreadable += 1
            assert breaks(changed, BANK), changed
    assert unreadable > 50


def test_nested_records_arrays_maps_and_enums_are_compared_inside() -> None:
    def wrap(inner: dict[str, Any]) -> dict[str, Any]:
        return {
            "type": "record",
            "name": "Outer",
            "fields": [
                {"name": "one", "type": inner},
                {"name": "again", "type": inner["name"]},
                {"name": "many", "type": {"type": "array", "items": inner["name"]}},
                {"name": "named", "type": {"type": "map", "values": inner["name"]}},
                {"name": "kind", "type": {"type": "enum", "name": "Kind", "symbols": ["A", "B"]}},
            ],
        }

    old = wrap({"type": "record", "name": "Inner", "fields": [{"name": "x", "type": "int"}]})
    wide = wrap({"type": "record", "name": "Inner", "fields": [{"name": "x", "type": "long"}]})
    text = wrap({"type": "record", "name": "Inner", "fields": [{"name": "x", "type": "string"}]})
    assert breaks(wide, old) == []
    assert {fault.split(":")[0] for fault in breaks(text, old)} == {
        "one.x",
        "again.x",
        "many[].x",
        "named{}.x",
    }
    fewer = copy.deepcopy(old)
    fewer["fields"][4]["type"]["symbols"] = ["A"]
    assert breaks(fewer, old) == ["kind: symbols ['B'] are gone"]


def readable(changed: dict[str, Any], record: dict[str, Any]) -> bool:
    try:
        through_bytes(BANK, changed, record)
    except Exception:  # noqa: BLE001 (whatever the library raises, it could not read)
        return False
    return True


def through_bytes(writer: dict[str, Any], reader: dict[str, Any], record: dict[str, Any]) -> dict[str, Any]:
    """Write with one schema, read with the other, for real."""
    buffer = io.BytesIO()
    schemaless_writer(buffer, parse_schema(copy.deepcopy(writer)), record)
    buffer.seek(0)
    read = schemaless_reader(buffer, parse_schema(copy.deepcopy(writer)), parse_schema(copy.deepcopy(reader)))
    assert isinstance(read, dict)
    return read


def sample(schema: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    return {field["name"]: _value(field["type"], rng) for field in schema["fields"]}


def _value(kind: Any, rng: random.Random) -> Any:
    if isinstance(kind, list):
        return _value(rng.choice(kind), rng)
    logical = kind.get("logicalType") if isinstance(kind, dict) else None
    if logical == "decimal":
        return Decimal(rng.randrange(-(10**17), 10**17)).scaleb(-2)
    if logical == "date":
        return date(2026, 1, 1) + timedelta(days=rng.randrange(366))
    if logical == "timestamp-millis":
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(milliseconds=rng.randrange(10**10))
    made: dict[str, Any] = {
        "null": None,
        "boolean": rng.random() < 0.5,
        "int": rng.randrange(-(2**31), 2**31),
        "long": rng.randrange(-(2**63), 2**63),
        "string": rng.choice(["", "₹", "UTIBR72023062000022728", "x" * 500]),
        "bytes": rng.randbytes(20),
    }
    return made[kind if isinstance(kind, str) else kind["type"]]


def random_change(schema: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    name = rng.choice(schema["fields"])["name"]
    kinds: list[Any] = ["string", "int", "long", "bytes", "boolean", "double", ["null", "string"], DECIMAL]
    match rng.randrange(4):
        case 0:
            return _changed(schema, name, type=rng.choice(kinds))
        case 1:
            return _with(schema, name="extra", type=rng.choice(kinds))
        case 2:
            return _changed(schema, name, name="renamed")
        case _:
            return _without(schema, name)
