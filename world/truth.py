"""What must come out, known because it was planned: per key, and as counts and sums per level and outcome.

Nothing here asks the code that reconciles; each sale and payout carries the outcome it was made for.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from world.model import IS_CORRECTED, rupees

if TYPE_CHECKING:
    from collections.abc import Mapping
    from decimal import Decimal

    from world.model import World


class Verdict(NamedTuple):
    """What one row of the result must say; amounts in paise."""

    level: str
    outcome: str
    expected: int
    found: int


class Sums(NamedTuple):
    """One line of the table: how many, and their sums in rupees."""

    rows: int
    expected: Decimal
    found: Decimal
    difference: Decimal


Truth = dict[tuple[str, str], Sums]


def verdicts(world: World) -> dict[str, Verdict]:
    """Every row that must be there, by its key."""
    made: dict[str, Verdict] = {}
    for sale in world.sales:
        if sale.outcome is not None:
            key = f"PAYMENT:{sale.transaction_id}"
            made[key] = Verdict("PAYMENT", sale.outcome, sale.expected, sale.found)
    for capture in world.unknown:
        key = f"PAYMENT:{capture.transaction_id}"
        made[key] = Verdict("PAYMENT", "MISSING_IN_SYSTEM", 0, capture.paise)
    for payout in world.payouts:
        key = f"SETTLEMENT:{payout.utr or payout.settlement_id}"
        made[key] = Verdict("SETTLEMENT", payout.outcome, payout.net, payout.found)
    for stray in world.strays:
        made[f"SETTLEMENT:{stray.utr}"] = Verdict("SETTLEMENT", "MISSING_IN_GATEWAY", 0, stray.paise)
    return made


def absent(world: World) -> set[str]:
    """Keys that were heard of on the way and must have no row in the end."""
    gone = {f"PAYMENT:{sale.transaction_id}" for sale in world.sales if sale.outcome is None}
    gone |= {f"PAYMENT:{sale.born_as}" for sale in world.sales if sale.born_as}
    gone |= {f"PAYMENT:{forged_id(number)}" for number in range(world.plan.counts["forged"])}
    gone |= {f"SETTLEMENT:{p.settlement_id}" for p in world.payouts if p.utr}
    right = {line.utr for line in world.files[IS_CORRECTED]} | {p.utr for p in world.payouts}
    gone |= {f"SETTLEMENT:{line.utr}" for line in world.first_revision if line.utr not in right}
    return gone


def forged_id(number: int) -> str:
    """The transaction a forged notice speaks of."""
    return f"TXN26010599{number:05d}"


def sums(found: Mapping[str, Verdict]) -> Truth:
    """Counted and added per (level, outcome)."""
    lines: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0, 0])
    for verdict in found.values():
        line = lines[verdict.level, verdict.outcome]
        line[0] += 1
        line[1] += verdict.expected
        line[2] += verdict.found
    return {
        key: Sums(rows, rupees(expected), rupees(got), rupees(got - expected))
        for key, (rows, expected, got) in sorted(lines.items())
    }


def truth(world: World) -> Truth:
    """Per (level, outcome)."""
    return sums(verdicts(world))
