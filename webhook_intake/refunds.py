"""What is left of a payment once refunds are known, for gateways whose refund notice does not say it.

Razorpay sends the payment along with every refund event. PayU and Paytm do not: PayU tells each refund,
Paytm the total so far. The payment's own words are in other events of the ledger, before or after.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from settlement.gateways import GatewayStatus
from settlement.money import ZERO
from settlement.versions import gateway_version

if TYPE_CHECKING:
    from collections.abc import Iterable

    from webhook_intake.records import RefundFact, Word


def after_refunds(payment: Word, refunds: Iterable[RefundFact]) -> Word | None:
    """The captured payment with its refunds, None where there are none; the order of arrival is no matter."""
    of_this = {fact.refund_id: fact for fact in refunds if fact.payment_id == payment.entity_id}
    if not of_this or payment.status != GatewayStatus.CAPTURED:
        return None
    each = sum((fact.amount for fact in of_this.values()), ZERO)
    refunded = max([each, *(fact.total for fact in of_this.values() if fact.total is not None)])
    at = max(fact.at for fact in of_this.values())
    status = GatewayStatus.REFUNDED if refunded >= payment.amount else GatewayStatus.CAPTURED
    return replace(
        payment,
        status=status,
        refunded_amount=refunded,
        occurred_at=at,
        # A refund that carries an older time than its payment must still replace the payment's own word.
        version=max(gateway_version(status, at), payment.version + 1),
    )
