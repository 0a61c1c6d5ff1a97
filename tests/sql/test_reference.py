"""The SQL against settlement/outcomes.py: a thousand random payments and settlements, told in random order.

The YAML cases say what must come out of one situation; this says that no situation was forgotten. Every word
comes more than once, old ones after new ones, as from sources that deliver twice.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from settlement.outcomes import (
    BankRow,
    Cutoffs,
    Decision,
    GatewayPayment,
    GatewaySettlement,
    OurPayment,
    Outcome,
    decide_payment,
    decide_settlement,
)
from settlement.versions import result_version
from tests.sql import evidence
from tests.sql.conftest import newest

if TYPE_CHECKING:
    from tests.sql.conftest import FlinkSql
    from tests.sql.evidence import Row

PAYMENTS = 600
SETTLEMENTS = 400
OPEN, CLOSED = "2026-01-10", "2026-01-05"
# Business date → the bank's files: all in, one late, some to come, nothing known; all in though one came
# twice and one was corrected, one missed, one in part, one in part and late.
DAYS = {
    "2026-01-06": "RRR",
    "2026-01-07": "RL",
    "2026-01-08": "RD",
    "2026-01-09": "",
    "2026-01-12": "ASR",
    "2026-01-13": "RRM",
    "2026-01-14": "RRP",
    "2026-01-15": "ARQ",
}
# What was said of one, up to its newest word; the numbers of arrivals' words need not begin anywhere.
PART = {"status": "PARTIAL", "number": 40, "files_expected": 2, "files_received": 1}
TOLD: dict[str, list[Row]] = {
    "D": [{"status": "DUE"}],
    "L": [{"status": "DUE"}, {"status": "LATE"}],
    "M": [{"status": "DUE"}, {"status": "LATE"}, {"status": "MISSED"}],
    "P": [{"status": "DUE"}, PART | {"late": False}],
    "Q": [{"status": "DUE"}, PART | {"late": False}, PART | {"late": True}],
    "R": [{"status": "DUE"}, {"status": "LATE"}, {"status": "RECEIVED", "number": 41}],
    "A": [{"status": "MISSED"}, {"status": "RECEIVED", "number": 41}, {"status": "DUPLICATE", "number": 50}],
    "S": [
        PART | {"late": True},
        {"status": "RECEIVED", "number": 43},
        {"status": "SUPERSEDED", "number": 60},
    ],
}
CUTOFF_TIMES = ("10:00", "14:00", "18:00")


@dataclass
class World:
    """Evidence as the topics would carry it, and what the reference makes of the newest of it."""

    given: dict[str, list[Row]] = field(default_factory=dict)
    expected: dict[str, Decision | None] = field(default_factory=dict)
    versions: dict[str, int] = field(default_factory=dict)

    def tell(self, table: str, row: Row) -> None:
        self.given.setdefault(table, []).append(row)


def amount(rng: random.Random) -> str:
    return rng.choice(["100.00", "100.00", "100.00", "99.99", "40.00"])


def last(words: list[Row]) -> Row | None:
    """The newest word, None where there is none or it is a delete."""
    return words[-1] if words and words[-1].get("op") != "d" else None


def invent_payment(world: World, rng: random.Random, number: int) -> None:
    key = f"R{number}"
    told: list[Row] = []
    for lsn in range(rng.choice((0, 1, 1, 2, 3))):
        word: Row = {"transaction_id": key, "lsn": 1000 + lsn, "paid_on": rng.choice((OPEN, CLOSED, CLOSED))}
        word |= {"status": rng.choice(("SUCCESS", "SUCCESS", "SUCCESS", "PENDING", "FAILED"))}
        word |= {"amount": amount(rng), "refunded_amount": rng.choice(("0.00", "0.00", "40.00"))}
        if lsn and rng.random() < 0.15:
            word = {"transaction_id": key, "lsn": 1000 + lsn, "op": "d"}
        told.append(word)
        world.tell("transaction_changes", word)
    ours = last(told)
    version = 10**15 + int(told[-1]["lsn"]) if told else 0
    theirs: list[Row] = []
    for payment in range(rng.choice((0, 1, 1, 1, 2))):
        words: list[Row] = []
        statuses = [
            "CREATED",
            "PENDING",
            "FAILED",
            "AUTHORIZED",
            "CAPTURED",
            "CAPTURED",
            "CAPTURED",
            "REFUNDED",
        ]
        # Their ranks decide what is newest, so they are told upwards.
        for at, place in enumerate(sorted(rng.sample(range(len(statuses)), rng.choice((1, 1, 2, 3))))):
            word = {"id": f"{key}-{payment}", "transaction_id": key, "status": statuses[place], "at": at}
            word |= {"amount": amount(rng), "refunded_amount": rng.choice(("0.00", "0.00", "40.00"))}
            word |= {"merchant_id": rng.choice(("M1", "M1", "M1", "M1", "M2", None))}
            word |= {"paid_on": rng.choice((CLOSED, CLOSED, OPEN))}
            words.append(word)
        if rng.random() < 0.05:
            words.append({**words[-1], "at": 99, "op": "d"})
        for word in words:
            world.tell("gateway_record_log", word)
        version += int(evidence.gateway_record(words[-1])["version"])
        live = last(words)
        if live is not None:
            theirs.append(live)
    if not told and not version:
        return
    closed = ours is not None and ours["paid_on"] == CLOSED
    waits = ours is not None and not theirs and ours["status"] != "FAILED"
    world.versions[f"PAYMENT:{key}"] = result_version([version], 1, in_time=int(waits and closed))
    world.expected[f"PAYMENT:{key}"] = decide_payment(
        None
        if ours is None
        else OurPayment(
            "M1",
            ours["status"],
            Decimal(ours["amount"]),
            Decimal(ours["refunded_amount"]),
            date.fromisoformat(ours["paid_on"]),
        ),
        [
            GatewayPayment(
                one["merchant_id"],
                one["status"],
                Decimal(one["amount"]),
                Decimal(one["refunded_amount"]),
                date.fromisoformat(one["paid_on"]),
            )
            for one in theirs
        ],
        day_closed=closed,
    )


def invent_settlement(world: World, rng: random.Random, number: int) -> None:
    settlement_id, day = f"setl_{number}", rng.choice(list(DAYS))
    # Some gateways name the UTR late or never: then the settlement's own id is what is matched by.
    utr = None if rng.random() < 0.1 else f"UTR{number:013d}"
    net, lines = Decimal("0.00"), 0
    for line in range(rng.choice((0, 1, 2, 4))):
        kind = "PAYMENT" if line == 0 else rng.choice(("PAYMENT", "REFUND", "ADJUSTMENT"))
        words: list[Row] = []
        for at in range(rng.choice((1, 1, 2))):
            gross = Decimal(amount(rng))
            moved = gross - Decimal("2.36") if kind == "PAYMENT" else -gross
            word: Row = {"id": f"{settlement_id}-{line}", "line_type": kind, "settlement_id": settlement_id}
            word |= {"amount": str(gross), "net": str(moved), "settled_on": day, "at": at}
            word |= {"fee": "2.00", "tax": "0.36"} if kind == "PAYMENT" else {}
            # An adjustment carries none, and joins its settlement.
            word |= {"utr": None if kind == "ADJUSTMENT" else utr}
            words.append(word)
        if line and rng.random() < 0.1:
            words.append({**words[-1], "at": 9, "op": "d"})
        for word in words:
            world.tell("gateway_record_log", word)
        live = last(words)
        if live is not None:
            net, lines = net + Decimal(live["net"]), lines + 1
    rows: list[BankRow] = []
    paid = net if net > 0 else Decimal("97.64")
    for row in range(rng.choice((0, 1, 1, 1, 2))):
        value = rng.choice((paid, paid, paid, paid / 2, Decimal("1.00"))).quantize(Decimal("0.01"))
        word = {"line_no": number * 10 + row, "amount": str(value), "business_date": day}
        word |= {"utr": utr, "settlement_ref": settlement_id}
        word |= {"direction": rng.choice(("CR", "CR", "CR", "DR"))}
        word |= {"value_date": rng.choice((day, day, day, day, OPEN))}
        words = [{**word, "revision": 0, "amount": "5.55"}, word] if rng.random() < 0.3 else [word]
        if rng.random() < 0.1:
            words.append({**word, "revision": 2, "op": "d"})
        for one in words:
            world.tell("bank_record_log", one)
        live = last(words)
        if live is not None:
            rows.append(
                BankRow(live["direction"], Decimal(live["amount"]), date.fromisoformat(live["value_date"]))
            )
    if not lines and not rows:
        return
    files = DAYS[day]
    world.expected[f"SETTLEMENT:{utr or settlement_id}"] = decide_settlement(
        GatewaySettlement(lines, net, date.fromisoformat(day)),
        rows,
        Cutoffs.told(
            len(files) and 3, [(TOLD[one][-1]["status"], TOLD[one][-1].get("late", False)) for one in files]
        ),
    )


@pytest.fixture(scope="module")
def world() -> World:
    rng = random.Random(20260106)
    made = World()
    for number in range(PAYMENTS):
        invent_payment(made, rng, number)
    for number in range(SETTLEMENTS):
        invent_settlement(made, rng, number)
    for day, files in DAYS.items():
        for cutoff, known in zip(CUTOFF_TIMES, files, strict=False):
            for said in TOLD[known]:
                word = {"business_date": day, "cutoff": cutoff, "cutoffs_in_day": 3, **said}
                made.tell("cutoff_log", word)
    made.tell("tick_log", {"business_date": CLOSED})
    made.tell("tick_log", {"business_date": OPEN, "closed": False})
    # Twice each, and in any order.
    made.given = {table: rng.sample(rows * 2, len(rows) * 2) for table, rows in made.given.items()}
    return made


@pytest.fixture(scope="module")
def found(flink: FlinkSql, world: World) -> dict[str, Any]:
    insert = "insert reconcile"
    return newest(flink.run("reconcile", world.given, [insert])[insert], "recon_key")


def test_the_world_holds_every_outcome(world: World) -> None:
    assert {one.outcome for one in world.expected.values() if one} == set(Outcome)


def test_every_outcome_and_every_paisa_is_the_references(found: dict[str, Any], world: World) -> None:
    different: dict[str, Any] = {}
    for key, decision in world.expected.items():
        row = found.get(key)
        if decision is None:
            if row is not None and row["op"] != "d":
                different[key] = ("nothing", row)
            continue
        wanted = ("u", decision.outcome, decision.expected, decision.found, decision.difference)
        names = ("op", "outcome", "expected_amount", "found_amount", "difference")
        if row is None or tuple(row[name] for name in names) != wanted:
            different[key] = (wanted, row)
    assert different == {}


def test_nothing_else_comes_out(found: dict[str, Any], world: World) -> None:
    assert [key for key, row in found.items() if key not in world.expected and row["op"] != "d"] == []


def test_a_payments_version_is_what_the_domain_says(found: dict[str, Any], world: World) -> None:
    different = {
        key: (version, found[key]["version"])
        for key, version in world.versions.items()
        if key in found and found[key]["version"] != version
    }
    assert different == {}
