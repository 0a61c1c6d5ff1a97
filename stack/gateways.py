"""`python -m stack.gateways`: stand-ins for the gateways' APIs, in their real shapes and auth.

    GET  /razorpay/v1/settlements/recon/combined     Basic key id and secret
    GET  /payu/settlement/range                      hmac Authorization over the date
    POST /paytm/merchant-settlement/SettlementDetail bearer token under the merchant key
    POST /admin/<gateway>/settlements {"items": […]} native rows, replaced by identity; GET counts them
    POST /admin/<gateway>/payments, refunds          native entities likewise, shown by gateways_lists.py;
                                                     Razorpay's disputes too
    POST /admin/<gateway>/webhooks {"url": …, …}     where gateways_webhooks.py sends notices of what was told
                                                     with "webhook": true; GET says what became of them
    POST /admin/<gateway>/behaviour {"fail_next": n, "status": 500, "delay_ms": 0, "drop_next": n, …}
    POST /admin/reset

Only the admin addresses are not real. What is stored survives a restart.
"""

from __future__ import annotations

import asyncio
import base64
import hmac
import logging
import os
import signal
import sys
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import orjson

from stack.gateways_lists import ListApis, Unreliable
from stack.gateways_store import ENTITIES, SPLIT, Store
from stack.gateways_webhooks import Webhooks
from webhook_intake.config import IntakeSettings, load_settings
from webhook_intake.httpserver import HttpServer, Limits, Request, Response
from webhook_intake.reports import paytm_token, payu_authorization

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger("gateways")

_JSON = "application/json"
# What the real ones allow on a page, in a range of days, and in one admin post.
_RAZORPAY_PAGE, _PAYU_PAGE, _PAYTM_PAGE = 1000, 50_000, 20
_PAYU_DAYS, _PAYTM_DAYS = timedelta(days=2), timedelta(days=6)
_LIMITS = Limits(body_bytes=64 * 1_048_576, request_seconds=60)


@dataclass(slots=True)
class Behaviour(Unreliable):
    """How a gateway is told to misbehave."""

    fail_next: int = 0
    status: int = 500
    delay_ms: int = 0


class GatewayServer:
    """All three gateways behind one port."""

    def __init__(self, settings: IntakeSettings, store: Store) -> None:
        self._settings = settings
        self._store = store
        self._lists = ListApis(settings, store)
        self.webhooks = Webhooks(settings, store)
        self._behaviour = {name: Behaviour() for name in SPLIT}
        self._apis: dict[tuple[str, str, str], Callable[[Request], Response]] = {
            ("GET", "razorpay", "v1/settlements/recon/combined"): self._razorpay,
            ("GET", "payu", "settlement/range"): self._payu,
            ("POST", "paytm", "merchant-settlement/SettlementDetail"): self._paytm,
        }
        self.http = HttpServer(self.handle, limits=_LIMITS)

    async def handle(self, request: Request) -> Response:
        """One request's answer."""
        name, _, rest = request.path.lstrip("/").partition("/")
        if request.path == "/health":
            return _json({"status": "ok", "rows": {one: self._store.count(one) for one in SPLIT}})
        if name == "admin":
            return self._admin(request, rest)
        behaviour = self._behaviour.get(name)
        if behaviour is None:
            return _json({"error": "not found"}, 404)
        if behaviour.delay_ms:
            await asyncio.sleep(behaviour.delay_ms / 1000)
        if behaviour.fail_next > 0:
            behaviour.fail_next -= 1
            more = (("retry-after", "1"),) if behaviour.status == 429 else ()
            return Response(behaviour.status, b'{"error":"told to"}', _JSON, more)
        try:
            api = self._apis.get((request.method, name, rest))
            answer = api(request) if api is not None else self._list(name, rest, request, behaviour)
        except (KeyError, ValueError, TypeError) as error:
            return _json({"error": f"{type(error).__name__}: {error}"}, 400)
        return answer or _json({"error": "not found"}, 404)

    def _list(self, name: str, rest: str, request: Request, behaviour: Behaviour) -> Response | None:
        if name == "razorpay":
            return self._razorpay_refusal(request) or self._lists.razorpay(request, rest, behaviour)
        if name == "payu" and (request.method, rest) == ("POST", "merchant/postservice"):
            return self._lists.payu(request, behaviour)
        return self._lists.paytm(request, rest, behaviour) if name == "paytm" else None

    def _razorpay_refusal(self, request: Request) -> Response | None:
        pair = f"{self._settings.razorpay_key_id}:{self._settings.razorpay_key_secret.get_secret_value()}"
        if _same(request, f"Basic {base64.b64encode(pair.encode()).decode()}"):
            return None
        return _json({"error": {"code": "BAD_REQUEST_ERROR", "description": "Authentication failed"}}, 401)

    def _razorpay(self, request: Request) -> Response:
        refused = self._razorpay_refusal(request)
        if refused is not None:
            return refused
        query = _query(request)
        year, month = int(query["year"]), int(query["month"])
        if "day" in query:
            first = last = date(year, month, int(query["day"]))
        else:
            first = date(year, month, 1)
            last = (first + timedelta(days=31)).replace(day=1) - timedelta(days=1)
        count, skip = int(query.get("count", 10)), int(query.get("skip", 0))
        if not 1 <= count <= _RAZORPAY_PAGE or skip < 0:
            raise ValueError(f"count must be 1 to {_RAZORPAY_PAGE}")
        items = self._store.page("razorpay", first, last, skip, count)
        head = b'{"entity":"collection","count":%d,"items":[' % len(items)
        return Response(200, head + b",".join(items) + b"]}", _JSON)

    def _payu(self, request: Request) -> Response:
        expected = payu_authorization(
            self._settings.payu_key,
            self._settings.payu_salt.get_secret_value(),
            request.headers.get("date", ""),
            request.body.decode(),
        )
        if not _same(request, expected):
            return _json({"status": 1, "message": "Unauthorized", "result": None}, 401)
        query = _query(request)
        first = date.fromisoformat(query["dateFrom"])
        last = date.fromisoformat(query.get("dateTo", query["dateFrom"]))
        page, size = int(query.get("page", 1)), int(query.get("pageSize", 100))
        if not 1 <= size <= _PAYU_PAGE or page < 1 or not timedelta(0) <= last - first <= _PAYU_DAYS:
            raise ValueError("at most 3 days and 50000 rows")
        rows = [orjson.loads(row) for row in self._store.page("payu", first, last, (page - 1) * size, size)]
        if not rows:
            return _json({"status": 1, "message": "No data found", "result": None})
        batches: dict[str, dict[str, Any]] = {}
        for row in rows:
            key = f"{row['batch'].get('settlementId')}|{row['batch'].get('utrNumber')}"
            batches.setdefault(key, {**row["batch"], "transaction": []})["transaction"].append(row["row"])
        for batch in batches.values():
            batch["numberOfTransactions"] = len(batch["transaction"])
        total = self._store.count("payu", first, last)
        result = {"page": page, "size": len(batches), "totalCount": total, "data": list(batches.values())}
        return _json({"status": 0, "message": f"{len(batches)} Settlements found", "result": result})

    def _paytm(self, request: Request) -> Response:
        asked = orjson.loads(request.body)["request"]
        message, body = asked["head"]["reqMsgId"], asked["body"]
        given = request.headers.get("authorization", "")
        if (
            not _paytm_token_holds(given, self._settings, message)
            or body.get("mid") != self._settings.paytm_mid
        ):
            return _json({"response": {"head": {}, "body": _result("F", "00000022", "Unauthorized")}}, 401)
        first = date.fromisoformat(body["startDate"])
        last = date.fromisoformat(body.get("endDate", body["startDate"]))
        page, size = int(body.get("pageNum", 1)), int(body.get("pageSize", _PAYTM_PAGE))
        head = orjson.dumps({"reqMsgId": message})
        total = self._store.count("paytm", first, last)
        if not 1 <= size <= _PAYTM_PAGE or page < 1 or not timedelta(0) <= last - first <= _PAYTM_DAYS:
            said = _result("F", "00000004", "parameter illegal")
        elif not total:
            said = _result("F", "10010007", "no records found")
        else:
            said = _result("S", "00000000", "SUCCESS") | {
                "paginatorPageNum": page,
                "paginatorPageSize": size,
                "paginatorTotalPage": -(-total // size),
                "paginatorTotalCount": total,
            }
        rows = (
            self._store.page("paytm", first, last, (page - 1) * size, size)
            if "paginatorPageNum" in said
            else []
        )
        text = orjson.dumps(said)[:-1] + b',"settlementDetailList":[' + b",".join(rows) + b"]}"
        return Response(200, b'{"response":{"head":' + head + b',"body":' + text + b"}}", _JSON)

    def _admin(self, request: Request, rest: str) -> Response:
        gateway, _, verb = rest.partition("/")
        try:
            if rest == "reset" and request.method == "POST":
                self._store.reset()
                self._behaviour = {name: Behaviour() for name in SPLIT}
                for name in SPLIT:
                    self.webhooks.point(name, {})
                return _json({"reset": True})
            if gateway in SPLIT and verb == "settlements" and request.method == "GET":
                return _json({"count": self._store.count(gateway)})
            if gateway in SPLIT and verb == "settlements" and request.method == "POST":
                return _json({"stored": self._store.put(gateway, orjson.loads(request.body)["items"])})
            if (gateway, verb) in ENTITIES and request.method == "GET":
                return _json({"count": len(self._store.entities(gateway, verb))})
            if (gateway, verb) in ENTITIES and request.method == "POST":
                return _json({"stored": self._tell(gateway, verb, orjson.loads(request.body))})
            if gateway in SPLIT and verb == "webhooks" and request.method == "GET":
                return _json(self.webhooks.state(gateway))
            if gateway in SPLIT and verb == "webhooks" and request.method == "POST":
                return _json(self.webhooks.point(gateway, orjson.loads(request.body)))
            if gateway in SPLIT and verb == "behaviour" and request.method == "POST":
                self._behaviour[gateway] = Behaviour(**orjson.loads(request.body))
                return _json(asdict(self._behaviour[gateway]))
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            return _json({"error": f"{type(error).__name__}: {error}"}, 400)
        return _json({"error": "not found"}, 404)

    def _tell(self, gateway: str, kind: str, said: dict[str, Any]) -> int:
        stored = self._store.tell(gateway, kind, said["items"])
        if said.get("webhook"):
            self.webhooks.queue(gateway, kind, said["items"])
        return stored


def _paytm_token_holds(given: str, settings: IntakeSettings, message: str) -> bool:
    """Was this token made with the merchant key for this message? Its own issue time is taken from it."""
    try:
        claims = given.removeprefix("Bearer ").split(".")[1]
        issued = orjson.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["iat"]
    except (IndexError, ValueError, KeyError, TypeError):
        return False
    key = settings.paytm_merchant_key.get_secret_value()
    return hmac.compare_digest(given, f"Bearer {paytm_token(settings.paytm_mid, message, key, issued)}")


def _result(status: str, code: str, said: str) -> dict[str, Any]:
    return {"resultInfo": {"resultStatus": status, "resultCode": code, "resultMsg": said}}


def _same(request: Request, expected: str) -> bool:
    return hmac.compare_digest(request.headers.get("authorization", "").encode(), expected.encode())


def _query(request: Request) -> dict[str, str]:
    return {name: values[-1] for name, values in parse_qs(request.query).items()}


def _json(said: dict[str, Any], status: int = 200) -> Response:
    return Response(status, orjson.dumps(said), _JSON)


async def serve(settings: IntakeSettings, folder: Path, port: int) -> None:
    """Answer until told to stop."""
    told = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, told.set)
    store = Store(folder)
    server = GatewayServer(settings, store)
    log.info("listening on 127.0.0.1:%d", await server.http.start("127.0.0.1", port))
    sending = asyncio.create_task(server.webhooks.for_ever())
    await told.wait()
    sending.cancel()
    await server.http.close()
    store.close()


def main() -> None:
    """The process's entry."""
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s %(message)s"
    )
    home = Path(os.environ.get("SETTLE_HOME", ".settle"))
    folder = Path(os.environ.get("SETTLE_GATEWAYS_DATA", home / "data" / "gateways"))
    asyncio.run(serve(load_settings(), folder, int(os.environ.get("SETTLE_GATEWAYS_PORT", "5120"))))


if __name__ == "__main__":
    main()
