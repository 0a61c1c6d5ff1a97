"""A world with everything that can be made before the doors open: signed notices and reports as bytes."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, NamedTuple

from world.generate import generate
from world.play_http import Parcel, parcels
from world.reports import early_reports
from world.signing import Secrets
from world.webhooks import Posts, posts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from world.model import World


class Ready(NamedTuple):
    """What the story plays."""

    world: World
    notices: Posts
    reports: list[Parcel]


def make_ready(seed: int, scale: float, known: Mapping[str, str]) -> Ready:
    """Make it all; `known` holds the stack's secrets by name."""
    # A million objects that all stay: looking through them again and again would take as long as making them.
    gc.disable()
    try:
        world = generate(seed, scale)
        notices = posts(
            world,
            Secrets(
                known["razorpay_webhook_secret"],
                known["payu_key"],
                known["payu_salt"],
                known["paytm_mid"],
                known["paytm_merchant_key"],
            ),
        )
        return Ready(world, notices, parcels(early_reports(world)))
    finally:
        gc.freeze()
        gc.enable()
