"""The gateways' settlement reports over their REST APIs: how each is asked, and how an answer is read.

Fetching knows nothing of a gateway; a gateway knows nothing of retries, pages in flight or Kafka.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import logging
import time
import uuid
from dataclasses import replace
from datetime import UTC, date, datetime
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlencode

import orjson

from webhook_intake import paytm, payu, razorpay
from webhook_intake.errors import GatewayBusyError, GatewayRefusedError, UnreadableError
from webhook_intake.fetching import Ask, json_answer, rows_of
from webhook_intake.records import Line, Page

if TYPE_CHECKING:
    from webhook_intake.config import IntakeSettings

log = logging.getLogger("webhook_intake")


class Report(Protocol):
    """One gateway's settlement report."""

    name: str
    page_size: int

    def ask(self, day: date, page: int) -> Ask:
        """The call for a day's page, counted from 1."""

    def digest(self, body: bytes) -> str:
        """The same for two answers that say the same."""

    def read(self, body: bytes) -> tuple[Page, int | None]:
        """The page, and how many pages there are where the gateway says so."""


class RazorpayReport:
    """GET /v1/settlements/recon/combined: no total and no order promised, so until a page is not full."""

    name = razorpay.NAME

    def __init__(self, settings: IntakeSettings) -> None:
        self.page_size = settings.razorpay_page_size
        self._url = f"{settings.razorpay_api_url.rstrip('/')}/v1/settlements/recon/combined"
        pair = f"{settings.razorpay_key_id}:{settings.razorpay_key_secret.get_secret_value()}"
        self._headers = {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}

    def ask(self, day: date, page: int) -> Ask:
        """The call for a day's page."""
        query = {
            "year": f"{day.year:04}",
            "month": f"{day.month:02}",
            "day": f"{day.day:02}",
            "count": self.page_size,
            "skip": (page - 1) * self.page_size,
        }
        return Ask("GET", f"{self._url}?{urlencode(query)}", self._headers)

    def digest(self, body: bytes) -> str:
        """Of the whole answer."""
        return hashlib.sha256(body).hexdigest()

    def read(self, body: bytes) -> tuple[Page, int | None]:
        """The page's items."""
        said = json_answer(self.name, body)
        items = rows_of(self.name, said.get("items"))
        page = _page(items, hashlib.sha256(body).hexdigest(), razorpay.line)
        return replace(page, more=page.rows >= self.page_size), None


class PayuReport:
    """GET /settlement/range: batches with their transactions; status 0 is success, 1 is "no data"."""

    name = payu.NAME

    def __init__(self, settings: IntakeSettings) -> None:
        self.page_size = settings.payu_page_size
        self._url = f"{settings.payu_api_url.rstrip('/')}/settlement/range"
        self._key = settings.payu_key
        self._salt = settings.payu_salt.get_secret_value()

    def ask(self, day: date, page: int) -> Ask:
        """The call for a day's page."""
        query = {
            "dateFrom": day.isoformat(),
            "dateTo": day.isoformat(),
            "page": page,
            "pageSize": self.page_size,
        }
        now = format_datetime(datetime.now(UTC), usegmt=True)
        return Ask(
            "GET",
            f"{self._url}?{urlencode(query)}",
            {"Date": now, "Authorization": payu_authorization(self._key, self._salt, now, "")},
        )

    def digest(self, body: bytes) -> str:
        """Of the whole answer."""
        return hashlib.sha256(body).hexdigest()

    def read(self, body: bytes) -> tuple[Page, int | None]:
        """The page's transactions, each with its batch."""
        said = json_answer(self.name, body)
        if said.get("status") not in (0, "0"):
            return Page(), None
        result = said.get("result")
        batches = rows_of(self.name, result.get("data") if isinstance(result, dict) else None)
        sha256 = hashlib.sha256(body).hexdigest()
        lines: list[Line] = []
        dead: list[tuple[bytes, str]] = []
        rows = 0
        for batch in batches:
            rows += len(batch.get("transaction") or [])
            for one in payu.lines(batch, sha256):
                if isinstance(one, Line):
                    lines.append(one)
                else:
                    dead.append((_text(one[0]), one[1]))
        return Page(tuple(lines), tuple(dead), rows, more=rows >= self.page_size), None


class PaytmReport:
    """POST /merchant-settlement/SettlementDetail: twenty rows a page, and how many pages there are."""

    name = paytm.NAME

    def __init__(self, settings: IntakeSettings) -> None:
        self.page_size = settings.paytm_page_size
        self._url = f"{settings.paytm_api_url.rstrip('/')}/merchant-settlement/SettlementDetail"
        self._mid = settings.paytm_mid
        self._key = settings.paytm_merchant_key.get_secret_value()

    def ask(self, day: date, page: int) -> Ask:
        """The call for a day's page."""
        message = str(uuid.uuid4())
        body = {
            "mid": self._mid,
            "startDate": day.isoformat(),
            "endDate": day.isoformat(),
            "pageNum": page,
            "pageSize": self.page_size,
        }
        return Ask(
            "POST",
            self._url,
            {
                "Content-Type": "application/json",
                "clientId": self._mid,
                "Authorization": f"Bearer {paytm_token(self._mid, message, self._key)}",
            },
            orjson.dumps({"request": {"head": {"reqMsgId": message}, "body": body}}),
        )

    def digest(self, body: bytes) -> str:
        """Of what follows the head, which is new in every answer."""
        return hashlib.sha256(body[max(0, body.find(b'"body"')) :]).hexdigest()

    def read(self, body: bytes) -> tuple[Page, int | None]:
        """The page's rows."""
        said = json_answer(self.name, body).get("response")
        inner = said.get("body") if isinstance(said, dict) else None
        if not isinstance(inner, dict):
            raise GatewayRefusedError("paytm answered in another shape: response.body is missing")
        result = inner.get("resultInfo")
        code = result.get("resultCode") if isinstance(result, dict) else None
        if code == "10010007":  # no records found: a day without payout
            return Page(), 0
        if code == "00000900":  # unknown system error
            raise GatewayBusyError("paytm answered 00000900")
        if code != "00000000":
            raise GatewayRefusedError(f"paytm answered {code}")
        rows = rows_of(self.name, inner.get("settlementDetailList"))
        pages = inner.get("paginatorTotalPage")
        return _page(rows, hashlib.sha256(body).hexdigest(), paytm.line), pages if isinstance(
            pages, int
        ) else None


def reports(settings: IntakeSettings) -> dict[str, Report]:
    """The reports of every gateway that has an address and credentials."""
    found: dict[str, Report] = {}
    if settings.razorpay_api_url and settings.razorpay_key_id:
        found[razorpay.NAME] = RazorpayReport(settings)
    if settings.payu_api_url and settings.payu_key:
        found[payu.NAME] = PayuReport(settings)
    if settings.paytm_api_url and settings.paytm_mid:
        found[paytm.NAME] = PaytmReport(settings)
    return found


def payu_authorization(key: str, salt: str, http_date: str, body: str) -> str:
    """PayU's Authorization header: a hash of body, date and salt."""
    signature = hashlib.sha512(f"{body}|{http_date}|{salt}".encode()).hexdigest()
    return f'hmac username="{key}", algorithm="sha512", headers="date", signature="{signature}"'


def paytm_token(mid: str, message: str, key: str, now: float | None = None) -> str:
    """Paytm's bearer token: a JWT under the merchant key that names the message it belongs to."""
    issued = int(now if now is not None else time.time())
    head = _base64(orjson.dumps({"alg": "HS256", "typ": "JWT"}))
    claims = _base64(orjson.dumps({"iss": mid, "iat": issued, "exp": issued + 300, "reqMsgId": message}))
    signature = hmac.new(key.encode(), f"{head}.{claims}".encode(), hashlib.sha256).digest()
    return f"{head}.{claims}.{_base64(signature)}"


def _page(rows: list[dict[str, Any]], sha256: str, line: Any) -> Page:
    lines, dead = [], []
    for row in rows:
        try:
            found = line(row, sha256)
        except UnreadableError as error:
            dead.append((_text(row), str(error)))
        else:
            if found is not None:
                lines.append(found)
    return Page(tuple(lines), tuple(dead), len(rows))


def _text(row: dict[str, Any]) -> bytes:
    return orjson.dumps(row, default=str, option=orjson.OPT_SORT_KEYS)


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
