"""How many of everything at a scale: the known differences, in known numbers, never fewer than one."""

from __future__ import annotations

from typing import Final

from world.model import Plan

MERCHANTS: Final = 15_000
SALES: Final = 100_400  # a few are deleted again: at least 100,000 stay
# Below this a special file could stay empty of what its story needs.
_FEWEST_MERCHANTS: Final = 60
_FEWEST_SALES: Final = 480

# PAYMENT level, at scale 1. What is not named here is MATCHED.
OUTCOMES: Final = {
    "AMOUNT_MISMATCH": 300,
    "DATE_MISMATCH": 200,
    "MERCHANT_MISMATCH": 100,
    "STATUS_MISMATCH": 300,
    "DUPLICATE_IN_GATEWAY": 150,
    "MISSING_IN_GATEWAY": 250,
    "MISSING_IN_SYSTEM": 150,
    "AWAITING_GATEWAY": 400,
}
# SETTLEMENT level; late and awaited ones follow from the files that do not arrive.
PAYOUTS: Final = {
    "AMOUNT_MISMATCH": 250,
    "DATE_MISMATCH": 200,
    "DUPLICATE_IN_BANK": 150,
    "MISSING_IN_BANK": 150,
    "MISSING_IN_GATEWAY": 120,
}
COUNTS: Final = {
    "deleted_captured": 40,  # deleted by us, captured by the gateway: MISSING_IN_SYSTEM
    "deleted_quietly": 40,  # deleted by us, unknown to the gateway: no row
    "key_changes": 20,
    "renames": 30,
    "failed": 4_000,
    "refunds": 2_000,
    "long_notes": 5,
    "authorized_first": 3_000,
    "out_of_order": 200,
    "twice": 200,
    "forged": 5,
    "adjustments": 300,
    "adjustments_without_utr": 200,
    "reversed_credits": 60,
    "utr_later": 20,
    "no_utr_yet": 10,
    "lower_case_utr": 500,
    "corrected_amounts": 8,
    "corrected_utrs": 4,
    "dropped_strays": 4,
    "dropped_credits": 2,
}


def plan(scale: float) -> Plan:
    """The numbers at this scale."""
    if not 0 < scale <= 100:
        raise ValueError(f"scale {scale} is not above 0 and at most 100")

    def scaled(numbers: dict[str, int]) -> dict[str, int]:
        return {name: max(1, round(number * scale)) for name, number in numbers.items()}

    return Plan(
        merchants=max(_FEWEST_MERCHANTS, round(MERCHANTS * scale)),
        sales=max(_FEWEST_SALES, round(SALES * scale)),
        outcomes=scaled(OUTCOMES),
        payouts=scaled(PAYOUTS),
        counts=scaled(COUNTS),
    )
