"""Who sells: merchants with a gateway, a settlement cycle and an account."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from world.model import Merchant

if TYPE_CHECKING:
    from random import Random

_FIRST: Final = (
    "Annapurna", "Bharat", "Chandni", "Deccan", "Everest", "Ganga", "Himalaya", "Indus", "Jaipur", "Kaveri",
    "Lakshmi", "Malabar", "Nilgiri", "Orchid", "Punjab", "Rajdhani", "Saraswati", "Taj", "Udaipur", "Vindhya",
)  # fmt: skip
_SECOND: Final = (
    "Traders", "Textiles", "Electronics", "Foods", "Pharmacy", "Travels", "Books", "Furniture", "Jewellers",
    "Motors", "Academy", "Hospital", "Power", "Water Board", "Telecom", "Insurance",
)  # fmt: skip
_THIRD: Final = ("", " & Sons", " Pvt Ltd", " LLP", " (Mumbai)", " दुकान")

# Fixed patterns rather than chance: even the smallest world has every gateway with every cycle.
_PAIR: Final = ("razorpay", "payu")
_GATEWAYS: Final = (*_PAIR * 2, "razorpay", "paytm", *_PAIR * 3, "razorpay", "paytm", *_PAIR * 3, "razorpay")
_CYCLES: Final = (1, 2, 1, 2, 3)


def merchants(rng: Random, count: int, renamed: int) -> list[Merchant]:
    """All merchants; the first `renamed` of a shuffled order change their name later."""
    changing = set(rng.sample(range(count), min(renamed, count)))
    made = []
    for number in range(count):
        name = f"{rng.choice(_FIRST)} {rng.choice(_SECOND)}{rng.choice(_THIRD)}"
        made.append(
            Merchant(
                merchant_id=f"MER{number + 1:06d}",
                name=name,
                later_name=f"{name} (formerly {name.split()[0]})" if number in changing else None,
                # 19 or 21 and 5 share no factor, so every pair comes up.
                gateway=_GATEWAYS[number % len(_GATEWAYS)],
                cycle=_CYCLES[number % len(_CYCLES)],
                account=f"{int(rng.random() * 9e9) + 1_000_000_000:010d}{number % 10_000:04d}",
            )
        )
    return made
