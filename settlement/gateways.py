"""The payment gateways: what they are called, where they pay out, and the ids of what they say."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from settlement.banks import Bank
from settlement.errors import UnknownNameError


class Gateway(StrEnum):
    """A payment gateway."""

    RAZORPAY = "razorpay"
    PAYU = "payu"
    PAYTM = "paytm"


class EntityType(StrEnum):
    """What a gateway's record is about."""

    PAYMENT = "PAYMENT"
    REFUND = "REFUND"
    DISPUTE = "DISPUTE"
    SETTLEMENT_LINE = "SETTLEMENT_LINE"


class LineType(StrEnum):
    """What a settlement line moves money for."""

    PAYMENT = "PAYMENT"
    REFUND = "REFUND"
    ADJUSTMENT = "ADJUSTMENT"


class GatewayStatus(StrEnum):
    """How far a gateway's record is."""

    CREATED = "CREATED"
    PENDING = "PENDING"
    FAILED = "FAILED"
    AUTHORIZED = "AUTHORIZED"
    CAPTURED = "CAPTURED"
    REFUNDED = "REFUNDED"
    SETTLED = "SETTLED"
    # Of a dispute.
    OPEN = "OPEN"
    ACTION_REQUIRED = "ACTION_REQUIRED"
    UNDER_REVIEW = "UNDER_REVIEW"
    CLOSED = "CLOSED"
    WON = "WON"
    LOST = "LOST"


# A captured payment stays captured when some or all of it was refunded since.
CAPTURED: Final = frozenset({GatewayStatus.CAPTURED, GatewayStatus.REFUNDED})

# The bank account each gateway pays our merchants' money into.
SETTLEMENT_BANKS: Final = {
    Gateway.RAZORPAY: Bank.HDFC,
    Gateway.PAYU: Bank.AXIS,
    Gateway.PAYTM: Bank.ICICI,
}


def gateway(name: str) -> Gateway:
    """The gateway of that name, however it is spelt in case."""
    try:
        return Gateway(name.strip().lower())
    except ValueError:
        raise UnknownNameError(f"gateway {name!r} is none of {', '.join(Gateway)}") from None


def settlement_bank(name: str) -> Bank:
    """The bank whose statement should show this gateway's credits."""
    return SETTLEMENT_BANKS[gateway(name)]


def record_id(name: str, entity_type: str, entity_id: str) -> str:
    """The key of a gateway's record on pg.transactions."""
    return f"{gateway(name)}:{EntityType(entity_type)}:{entity_id}"
