"""The stand-in gateways' webhooks: signed notices of what they were told, sent as each gateway sends them.

Nothing is sent until a gateway is told where to, and only of entities told with `"webhook": true`. Told to,
it loses notices, sends them twice, late, or the last one first; and like the real ones it gives up at last.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import orjson
import urllib3

from webhook_intake import checksum, payu, razorpay

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from stack.gateways_store import Store
    from webhook_intake.config import IntakeSettings

    Post = Callable[[str, Mapping[str, str], bytes], Awaitable[int]]

log = logging.getLogger("gateways")

# Seconds for which a notice is offered again and again; Razorpay then turns the whole webhook off.
_PATIENCE = {"razorpay": 86_400.0, "payu": float("inf"), "paytm": 86_400.0}
# Times a notice is offered after the first.
_RETRIES = {"razorpay": None, "payu": 3, "paytm": None}
_DISABLES = frozenset({"razorpay"})
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 3600.0
# Seconds the real ones wait for an answer, at least.
_ANSWER_SECONDS = 5.0
_FORM = "application/x-www-form-urlencoded"
_JSON = "application/json"


@dataclass(slots=True)
class Endpoint:
    """Where a gateway's notices go, how they are to be spoilt, and what became of them."""

    url: str = ""
    drop_next: int = 0
    duplicate_next: int = 0
    delay_ms: int = 0
    reorder: bool = False
    disabled: bool = False
    acknowledged: int = 0
    dropped: int = 0
    failed: int = 0
    given_up: int = 0


@dataclass(slots=True)
class _Notice:
    """One notice on its way."""

    headers: dict[str, str]
    body: bytes
    due: float
    pause: float = _FIRST_PAUSE
    tries: int = 0


@dataclass(slots=True)
class _Way:
    """One gateway's endpoint, the notices that wait, and since when it has not taken any."""

    endpoint: Endpoint = field(default_factory=Endpoint)
    waiting: list[_Notice] = field(default_factory=list)
    failing_since: float | None = None


class Webhooks:
    """Sends what is due; what waits is lost with the process, as the lists are there for."""

    def __init__(
        self,
        settings: IntakeSettings,
        store: Store,
        post: Post | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._store = store
        self._post = post or _post
        self._clock = clock
        self._ways = {name: _Way() for name in _PATIENCE}

    def point(self, gateway: str, said: dict[str, Any]) -> dict[str, Any]:
        """Say where to, and how to misbehave; a webhook that was turned off is on again."""
        self._ways[gateway] = _Way(Endpoint(**said))
        return self.state(gateway)

    def state(self, gateway: str) -> dict[str, Any]:
        """What became of the notices so far."""
        way = self._ways[gateway]
        return {**asdict(way.endpoint), "waiting": len(way.waiting)}

    def queue(self, gateway: str, kind: str, items: list[dict[str, Any]]) -> None:
        """Notices of these payments or refunds, to be sent when they are due."""
        way = self._ways[gateway]
        endpoint = way.endpoint
        if not endpoint.url or endpoint.disabled:
            return
        due = self._clock() + endpoint.delay_ms / 1000
        notices = []
        for item in items:
            if endpoint.drop_next:
                endpoint.drop_next -= 1
                endpoint.dropped += 1
                continue
            headers, body = self._notice(gateway, kind, item)
            notices.append(_Notice(headers, body, due))
            if endpoint.duplicate_next:
                endpoint.duplicate_next -= 1
                notices.append(_Notice(headers, body, due))
        way.waiting += notices[::-1] if endpoint.reorder else notices

    async def send_due(self) -> None:
        """Offer every notice whose time has come, once."""
        for gateway, way in self._ways.items():
            for notice in [one for one in way.waiting if one.due <= self._clock()]:
                if way.endpoint.disabled:
                    break
                status = await self._post(way.endpoint.url, notice.headers, notice.body)
                if 200 <= status < 300:
                    way.failing_since = None
                    way.endpoint.acknowledged += 1
                    way.waiting.remove(notice)
                else:
                    self._later(gateway, way, notice)

    def _later(self, gateway: str, way: _Way, notice: _Notice) -> None:
        now, retries = self._clock(), _RETRIES[gateway]
        way.endpoint.failed += 1
        way.failing_since = now if way.failing_since is None else way.failing_since
        notice.tries += 1
        notice.due, notice.pause = now + notice.pause, min(notice.pause * 2, _LONGEST_PAUSE)
        given_up = retries is not None and notice.tries > retries
        if now - way.failing_since >= _PATIENCE[gateway]:
            given_up = True
            if gateway in _DISABLES:
                log.warning("%s turns its webhook off: no notice was taken for a day", gateway)
                way.endpoint.disabled = True
                way.endpoint.given_up += len(way.waiting)
                way.waiting.clear()
                return
        if given_up:
            way.endpoint.given_up += 1
            way.waiting.remove(notice)

    async def for_ever(self) -> None:
        """Send until cancelled."""
        while True:
            await self.send_due()
            await asyncio.sleep(0.1)

    def _notice(self, gateway: str, kind: str, item: dict[str, Any]) -> tuple[dict[str, str], bytes]:
        if gateway == "razorpay":
            return self._razorpay(kind, item)
        if gateway == "payu":
            return self._payu(kind, item)
        return self._paytm(kind, item)

    def _razorpay(self, kind: str, item: dict[str, Any]) -> tuple[dict[str, str], bytes]:
        payload = {kind.removesuffix("s"): {"entity": item}}
        if kind != "payments":
            payments = self._store.entities("razorpay", "payments")
            known = [one for one in payments if one["id"] == item.get("payment_id")]
            payload |= {"payment": {"entity": known[0]}} if known else {}
        name = f"{kind.removesuffix('s')}.{item['status']}"
        if kind == "disputes":
            name = f"payment.dispute.{'created' if item['status'] == 'open' else item['status']}"
        # Told a moment after it happened.
        event = {"entity": "event", "event": name, "payload": payload, "created_at": item["created_at"] + 1}
        body = orjson.dumps(event)
        secret = self._settings.razorpay_webhook_secret.get_secret_value()
        return {
            "content-type": _JSON,
            "x-razorpay-event-id": f"{item['id']}{item['status']}"[:64],
            "x-razorpay-signature": razorpay.sign(body, secret),
        }, body

    def _payu(self, kind: str, item: dict[str, Any]) -> tuple[dict[str, str], bytes]:
        salt, key = self._settings.payu_salt.get_secret_value(), self._settings.payu_key
        if kind == "refunds":
            payments = {one["id"]: one["txnid"] for one in self._store.entities("payu", "payments")}
            said = {"action": "refund", "key": key, "mihpayid": item["PayuID"], "amt": item["Amount"]}
            said |= {"merchantTxnId": payments.get(item["PayuID"], ""), "request_id": item["RequestID"]}
            said |= {"status": item["Status"].lower()}
            return {"content-type": _JSON}, orjson.dumps({**said, "hash": payu.refund_hash(said, salt)})
        status, unmapped = payu.list_status(item)
        said = {
            name: str(item.get(name, "")) for name in ("txnid", "mode", "amount", "addedon", "udf1", "udf2")
        }
        said |= {"key": key, "mihpayid": item["id"], "status": status, "unmappedstatus": unmapped}
        return {"content-type": _FORM}, urlencode({**said, "hash": payu.reverse_hash(said, salt)}).encode()

    def _paytm(self, kind: str, item: dict[str, Any]) -> tuple[dict[str, str], bytes]:
        key = self._settings.paytm_merchant_key.get_secret_value()
        if kind == "refunds":
            text = orjson.dumps(
                {name: value for name, value in item.items() if name != "resultInfo"}
            ).decode()
            head = orjson.dumps({"version": "v1", "signature": checksum.sign_text(text, key)})
            return {"content-type": _JSON}, b'{"head":' + head + b',"body":' + text.encode() + b"}"
        said = {
            "MID": self._settings.paytm_mid,
            "ORDERID": item["orderId"],
            "TXNID": item["txnId"],
            "TXNAMOUNT": item["txnAmount"],
            "CURRENCY": "INR",
            "PAYMENTMODE": item.get("paymentMode", ""),
            "TXNDATE": item["txnDate"],
            "STATUS": item.get("resultInfo", {}).get("resultStatus", "TXN_SUCCESS"),
            "MERC_UNQ_REF": item.get("mercUnqRef", ""),
        }
        said["CHECKSUMHASH"] = checksum.sign_form(said, key)
        return {"content-type": _FORM}, urlencode(said).encode()


async def _post(url: str, headers: Mapping[str, str], body: bytes) -> int:
    """The answer's status; 0 where there is none."""

    def call() -> int:
        try:
            answer = urllib3.request(
                "POST",
                url,
                headers=headers,
                body=body,
                timeout=_ANSWER_SECONDS,
                retries=False,
                redirect=False,
            )
        except urllib3.exceptions.HTTPError:
            return 0
        return answer.status

    return await asyncio.to_thread(call)
