"""The reference decisions: each rule, their order, and what holds for every case."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import pytest

from settlement.errors import SettlementError
from settlement.outcomes import (
    EXACT,
    WAITING,
    BankRow,
    Cutoffs,
    Decision,
    GatewayPayment,
    GatewaySettlement,
    OurPayment,
    Outcome,
    Tolerance,
    decide_payment,
    decide_settlement,
    recon_key,
)

DAY = date(2026, 1, 6)
OURS = OurPayment("M1", "SUCCESS", Decimal("100.00"), Decimal("0.00"), DAY)
THEIRS = GatewayPayment("M1", "CAPTURED", Decimal("100.00"), Decimal("0.00"), DAY)
SETTLEMENT = GatewaySettlement(4, Decimal("970.50"), DAY)
CREDIT = BankRow("CR", Decimal("970.50"), DAY)
ALL_IN = Cutoffs(expected=3, received=3)


def payment(
    ours: OurPayment | None, *theirs: GatewayPayment, day_closed: bool = True, tolerance: Tolerance = EXACT
) -> tuple[str | None, str | None]:
    decision = decide_payment(ours, theirs, day_closed=day_closed, tolerance=tolerance)
    return (decision.outcome, str(decision.difference)) if decision else (None, None)


def settlement(
    gateway: GatewaySettlement | None, *rows: BankRow, cutoffs: Cutoffs = ALL_IN, tolerance: Tolerance = EXACT
) -> tuple[str | None, str | None]:
    decision = decide_settlement(gateway, rows, cutoffs, tolerance=tolerance)
    return (decision.outcome, str(decision.difference)) if decision else (None, None)


def ours(**change: object) -> OurPayment:
    return replace(OURS, **change)  # type: ignore[arg-type]


def theirs(**change: object) -> GatewayPayment:
    return replace(THEIRS, **change)  # type: ignore[arg-type]


def test_payments_that_agree() -> None:
    assert payment(OURS, THEIRS) == ("MATCHED", "0.00")
    part = {"refunded": Decimal("40.00")}
    assert payment(ours(**part), theirs(status="REFUNDED", **part)) == ("MATCHED", "0.00")
    assert payment(ours(status="FAILED"), theirs(status="FAILED")) == ("MATCHED", "0.00")
    # An attempt that failed before the one that was captured is no difference.
    assert payment(OURS, theirs(status="FAILED"), THEIRS) == ("MATCHED", "0.00")


def test_payments_of_which_one_side_is_silent() -> None:
    assert payment(None, THEIRS) == ("MISSING_IN_SYSTEM", "100.00")
    assert payment(None, theirs(status="FAILED")) == (None, None)
    assert payment(None) == (None, None)
    assert payment(OURS) == ("MISSING_IN_GATEWAY", "-100.00")
    assert payment(OURS, day_closed=False) == ("AWAITING_GATEWAY", "-100.00")
    assert payment(ours(status="FAILED")) == ("MATCHED", "0.00")
    assert payment(ours(status="FAILED"), day_closed=False) == ("MATCHED", "0.00")


def test_payments_that_differ() -> None:
    assert payment(OURS, THEIRS, THEIRS) == ("DUPLICATE_IN_GATEWAY", "100.00")
    assert payment(None, THEIRS, THEIRS) == ("MISSING_IN_SYSTEM", "200.00")
    assert payment(OURS, theirs(merchant_id="M2")) == ("MERCHANT_MISMATCH", "0.00")
    assert payment(OURS, theirs(status="FAILED")) == ("STATUS_MISMATCH", "-100.00")
    assert payment(OURS, theirs(status="AUTHORIZED")) == ("STATUS_MISMATCH", "-100.00")
    assert payment(ours(status="FAILED"), THEIRS) == ("STATUS_MISMATCH", "100.00")
    assert payment(ours(status="PENDING"), THEIRS) == ("STATUS_MISMATCH", "0.00")
    assert payment(ours(status="PENDING"), theirs(status="FAILED"))[0] == "STATUS_MISMATCH"
    assert payment(ours(status="PENDING"), theirs(status="PENDING"))[0] == "AWAITING_GATEWAY"
    assert payment(OURS, theirs(amount=Decimal("99.99"))) == ("AMOUNT_MISMATCH", "-0.01")
    assert payment(OURS, theirs(refunded=Decimal("5.00"))) == ("AMOUNT_MISMATCH", "-5.00")
    assert payment(OURS, theirs(paid_on=DAY + timedelta(days=1))) == ("DATE_MISMATCH", "0.00")


def test_the_first_rule_that_holds_decides() -> None:
    everything = theirs(
        merchant_id="M2", status="FAILED", amount=Decimal("1.00"), paid_on=DAY + timedelta(days=9)
    )
    assert payment(OURS, everything)[0] == "MERCHANT_MISMATCH"
    assert payment(OURS, replace(everything, merchant_id="M1"))[0] == "STATUS_MISMATCH"
    assert payment(OURS, replace(everything, merchant_id=None, status="CAPTURED"))[0] == "AMOUNT_MISMATCH"


def test_of_several_attempts_the_furthest_speaks_then_the_later() -> None:
    mine = ours(status="FAILED")
    early, late = theirs(status="FAILED"), theirs(status="FAILED", paid_on=DAY + timedelta(days=1))
    for attempts in ((early, late), (late, early)):
        assert payment(mine, *attempts)[0] == "DATE_MISMATCH"
    for attempts in ((theirs(status="PENDING"), late), (late, theirs(status="PENDING"))):
        assert payment(ours(status="PENDING"), *attempts)[0] == "AWAITING_GATEWAY"


def test_settlements_that_agree() -> None:
    assert settlement(SETTLEMENT, CREDIT) == ("MATCHED", "0.00")
    halves = (replace(CREDIT, amount=Decimal("970.00")), replace(CREDIT, amount=Decimal("0.50")))
    assert settlement(SETTLEMENT, *halves) == ("MATCHED", "0.00")
    twice_and_back = (CREDIT, CREDIT, BankRow("DR", Decimal("970.50"), DAY))
    assert settlement(SETTLEMENT, *twice_and_back) == ("MATCHED", "0.00")


def test_settlements_of_which_one_side_is_silent() -> None:
    assert settlement(None, CREDIT) == ("MISSING_IN_GATEWAY", "970.50")
    assert settlement(GatewaySettlement(0, Decimal("0.00"), None), CREDIT)[0] == "MISSING_IN_GATEWAY"
    assert settlement(None) == (None, None)
    assert settlement(SETTLEMENT) == ("MISSING_IN_BANK", "-970.50")
    words = [("RECEIVED", False), ("PARTIAL", True), ("DUE", False)]
    late = Cutoffs(expected=3, received=1, late=1)
    assert Cutoffs.told(3, words) == late
    assert Cutoffs.told(2, [("DUPLICATE", False), ("SUPERSEDED", False)]).complete
    assert Cutoffs.told(2, [("RECEIVED", False), ("PARTIAL", False)]) == Cutoffs(2, 1)
    assert Cutoffs.told(1, [("MISSED", False)]).late
    assert settlement(SETTLEMENT, cutoffs=late) == ("BANK_FILE_LATE", "-970.50")
    assert settlement(SETTLEMENT, cutoffs=Cutoffs(3, 1)) == ("AWAITING_BANK_FILE", "-970.50")
    assert settlement(SETTLEMENT, cutoffs=Cutoffs(0)) == ("AWAITING_BANK_FILE", "-970.50")


def test_settlements_that_differ() -> None:
    assert settlement(SETTLEMENT, CREDIT, CREDIT) == ("DUPLICATE_IN_BANK", "970.50")
    assert settlement(SETTLEMENT, replace(CREDIT, amount=Decimal("970.00"))) == ("AMOUNT_MISMATCH", "-0.50")
    reversal = BankRow("DR", Decimal("0.50"), DAY)
    assert settlement(SETTLEMENT, CREDIT, reversal) == ("AMOUNT_MISMATCH", "-0.50")
    late = replace(CREDIT, value_date=DAY + timedelta(days=1))
    assert settlement(SETTLEMENT, late) == ("DATE_MISMATCH", "0.00")


def test_tolerances_are_the_larger_of_amount_and_percent() -> None:
    lax = Tolerance(amount=Decimal("1.00"), percent=Decimal("2"), days=1)
    assert payment(OURS, theirs(amount=Decimal("98.00")), tolerance=lax)[0] == "MATCHED"
    assert payment(OURS, theirs(amount=Decimal("97.99")), tolerance=lax)[0] == "AMOUNT_MISMATCH"
    assert payment(OURS, theirs(paid_on=DAY - timedelta(days=1)), tolerance=lax)[0] == "MATCHED"
    small = ours(amount=Decimal("10.00"))
    assert payment(small, theirs(amount=Decimal("11.00")), tolerance=lax)[0] == "MATCHED"


def test_what_holds_for_every_case() -> None:
    rng = random.Random(8)
    seen: set[Outcome] = set()
    for _ in range(5000):
        decision = random_decision(rng)
        if decision is None:
            continue
        seen.add(decision.outcome)
        assert decision.reason
        assert decision.difference == decision.found - decision.expected
        assert decision.difference.as_tuple().exponent == -2
        if decision.outcome is Outcome.MISSING_IN_SYSTEM:
            assert decision.expected == 0
        if decision.outcome in WAITING:
            assert decision.found == 0
    assert seen == set(Outcome)


def random_decision(rng: random.Random) -> Decision | None:
    amount = [Decimal("0.00"), Decimal("40.00"), Decimal("100.00")]
    days = [DAY, DAY + timedelta(days=1)]
    if rng.random() < 0.5:
        mine = OurPayment(
            rng.choice("AB"), rng.choice(["SUCCESS", "PENDING", "FAILED"]), amount[2], amount[0], DAY
        )
        told = [
            GatewayPayment(
                rng.choice(["A", "B", None]),
                rng.choice(["CREATED", "FAILED", "CAPTURED", "REFUNDED"]),
                rng.choice(amount),
                amount[0],
                rng.choice(days),
            )
            for _ in range(rng.choice((0, 1, 1, 2)))
        ]
        return decide_payment(rng.choice([mine, mine, None]), told, day_closed=rng.random() < 0.5)
    rows = [
        BankRow(rng.choice(["CR", "CR", "DR"]), rng.choice(amount), rng.choice(days))
        for _ in range(rng.choice((0, 1, 2)))
    ]
    paid = GatewaySettlement(rng.choice((0, 3)), rng.choice(amount), DAY)
    return decide_settlement(
        rng.choice([paid, paid, None]), rows, Cutoffs(2, rng.randrange(3), rng.randrange(2))
    )


def test_keys() -> None:
    assert recon_key("PAYMENT", "T1") == "PAYMENT:T1"
    with pytest.raises((SettlementError, ValueError)):
        recon_key("CARD", "T1")
