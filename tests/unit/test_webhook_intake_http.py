"""The HTTP server against a raw socket: whole requests, limits, and the right answer when one is broken."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import pytest

from webhook_intake.httpserver import HttpServer, Limits, Request, Response

Conversation = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Door:
    """A server that answers with what it was asked, and remembers what it refused."""

    def __init__(self, limits: Limits) -> None:
        self.seen: list[Request] = []
        self.refused: list[int] = []
        self.second = asyncio.Event()
        self.server = HttpServer(
            self.handle, limits=limits, on_refused=lambda status, *_: self.refused.append(status)
        )

    async def handle(self, request: Request) -> Response:
        self.seen.append(request)
        if request.path == "/first":
            await self.second.wait()
        if request.path == "/second":
            self.second.set()
        if request.path == "/broken":
            raise RuntimeError("a bug")
        return Response(200, request.body or b"empty")


def talk(conversation: Conversation, limits: Limits | None = None) -> Door:
    async def run() -> Door:
        door = Door(limits or Limits(body_bytes=1000, request_seconds=0.2))
        port = await door.server.start("127.0.0.1", 0)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        async with asyncio.timeout(20):
            await conversation(reader, writer)
        writer.close()
        await door.server.close(1)
        return door

    return asyncio.run(run())


async def answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    length = int(head.lower().split("content-length: ")[1].split("\r\n")[0])
    return int(head.split()[1]), await reader.readexactly(length)


def post(body: bytes, path: str = "/x", more: str = "") -> bytes:
    return f"POST {path} HTTP/1.1\r\nHost: h\r\n{more}Content-Length: {len(body)}\r\n\r\n".encode() + body


def test_keep_alive_pipelining_and_order() -> None:
    async def conversation(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"".join(post(f"body {n}".encode()) for n in range(100)))
        for n in range(100):
            assert await answer(reader) == (200, f"body {n}".encode())

    assert len(talk(conversation, Limits()).seen) == 100


def test_requests_sent_ahead_are_handled_side_by_side_and_answered_in_order() -> None:
    async def conversation(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(post(b"1", "/first") + post(b"2", "/second") + b"GARBAGE\r\n\r\n")
        assert await answer(reader) == (200, b"1")
        assert await answer(reader) == (200, b"2")
        assert (await answer(reader))[0] == 400

    talk(conversation)


def test_a_body_in_pieces_arrives_whole() -> None:
    async def conversation(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for byte in post(b"\x00\xffraw\r\n", more="X-Two: a\r\nX-Two: b\r\n"):
            writer.write(bytes([byte]))
            await writer.drain()
        assert await answer(reader) == (200, b"\x00\xffraw\r\n")

    (request,) = talk(conversation, Limits()).seen
    assert request.headers["x-two"] == "a,b"
    assert (request.method, request.path) == ("POST", "/x")


def test_chunked_body() -> None:
    async def conversation(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(
            b"POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
        )
        assert await answer(reader) == (200, b"abcde")

    talk(conversation)


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 1001\r\n\r\n", 413),
        (b"POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n7d0\r\n" + b"x" * 2000, 413),
        (b"POST /x HTTP/1.1\r\nX-Long: " + b"x" * 20_000 + b"\r\n\r\n", 431),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        (b"POST /x HTTP/1.1\r\nContent-Length: minus\r\n\r\n", 400),
        (b"POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 50\r\n\r\nslow", 408),
        (b"POST /x HT", 408),
    ],
)
def test_refusals_are_answered_counted_and_never_handled(sent: bytes, status: int) -> None:
    async def conversation(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(sent)
        assert (await answer(reader))[0] == status
        assert await reader.read() == b""

    door = talk(conversation)
    assert door.refused == [status]
    assert door.seen == []


def test_an_oversized_sender_still_hears_why() -> None:
    async def conversation(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(post(b"x" * 500_000))
        await writer.drain()
        assert (await answer(reader))[0] == 413

    assert talk(conversation).refused == [413]


def test_a_bug_answers_500_and_the_connection_goes_on() -> None:
    async def conversation(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(post(b"", "/broken") + post(b"next"))
        assert (await answer(reader))[0] == 500
        assert await answer(reader) == (200, b"next")

    talk(conversation)


@pytest.mark.parametrize(
    "framing",
    [
        b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        b"Transfer-Encoding: gzip\r\n\r\nabc",
        b"Transfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n",
    ],
)
def test_a_body_that_two_servers_could_frame_differently_is_refused(framing: bytes) -> None:
    async def conversation(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"POST /x HTTP/1.1\r\nHost: h\r\n" + framing)
        assert (await answer(reader))[0] == 400

    assert talk(conversation).seen == []


def test_trailers_do_not_add_to_the_headers() -> None:
    async def conversation(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"POST /x HTTP/1.1\r\nX-Forwarded-For: 192.0.2.1\r\nTransfer-Encoding: chunked\r\n\r\n")
        writer.write(b"3\r\nabc\r\n0\r\nX-Forwarded-For: 198.51.100.7\r\n\r\n" + post(b"next"))
        assert await answer(reader) == (200, b"abc")
        assert await answer(reader) == (200, b"next")

    first, second = talk(conversation, Limits()).seen
    assert first.headers["x-forwarded-for"] == "192.0.2.1"
    assert second.headers["host"] == "h"


def test_a_client_that_drips_its_body_is_ended_on_time() -> None:
    async def conversation(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async def drip() -> None:
            writer.write(b"POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 900\r\n\r\n")
            while True:
                writer.write(b"x")
                await asyncio.sleep(0.02)

        task = asyncio.create_task(drip())
        assert (await answer(reader))[0] == 408
        task.cancel()

    door = talk(conversation)
    assert (door.refused, door.seen) == ([408], [])


def test_a_client_that_does_not_read_is_ended_and_not_remembered() -> None:
    async def conversation(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asking = asyncio.create_task(ask_on(writer))
        await asyncio.wait([asking])

    async def ask_on(writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while True:
                writer.write(post(b"x" * 1000) * 100)
                await writer.drain()

    door = talk(conversation)
    assert door.refused == [408]
    assert door.server.connections == set()


def test_whoever_reads_slowly_gets_everything() -> None:
    async def conversation(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async def ask() -> None:
            for _ in range(100):
                writer.write(post(b"x" * 1000) * 100)
                await writer.drain()

        asking = asyncio.create_task(ask())
        for n in range(10_000):
            assert (await answer(reader))[0] == 200
            if n % 1000 == 0:
                await asyncio.sleep(0.02)
        await asking

    assert len(talk(conversation, Limits(body_bytes=1000, request_seconds=10)).seen) == 10_000
