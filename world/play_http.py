"""Plays the gateways: signed notices over keep-alive connections, reports into the stand-in's admin door.

The sender shares two cores with everything it sends to, so it is a bare protocol: every request is ready
bytes, a few are sent ahead of their answers on each connection, and only the status line is looked at.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

import orjson
import requests

from world.errors import DoorError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from world.webhooks import Post

# Ways to the intake at the same time, and notices under way on each. Every notice is answered only when it
# is safe, so throughput is what is under way over the time that takes; the intake reads 32 ahead.
_CONNECTIONS: Final = 32
_AHEAD: Final = 32
# The intake is allowed to say "later"; a notice is offered again after this long, so many times.
_PAUSE: Final = 0.25
_OFFERS: Final = 240
_LATER: Final = (429, 503)
# Rows of one report in one request, well under the stand-in's limit of 20 MB.
_ROWS: Final = 20_000


class Parcel(NamedTuple):
    """Some rows of a gateway's report, ready to be handed over."""

    gateway: str
    rows: int
    body: bytes


class Delivered:
    """How the intake answered."""

    def __init__(self) -> None:
        self.statuses: Counter[int] = Counter()
        self.again = 0

    @property
    def accepted(self) -> int:
        """Notices answered with 2xx."""
        return sum(count for status, count in self.statuses.items() if 200 <= status < 300)


class _Connection(asyncio.Protocol):
    """Sends what the queue holds, a few ahead, until the queue is empty."""

    def __init__(self, sender: _Sender) -> None:
        self._sender = sender
        self._under_way: deque[Post] = deque()
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self.fill()

    def fill(self) -> None:
        """Send ahead as far as allowed; let go when nothing is left."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        ready = []
        while len(self._under_way) < _AHEAD:
            post = self._sender.take()
            if post is None:
                break
            self._under_way.append(post)
            ready.append(self._sender.request(post))
        if ready:
            transport.write(b"".join(ready))
        elif not self._under_way and self._sender.finished:
            transport.close()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while True:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                break
            head = self._buffer[:end]
            length = _content_length(head)
            if len(self._buffer) < end + 4 + length:
                break
            self._buffer = self._buffer[end + 4 + length :]
            self._sender.answered(self._under_way.popleft(), int(head[9:12]))
        self.fill()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        # What was sent and not answered may or may not have been kept: it is offered again, as gateways do.
        for post in self._under_way:
            self._sender.offer_again(post)
        self._under_way.clear()
        if not self.closed.done():
            self.closed.set_result(None)


def _content_length(head: bytes) -> int:
    at = head.lower().find(b"content-length:")
    if at < 0:
        return 0
    return int(head[at + 15 :].split(b"\r\n", 1)[0])


class _Sender:
    """The queue of notices, and what became of them."""

    def __init__(self, posts: Iterable[Post], host: str, port: int) -> None:
        self._queue = deque(posts)
        self._open = len(self._queue)
        self._host, self._port = host, port
        self._offers: Counter[int] = Counter()
        self.done = Delivered()
        self._refused: str | None = None

    @property
    def finished(self) -> bool:
        """Nothing waits for an answer or another try."""
        return self._open == 0

    @property
    def answered_count(self) -> int:
        """How many have a final answer."""
        return self.done.statuses.total()

    def take(self) -> Post | None:
        """The next one to send."""
        return self._queue.popleft() if self._queue else None

    def request(self, post: Post) -> bytes:
        """The bytes on the wire."""
        head = f"POST {post.path} HTTP/1.1\r\nHost: {self._host}\r\nContent-Length: {len(post.body)}\r\n"
        return b"".join((head.encode(), post.headers, b"\r\n", post.body))

    def answered(self, post: Post, status: int) -> None:
        """A status line came for it."""
        if status in _LATER:
            asyncio.get_running_loop().call_later(_PAUSE, self.offer_again, post)
            return
        self.done.statuses[status] += 1
        self._open -= 1

    def offer_again(self, post: Post) -> None:
        """Back into the queue, unless it was offered too often."""
        self._offers[id(post)] += 1
        self.done.again += 1
        if self._offers[id(post)] > _OFFERS:
            self._refused = post.path
        self._queue.append(post)

    async def run(self, tell: Callable[[int], None]) -> Delivered:
        """Until everything has an answer."""
        loop = asyncio.get_running_loop()
        missed = 0
        connections: list[_Connection] = []
        while not self.finished:
            if self._refused:
                raise DoorError(f"{self._refused} did not take the same notice {_OFFERS} times")
            connections = [one for one in connections if not one.closed.done()]
            try:
                while len(connections) < _CONNECTIONS and self._queue:
                    _, made = await loop.create_connection(lambda: _Connection(self), self._host, self._port)
                    connections.append(made)
                    missed = 0
            except OSError as error:
                missed += 1
                if missed > _OFFERS:
                    raise DoorError(f"the webhook intake does not answer: {error}") from None
            for connection in connections:
                connection.fill()
            tell(self.answered_count)
            await asyncio.sleep(_PAUSE)
        for connection in connections:
            connection.fill()
        tell(self.answered_count)
        return self.done


def deliver(
    posts: Sequence[Post], host: str, port: int, tell: Callable[[int], None] = lambda _: None
) -> Delivered:
    """Send all notices, roughly in order, and count the answers."""
    return asyncio.run(_Sender(posts, host, port).run(tell))


def parcels(told: Mapping[str, list[dict[str, Any]]]) -> list[Parcel]:
    """Reports as ready bytes."""
    return [
        Parcel(gateway, len(some), orjson.dumps({"items": some}))
        for gateway, items in told.items()
        for some in (items[at : at + _ROWS] for at in range(0, len(items), _ROWS))
    ]


def publish_reports(url: str, ready: Iterable[Parcel]) -> int:
    """Hand the gateways' stand-in what it is to report; the number of rows."""
    count = 0
    with requests.Session() as session:
        for parcel in ready:
            try:
                answer = session.post(
                    f"{url}/admin/{parcel.gateway}/settlements",
                    data=parcel.body,
                    headers={"Content-Type": "application/json"},
                    timeout=60,
                )
            except requests.RequestException as error:
                raise DoorError(f"the gateways' stand-in does not answer: {type(error).__name__}") from error
            if answer.status_code != 200:
                raise DoorError(f"the gateways' stand-in refused a report: {answer.text[:200]}")
            count += parcel.rows
    return count
