"""Reports read from the stand-in gateways' own answers, the days asked for, and lines packed and unpacked."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import orjson
import pytest

from stack.gateways import GatewayServer
from stack.gateways_store import Store
from webhook_intake.business_time import days_to_ask
from webhook_intake.config import IntakeSettings, load_settings
from webhook_intake.errors import GatewayRefusedError, IntakeSettingsError
from webhook_intake.httpserver import Request, Response
from webhook_intake.lines import _pack, _unpack
from webhook_intake.records import Line
from webhook_intake.reports import Report, reports

if TYPE_CHECKING:
    from pathlib import Path

DAY = date(2026, 1, 6)
SETTLED_AT = 1767670200  # 2026-01-06 09:00 in India


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> IntakeSettings:
    for name, value in {
        "RAZORPAY_API_URL": "http://gateways/razorpay",
        "RAZORPAY_KEY_ID": "rzp_1",
        "RAZORPAY_KEY_SECRET": "secret",
        "PAYU_API_URL": "http://gateways/payu",
        "PAYU_KEY": "KEY1",
        "PAYU_SALT": "SALT1",
        "PAYTM_API_URL": "http://gateways/paytm",
        "PAYTM_MID": "MID1",
        "PAYTM_MERCHANT_KEY": "k" * 16,
        "RAZORPAY_PAGE_SIZE": "7",
        "PAYU_PAGE_SIZE": "7",
    }.items():
        monkeypatch.setenv(f"SETTLE_INTAKE_{name}", value)
    return load_settings()


@pytest.fixture
def gateways(settings: IntakeSettings, tmp_path: Path) -> GatewayServer:
    return GatewayServer(settings, Store(tmp_path))


def call(server: GatewayServer, request: Request) -> Response:
    return asyncio.run(server.handle(request))


def admin(server: GatewayServer, path: str, said: Any) -> Response:
    return call(server, Request("POST", f"/admin/{path}", "", {}, orjson.dumps(said), ""))


def read(server: GatewayServer, report: Report, day: date = DAY) -> list[Line]:
    """Every page, as the poller pages."""
    lines: list[Line] = []
    number, go_on = 1, True
    while go_on:
        ask = report.ask(day, number)
        url = urlsplit(ask.url)
        headers = {name.lower(): value for name, value in ask.headers.items()}
        answer = call(server, Request(ask.method, url.path, url.query, headers, ask.body or b"", ""))
        assert answer.status == 200
        page, pages = report.read(answer.body)
        lines += page.lines
        go_on = page.more if pages is None else number < pages
        number += 1
    return lines


def native(gateway: str, count: int) -> list[dict[str, Any]]:
    if gateway == "razorpay":
        shared = {
            "type": "payment",
            "debit": 0,
            "credit": 97640,
            "amount": 100000,
            "currency": "INR",
            "fee": 2360,
        }
        shared |= {"tax": 360, "settled": True, "created_at": SETTLED_AT - 9, "settled_at": SETTLED_AT}
        shared |= {"settlement_id": "setl_1", "settlement_utr": "HDFCN52026010600"}
        return [{**shared, "entity_id": f"pay_{n}"} for n in range(count)]
    if gateway == "payu":
        rows = [
            {
                "action": "capture",
                "payuId": f"{n}",
                "requestId": f"{n}",
                "transactionAmount": "10.00",
                "merchantNetAmount": "9.00",
                "merchantServiceFee": "0.90",
                "merchantServiceTax": "0.10",
                "transactionDate": "2026-01-05 10:00:00",
            }
            for n in range(count)
        ]
        head = {
            "settlementId": "S1",
            "settlementCompletedDate": "2026-01-06 09:00:00",
            "utrNumber": "AXISN52026010600",
        }
        return [{**head, "transaction": rows}]
    shared = {
        "transactionType": "ACQUIRING",
        "amount": "10.00",
        "settledAmount": "9.00",
        "commission": "0.90",
    }
    shared |= {"gst": "0.10", "payoutId": "P1", "payoutDate": "2026-01-06", "utrNo": "ICICN52026010600"}
    shared |= {"transactionDate": "2026-01-05T10:00:00+05:30"}
    return [{**shared, "transactionId": f"{n}"} for n in range(count)]


@pytest.mark.parametrize("gateway", ["razorpay", "payu", "paytm"])
@pytest.mark.parametrize("count", [0, 1, 7, 20, 21, 50])
def test_every_row_is_read_once_whatever_the_page(
    gateways: GatewayServer, settings: IntakeSettings, gateway: str, count: int
) -> None:
    if count:
        admin(gateways, f"{gateway}/settlements", {"items": native(gateway, count)})
        admin(gateways, f"{gateway}/settlements", {"items": native(gateway, count)})
    report = reports(settings)[gateway]
    lines = read(gateways, report)
    assert len({line.line_key for line in lines}) == len(lines) == count
    assert read(gateways, report, date(2026, 1, 7)) == []


@pytest.mark.parametrize("gateway", ["razorpay", "payu", "paytm"])
def test_wrong_credentials_are_refused(
    gateways: GatewayServer, settings: IntakeSettings, gateway: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"RAZORPAY_KEY_SECRET": "x", "PAYU_SALT": "x", "PAYTM_MERCHANT_KEY": "x" * 16}.items():
        monkeypatch.setenv(f"SETTLE_INTAKE_{name}", value)
    ask = reports(load_settings())[gateway].ask(DAY, 1)
    url = urlsplit(ask.url)
    headers = {name.lower(): value for name, value in ask.headers.items()}
    assert (
        call(gateways, Request(ask.method, url.path, url.query, headers, ask.body or b"", "")).status == 401
    )


def test_what_is_stored_survives_and_is_forgotten_when_told(settings: IntakeSettings, tmp_path: Path) -> None:
    admin(GatewayServer(settings, Store(tmp_path)), "paytm/settlements", {"items": native("paytm", 3)})
    again = GatewayServer(settings, Store(tmp_path))
    assert len(read(again, reports(settings)["paytm"])) == 3
    admin(again, "reset", {})
    assert read(again, reports(settings)["paytm"]) == []


def test_told_to_misbehave(gateways: GatewayServer, settings: IntakeSettings) -> None:
    admin(gateways, "payu/behaviour", {"fail_next": 2, "status": 429})
    request = Request("GET", "/payu/settlement/range", "", {}, b"", "")
    assert [call(gateways, request).status for _ in range(3)] == [429, 429, 401]
    assert admin(gateways, "payu/behaviour", {"explode": 1}).status == 400
    assert admin(gateways, "payu/settlements", {"items": [{"no": "date"}]}).status == 400


def test_a_digest_is_blind_to_what_is_new_in_every_answer(settings: IntakeSettings) -> None:
    report = reports(settings)["paytm"]
    one = b'{"response":{"head":{"reqMsgId":"a"},"body":{"settlementDetailList":[]}}}'
    assert report.digest(one) == report.digest(one.replace(b'"a"', b'"b"'))
    assert report.digest(one) != report.digest(one.replace(b"[]", b"[1]"))


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"items":7}', b'{"response":7}'])
def test_another_shape_is_refused_by_name(settings: IntakeSettings, body: bytes) -> None:
    for name in ("razorpay", "paytm"):
        if (name, body) in {("razorpay", b'{"response":7}')}:
            continue
        with pytest.raises(GatewayRefusedError, match=name):
            reports(settings)[name].read(body)


def test_days() -> None:
    days = [date(2026, 1, day) for day in range(1, 32)]
    assert days_to_ask(None, None, 3, None) == []
    assert days_to_ask(None, days[9], 3, None) == days[6:10]
    assert days_to_ask(None, days[9], 3, days[0]) == days[0:10]
    assert days_to_ask(days[8], days[9], 3, None) == days[5:10]
    assert days_to_ask(days[8], days[9], 3, days[7]) == days[7:10]
    assert days_to_ask(days[9], days[9], 0, None) == [days[9]]
    assert days_to_ask(days[30], days[9], 3, None) == days[6:10]


def test_a_record_comes_back_from_the_ledger_as_it_went_in(settings: IntakeSettings) -> None:
    (line, *_), _ = (
        reports(settings)["razorpay"].read(orjson.dumps({"items": native("razorpay", 1)}))[0].lines,
        None,
    )
    stored, content = _pack(line)
    assert _unpack(stored, "u", line.word.version) == line.word.avro()
    assert _unpack(stored, "d", 7)["op"] == "d"
    elsewhere = Line(line.line_key, replace(line.word, raw_sha256="other", version=1))
    assert _pack(elsewhere)[1] == content
    assert _pack(Line(line.line_key, replace(line.word, fee=line.word.tax)))[1] != content


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("PAYTM_MERCHANT_KEY", "short", "16, 24 or 32"),
        ("PAYU_KEY", "", "PAYU_SALT belong together"),
        ("POLL_SECONDS", "-1", "POLL_SECONDS"),
    ],
)
@pytest.mark.usefixtures("settings")
def test_settings_that_cannot_work_are_named(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    monkeypatch.setenv(f"SETTLE_INTAKE_{name}", value)
    with pytest.raises(IntakeSettingsError, match=said) as caught:
        load_settings()
    assert "SALT1" not in str(caught.value)
