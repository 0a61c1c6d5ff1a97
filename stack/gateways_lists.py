"""The stand-in gateways' lists of payments and refunds, in their real shapes and auth.

    GET  /razorpay/v1/payments, /v1/refunds, /v1/disputes   from, to, count, skip; newest first
    GET  /razorpay/v1/payments/<id>
    POST /payu/merchant/postservice                  get_transaction_info, getAllRefundsFromTxnIds
    POST /paytm/merchant-passbook/search/list/order/v2
    POST /paytm/v3/order/status, /paytm/v2/refund/status

They show only what they were told of: a payment that was settled, or told in a webhook, is not on them by
itself.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import orjson

from stack.gateways_store import ENTITIES, Store, seconds
from webhook_intake import checksum
from webhook_intake.httpserver import Request, Response

if TYPE_CHECKING:
    from webhook_intake.config import IntakeSettings

_JSON = "application/json"
_RAZORPAY_PAGE, _PAYTM_PAGE = 100, 50
_PAYTM_SPAN = 30 * 86_400


@dataclass(slots=True)
class Unreliable:
    """How many of the next lists lack their first row, show it twice, or come in another order."""

    drop_next: int = 0
    duplicate_next: int = 0
    reorder_next: int = 0

    def spoil(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """A list's rows as they are told to be shown; an empty list has nothing to spoil."""
        if not rows:
            return rows
        if self.drop_next:
            self.drop_next -= 1
            rows = rows[1:]
        if self.duplicate_next:
            self.duplicate_next -= 1
            rows = rows[:1] + rows
        if self.reorder_next:
            self.reorder_next -= 1
            rows = rows[::-1]
        return rows


class ListApis:
    """What the stand-ins answer to questions about payments and refunds."""

    def __init__(self, settings: IntakeSettings, store: Store) -> None:
        self._settings = settings
        self._store = store

    def razorpay(self, request: Request, rest: str, unreliable: Unreliable) -> Response | None:
        """A page of payments, refunds or disputes, or one of them; None for any other address."""
        _, _, path = rest.partition("/")
        kind, _, one = path.partition("/")
        if request.method != "GET" or ("razorpay", kind) not in ENTITIES:
            return None
        if one:
            found = [item for item in self._store.entities("razorpay", kind) if item["id"] == one]
            if not found:
                said = {"code": "BAD_REQUEST_ERROR", "description": "The id provided does not exist"}
                return _json({"error": said}, 400)
            return _json(found[0])
        query = {name: values[-1] for name, values in parse_qs(request.query).items()}
        count, skip = int(query.get("count", 10)), int(query.get("skip", 0))
        if not 1 <= count <= _RAZORPAY_PAGE or skip < 0:
            raise ValueError(f"count must be 1 to {_RAZORPAY_PAGE}")
        rows = self._store.entities("razorpay", kind, int(query.get("from", 0)), int(query.get("to", 2**62)))
        items = unreliable.spoil(rows[skip : skip + count])
        return _json({"entity": "collection", "count": len(items), "items": items})

    def payu(self, request: Request, unreliable: Unreliable) -> Response:
        """One of PayU's commands."""
        fields = {name: values[-1] for name, values in parse_qs(request.body.decode()).items()}
        command, var1 = fields["command"], fields["var1"]
        salt = self._settings.payu_salt.get_secret_value()
        expected = hashlib.sha512(f"{self._settings.payu_key}|{command}|{var1}|{salt}".encode()).hexdigest()
        if fields.get("key") != self._settings.payu_key or not hmac.compare_digest(
            expected, fields.get("hash", "")
        ):
            return _json({"status": 0, "msg": "Invalid Hash."})
        if command == "get_transaction_info":
            rows = self._store.entities("payu", "payments", seconds(var1), seconds(fields["var2"]))
            if not rows:
                return _json({"status": 0, "msg": "No Transactions Found"})
            said = {"status": 1, "msg": "Transaction Fetched Successfully"}
            return _json(said | {"Transaction_details": unreliable.spoil(rows)})
        if command == "getAllRefundsFromTxnIds":
            wanted = set(var1.split("|"))
            details: dict[str, list[dict[str, Any]]] = {}
            payments = {row["id"]: row["txnid"] for row in self._store.entities("payu", "payments")}
            for row in self._store.entities("payu", "refunds"):
                if payments.get(row["PayuID"]) in wanted:
                    details.setdefault(row["PayuID"], []).append(row)
            if not details:
                return _json({"status": 0, "msg": "No Refunds Found"})
            said = {"status": 1, "msg": "Refunds fetched successfully."}
            return _json(said | {"Refund Details": details})
        return _json({"status": 0, "msg": "Invalid command."})

    def paytm(self, request: Request, rest: str, unreliable: Unreliable) -> Response | None:
        """The order list or a status; None for any other address."""
        answer = {
            "merchant-passbook/search/list/order/v2": self._paytm_orders,
            "v3/order/status": self._paytm_order,
            "v2/refund/status": self._paytm_refund,
        }.get(rest)
        if answer is None or request.method != "POST":
            return None
        asked = orjson.loads(request.body)
        text = request.body[request.body.index(b'"body":') + 7 : -1].decode()
        key = self._settings.paytm_merchant_key.get_secret_value()
        if asked["body"].get("mid") != self._settings.paytm_mid or not checksum.verify_text(
            text, asked["head"]["signature"], key
        ):
            return _paytm("TXN_FAILURE", "330", {})
        return answer(asked["body"], unreliable)

    def _paytm_orders(self, asked: dict[str, Any], unreliable: Unreliable) -> Response:
        first, last = seconds(asked["fromDate"]), seconds(asked["toDate"])
        page, size = int(asked["pageNumber"]), int(asked["pageSize"])
        if not 1 <= size <= _PAYTM_PAGE or page < 1 or last - first > _PAYTM_SPAN:
            raise ValueError("at most 30 days and 50 rows")
        types, states = asked["orderSearchType"].split("|"), asked["orderSearchStatus"].split("|")
        rows = []
        for kind, name in (("payments", "TRANSACTION"), ("refunds", "REFUND")):
            if name in types:
                rows += [_order(name, item) for item in self._store.entities("paytm", kind, first, last)]
        rows = [row for row in rows if row["orderSearchStatus"] in states]
        shown = unreliable.spoil(rows[(page - 1) * size : page * size])
        return _paytm("SUCCESS", "200", {"orders": shown, "totalCount": len(rows)})

    def _paytm_order(self, asked: dict[str, Any], _: Unreliable) -> Response:
        found = [
            one for one in self._store.entities("paytm", "payments") if one["orderId"] == asked["orderId"]
        ]
        return _paytm("TXN_SUCCESS", "01", found[0]) if found else _paytm("TXN_FAILURE", "331", {})

    def _paytm_refund(self, asked: dict[str, Any], _: Unreliable) -> Response:
        found = [one for one in self._store.entities("paytm", "refunds") if one["refId"] == asked["refId"]]
        return _paytm("TXN_SUCCESS", "10", found[0]) if found else _paytm("TXN_FAILURE", "631", {})


def _order(kind: str, item: dict[str, Any]) -> dict[str, Any]:
    """A row of the order list about a payment or refund."""
    result = item.get("resultInfo", {}).get("resultStatus", "TXN_SUCCESS")
    refund = kind == "REFUND"
    row = {
        "orderSearchType": kind,
        "orderSearchStatus": {"TXN_SUCCESS": "SUCCESS", "TXN_FAILURE": "FAILURE"}.get(result, "PENDING"),
        "merchantOrderId": item["orderId"],
        "txnId": item["txnId"],
        "amount": item["refundAmount"] if refund else item["txnAmount"],
        "orderCreatedTime": item["acceptRefundTimestamp"] if refund else item["txnDate"],
    }
    return row | ({"refundId": item["refundId"], "refId": item["refId"]} if refund else {})


def _paytm(status: str, code: str, body: dict[str, Any]) -> Response:
    result = {"resultStatus": status, "resultCode": code, "resultMsg": ""}
    return _json({"head": {"version": "v2"}, "body": {"resultInfo": result} | body})


def _json(said: dict[str, Any], status: int = 200) -> Response:
    return Response(status, orjson.dumps(said), _JSON)
