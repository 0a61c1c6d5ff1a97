"""A world from a seed and a scale: the same two always give the same world, to the byte."""

from __future__ import annotations

from random import Random

from world.merchants import merchants
from world.model import World
from world.payouts import Payouts
from world.plan import plan
from world.references import References
from world.sales import Sales


def generate(seed: int = 7, scale: float = 1.0) -> World:
    """1. Who sells. 2. What was sold and captured. 3. What was paid out and credited."""
    rng = Random(f"settlestream world {seed} {scale!r}")
    ids = References(rng)
    numbers = plan(scale)
    # 1.
    sellers = merchants(rng, numbers.merchants, numbers.counts["renames"])
    # 2.
    sold = Sales(rng, ids, numbers, sellers)
    sold.make()
    # 3.
    paid = Payouts(rng, ids, numbers)
    paid.make(sellers, sold.sales, sold.unknown)
    return World(
        seed=seed,
        scale=scale,
        plan=numbers,
        merchants=sellers,
        sales=sold.sales,
        unknown=sold.unknown,
        payouts=paid.payouts,
        strays=paid.strays,
        files=paid.files,
        first_revision=paid.first_revision,
    )
