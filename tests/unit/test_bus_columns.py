"""Records from columns are the same bytes as records one by one."""

from __future__ import annotations

import random
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from bus.columns import ColumnEncoder, values_of
from bus.errors import RecordRefusedError
from bus.topics import load_schema
from bus.wire import Encoder

SCHEMA = load_schema("bank.records")
TYPES = {
    "line_no": pa.int32(),
    "position": pa.int64(),
    "version": pa.int64(),
    "business_date": pa.date32(),
    "value_date": pa.date32(),
    "amount": pa.decimal128(18, 2),
}


def record(rng: random.Random) -> dict[str, Any]:
    def text(most: int = 20) -> str:
        return "".join(rng.choices("AZ09 |₹é", k=rng.choice([0, 1, most, 300 * (rng.random() < 0.02)])))

    return {
        "record_id": text(),
        "bank": text(),
        "file_id": text(),
        "file_name": text(),
        "sha256": text(64),
        "business_date": date(1969, 12, 1) + timedelta(rng.randrange(-100, 40_000)),
        "revision": 1,
        "line_no": rng.choice([0, 1, 63, 64, 511, 512, 8191, 8192, -1, 2**31 - 1, -(2**31)]),
        "utr": rng.choice([None, text()]),
        "utr_raw": text(),
        "settlement_ref": None,
        "direction": rng.choice(["CR", "DR"]),
        "amount": Decimal(
            rng.choice([0, 1, 127, 128, 255, 256, 32768, -1, -128, -129, 10**18 - 1, 1 - 10**18])
        )
        / 100,
        "currency": "INR",
        "value_date": date(2026, 1, 6),
        "account": None,
        "narration": rng.choice([None, text(), text(2000)]),
        "op": "u",
        "version": rng.choice([0, 202601060001, 2**63 - 1, -(2**63)]),
        "position": rng.randrange(-(10**12), 10**12),
    }


@pytest.mark.parametrize("seed", range(20))
def test_the_same_bytes(seed: int) -> None:
    rng = random.Random(seed)
    records = [record(rng) for _ in range(rng.choice([0, 1, 2, 300]))]
    constant = {"revision": 1, "currency": "INR", "account": None, "op": "u"}
    columns = {
        name: pa.array([one[name] for one in records], TYPES.get(name, pa.string()))
        for name in (field["name"] for field in SCHEMA["fields"])
        if name not in constant
    }
    written = ColumnEncoder(SCHEMA, 7, "bank.records").encode(constant | columns, len(records))
    assert values_of(written) == Encoder(SCHEMA, 7, "bank.records").encode_many(records)


def test_a_slice_of_columns() -> None:
    numbers, names = pa.array(range(10), pa.int32()).slice(3, 4), pa.array(list("abcdefghij")).slice(3, 4)
    schema = {
        "type": "record",
        "name": "R",
        "fields": [{"name": "n", "type": "int"}, {"name": "t", "type": "string"}],
    }
    written = ColumnEncoder(schema, 1, "r").encode({"n": numbers, "t": names}, 4)
    assert values_of(written.slice(1, 2)) == [b"\0\0\0\0\1\x08\2e", b"\0\0\0\0\1\x0a\2f"]
    assert values_of(names) == [b"d", b"e", b"f", b"g"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"bank": pa.array([None], pa.string())}, "bank is missing"),
        ({"bank": None}, "bank: "),
        ({"line_no": pa.array([1.0])}, "line_no cannot be written from a column of double"),
        ({"amount": pa.array([Decimal("1.000")])}, "amount cannot be written from a column of decimal128"),
        ({"line_no": pa.array([1, 2])}, "line_no has 2 values for 1 records"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(change: dict[str, Any], says: str) -> None:
    columns: dict[str, Any] = record(random.Random(1)) | {"line_no": pa.array([1], pa.int32())} | change
    with pytest.raises(RecordRefusedError, match=says):
        ColumnEncoder(SCHEMA, 7, "bank.records").encode(columns, 1)
