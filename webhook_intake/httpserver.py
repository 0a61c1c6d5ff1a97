"""A small HTTP/1.1 server on asyncio and httptools: whole requests in, whole answers out.

Written here and not taken from a framework for two reasons: a request costs a third of what it costs through
ASGI, and the limits a public door needs (headers, body, time from first to last byte) end a connection with
the right answer instead of waiting for it.

A handler may answer at once, later (`Later`, which costs neither a task nor a future), or be a coroutine.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus
from typing import Any, NamedTuple, cast

import httptools

log = logging.getLogger("webhook_intake")

# Bytes of request line and headers together: gateways send under 2 KiB.
_HEADER_BYTES = 16_384
# Requests of one connection under way at once; beyond it the connection is not read from.
_AHEAD = 64
# Seconds an idle connection stays open: longer than load balancers keep theirs (60), so they close first.
_IDLE_SECONDS = 75.0
# How long and how much a refused client may go on sending before the connection is closed on it.
_LINGER_SECONDS = 1.0
_LINGER_BYTES = 8_388_608
# Seconds between two looks for answers that are still to come, when closing.
_CLOSING_LOOK = 0.01
# Names of headers remembered in lower case: senders write the same few.
_NAMES = 256
# Answers remembered as bytes, and how long they may be: nearly all are the same few words.
_ANSWERS, _SHORT = 64, 100
_REASONS = {status.value: status.phrase for status in HTTPStatus}


class Request(NamedTuple):
    """One whole request; header names are in lower case."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    peer: str


@dataclass(frozen=True, slots=True)
class Response:
    """One whole answer."""

    status: int
    body: bytes = b""
    content_type: str = "text/plain; charset=utf-8"
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Limits:
    """What a client may ask of the server."""

    # Largest body in bytes.
    body_bytes: int = 1_048_576
    # Seconds from a request's first byte to its last.
    request_seconds: float = 10.0


class Later:
    """An answer that is still to come: whoever made it says it once, from the loop."""

    __slots__ = ("_answer", "_take")

    def __init__(self) -> None:
        self._answer: Response | None = None
        self._take: Callable[[Response], None] | None = None

    def say(self, answer: Response) -> None:
        """This is it."""
        if self._take is not None:
            self._take(answer)
        else:
            self._answer = answer

    def then(self, take: Callable[[Response], None]) -> None:
        """Whom to tell."""
        self._take = take
        if self._answer is not None:
            take(self._answer)


Answer = Response | Later | Awaitable[Response]
Handler = Callable[[Request], Answer]
# Called for requests that never reach the handler: the status and the peer.
OnRefused = Callable[[int, str, str], None]


async def awaited(answer: Answer) -> Response:
    """The response, whichever way it is given."""
    if isinstance(answer, Response):
        return answer
    if not isinstance(answer, Later):
        return await answer
    future: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
    answer.then(future.set_result)
    return await future


class HttpServer:
    """Listens until closed; closing lets requests under way finish."""

    def __init__(
        self,
        handler: Handler,
        *,
        limits: Limits | None = None,
        on_refused: OnRefused | None = None,
    ) -> None:
        self.handler = handler
        self.limits = limits or Limits()
        self.on_refused = on_refused
        self.connections: set[_Connection] = set()
        self._server: asyncio.AbstractServer | None = None
        self._watch: asyncio.Task[None] | None = None

    async def start(self, host: str, port: int) -> int:
        """Begin to listen; gives the port, for those who asked for 0."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self), host, port, backlog=1024)
        self._watch = loop.create_task(self._end_slow_ones())
        return int(self._server.sockets[0].getsockname()[1])

    async def close(self, seconds: float = 10.0) -> None:
        """Stop listening, let answers under way go out, then end every connection."""
        if self._server is not None:
            self._server.close()
        if self._watch is not None:
            self._watch.cancel()
        give_up = time.monotonic() + seconds
        # Answers set no event: it would be one more thing done for each.
        while any(one.owes for one in self.connections) and time.monotonic() < give_up:  # noqa: ASYNC110
            await asyncio.sleep(_CLOSING_LOOK)
        for one in list(self.connections):
            one.end()

    async def _end_slow_ones(self) -> None:
        while True:
            await asyncio.sleep(0.5)
            now = time.monotonic()
            for one in list(self.connections):
                one.look_at_clock(now)


class _Slot:
    """One request's place in the order of answers."""

    __slots__ = ("_connection", "keep", "response")

    def __init__(self, connection: _Connection, *, keep: bool, response: Response | None = None) -> None:
        self._connection = connection
        self.keep = keep
        self.response = response

    def take(self, response: Response) -> None:
        """The answer is there."""
        self.response = response
        self._connection.write()


class _Connection(asyncio.Protocol):
    """One client's connection: requests are handled side by side and answered in order."""

    def __init__(self, server: HttpServer) -> None:
        self._server = server
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._peer = ""
        self._slots: deque[_Slot] = deque()
        self._since = time.monotonic()
        self._receiving = False
        self._refused = False
        self._discarded = 0
        self._paused = False
        # Since when the client has not read what was written for it; None while it does.
        self._unread_since: float | None = None
        self._begin()

    @property
    def owes(self) -> bool:
        """Is an answer still to come?"""
        return bool(self._slots)

    def _begin(self) -> None:
        self._url = b""
        self._headers: dict[str, str] = {}
        self._headers_done = False
        self._header_bytes = 0
        self._parts: list[bytes] = []
        self._body_bytes = 0

    # asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername")
        self._peer = str(peer[0]) if peer else ""
        self._server.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._server.connections.discard(self)
        self._transport = None
        self._slots.clear()

    def pause_writing(self) -> None:
        # A client that asks and does not read would fill our memory with its answers.
        self._unread_since = time.monotonic()
        self._read_on_or_not()

    def resume_writing(self) -> None:
        self._unread_since = None
        self._read_on_or_not()

    def data_received(self, data: bytes) -> None:
        if self._refused:
            self._discarded += len(data)
            if self._discarded > _LINGER_BYTES:
                self.end()
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._refuse(400, "upgrade")
        except httptools.HttpParserError:
            self._refuse(400, "not HTTP")

    # httptools' side

    def on_message_begin(self) -> None:
        self._receiving = True
        self._since = time.monotonic()

    def on_url(self, url: bytes) -> None:
        self._url += url
        self._count(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        self._header_bytes += len(name) + len(value)
        if self._header_bytes > _HEADER_BYTES:
            self._refuse(431, "headers too large")
        if self._headers_done:
            # A trailer says nothing here: a proxy in front has looked at the headers, not at what follows.
            return
        key = _lower(name)
        said = value.decode("latin-1").strip()
        headers = self._headers
        headers[key] = f"{headers[key]},{said}" if key in headers else said

    def on_headers_complete(self) -> None:
        self._headers_done = True
        length = self._headers.get("content-length", "")
        if length.isdigit() and int(length) > self._server.limits.body_bytes:
            self._refuse(413, "oversized")
        elif "expect" in self._headers:
            self._go_on_or_not()

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        if self._body_bytes > self._server.limits.body_bytes:
            self._refuse(413, "oversized")
        else:
            self._parts.append(body)

    def on_message_complete(self) -> None:
        if self._refused:
            return
        path, query = self._url, b""
        if b"?" in path or not path.startswith(b"/"):
            try:
                url = httptools.parse_url(path)
            except httptools.HttpParserInvalidURLError:
                self._refuse(400, "bad address")
                return
            path, query = url.path or b"", url.query or b""
        parts = self._parts
        request = Request(
            self._parser.get_method().decode("latin-1"),
            path.decode("latin-1"),
            query.decode("latin-1"),
            self._headers,
            parts[0] if len(parts) == 1 else b"".join(parts),
            self._peer,
        )
        self._receiving = False
        self._since = time.monotonic()
        slot = _Slot(self, keep=self._parser.should_keep_alive())
        self._slots.append(slot)
        self._begin()
        self._handle(request, slot)
        if len(self._slots) >= _AHEAD and not self._paused and self._transport is not None:
            self._paused = True
            self._read_on_or_not()

    # ours

    def _handle(self, request: Request, slot: _Slot) -> None:
        try:
            answer = self._server.handler(request)
        except Exception:
            log.exception("%s %s failed", request.method, request.path)
            answer = _FAILED
        if isinstance(answer, Response):
            slot.take(answer)
        elif isinstance(answer, Later):
            answer.then(slot.take)
        else:
            task = asyncio.get_running_loop().create_task(self._wait(request, answer, slot))
            _RUNNING.add(task)
            task.add_done_callback(_RUNNING.discard)

    async def _wait(self, request: Request, answer: Awaitable[Response], slot: _Slot) -> None:
        try:
            response = await answer
        except Exception:
            log.exception("%s %s failed", request.method, request.path)
            response = _FAILED
        slot.take(response)

    def _go_on_or_not(self) -> None:
        """A client that asks first is told to send, unless answers before it are still to come."""
        if self._headers["expect"].lower() != "100-continue":
            self._refuse(417, "unknown expectation")
        elif self._transport is not None and not self._slots:
            # With answers still to come it would be taken for one of them; the client sends after a moment.
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def write(self) -> None:
        """Send the answers that are ready, in the order of their requests."""
        slots = self._slots
        ready = b""
        last = False
        while slots and not last and (response := slots[0].response) is not None:
            slot = slots.popleft()
            last = not slot.keep
            ready += _bytes(response, keep=slot.keep)
        if not ready or self._transport is None:
            return
        self._since = time.monotonic()
        self._transport.write(ready)
        if last and self._refused:
            self._transport.write_eof()
            # Closing while the client still sends would reset the connection, and it would never read why.
            asyncio.get_running_loop().call_later(_LINGER_SECONDS, self.end)
        elif last:
            self.end()
        elif self._paused and len(self._slots) <= _AHEAD // 2:
            self._paused = False
            self._read_on_or_not()

    def _read_on_or_not(self) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        if self._paused or self._unread_since is not None:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def _count(self, size: int) -> None:
        self._header_bytes += size
        if self._header_bytes > _HEADER_BYTES:
            self._refuse(431, "headers too large")

    def _refuse(self, status: int, why: str) -> None:
        if self._refused:
            return
        self._refused = True
        if self._server.on_refused is not None:
            self._server.on_refused(status, why, self._peer)
        # After the answers to the requests before it.
        self._slots.append(_Slot(self, keep=False, response=Response(status, f"{why}\n".encode())))
        self.write()

    def look_at_clock(self, now: float) -> None:
        """End a request that drips in too slowly, answers that are not read, and a connection nobody uses."""
        age = now - self._since
        unread = self._unread_since
        if unread is not None and now - unread > self._server.limits.request_seconds:
            self._unread_since = None
            if not self._refused and self._server.on_refused is not None:
                self._server.on_refused(408, "does not read", self._peer)
            self._refused = True
            if self._transport is not None:
                self._transport.abort()
        elif self._receiving and age > self._server.limits.request_seconds:
            self._refuse(408, "too slow")
        elif not self._receiving and not self._slots and age > _IDLE_SECONDS:
            self.end()

    def end(self) -> None:
        """Close once what was written has gone out."""
        if self._transport is not None:
            self._transport.close()


# The loop keeps only weak references to its tasks.
_RUNNING: set[asyncio.Task[Any]] = set()


_FAILED = Response(500, b"internal error\n")


@lru_cache(maxsize=_NAMES)
def _lower(name: bytes) -> str:
    return name.decode("latin-1").lower()


def _bytes(response: Response, *, keep: bool) -> bytes:
    if len(response.body) > _SHORT:
        return _written(response, keep)
    return _remembered(response, keep)


def _written(response: Response, keep: bool) -> bytes:
    headers = [("content-type", response.content_type), ("content-length", str(len(response.body)))]
    headers += response.headers
    if not keep:
        headers.append(("connection", "close"))
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
    head = f"HTTP/1.1 {response.status} {_REASONS.get(response.status, '')}\r\n{lines}\r\n"
    return head.encode("latin-1") + response.body


_remembered = lru_cache(maxsize=_ANSWERS)(_written)
