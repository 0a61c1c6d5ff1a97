"""The notices are the intake's own kind; a load answers for every request and counts from when it was due."""

from __future__ import annotations

import asyncio
import hashlib
import signal
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bench.load import Outcome, content_length, full_load, scheduled_load
from bench.notices import notices
from bench.webhooks import KILLS, Killer, rate
from stack.home import Home
from webhook_intake import razorpay
from webhook_intake.httpserver import HttpServer, Request, Response

if TYPE_CHECKING:
    from collections.abc import Iterator

    from webhook_intake.httpserver import Handler

SECRET = "whsec_test"


@contextmanager
def serving(handler: Handler) -> Iterator[int]:
    loop = asyncio.new_event_loop()
    server = HttpServer(handler)
    port = loop.run_until_complete(server.start("127.0.0.1", 0))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield port
    finally:
        asyncio.run_coroutine_threadsafe(server.close(1.0), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def ok(_request: Request) -> Response:
    return Response(200, b"ok\n")


def test_a_notice_is_signed_and_understood_and_names_its_record() -> None:
    for notice in notices("ab", 3, SECRET):
        head, _, body = notice.request.partition(b"\r\n\r\n")
        lines = [line.split(": ", 1) for line in head.decode().split("\r\n")[1:]]
        headers = {name.lower(): value for name, value in lines}
        sha256 = hashlib.sha256(body).hexdigest()
        checked = razorpay.check(headers, body, sha256, [SECRET])
        (word,) = razorpay.hear(checked.document, datetime.now(UTC), sha256).words
        assert word.record_id == notice.key
        assert word.net == word.amount - word.fee - word.tax
        assert int(headers["content-length"]) == len(body)


def test_no_two_notices_are_of_one_payment() -> None:
    assert len({notice.key for tag in "ab" for notice in notices(tag, 50, SECRET)}) == 100


def test_the_length_of_an_answer_is_read_whatever_its_case() -> None:
    assert content_length(b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\nx: y") == 12
    assert content_length(b"HTTP/1.1 204 No Content") == 0


def test_at_full_load_every_request_is_answered_once() -> None:
    some = notices("a", 3000, SECRET)
    with serving(ok) as port:
        done = full_load(some, port)
    assert sorted(done.accepted) == [notice.key for notice in some]
    assert done.unanswered == []
    assert done.rate > 0


def test_later_is_offered_again_and_a_refusal_is_not() -> None:
    heard: list[str] = []

    async def moody(request: Request) -> Response:
        name = request.headers["x-razorpay-event-id"]
        heard.append(name)
        if name.endswith("1"):
            return Response(401)
        return Response(503 if heard.count(name) == 1 else 200)

    with serving(moody) as port:
        done = full_load(notices("a", 10, SECRET), port)
    assert (len(done.accepted), done.statuses[401], done.later) == (9, 1, 9)


def test_what_a_broken_connection_held_is_counted_as_unanswered() -> None:
    async def gone() -> None:
        async def end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readexactly(1)
            writer.close()

        server = await asyncio.start_server(end, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        done = await asyncio.to_thread(full_load, notices("a", 40, SECRET), port)
        server.close()
        assert len(done.unanswered) == 40
        assert done.accepted == []

    asyncio.run(gone())


def test_by_a_schedule_a_stall_shows_in_all_that_waited_for_it() -> None:
    began: list[float] = []

    async def stalls(_request: Request) -> Response:
        began.append(time.perf_counter())
        if len(began) == 1:
            time.sleep(0.3)  # noqa: ASYNC251 - the whole server stands still
        return Response(200)

    with serving(stalls) as port:
        done = scheduled_load(notices("a", 100, SECRET), port, 200.0)
    assert len(done.accepted) == 100
    assert sum(wait > 0.1 for wait in done.waits) >= 30


def test_the_rate_of_rounds_is_all_of_them_over_all_of_their_time() -> None:
    loads = [Outcome(accepted=["a"] * 10, seconds=1.0), Outcome(accepted=["b"] * 30, seconds=3.0)]
    assert rate(loads) == pytest.approx(10.0)
    assert rate([]) == 0.0


def test_the_intake_is_killed_at_even_steps_and_no_process_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    running = {"intake": 101}
    killed: list[tuple[int, int]] = []
    monkeypatch.setattr("bench.webhooks.pids", lambda _home: running)
    monkeypatch.setattr("bench.webhooks.os.kill", lambda pid, number: killed.append((pid, number)))
    killer, outcome = Killer(Home(Path("nowhere")), 40), Outcome()
    for _ in range(40):
        outcome.accepted.append("a")
        killer.watch(outcome)
        if len(outcome.accepted) == 25:
            running["intake"] = 102
        if len(outcome.accepted) == 35:
            running["intake"] = 103
    assert killed == [(pid, signal.SIGKILL) for pid in (101, 102, 103)]
    assert killer.kills == KILLS
