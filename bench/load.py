"""Sends ready requests over keep-alive connections: as fast as they are answered, or by an open schedule.

As gateways do, a connection has one request under way and waits for its answer. By a schedule a request is
due whether or not those before it were answered, and its time counts from when it was due: a server that
stalls cannot hide what waited meanwhile, nor can a sender that has no connection free.

Plain sockets and one selector, because the sender shares the processors with what it measures.
"""

from __future__ import annotations

import gc
import selectors
import socket
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from bench.errors import UnsoundError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bench.notices import Notice

# A request waits on each. With half as many the intake has too few to fill its groups and waits itself; the
# peers are as fast with any number.
CONNECTIONS: Final = 512
# Seconds between two looks: at connections that are to be opened again, and by the caller.
_LOOK: Final = 0.05
# "Later" is a right answer; the same notice is offered again after so many seconds.
_LATER: Final = (429, 503)
_PAUSE: Final = 0.25
# Seconds without any answer; only against hanging.
_PATIENCE: Final = 120.0
_ANSWER_BYTES: Final = 65_536


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
    return _Load(requests, port, None, seconds, watch).run()


def scheduled_load(requests: Sequence[Notice], port: int, rate: float) -> Outcome:
    """So many a second, whatever the answers do."""
    return _Load(requests, port, rate, None, lambda _: None).run()


def content_length(head: bytes) -> int:
    """How many bytes of body an answer announces."""
    at = head.lower().find(b"\r\ncontent-length:")
    return int(head[at + 17 :].split(b"\r\n", 1)[0]) if at >= 0 else 0


class _Way:
    """One connection, and the request it waits for."""

    __slots__ = ("buffer", "due", "notice", "socket")

    def __init__(self, one: socket.socket) -> None:
        self.socket = one
        self.buffer = b""
        self.notice: Notice | None = None
        self.due = 0.0


class _Load:
    def __init__(
        self,
        requests: Sequence[Notice],
        port: int,
        rate: float | None,
        seconds: float | None,
        watch: Callable[[Outcome], None],
    ) -> None:
        self._queue = deque(requests)
        self._again: deque[tuple[float, Notice, float]] = deque()
        self._port, self._rate, self._seconds, self._watch = port, rate, seconds, watch
        self._selector = selectors.DefaultSelector()
        self._idle: deque[_Way] = deque()
        self._open = self._under_way = self._sent = 0
        self._began = self._last = 0.0
        # An answer seen whole and its status: nearly all are the same bytes, and need no second reading.
        self._whole, self._status = b"", 0
        self.outcome = Outcome()

    def run(self) -> Outcome:
        """Until everything was answered, or broke, or the time is over and nothing is under way."""
        # Looking through all requests for garbage takes as long as many answers, and would count as theirs.
        collecting = gc.isenabled()
        gc.disable()
        try:
            return self._run()
        finally:
            if collecting:
                gc.enable()

    def _run(self) -> Outcome:
        self._connect()
        self._began = self._last = looked = time.perf_counter()
        while not self._over():
            for key, _ in self._selector.select(self._patience()):
                self._read(key.data)
            now = time.perf_counter()
            if self._idle:
                self._send(now)
            if now - looked >= _LOOK:
                looked = now
                self._connect()
                self._watch(self.outcome)
                if now - self._last > _PATIENCE:
                    raise UnsoundError(f"no answer on port {self._port} for {_PATIENCE:.0f} s")
        self.outcome.seconds = self._last - self._began
        for key in list(self._selector.get_map().values()):
            key.data.socket.close()
        self._selector.close()
        return self.outcome

    def _patience(self) -> float:
        """Seconds until something is to be done although no answer came."""
        if self._rate and self._idle and self._queue:
            return max(0.0, min(_LOOK, self._due() - time.perf_counter()))
        return 0.0 if self._queue and self._idle and not self._stopped() else _LOOK

    def _due(self) -> float:
        return self._began + self._sent / self._rate if self._rate else 0.0

    def _read(self, way: _Way) -> None:
        try:
            data = way.socket.recv(_ANSWER_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._lost(way)
            return
        if way.buffer:
            data = way.buffer + data
        if data == self._whole:
            status = self._status
        else:
            end = data.find(b"\r\n\r\n")
            if end < 0 or len(data) < end + 4 + content_length(data[:end]):
                way.buffer = data
                return
            status = int(data[9:12])
            self._whole, self._status = data, status
        way.buffer = b""
        self._answered(way, status)

    def _answered(self, way: _Way, status: int) -> None:
        notice = way.notice
        if notice is None:
            return
        way.notice = None
        self._under_way -= 1
        now = self._last = time.perf_counter()
        outcome = self.outcome
        if status in _LATER:
            outcome.later += 1
            self._again.append((now + _PAUSE, notice, way.due))
        else:
            outcome.statuses[status] += 1
            if 200 <= status < 300:
                outcome.accepted.append(notice.key)
                outcome.waits.append(now - way.due)
        if not self._rate and self._queue and not self._again and not self._stopped():
            self._ask(way, self._queue.popleft(), now)
        else:
            self._idle.append(way)

    def _send(self, now: float) -> None:
        """Give idle connections what is to be sent now."""
        if self._stopped():
            return
        while self._idle and self._again and self._again[0][0] <= now:
            _, notice, due = self._again.popleft()
            self._ask(self._idle.popleft(), notice, due)
        while self._idle and self._queue:
            due = self._due() if self._rate else now
            if due > now:
                return
            if self._rate:
                self.outcome.late.append(now - due)
            self._sent += 1
            self._ask(self._idle.popleft(), self._queue.popleft(), due)

    def _ask(self, way: _Way, notice: Notice, due: float) -> None:
        way.notice, way.due = notice, due
        self._under_way += 1
        try:
            # A request is smaller than a socket's empty buffer: it goes whole or the connection is broken.
            way.socket.sendall(notice.request)
        except OSError:
            self._lost(way)

    def _lost(self, way: _Way) -> None:
        self._selector.unregister(way.socket)
        way.socket.close()
        self._open -= 1
        if way.notice is not None:
            self._under_way -= 1
            self.outcome.unanswered.append(way.notice.key)
            way.notice = None
        else:
            self._idle.remove(way)

    def _stopped(self) -> bool:
        return self._seconds is not None and time.perf_counter() - self._began > self._seconds

    def _over(self) -> bool:
        return not self._under_way and (self._stopped() or not (self._queue or self._again))

    def _connect(self) -> None:
        while self._open < CONNECTIONS:
            try:
                one = socket.create_connection(("127.0.0.1", self._port), timeout=5)
            except OSError:
                # A server that was killed is on its way up; the next look tries again.
                return
            one.setblocking(False)
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            way = _Way(one)
            self._selector.register(one, selectors.EVENT_READ, way)
            self._idle.append(way)
            self._open += 1
