"""The intake's HTTP side: routes, verification, refusals counted and written down, health and metrics.

The order that makes a 2xx worth something is in pipeline.py; step 1 of it happens here.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import orjson

from webhook_intake.clients import Clients
from webhook_intake.errors import MalformedError, RefusedError, UnavailableError
from webhook_intake.gates import checks
from webhook_intake.httpserver import HttpServer, Later, Request, Response, awaited
from webhook_intake.ledger import Ledger, Refusal
from webhook_intake.ratelimit import RateLimit
from webhook_intake.records import Event

if TYPE_CHECKING:
    from webhook_intake.clients import Client
    from webhook_intake.config import IntakeSettings
    from webhook_intake.gates import Check
    from webhook_intake.httpserver import Answer
    from webhook_intake.metrics import Metrics
    from webhook_intake.pipeline import Pipeline

log = logging.getLogger("webhook_intake")

_ROUTE = "/webhook/"
# Headers worth keeping beside the body: what a replay or a dispute with the gateway needs, nothing personal.
_KEPT = ("content-type", "user-agent", "x-razorpay-event-id", "x-razorpay-signature")
# Kinds of refusal remembered between two writes; a flood of different ones is summed under "…".
_REFUSALS = 500
_AUDIT_SECONDS = 1.0
# Characters: an index entry has a limit, and no gateway's ids come near this.
_LONGEST_KEY = 250
_OK = Response(200, b"ok\n")
_JSON = "application/json"


class IntakeServer:
    """Answers POST /webhook/<gateway>, GET /health and GET /metrics."""

    def __init__(
        self, settings: IntakeSettings, ledger: Ledger, pipeline: Pipeline, metrics: Metrics
    ) -> None:
        self._checks = checks(settings)
        self._ledger = ledger
        self._pipeline = pipeline
        self._metrics = metrics
        self._clients = Clients(settings.proxies())
        self._rates = RateLimit(ledger, settings.rate_per_minute)
        # Answered 2xx since it was last counted, by gateway.
        self._taken: dict[str, int] = {}
        self._refusals: dict[tuple[str, int, str, str], Refusal] = {}
        self.http = HttpServer(self.handle, on_refused=self._refused_early)
        # Why webhooks cannot be taken yet; None once Postgres, Kafka and the registry have answered.
        self.waiting_for: str | None = "starting"

    def handle(self, request: Request) -> Answer:
        """One request's answer; only what has to wait for something is a coroutine."""
        path = request.path
        if path.startswith(_ROUTE):
            return self._webhook(request, path[len(_ROUTE) :])
        if path == "/health" and request.method in ("GET", "HEAD"):
            return self._health()
        if path == "/metrics" and request.method == "GET":
            self._count_taken()
            return Response(200, self._metrics.text().encode(), "text/plain; version=0.0.4; charset=utf-8")
        return Response(404, b"not found\n")

    def _webhook(self, request: Request, gateway: str) -> Answer:
        check = self._checks.get(gateway)
        if check is None:
            return self._refuse(request, "?", 404, "no such gateway")
        if self.waiting_for is not None:
            return self._unavailable(gateway, UnavailableError(self.waiting_for))
        # Before anything that costs more: also a forged request is one.
        source = f"{gateway} {self._client(request).site}"
        pause = self._rates.take(source)
        if pause is None:
            return self._once_known(request, gateway, check, source)
        return self._too_many(request, gateway, pause) if pause else self._take(request, gateway, check)

    async def _once_known(self, request: Request, gateway: str, check: Check, source: str) -> Response:
        """The same for a source whose share of the minute has to be asked for."""
        pause = await self._rates.pause(source)
        if pause:
            return self._too_many(request, gateway, pause)
        return await awaited(self._take(request, gateway, check))

    def _too_many(self, request: Request, gateway: str, pause: int) -> Response:
        answer = self._refuse(request, gateway, 429, "too many requests")
        return replace(answer, headers=(("retry-after", str(pause)),))

    def _take(self, request: Request, gateway: str, check: Check) -> Response | Later:
        headers, body = request.headers, request.body
        if request.method != "POST":
            return self._refuse(request, gateway, 405, "not POST")
        if "content-encoding" in headers and headers["content-encoding"].lower() != "identity":
            # Signatures stand over the text itself; what would have to be unpacked first is not read at all.
            return self._refuse(request, gateway, 415, "encoded")
        sha256 = hashlib.sha256(body).hexdigest()
        try:
            # 1.
            checked = check(headers, body, sha256)
            if len(checked.event_key) > _LONGEST_KEY:
                raise MalformedError("an id is too long")
        except RefusedError as error:
            return self._refuse(request, gateway, error.status, str(error), sha256)
        event = Event(
            _plain(checked.event_key),
            gateway,
            datetime.now(UTC),
            sha256,
            _plain(headers.get("content-type", "")),
            orjson.dumps({name: headers[name] for name in _KEPT if name in headers}).decode(),
            body,
            _plain(checked.about) if checked.about else None,
            document=checked.document,
        )
        answer = _Answer(self, gateway)
        # 2. and 3.
        self._pipeline.submit_then(event, answer.ended)
        return answer

    def answered(self, gateway: str, error: UnavailableError | None) -> Response:
        """What an event's end means to its sender."""
        if error is not None:
            return self._unavailable(gateway, error)
        # 4.
        self._taken[gateway] = self._taken.get(gateway, 0) + 1
        return _OK

    def _count_taken(self) -> None:
        taken, self._taken = self._taken, {}
        for gateway, count in taken.items():
            self._metrics.count("settle_intake_requests_total", count, gateway=gateway, answer="200")

    async def _health(self) -> Response:
        postgres = await self._ledger.answers()
        problem = (
            self.waiting_for or (None if postgres else "Postgres does not answer") or self._pipeline.problem
        )
        said = {"status": "ok" if problem is None else "unavailable", "problem": problem}
        return Response(200 if problem is None else 503, orjson.dumps(said) + b"\n", _JSON)

    def _unavailable(self, gateway: str, error: UnavailableError) -> Response:
        self._metrics.count("settle_intake_requests_total", gateway=gateway, answer="503")
        return Response(503, f"{error}\n".encode(), headers=(("retry-after", str(error.retry_after)),))

    def _refuse(self, request: Request, gateway: str, status: int, reason: str, sha256: str = "") -> Response:
        self._audit(gateway, status, reason, self._client(request).address, sha256, len(request.body))
        return Response(status, f"{reason}\n".encode())

    def _client(self, request: Request) -> Client:
        return self._clients.of(request.peer, request.headers.get("x-forwarded-for", ""))

    def _refused_early(self, status: int, reason: str, peer: str) -> None:
        self._audit("?", status, reason, peer, "", 0)

    def _audit(self, gateway: str, status: int, reason: str, peer: str, sha256: str, size: int) -> None:
        self._metrics.count("settle_intake_requests_total", gateway=gateway, answer=str(status))
        key = (gateway, status, reason, peer)
        if key not in self._refusals and len(self._refusals) >= _REFUSALS:
            key = (gateway, status, "…", "…")
        before = self._refusals.get(key)
        count = before.count + 1 if before else 1
        self._refusals[key] = Refusal(datetime.now(UTC), key[0], key[1], key[2], key[3], sha256, size, count)

    async def audit_for_ever(self) -> None:
        """Write refusals down once a second, summed by kind: a flood of forgeries costs one row a second."""
        while True:
            await asyncio.sleep(_AUDIT_SECONDS)
            await self.flush_audit()

    async def flush_audit(self) -> None:
        """Write down what was refused since the last time."""
        self._count_taken()
        if not self._refusals:
            return
        refusals, self._refusals = self._refusals, {}
        try:
            await self._ledger.audit(list(refusals.values()))
        except UnavailableError as error:
            log.warning("%d kinds of refusals were not written down: %s", len(refusals), error)


class _Answer(Later):
    """The answer to a webhook whose event is on its way."""

    __slots__ = ("_gateway", "_server")

    def __init__(self, server: IntakeServer, gateway: str) -> None:
        super().__init__()
        self._server = server
        self._gateway = gateway

    def ended(self, error: UnavailableError | None) -> None:
        """The event is in Kafka, or it is not."""
        self.say(self._server.answered(self._gateway, error))


def _plain(text: str) -> str:
    """A gateway's ids are short ASCII; what else a sender puts there must not upset the ledger."""
    if text.isascii() and "\0" not in text:
        return text
    return text.encode("ascii", "backslashreplace").decode().replace("\0", "")
