"""Sends ready requests over keep-alive connections: as fast as they are answered, or by an open schedule.

By a schedule a request is due whether or not those before it were answered, and its time counts from when it
was due: a server that stalls cannot hide what waited meanwhile.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, cast

import uvloop

from bench.errors import UnsoundError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bench.notices import Notice

# Together more under way than the intake has in three of its batches, so it never waits for a request.
_CONNECTIONS: Final = 32
_AHEAD: Final = 32
# Seconds between two looks: at connections that are to be opened again, at what is due by the schedule.
_LOOK: Final = 0.05
_DUE_LOOK: Final = 0.001
# "Later" is a right answer; the same notice is offered again after so many seconds.
_LATER: Final = (429, 503)
_PAUSE: Final = 0.25
# Seconds without any answer; only against hanging.
_PATIENCE: Final = 120.0


@dataclass(slots=True)
class Outcome:
    """What became of the requests of one load."""

    statuses: Counter[int] = field(default_factory=Counter)
    # The keys of what was answered 2xx, and of what was under way when its connection broke.
    accepted: list[str] = field(default_factory=list)
    unanswered: list[str] = field(default_factory=list)
    # Seconds from being due to the answer, and to being sent.
    waits: list[float] = field(default_factory=list)
    late: list[float] = field(default_factory=list)
    later: int = 0
    seconds: float = 0.0

    @property
    def rate(self) -> float:
        """Accepted requests a second."""
        return len(self.accepted) / self.seconds if self.seconds else 0.0


def full_load(
    requests: Sequence[Notice],
    port: int,
    *,
    seconds: float | None = None,
    watch: Callable[[Outcome], None] = lambda _: None,
) -> Outcome:
    """As fast as they are answered, until all are or the time is over; `watch` sees the outcome grow."""
    return _run(_Load(requests, port, None, seconds, watch))


def scheduled_load(requests: Sequence[Notice], port: int, rate: float) -> Outcome:
    """So many a second, whatever the answers do."""
    return _run(_Load(requests, port, rate, None, lambda _: None))


def _run(load: _Load) -> Outcome:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(load.run())


class _Way(asyncio.Protocol):
    """One connection; its answers come in the order of its requests."""

    def __init__(self, load: _Load) -> None:
        self._load = load
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self.under_way: deque[tuple[Notice, float]] = deque()
        self.open = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def send(self, requests: list[tuple[Notice, float]]) -> None:
        """Write them and remember what answers are for."""
        if self._transport is not None and requests:
            self.under_way.extend(requests)
            self._transport.write(b"".join([notice.request for notice, _ in requests]))

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer + data
        at, now = 0, time.perf_counter()
        while (end := buffer.find(b"\r\n\r\n", at)) >= 0:
            after = end + 4 + content_length(buffer[at:end])
            if len(buffer) < after:
                break
            self._load.answered(*self.under_way.popleft(), int(buffer[at + 9 : at + 12]), now)
            at = after
        self._buffer = buffer[at:]
        self._load.fill(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self.open = False
        self._load.outcome.unanswered += [notice.key for notice, _ in self.under_way]
        self.under_way.clear()

    def close(self) -> None:
        """Let go."""
        if self._transport is not None:
            self._transport.close()


def content_length(head: bytes) -> int:
    """How many bytes of body an answer announces."""
    at = head.lower().find(b"\r\ncontent-length:")
    return int(head[at + 17 :].split(b"\r\n", 1)[0]) if at >= 0 else 0


class _Load:
    def __init__(
        self,
        requests: Sequence[Notice],
        port: int,
        rate: float | None,
        seconds: float | None,
        watch: Callable[[Outcome], None],
    ) -> None:
        self._queue: deque[tuple[Notice, float]] = deque((notice, 0.0) for notice in requests)
        self._port, self._rate, self._seconds, self._watch = port, rate, seconds, watch
        self._ways: list[_Way] = []
        self._pausing = 0
        self._began = self._last = 0.0
        self._sent = 0
        self.outcome = Outcome()

    async def run(self) -> Outcome:
        """Until everything was answered, or broke, or the time is over and nothing is under way."""
        await self._connect()
        self._began = self._last = time.perf_counter()
        if self._rate:
            self._queue = deque(
                (notice, self._began + number / self._rate) for number, (notice, _) in enumerate(self._queue)
            )
        looked = self._began
        while not self._over():
            now = time.perf_counter()
            if now - looked >= _LOOK:
                looked = now
                await self._connect()
                self._watch(self.outcome)
                if now - self._last > _PATIENCE:
                    raise UnsoundError(f"no answer on port {self._port} for {_PATIENCE:.0f} s")
            self._send(now)
            await asyncio.sleep(_DUE_LOOK if self._rate else _LOOK)
        self.outcome.seconds = self._last - self._began
        for way in self._ways:
            way.close()
        return self.outcome

    def answered(self, notice: Notice, due: float, status: int, now: float) -> None:
        """A status line came for it."""
        self._last = now
        if status in _LATER:
            self.outcome.later += 1
            self._pausing += 1
            asyncio.get_running_loop().call_later(_PAUSE, self._again, notice, due)
            return
        self.outcome.statuses[status] += 1
        if 200 <= status < 300:
            self.outcome.accepted.append(notice.key)
            self.outcome.waits.append(now - due)

    def fill(self, way: _Way) -> None:
        """At full load: send ahead as far as allowed."""
        if self._rate or not way.open or self._stopped():
            return
        room = min(_AHEAD - len(way.under_way), len(self._queue))
        now = time.perf_counter()
        way.send([(self._queue.popleft()[0], now) for _ in range(room)])

    def _again(self, notice: Notice, due: float) -> None:
        self._pausing -= 1
        self._queue.appendleft((notice, due))

    def _send(self, now: float) -> None:
        ways = [way for way in self._ways if way.open]
        if not self._rate:
            for way in ways:
                self.fill(way)
            return
        while ways and self._queue and self._queue[0][1] <= now:
            notice, due = self._queue.popleft()
            ways[self._sent % len(ways)].send([(notice, due)])
            self._sent += 1
            self.outcome.late.append(now - due)

    def _stopped(self) -> bool:
        return self._seconds is not None and time.perf_counter() - self._began > self._seconds

    def _over(self) -> bool:
        waiting = not self._stopped() and (self._queue or self._pausing)
        return not waiting and not any(way.under_way for way in self._ways)

    async def _connect(self) -> None:
        self._ways = [way for way in self._ways if way.open]
        loop = asyncio.get_running_loop()
        try:
            while len(self._ways) < _CONNECTIONS:
                _, way = await loop.create_connection(lambda: _Way(self), "127.0.0.1", self._port)
                self._ways.append(way)
        except OSError:
            # A server that was killed is on its way up; the next look tries again.
            return
