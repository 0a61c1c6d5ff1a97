"""The jobs on the real cluster: deployed twice, stopped and resumed, their servers killed."""

from __future__ import annotations

import signal
import uuid
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from bus.consumer import read_topic
from bus.producer import Producer
from flink_jobs.deploy import deploy, stop
from flink_jobs.rest import Cluster
from settlement.versions import gateway_version
from tests.conftest import wait_for

if TYPE_CHECKING:
    from tests.conftest import Stack

pytestmark = [pytest.mark.stack, pytest.mark.timeout(1500)]
PATIENCE = 400.0
AT = datetime(2026, 1, 6, 10, tzinfo=UTC)


@pytest.fixture(scope="module")
def running(stack: Stack) -> Cluster:
    import subprocess
    import sys

    subprocess.run([sys.executable, "-m", "settle", "topics", "apply"], check=True, timeout=300)
    deploy(["reconcile"], timeout=PATIENCE)
    return Cluster(stack.environment["SETTLE_JOBS_FLINK_URL"])


def payment(key: str, status: str = "CAPTURED") -> dict[str, Any]:
    """A gateway's payment that we know nothing of."""
    return {
        "record_id": f"razorpay:PAYMENT:{key}",
        "gateway": "razorpay",
        "entity_type": "PAYMENT",
        "entity_id": key,
        "line_type": None,
        "transaction_id": key,
        "order_ref": None,
        "merchant_id": "M1",
        "status": status,
        "method": "upi",
        "currency": "INR",
        "amount": Decimal("100.00"),
        "fee": Decimal("0.00"),
        "tax": Decimal("0.00"),
        "net": Decimal("100.00"),
        "refunded_amount": Decimal("0.00"),
        "settlement_id": None,
        "utr": None,
        "utr_raw": None,
        "settled_on": None,
        "bank": None,
        "occurred_at": AT,
        "paid_on": date(2026, 1, 6),
        "origin": "WEBHOOK",
        "raw_sha256": "0" * 64,
        "op": "u",
        "version": gateway_version(status, AT),
        "position": 0,
    }


def say(*keys: str) -> None:
    with Producer() as producer:
        for key in keys:
            record = payment(key)
            producer.send("pg.transactions", record["record_id"], record).result(60)


def results(keys: set[str]) -> list[tuple[str, str, int]]:
    """Every committed result about these, doubled ones too."""
    return [
        (record.value["match_key"], record.value["outcome"], record.value["version"])
        for record in read_topic("recon.results")
        if record.value["match_key"] in keys
    ]


def arrives(keys: set[str]) -> None:
    wait_for(
        lambda: {key for key, _, _ in results(keys)} == keys, f"results of {len(keys)} payments", PATIENCE
    )
    found = results(keys)
    assert len(found) == len(keys), "written once each"
    assert {outcome for _, outcome, _ in found} == {"MISSING_IN_SYSTEM"}


def fresh_keys(count: int = 20) -> set[str]:
    return {f"J{uuid.uuid4().hex}" for _ in range(count)}


def test_what_runs_is_left_alone(running: Cluster) -> None:
    before = running.newest("reconcile")
    again = deploy(["reconcile"], timeout=PATIENCE)
    assert before is not None
    assert [(one.job_id, one.submitted) for one in again] == [(before.job_id, False)]


def test_a_stopped_job_goes_on_where_it_was(running: Cluster) -> None:
    first = fresh_keys()
    say(*first)
    arrives(first)
    stop("reconcile", timeout=PATIENCE)
    second = fresh_keys()
    say(*second)
    (resumed,) = deploy(["reconcile"], timeout=PATIENCE)
    assert resumed.restored_from is not None
    assert "/checkpoints/reconcile/" in resumed.restored_from
    arrives(second)
    # Not told again: its state, not the topic's beginning, is where it went on.
    arrives(first)


@pytest.mark.parametrize("server", ["taskmanager", "jobmanager"])
def test_a_killed_server_loses_and_doubles_nothing(running: Cluster, stack: Stack, server: str) -> None:
    before, after = fresh_keys(), fresh_keys()
    say(*before)
    stack.kill(server, signal.SIGKILL)
    say(*after)
    stack.wait_healthy(["jobmanager", "taskmanager"])
    arrives(before | after)
    (same,) = deploy(["reconcile"], timeout=PATIENCE)
    assert not same.submitted
