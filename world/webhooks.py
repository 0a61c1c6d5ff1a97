"""The gateways' notices as bytes, in the order in which they are sent.

1. First steps: authorizations, captures, failures; of those out of order, the later step first.
2. Second steps: captures after their authorizations, refunds; and the earlier steps that were held back.
3. Copies of notices sent before, and forgeries.
"""

from __future__ import annotations

import hashlib
import json
from datetime import timedelta
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import urlencode

from settlement.calendar import IST
from world.model import Capture, World, money
from world.signing import Secrets, paytm_checksum, paytm_form_checksum, payu_hash, razorpay_signature
from world.truth import forged_id

if TYPE_CHECKING:
    from collections.abc import Iterator

_PAYU_MODES: Final = {"upi": "UPI", "card": "CC", "netbanking": "NB", "wallet": "CASH"}
_PAYTM_MODES: Final = {"upi": "UPI", "card": "CC", "netbanking": "NB", "wallet": "PPI"}
_JSON: Final = "application/json"
_FORM: Final = "application/x-www-form-urlencoded"


class Post(NamedTuple):
    """One HTTP POST: where, with which headers (ready bytes), what."""

    path: str
    headers: bytes
    body: bytes


class Posts(NamedTuple):
    """All notices in sending order, and those that must be refused."""

    genuine: list[Post]
    forged: list[Post]
    copies: int
    out_of_order: int


def posts(world: World, secrets: Secrets) -> Posts:
    """All notices, numbered as in the module's docstring."""
    maker = _Maker(secrets)
    first: list[Post] = []
    second: list[Post] = []
    copies: list[Post] = []
    out_of_order = 0
    for capture in _captures(world):
        steps = list(maker.steps(capture))
        if capture.out_of_order and len(steps) > 1:
            steps.reverse()
            out_of_order += 1
        # 1. and 2.
        first.append(steps[0])
        second += steps[1:]
        # 3.
        if capture.twice:
            copies.append(steps[-1])
    forged = [
        maker.forged(number, capture)
        for number, capture in zip(range(world.plan.counts["forged"]), _captures(world), strict=False)
    ]
    return Posts(first + second + copies, forged, len(copies), out_of_order)


def _captures(world: World) -> Iterator[Capture]:
    for sale in world.sales:
        yield from sale.captures
    yield from world.unknown


class _Maker:
    """Writes notices in each gateway's own shape."""

    def __init__(self, secrets: Secrets) -> None:
        self._secrets = secrets
        self._razorpay_secret = secrets.razorpay_secret.encode()

    def steps(self, capture: Capture) -> Iterator[Post]:
        """What the gateway says about one payment, in the order in which it happened."""
        if capture.gateway == "razorpay":
            if capture.authorized_first:
                yield self._razorpay(capture, "payment.authorized", "authorized")
            yield self._razorpay(
                capture, *(("payment.captured", "captured") if capture.ok else ("payment.failed", "failed"))
            )
            if capture.refund:
                full = capture.refund.paise == capture.paise
                yield self._razorpay(capture, "refund.processed", "refunded" if full else "captured")
        elif capture.gateway == "payu":
            yield self._payu(capture)
            if capture.refund:
                yield self._payu_refund(capture)
        else:
            yield self._paytm(capture)
            if capture.refund:
                yield self._paytm_refund(capture)

    def forged(self, number: int, capture: Capture) -> Post:
        """A captured payment that nobody made, signed by somebody who does not know the secret."""
        fake = Capture(
            gateway=("razorpay", "payu", "paytm")[number % 3],
            entity_id=f"forged{number:08d}",
            transaction_id=forged_id(number),
            merchant_id=capture.merchant_id,
            order_ref=f"ORD-FORGED-{number}",
            method="upi",
            paise=99_999_00,
            at=capture.at,
        )
        secrets = Secrets(
            "not the secret", self._secrets.payu_key, "not the salt", self._secrets.paytm_mid, "k" * 16
        )
        return next(_Maker(secrets).steps(fake))

    def _razorpay(self, capture: Capture, event: str, status: str) -> Post:
        refund = capture.refund if event.startswith("refund") else None
        happened = int(capture.at.timestamp())
        # An authorization is told before the capture, which is told at once.
        told = (
            int(refund.at.timestamp()) if refund else happened + (1 if event == "payment.authorized" else 2)
        )
        settled = status in ("captured", "refunded")
        fee = capture.paise * 236 // 10_000 if settled else None
        payment = {
            "id": capture.entity_id,
            "entity": "payment",
            "amount": capture.paise,
            "base_amount": capture.paise,
            "currency": "INR",
            "status": status,
            "amount_refunded": refund.paise if refund else 0,
            "refund_status": None if not refund else "full" if status == "refunded" else "partial",
            "captured": settled,
            "method": capture.method,
            "order_id": f"order_{capture.entity_id[4:]}",
            "notes": {
                "transaction_id": capture.transaction_id,
                "merchant_id": capture.merchant_id,
                "order_ref": capture.order_ref,
            },
            "fee": fee,
            "tax": fee * 18 // 118 if fee is not None else None,
            "error_code": "BAD_REQUEST_ERROR" if status == "failed" else None,
            "acquirer_data": {"rrn": capture.rrn},
            "created_at": happened,
        }
        payload = {"payment": {"entity": payment}}
        if refund:
            payload["refund"] = {
                "entity": {
                    "id": refund.refund_id,
                    "entity": "refund",
                    "amount": refund.paise,
                    "currency": "INR",
                    "payment_id": capture.entity_id,
                    "status": "processed",
                    "notes": [],
                    "speed_processed": "normal",
                    "created_at": told,
                }
            }
        envelope = {
            "entity": "event",
            "account_id": "acc_SettleStream1",
            "event": event,
            "contains": list(payload),
            "payload": payload,
            "created_at": told,
        }
        body = json.dumps(envelope, separators=(",", ":"), ensure_ascii=False).encode()
        # One event has one id, on every retry.
        event_id = hashlib.sha256(f"{event}{capture.entity_id}".encode()).hexdigest()[:14]
        signature = razorpay_signature(body, self._razorpay_secret)
        headers = f"X-Razorpay-Signature: {signature}\r\nx-razorpay-event-id: {event_id}\r\n"
        return Post("/webhook/razorpay", f"Content-Type: {_JSON}\r\n{headers}".encode(), body)

    def _payu(self, capture: Capture) -> Post:
        fields = {
            "mihpayid": capture.entity_id,
            "txnid": capture.transaction_id,
            "key": self._secrets.payu_key,
            "mode": _PAYU_MODES[capture.method],
            "status": "success" if capture.ok else "failure",
            "unmappedstatus": "captured" if capture.ok else "failed",
            "amount": money(capture.paise),
            "addedon": f"{capture.at:%Y-%m-%d %H:%M:%S}",
            "productinfo": capture.order_ref,
            "firstname": "Asha",
            "email": "asha@example.in",
            "udf1": capture.merchant_id,
            "udf2": capture.order_ref,
            "bank_ref_num": capture.rrn,
            "error": "E000" if capture.ok else "E308",
        }
        fields["hash"] = payu_hash(fields, self._secrets.payu_salt)
        return Post("/webhook/payu", f"Content-Type: {_FORM}\r\n".encode(), urlencode(fields).encode())

    def _payu_refund(self, capture: Capture) -> Post:
        refund = capture.refund
        assert refund is not None  # noqa: S101 - only asked for where there is one
        fields = {
            "action": "refund",
            "mihpayid": capture.entity_id,
            "merchantTxnId": capture.transaction_id,
            "request_id": refund.refund_id,
            "amt": money(refund.paise),
            "status": "success",
            "key": self._secrets.payu_key,
            "bank_ref_num": capture.rrn,
            "token": f"R{refund.refund_id}",
        }
        said = {**fields, "txnid": capture.transaction_id, "amount": fields["amt"]}
        fields["hash"] = payu_hash(said, self._secrets.payu_salt)
        body = json.dumps(fields, separators=(",", ":")).encode()
        return Post("/webhook/payu", f"Content-Type: {_JSON}\r\n".encode(), body)

    def _paytm(self, capture: Capture) -> Post:
        fields = {
            "MID": self._secrets.paytm_mid,
            "ORDERID": capture.transaction_id,
            "TXNID": capture.entity_id,
            "TXNAMOUNT": money(capture.paise),
            "CURRENCY": "INR",
            "PAYMENTMODE": _PAYTM_MODES[capture.method],
            "TXNDATE": f"{capture.at:%Y-%m-%d %H:%M:%S}.0",
            "STATUS": "TXN_SUCCESS" if capture.ok else "TXN_FAILURE",
            "RESPCODE": "01" if capture.ok else "227",
            "RESPMSG": "Txn Success" if capture.ok else "Declined by the bank",
            "BANKTXNID": capture.rrn,
            "MERC_UNQ_REF": f"{capture.merchant_id}|{capture.order_ref}",
        }
        fields["CHECKSUMHASH"] = paytm_form_checksum(fields, self._secrets.paytm_key, self._salt(capture))
        return Post("/webhook/paytm", f"Content-Type: {_FORM}\r\n".encode(), urlencode(fields).encode())

    def _paytm_refund(self, capture: Capture) -> Post:
        refund = capture.refund
        assert refund is not None  # noqa: S101 - only asked for where there is one
        credited = f"{refund.at.astimezone(IST) + timedelta(seconds=2):%Y-%m-%d %H:%M:%S}.0"
        accepted = f"{refund.at.astimezone(IST):%Y-%m-%d %H:%M:%S}.0"
        body = json.dumps(
            {
                "mid": self._secrets.paytm_mid,
                "txnId": capture.entity_id,
                "orderId": capture.transaction_id,
                "txnAmount": money(capture.paise),
                "refundAmount": money(refund.paise),
                "totalRefundAmount": money(refund.paise),
                "txnTimestamp": f"{capture.at.astimezone(IST):%Y-%m-%d %H:%M:%S}.0",
                "acceptRefundTimestamp": accepted,
                "userCreditInitiateTimestamp": credited,
                "refId": refund.refund_id,
                "refundId": f"PG{refund.refund_id}",
            },
            separators=(",", ":"),
        )
        signature = paytm_checksum(body, self._secrets.paytm_key, self._salt(capture))
        whole = f'{{"head":{{"signature":"{signature}","version":"v1"}},"body":{body}}}'
        return Post("/webhook/paytm", f"Content-Type: {_JSON}\r\n".encode(), whole.encode())

    @staticmethod
    def _salt(capture: Capture) -> str:
        """Four characters; Paytm draws them, a world that is to be the same every time does not."""
        return capture.entity_id[-4:]
