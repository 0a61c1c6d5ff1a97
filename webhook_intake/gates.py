"""The gateways as the server and the sweeper see them: verify, read, hear."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from webhook_intake import paytm, payu, razorpay
from webhook_intake.records import Checked, Heard

if TYPE_CHECKING:
    from datetime import datetime

    from webhook_intake.config import IntakeSettings


@dataclass(frozen=True, slots=True)
class Reader:
    """How one gateway's stored events are understood; needs no secret."""

    read: Callable[[str, bytes], Any]
    hear: Callable[[Any, datetime, str], Heard]
    # True where a refund's notice leaves the payment to other events: see refunds.py.
    refunds_apart: bool


READERS: dict[str, Reader] = {
    razorpay.NAME: Reader(razorpay.read, razorpay.hear, refunds_apart=False),
    payu.NAME: Reader(payu.read, payu.hear, refunds_apart=True),
    paytm.NAME: Reader(paytm.read, paytm.hear, refunds_apart=True),
}

Check = Callable[[Mapping[str, str], bytes, str], Checked]


def checks(settings: IntakeSettings) -> dict[str, Check]:
    """The verification of every gateway that has a secret; the others are not served."""
    found: dict[str, Check] = {}
    razorpay_secrets = settings.secrets("razorpay_webhook_secret")
    if razorpay_secrets:
        found[razorpay.NAME] = lambda headers, body, sha256: razorpay.check(
            headers, body, sha256, razorpay_secrets
        )
    salts = settings.secrets("payu_salt")
    if salts:
        found[payu.NAME] = lambda headers, body, sha256: payu.check(
            headers, body, sha256, settings.payu_key, salts
        )
    keys = settings.secrets("paytm_merchant_key")
    if keys:
        found[paytm.NAME] = lambda headers, body, sha256: paytm.check(
            headers, body, sha256, settings.paytm_mid, keys
        )
    return found
