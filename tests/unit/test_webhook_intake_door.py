"""Wrong requests against the whole door: the right answer, a count and an audit line, nothing else."""

from __future__ import annotations

import asyncio
import gzip
import json
import random
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import parse_qsl, quote, urlencode

import pytest

from webhook_intake import checksum, payu, razorpay
from webhook_intake.config import load_settings
from webhook_intake.errors import IntakeSettingsError, UnavailableError
from webhook_intake.httpserver import Limits, Request, Response, awaited
from webhook_intake.metrics import Metrics
from webhook_intake.server import IntakeServer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from webhook_intake.ledger import Refusal
    from webhook_intake.records import Event

SECRET, SALT, KEY = "whsec", "salt", "k" * 16


class Ledger:
    """Grants every share asked for, up to the limit, and keeps the audit."""

    def __init__(self) -> None:
        self.audited: list[Refusal] = []
        self.used: dict[str, int] = {}

    async def lease(self, sources: Sequence[str], _: int, *, share: int, limit: int) -> dict[str, int]:
        granted = {source: min(share, limit - self.used.get(source, 0)) for source in sources}
        for source, count in granted.items():
            self.used[source] = self.used.get(source, 0) + count
        return granted

    async def forget_leases(self, before: int) -> None:
        pass

    async def audit(self, refusals: Sequence[Refusal]) -> None:
        self.audited += refusals


class Pipeline:
    """Takes everything."""

    problem = None

    def __init__(self) -> None:
        self.events: list[Event] = []

    def submit_then(self, event: Event, then: Callable[[None], None]) -> None:
        self.events.append(event)
        then(None)


class Door:
    """The server without Postgres and Kafka behind it."""

    def __init__(self) -> None:
        self.ledger, self.pipeline, self.metrics = Ledger(), Pipeline(), Metrics()
        self.server = IntakeServer(
            load_settings(), cast("Any", self.ledger), cast("Any", self.pipeline), self.metrics
        )
        self.server.waiting_for = None

    def ask(self, *requests: Request) -> list[Response]:
        async def story() -> list[Response]:
            answers = [await awaited(self.server.handle(request)) for request in requests]
            await self.server.flush_audit()
            return answers

        return asyncio.run(story())


@pytest.fixture
def door(monkeypatch: pytest.MonkeyPatch) -> Door:
    for name, value in {
        "RAZORPAY_WEBHOOK_SECRET": SECRET,
        "PAYU_KEY": "KEY1",
        "PAYU_SALT": SALT,
        "PAYTM_MID": "MID1",
        "PAYTM_MERCHANT_KEY": KEY,
        "RATE_PER_MINUTE": "40",
        "TRUSTED_PROXIES": "10.0.0.0/8",
    }.items():
        monkeypatch.setenv(f"SETTLE_INTAKE_{name}", value)
    return Door()


def request(gateway: str, body: bytes, peer: str = "192.0.2.1", **headers: str) -> Request:
    said = {name.replace("_", "-"): value for name, value in headers.items()}
    return Request("POST", f"/webhook/{gateway}", "", said, body, peer)


def genuine() -> dict[str, Request]:
    event = json.dumps({"event": "payment.captured", "payload": {}, "created_at": 1767600000}).encode()
    fields = {"mihpayid": "1", "txnid": "T1", "status": "success", "amount": "10.00", "key": "KEY1"}
    form = urlencode({**fields, "productinfo": "a b", "hash": _payu_hash({**fields, "productinfo": "a b"})})
    body = '{"mid":"MID1","orderId":"T1","txnId":"1","txnAmount":"10.00"}'
    signed = f'{{"head":{{"signature":"{checksum.sign_text(body, KEY, "salt")}"}},"body":{body}}}'
    return {
        "razorpay": request("razorpay", event, x_razorpay_signature=razorpay.sign(event, SECRET)),
        "payu": request("payu", form.encode(), content_type="application/x-www-form-urlencoded"),
        "paytm": request("paytm", signed.encode(), content_type="application/json"),
    }


def _payu_hash(fields: dict[str, str]) -> str:
    return payu.reverse_hash(fields, SALT)


def refused(door: Door, wrong: Request, status: int) -> None:
    gateway = wrong.path.removeprefix("/webhook/")
    (answer,) = door.ask(wrong)
    assert answer.status == status
    assert door.pipeline.events == []
    assert door.metrics.value("settle_intake_requests_total", gateway=gateway, answer=str(status)) == 1
    (line,) = door.ledger.audited
    assert (line.gateway, line.status, line.size, line.count) == (gateway, status, len(wrong.body), 1)


@pytest.mark.parametrize("gateway", ["razorpay", "payu", "paytm"])
def test_a_genuine_request_comes_in(door: Door, gateway: str) -> None:
    (answer,) = door.ask(genuine()[gateway])
    assert answer.status == 200
    assert [event.body for event in door.pipeline.events] == [genuine()[gateway].body]
    assert door.ledger.audited == []


@pytest.mark.parametrize("gateway", ["razorpay", "paytm"])
def test_json_written_anew_is_forged(door: Door, gateway: str) -> None:
    sent = genuine()[gateway]
    again = json.dumps(json.loads(sent.body), indent=1).encode()
    refused(door, Request(sent.method, sent.path, "", sent.headers, again, sent.peer), 401)


@pytest.mark.parametrize("gateway", ["razorpay", "payu", "paytm"])
@pytest.mark.parametrize("encoding", ["gzip", "br", "identity, gzip"])
def test_an_encoded_body_is_not_unpacked(door: Door, gateway: str, encoding: str) -> None:
    sent = genuine()[gateway]
    headers = {**sent.headers, "content-encoding": encoding}
    refused(door, Request(sent.method, sent.path, "", headers, gzip.compress(sent.body), sent.peer), 415)


def test_a_form_spelt_another_way_says_the_same_and_is_kept_as_it_came(door: Door) -> None:
    sent = genuine()["payu"]
    again = "&".join(f"{name}={quote(value)}" for name, value in parse_qsl(sent.body.decode())).encode()
    assert again != sent.body
    (answer,) = door.ask(Request(sent.method, sent.path, "", sent.headers, again, sent.peer))
    assert answer.status == 200
    assert door.pipeline.events[0].body == again


@pytest.mark.parametrize(
    ("gateway", "body", "content_type", "status"),
    [
        ("razorpay", b"", "application/json", 401),
        ("payu", b"", "application/x-www-form-urlencoded", 400),
        ("payu", "status=\u20b9".encode("utf-16"), "application/x-www-form-urlencoded", 400),
        ("payu", b"status=success&status=success", "application/x-www-form-urlencoded", 400),
        ("payu", b"&" * 100_000, "application/x-www-form-urlencoded", 400),
        ("payu", b"[" * 100_000, "application/json", 400),
        ("payu", b'{"amt":' + b"9" * 5000 + b"}", "application/json", 400),
        ("paytm", b"{" * 100_000, "application/json", 400),
        ("paytm", b'{"head":{},"body":{}}', "application/json", 400),
        ("paytm", b'{"head":{"signature":"x"},"body":{},"body":{}}', "application/json", 400),
        ("paytm", b"CHECKSUMHASH=%ff&MID=MID1", "application/x-www-form-urlencoded", 400),
    ],
)
def test_what_cannot_be_read_is_refused(
    door: Door, gateway: str, body: bytes, content_type: str, status: int
) -> None:
    refused(door, request(gateway, body, content_type=content_type), status)


@pytest.mark.parametrize("gateway", ["razorpay", "payu", "paytm"])
def test_whatever_is_changed_on_the_way_never_breaks_the_door(
    door: Door, gateway: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SETTLE_INTAKE_RATE_PER_MINUTE", "100000")
    door, chance, sent = Door(), random.Random(7), genuine()[gateway]
    wrong = []
    for _ in range(600):
        body = bytearray(sent.body)
        for _ in range(chance.randint(1, 4)):
            at = chance.randrange(len(body))
            body[at : at + chance.randint(0, 3)] = chance.choice(
                [b"", b"\0", b"\xff", b"&", b"=", b'"', b"{", b"%", b"%ff", bytes([chance.randrange(256)])]
            )
        wrong.append(Request("POST", sent.path, "", sent.headers, bytes(body), sent.peer))
    answers = door.ask(*wrong)
    assert {answer.status for answer in answers} <= {200, 400, 401}
    # What came in says the same in other words.
    assert len(door.pipeline.events) == sum(answer.status == 200 for answer in answers) < 60
    assert sum(line.count for line in door.ledger.audited) == 600 - len(door.pipeline.events)


def test_forged_requests_use_up_the_limit_too(door: Door) -> None:
    forged = request("payu", b"status=success&hash=0", "192.0.2.9")
    answers = door.ask(*[forged] * 45)
    assert [answer.status for answer in answers] == [401] * 40 + [429] * 5
    assert 1 <= int(dict(answers[-1].headers)["retry-after"]) <= 60
    assert {(line.status, line.count) for line in door.ledger.audited} == {(401, 40), (429, 5)}
    assert door.metrics.value("settle_intake_requests_total", gateway="payu", answer="429") == 5
    # Another route and another client are other sources.
    sent = genuine()
    assert [answer.status for answer in door.ask(sent["razorpay"], sent["payu"])] == [200, 200]


def test_the_limit_looks_behind_trusted_proxies_only(door: Door) -> None:
    def through(proxy: str, client: str) -> Request:
        return request("payu", b"status=success&hash=0", proxy, x_forwarded_for=client)

    behind = [through("10.0.0.1", f"198.51.100.{n}") for n in range(60)]
    assert {answer.status for answer in door.ask(*behind)} == {401}
    assert {line.peer for line in door.ledger.audited} == {f"198.51.100.{n}" for n in range(60)}
    pretending = [through("192.0.2.9", f"198.51.100.{n}") for n in range(60)]
    assert [answer.status for answer in door.ask(*pretending)].count(429) == 20


def test_a_lost_store_refuses_nobody_early(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(*_: Any, **__: Any) -> dict[str, int]:
        raise UnavailableError("Postgres")

    monkeypatch.setattr(door.ledger, "lease", away)
    assert door.ask(genuine()["payu"])[0].status == 200


def test_proxies_that_are_no_networks_stop_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SETTLE_INTAKE_TRUSTED_PROXIES", "10.0.0.0/8, proxy.example")
    with pytest.raises(IntakeSettingsError, match=r"TRUSTED_PROXIES.*proxy\.example"):
        load_settings()


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"POST /webhook/payu HTTP/1.1\r\nContent-Length: 2000000\r\n\r\n", 413),
        (b"POST /webhook/payu HTTP/1.1\r\nX: " + b"x" * 20_000 + b"\r\n\r\n", 431),
        (b"POST /webhook/payu HTTP/1.1\r\nContent-Length: 9\r\n\r\nslow", 408),
        (b"\x16\x03\x01\r\n\r\n", 400),
    ],
)
def test_what_never_becomes_a_request_is_counted_and_audited_too(
    door: Door, sent: bytes, status: int
) -> None:
    async def story() -> bytes:
        door.server.http.limits = Limits(request_seconds=0.1)
        port = await door.server.http.start("127.0.0.1", 0)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(sent)
        async with asyncio.timeout(20):
            answer = await reader.read()
        writer.close()
        await door.server.http.close(1)
        await door.server.flush_audit()
        return answer

    assert asyncio.run(story()).startswith(b"HTTP/1.1 %d " % status)
    (line,) = door.ledger.audited
    assert (line.gateway, line.status, line.peer, line.count) == ("?", status, "127.0.0.1", 1)
    assert door.metrics.value("settle_intake_requests_total", gateway="?", answer=str(status)) == 1
    assert door.pipeline.events == []
