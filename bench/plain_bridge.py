"""What the bridge is measured against: a file over SFTP into Kafka as one would write it on an afternoon.

    python -m bench.plain_bridge REMOTE_PATH TOPIC

paramiko fetches, csv reads, fastavro writes, every row is one produce; no archive, no ledger, no checks
beyond what parsing needs. It prints how many rows it sent and how long that took.
"""

from __future__ import annotations

import csv
import io
import json
import sys
import tempfile
import time
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

import paramiko
from confluent_kafka import Producer
from fastavro import parse_schema, schemaless_writer

from bench.statement_files import BANK
from bus.settings import bus_settings
from bus.topics import load_schema
from stack.sftp import upload_target

if TYPE_CHECKING:
    from typing import IO


def fetch(path: str, into: IO[bytes]) -> None:
    """The whole file."""
    target = upload_target(BANK)
    client = paramiko.SSHClient()
    client.set_missing_host_key_policy(paramiko.AutoAddPolicy())  # noqa: S507 - a bench on loopback
    client.connect(
        target.host,
        target.port,
        username=target.username,
        key_filename=str(target.client_key),
        look_for_keys=False,
        allow_agent=False,
    )
    with client, client.open_sftp() as sftp:
        sftp.getfo(path, into)


def send(file: IO[str], topic: str) -> int:
    """Every row as one record."""
    schema = parse_schema(load_schema("bank.records"))
    producer = Producer({**bus_settings().client(), "acks": "all", "compression.type": "lz4"})
    today, rows = date(2026, 1, 6), 0
    for line, row in enumerate(csv.DictReader(file), start=2):
        if row["S.No"] == "TRAILER":
            break
        _, utr, _, settlement_ref = row["Particulars"].split("/")
        buffer = io.BytesIO()
        key = f"{BANK}|{today}|11:30|{line}|{utr}"
        record = {
            "record_id": key,
            "bank": BANK,
            "file_id": f"{BANK}|{today}|11:30",
            "file_name": "AXIS_STMT_20260106_1130.csv",
            "sha256": "0" * 64,
            "business_date": today,
            "revision": 1,
            "line_no": line,
            "utr": utr,
            "utr_raw": utr,
            "settlement_ref": settlement_ref,
            "direction": row["Debit/Credit"],
            "amount": Decimal(row["Amount(INR)"].replace(",", "")),
            "currency": "INR",
            "value_date": datetime.strptime(row["Value Date"], "%d/%m/%Y").date(),  # noqa: DTZ007
            "account": None,
            "narration": row["Particulars"],
            "op": "u",
            "version": 202601060001,
            "position": line,
        }
        schemaless_writer(buffer, schema, record)
        while True:
            try:
                producer.produce(topic, buffer.getvalue(), key)
                break
            except BufferError:
                producer.poll(0.1)
        producer.poll(0)
        rows += 1
    producer.flush()
    return rows


def main(path: str, topic: str) -> None:
    """The process's entry."""
    began = time.perf_counter()
    with tempfile.TemporaryFile() as raw:
        fetch(path, raw)
        raw.seek(0)
        rows = send(io.TextIOWrapper(raw, encoding="utf-8", newline=""), topic)
    print(json.dumps({"rows": rows, "seconds": time.perf_counter() - began}))  # noqa: T201 - what was asked for


if __name__ == "__main__":
    main(*sys.argv[1:])
