"""The gateways' lists of payments and refunds: how each is asked, and the notice each row stands for.

A row becomes the notice that should have come, in the words of the gateway's webhook, so that it is heard by
the same code and has the same identity and version. All of this blocks; it knows nothing of what was missed.
"""

from __future__ import annotations

import base64
import hashlib
import logging
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlencode

import orjson

from settlement.calendar import IST
from settlement.errors import SettlementError
from settlement.masking import has_card_number
from webhook_intake import checksum, paytm, payu, razorpay
from webhook_intake.errors import GatewayBusyError, GatewayRefusedError, UnreadableError
from webhook_intake.fetching import Ask, Fetcher, json_answer, rows_of
from webhook_intake.native import from_epoch, moment
from webhook_intake.records import Listed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from webhook_intake.config import IntakeSettings

log = logging.getLogger("webhook_intake")

_SECOND = timedelta(seconds=1)
# A dispute is listed by its beginning and may go on for so long; there are few, so all of them are read.
_DISPUTED = timedelta(days=120)
# Rows on a page; the gateways' own limits. Paytm says no limit for this list; fifty is what it shows.
_RAZORPAY_PAGE, _PAYTM_PAGE = 100, 50
# PayU answers all of a span at once: a span grows while it brings few rows and shrinks when it brings many.
_PAYU_SHORTEST, _PAYU_LONGEST = timedelta(minutes=1), timedelta(days=1)
_PAYU_FEW, _PAYU_MANY = 1_000, 10_000
# Transactions whose refunds are asked for in one call.
_PAYU_REFUNDS = 100


class Lists(Protocol):
    """One gateway's lists."""

    name: str

    def read(self, begin: datetime, end: datetime) -> Iterator[list[Listed]]:
        """What was made in this time, page by page; raises GatewayError."""

    def whole(self, listed: Listed) -> Listed:
        """The same with what the list leaves out; asked only for what was missed. Raises GatewayError."""


class RazorpayLists:
    """GET /v1/payments, /refunds and /disputes: newest first, so pages are read in a time that is over."""

    name = razorpay.NAME

    def __init__(self, settings: IntakeSettings, fetcher: Fetcher) -> None:
        self._url = f"{settings.razorpay_api_url.rstrip('/')}/v1"
        pair = f"{settings.razorpay_key_id}:{settings.razorpay_key_secret.get_secret_value()}"
        self._headers = {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
        self._fetcher = fetcher

    def read(self, begin: datetime, end: datetime) -> Iterator[list[Listed]]:
        """Payments, refunds, and the disputes that may still be under way."""
        for path, listed, since in (
            ("payments", self._payment, begin),
            ("refunds", self._refund, begin),
            ("disputes", self._dispute, begin - _DISPUTED),
        ):
            skip, more = 0, True
            while more:
                query = {"from": _epoch(since), "to": _epoch(end - _SECOND)}
                query |= {"count": _RAZORPAY_PAGE, "skip": skip}
                try:
                    said = self._get(f"{path}?{urlencode(query)}")
                except GatewayRefusedError as error:
                    if path != "disputes":
                        raise
                    # Not every account may ask for them; that must not hide which payments were missed.
                    log.warning("disputes are not read: %s", error)
                    break
                rows = rows_of(self.name, said.get("items"))
                yield [listed(row, begin) for row in rows]
                skip += len(rows)
                # A page may lack a row that moved under the reader: only an empty one is the last.
                more = bool(rows)

    def whole(self, listed: Listed) -> Listed:
        """A refund's webhook, and a dispute's, holds its payment too."""
        payload = listed.notice["payload"]
        about = payload.get("refund") or payload.get("dispute")
        if about is None:
            return listed
        payment = self._get(f"payments/{about['entity'].get('payment_id')}")
        return listed.saying({**listed.notice, "payload": {"payment": {"entity": payment}, **payload}})

    def _get(self, path: str) -> dict[str, Any]:
        return json_answer(
            self.name, self._fetcher.get(self.name, Ask("GET", f"{self._url}/{path}", self._headers))
        )

    def _payment(self, row: dict[str, Any], begin: datetime) -> Listed:
        return self._listed("payment", row, row.get("id"), begin)

    def _refund(self, row: dict[str, Any], begin: datetime) -> Listed:
        return self._listed("refund", row, row.get("payment_id"), begin)

    def _dispute(self, row: dict[str, Any], begin: datetime) -> Listed:
        return self._listed("dispute", row, row.get("payment_id"), begin)

    def _listed(self, kind: str, row: dict[str, Any], payment: Any, begin: datetime) -> Listed:
        # The list does not say when a state was reached. Its creation is never after it, so a webhook that
        # comes late after all is the newer word, as it should be.
        notice = {
            "entity": "event",
            "event": f"{kind}.listed",
            "payload": {kind: {"entity": row}},
            "created_at": row.get("created_at"),
        }
        at = _or(lambda: from_epoch(row, "created_at"), begin)
        return Listed(_about(self.name, payment), notice, at)


class PayuLists:
    """get_transaction_info by time; refunds only by transaction, so they are asked of what was captured."""

    name = payu.NAME

    def __init__(self, settings: IntakeSettings, fetcher: Fetcher) -> None:
        self._url = f"{settings.payu_api_url.rstrip('/')}/merchant/postservice?form=2"
        self._key = settings.payu_key
        self._salt = settings.payu_salt.get_secret_value()
        self._fetcher = fetcher
        self._span = timedelta(hours=1)

    def read(self, begin: datetime, end: datetime) -> Iterator[list[Listed]]:
        """Payments of a span, then their refunds, then the next span."""
        while begin < end:
            until = min(begin + self._span, end)
            said = self._call("get_transaction_info", _ist(begin), _ist(until - _SECOND))
            rows = rows_of(self.name, said.get("Transaction_details"))
            # A row of another action tells of a refund or a chargeback, under the refund's own id.
            payments = [
                row for row in rows if str(row.get("action", "capture")).lower() in ("capture", "auth")
            ]
            yield [self._payment(row, begin) for row in payments]
            captured = [row for row in payments if payu.list_status(row)[0] == "success"]
            for at in range(0, len(captured), _PAYU_REFUNDS):
                yield self._refunds(captured[at : at + _PAYU_REFUNDS], begin)
            if len(rows) > _PAYU_MANY:
                self._span = max(self._span / 2, _PAYU_SHORTEST)
            elif len(rows) < _PAYU_FEW:
                self._span = min(self._span * 2, _PAYU_LONGEST)
            begin = until

    def whole(self, listed: Listed) -> Listed:
        """The list leaves nothing out that we use."""
        return listed

    def _payment(self, row: dict[str, Any], begin: datetime) -> Listed:
        status, unmapped = payu.list_status(row)
        notice = {**row, "mihpayid": row.get("id"), "status": status, "unmappedstatus": unmapped}
        if has_card_number(str(row.get("card_no", ""))):
            # As with a webhook: a number that is not masked must not be written anywhere.
            del notice["card_no"]
        at = _or(lambda: moment(row, "addedon"), begin)
        return Listed(_about(self.name, row.get("id")), notice, at)

    def _refunds(self, payments: Sequence[dict[str, Any]], begin: datetime) -> list[Listed]:
        by_id = {str(row.get("id")): str(row.get("txnid")) for row in payments}
        said = self._call("getAllRefundsFromTxnIds", "|".join(by_id.values()))
        details = said.get("Refund Details") or {}
        if not isinstance(details, dict):
            raise GatewayRefusedError(f"{self.name} answered in another shape: no refunds by payment")
        found = []
        for payment, rows in details.items():
            for row in rows_of(self.name, rows):
                notice = {
                    **row,
                    "action": "refund",
                    "mihpayid": payment,
                    "merchantTxnId": by_id.get(payment),
                    "request_id": row.get("RequestID"),
                    "amt": row.get("Amount"),
                    "status": payu.refund_list_status(row),
                }
                at = _or(lambda row=row: moment(row, "RefundCreationDate"), begin)  # type: ignore[misc]
                found.append(Listed(_about(self.name, payment), notice, at))
        return found

    def _call(self, command: str, var1: str, var2: str | None = None) -> dict[str, Any]:
        signature = hashlib.sha512(f"{self._key}|{command}|{var1}|{self._salt}".encode()).hexdigest()
        fields = {"key": self._key, "command": command, "var1": var1, "hash": signature}
        body = urlencode(fields | ({"var2": var2} if var2 else {})).encode()
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        said = json_answer(self.name, self._fetcher.get(self.name, Ask("POST", self._url, headers, body)))
        if said.get("status") in (1, "1"):
            return said
        # Also "nothing found" is said with status 0, in words only.
        if re.search(r"\bno\b|not found", str(said.get("msg", "")), re.IGNORECASE):
            return {}
        raise GatewayRefusedError(f"{self.name} answered status {said.get('status')} to {command}")


class PaytmLists:
    """The order list says that there is a payment or a refund; its status says what a webhook would have."""

    name = paytm.NAME

    def __init__(self, settings: IntakeSettings, fetcher: Fetcher) -> None:
        self._url = settings.paytm_api_url.rstrip("/")
        self._mid = settings.paytm_mid
        self._key = settings.paytm_merchant_key.get_secret_value()
        self._fetcher = fetcher

    def read(self, begin: datetime, end: datetime) -> Iterator[list[Listed]]:
        """Orders and refunds that have an end; the others come again with theirs."""
        number, more = 1, True
        while more:
            asked = {
                "mid": self._mid,
                "fromDate": begin.astimezone(IST).isoformat(timespec="seconds"),
                "toDate": (end - _SECOND).astimezone(IST).isoformat(timespec="seconds"),
                "orderSearchType": "TRANSACTION|REFUND",
                "orderSearchStatus": "SUCCESS|FAILURE",
                "pageNumber": number,
                "pageSize": _PAYTM_PAGE,
                "isSort": True,
            }
            rows = rows_of(
                self.name, self._call("merchant-passbook/search/list/order/v2", asked).get("orders")
            )
            yield [self._listed(row, begin) for row in rows]
            number, more = number + 1, bool(rows)

    def whole(self, listed: Listed) -> Listed:
        """Everything but the outcome and the ids comes from the order's or the refund's status."""
        row = listed.notice["body"]
        asked = {"mid": self._mid, "orderId": row.get("orderId")}
        if row.get("refundId"):
            body = self._call("v2/refund/status", {**asked, "refId": row.get("refId")})
            same = body.get("refundId") == row["refundId"]
        else:
            body = self._call("v3/order/status", asked)
            same = body.get("txnId") == row.get("txnId")
        result = body.get("resultInfo")
        if not same or not isinstance(result, dict) or result.get("resultStatus") == "PENDING":
            # An order that was tried again has another payment by now; what the list said stands.
            return listed
        return listed.saying({"body": {**body, "STATUS": result.get("resultStatus")}})

    def _listed(self, row: dict[str, Any], begin: datetime) -> Listed:
        ended = "TXN_SUCCESS" if row.get("orderSearchStatus") == "SUCCESS" else "TXN_FAILURE"
        body = {
            "mid": self._mid,
            "orderId": row.get("merchantOrderId"),
            "txnId": row.get("txnId"),
            "txnAmount": row.get("amount"),
            "txnDate": row.get("orderCreatedTime"),
            "STATUS": ended,
        }
        if row.get("orderSearchType") == "REFUND":
            body |= {"refundId": row.get("refundId"), "refId": row.get("refId")}
            body |= {"refundAmount": row.get("amount"), "acceptRefundTimestamp": row.get("orderCreatedTime")}
        at = _or(lambda: moment(row, "orderCreatedTime"), begin)
        return Listed(_about(self.name, row.get("txnId")), {"body": body}, at)

    def _call(self, path: str, asked: dict[str, Any]) -> dict[str, Any]:
        text = orjson.dumps(asked).decode()
        head = {"tokenType": "CHECKSUM", "signature": checksum.sign_text(text, self._key)}
        body = b'{"head":' + orjson.dumps(head) + b',"body":' + text.encode() + b"}"
        ask = Ask("POST", f"{self._url}/{path}", {"Content-Type": "application/json"}, body)
        said = json_answer(self.name, self._fetcher.get(self.name, ask)).get("body")
        result = said.get("resultInfo") if isinstance(said, dict) else None
        if not isinstance(said, dict) or not isinstance(result, dict):
            raise GatewayRefusedError(f"{self.name} answered in another shape: body.resultInfo is missing")
        code = str(result.get("resultCode"))
        if code in ("331", "RECORD_NOT_FOUND"):
            return {}
        if code in ("501", "00000900"):
            raise GatewayBusyError(f"{self.name} answered {code}")
        if code in ("330", "335", "00000022"):
            raise GatewayRefusedError(f"{self.name} answered {code}")
        return said


def lists(settings: IntakeSettings, fetcher: Fetcher) -> dict[str, Lists]:
    """The lists of every gateway that has an address and credentials."""
    found: dict[str, Lists] = {}
    if settings.razorpay_api_url and settings.razorpay_key_id:
        found[razorpay.NAME] = RazorpayLists(settings, fetcher)
    if settings.payu_api_url and settings.payu_key:
        found[payu.NAME] = PayuLists(settings, fetcher)
    if settings.paytm_api_url and settings.paytm_mid:
        found[paytm.NAME] = PaytmLists(settings, fetcher)
    return found


def _about(gateway: str, payment: object) -> str:
    """As a webhook's event names its payment; what else a row holds there must not upset the ledger."""
    said = str(payment)[:64].encode("ascii", "backslashreplace").decode()
    return f"{gateway}:{said}".replace("\0", "")


def _epoch(at: datetime) -> int:
    return int(at.astimezone(UTC).timestamp())


def _ist(at: datetime) -> str:
    return f"{at.astimezone(IST):%Y-%m-%d %H:%M:%S}"


def _or(read: Callable[[], datetime], otherwise: datetime) -> datetime:
    """A row's time; one without is put where it was asked for, and says what is wrong when it is heard."""
    try:
        return read()
    except (UnreadableError, SettlementError):
        return otherwise
