"""Records become bytes and come back the same; what does not fit is refused by name."""

from __future__ import annotations

import struct
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, cast

import pytest

from bus.errors import RecordRefusedError, SchemaMissingError, UndecodableError
from bus.registry import text_of
from bus.topics import load_schema, topics
from bus.wire import Decoder, Encoder


class Shelf:
    """A registry of one process: schemas by id."""

    def __init__(self, **schemas: dict[str, Any]) -> None:
        self.asked = 0
        self._schemas = {int(key[1:]): schema for key, schema in schemas.items()}

    def schema(self, schema_id: int) -> dict[str, Any]:
        self.asked += 1
        if schema_id not in self._schemas:
            raise SchemaMissingError(f"no schema {schema_id}")
        return self._schemas[schema_id]


def bank_record(**change: Any) -> dict[str, Any]:
    return {
        "record_id": "AXIS|2026-01-06|11:30|3|AXISCN1153863727",
        "bank": "AXIS",
        "file_id": "AXIS|2026-01-06|11:30",
        "file_name": "AXIS_STMT_20260106_1130.csv",
        "sha256": "0" * 64,
        "business_date": date(2026, 1, 6),
        "revision": 0,
        "line_no": 3,
        "utr": "AXISCN1153863727",
        "utr_raw": None,
        "settlement_ref": None,
        "direction": "CR",
        "amount": Decimal("97097.10"),
        "currency": "INR",
        "value_date": date(2026, 1, 6),
        "account": None,
        "narration": "NEFT/₹",
        "op": "u",
        "version": 202601060000,
        "position": 3,
        **change,
    }


@pytest.fixture
def encoder() -> Encoder:
    return Encoder(load_schema("bank.records"), 7, "bank.records")


def decoder() -> Any:
    shelf: Any = Shelf(_7=load_schema("bank.records"))
    return Decoder(shelf)


def test_there_and_back(encoder: Encoder) -> None:
    data = encoder.encode(bank_record())
    assert data[:5] == struct.pack(">bI", 0, 7)
    assert decoder().decode(data) == bank_record()


def test_many_at_once_are_the_same_bytes_as_one_by_one(encoder: Encoder) -> None:
    records = [bank_record(line_no=n, amount=Decimal(n).scaleb(-2)) for n in range(200)]
    assert encoder.encode_many(records) == [encoder.encode(record) for record in records]


def test_a_long_record_leaves_nothing_behind_in_a_short_one(encoder: Encoder) -> None:
    short = encoder.encode(bank_record())
    encoder.encode(bank_record(narration="x" * 10_000))
    assert encoder.encode(bank_record()) == short


@pytest.mark.parametrize(
    "change",
    [
        {"amount": 97097.1},
        {"amount": Decimal("1.234")},
        {"amount": Decimal("12345678901234567.00")},
        {"amount": None},
        {"bank": None},
        {"version": "1"},
        {"version": 2**63},
        {"unheard_of": 1},
    ],
)
def test_what_does_not_fit_is_refused(encoder: Encoder, change: dict[str, Any]) -> None:
    with pytest.raises(RecordRefusedError, match=r"bank\.records"):
        encoder.encode(bank_record(**change))
    assert decoder().decode(encoder.encode(bank_record())) == bank_record()


@pytest.mark.parametrize(
    "change",
    [{"closed": None}, {"closed": 1}, {"at": datetime(2026, 1, 6)}],  # noqa: DTZ001 (is refused)
)
def test_what_the_library_would_let_pass_is_refused(change: dict[str, Any]) -> None:
    moment = datetime(2026, 1, 6, 4, 30, tzinfo=UTC)
    tick = {"tick_id": "IN|1", "calendar": "IN", "business_date": moment.date(), "is_business_day": True}
    tick |= {"closed": False, "at": moment, "op": "u", "version": 1, "position": 0}
    encoder = Encoder(load_schema("calendar.ticks"), 1, "calendar.ticks")
    encoder.encode(tick)
    with pytest.raises(RecordRefusedError, match=next(iter(change))):
        encoder.encode(tick | change)


def test_a_missing_field_is_refused_unless_it_has_a_default(encoder: Encoder) -> None:
    record = bank_record()
    del record["op"]
    with pytest.raises(RecordRefusedError, match="op"):
        encoder.encode(record)


@pytest.mark.parametrize("data", [b"", b"\x00", b"{}...", b"\x01\x00\x00\x00\x07x", struct.pack(">bI", 0, 7)])
def test_bytes_of_another_kind_are_refused_with_their_place(data: bytes) -> None:
    with pytest.raises(UndecodableError, match="t-0@5"):
        decoder().decode(data, "t-0@5")


def test_an_id_nobody_registered() -> None:
    with pytest.raises(SchemaMissingError):
        decoder().decode(struct.pack(">bI", 0, 9) + b"x")


def test_the_registry_is_asked_once_per_schema(encoder: Encoder) -> None:
    shelf: Any = Shelf(_7=load_schema("bank.records"))
    read = Decoder(shelf)
    for _ in range(5):
        read.decode(encoder.encode(bank_record()))
    assert shelf.asked == 1


def test_keys_are_text_of_ours_or_avro_of_debezium(encoder: Encoder) -> None:
    read = decoder()
    assert read.decode_key(None) is None
    assert read.decode_key(b"AXIS|2026-01-06") == "AXIS|2026-01-06"
    assert read.decode_key(encoder.encode(bank_record()))["bank"] == "AXIS"
    with pytest.raises(UndecodableError):
        read.decode_key(b"\xff\xfe")


def test_a_debezium_envelope_is_read() -> None:
    row = {
        "type": "record",
        "name": "Value",
        "fields": [
            {"name": "transaction_id", "type": "string"},
            {
                "name": "amount",
                "type": {
                    "type": "bytes",
                    "logicalType": "decimal",
                    "precision": 18,
                    "scale": 2,
                    "connect.version": 1,
                    "connect.name": "org.apache.kafka.connect.data.Decimal",
                },
            },
            {
                "name": "paid_at",
                "type": {"type": "string", "connect.name": "io.debezium.time.ZonedTimestamp"},
            },
        ],
        "connect.name": "sabpaisa.public.t.Value",
    }
    envelope = {
        "type": "record",
        "name": "Envelope",
        "namespace": "sabpaisa.public.t",
        "fields": [
            {"name": "before", "type": ["null", row], "default": None},
            {"name": "after", "type": ["null", "Value"], "default": None},
            {"name": "op", "type": "string"},
        ],
    }
    after = {"transaction_id": "T1", "amount": Decimal("12.50"), "paid_at": "2026-01-06T04:30:00Z"}
    change = {"before": None, "after": after, "op": "c"}
    shelf: Any = Shelf(_3=envelope)
    assert Decoder(shelf).decode(Encoder(envelope, 3, "t").encode(change)) == change


def test_every_topics_schema_can_be_written() -> None:
    moment = datetime(2026, 1, 6, 4, 30, tzinfo=UTC)
    for topic in topics().values():
        if topic.ours:
            schema = load_schema(topic.schema_name)
            Encoder(schema, 1, topic.name)
            assert text_of(schema) == text_of(load_schema(topic.schema_name))
    cutoff = {
        "cutoff_id": "AXIS|2026-01-06|11:30",
        "bank": "AXIS",
        "business_date": date(2026, 1, 6),
        "cutoff": "11:30",
        "cutoffs_in_day": 3,
        "status": "DUE",
        "due_at": moment,
        "at": moment,
        "files_expected": 2,
        "files_received": 0,
        "late": False,
        "last_file": None,
        "op": "u",
        "version": 1,
        "position": 0,
    }
    shelf: Any = Shelf(_1=load_schema("bank.cutoffs"))
    encoder = Encoder(load_schema("bank.cutoffs"), 1, "t")
    assert Decoder(shelf).decode(encoder.encode(cutoff)) == cutoff


@pytest.mark.parametrize("late", [0, 1, "false", "", Decimal(0)])
def test_a_boolean_that_may_be_null_is_null_or_a_boolean(late: Any) -> None:
    schema = {"type": "record", "name": "R", "fields": [{"name": "late", "type": ["null", "boolean"]}]}
    encoder = Encoder(schema, 1, "t")
    decoder = Decoder(cast("Any", Shelf(_1=schema)))
    for fits in (None, True, False):
        assert decoder.decode(encoder.encode({"late": fits})) == {"late": fits}
    with pytest.raises(RecordRefusedError):
        encoder.encode({"late": late})
