"""Signed notices at the real intake, beside its own HTTP server doing less, and the same job done plainly.

1. Servers, topics; a warm-up goes through, so that nothing is measured cold.
2. Full load, in rounds, so that all meet the same machine: the server that answers at once (the limit), the
   one that only sends and flushes for each request, the one that does the intake's whole job for each request
   and waits for it (the plain way), the intake.
3. Answer times at half of what the intake reached, by an open schedule, beside those of the limit.
4. Full load again while the intake is killed; the supervisor starts it again.
5. Every key that was ever answered 2xx is looked for on pg.transactions.
"""

from __future__ import annotations

import os
import signal
import time
import uuid
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Final

import requests
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from bench.doors import door
from bench.errors import BenchError, NotReadyError, UnsoundError
from bench.figures import Count, Report, percentile
from bench.kafka_end import Topic
from bench.load import Outcome, full_load, scheduled_load
from bench.machine import Meter, machine
from bench.notices import Notice, notices
from bench.servers import pids, servers
from bus.cluster import Cluster
from bus.errors import BusError
from bus.settings import bus_settings
from bus.topics import topics
from webhook_intake.config import load_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from stack.home import Home

TOPIC: Final = "pg.transactions"
# What is asked for: parts of the limit, times the same job plainly, and the answer time at half load.
AIM_LIMIT, AIM_PLAIN, AIM_P99_MS = 0.5, 4.0, 50
ROUNDS: Final = 3
KILLS: Final = 3
# Enough for the broker's compiler too: a broker in production is not minutes old.
_WARM: Final = 40_000
# How the servers measured beside the intake are called.
_LIMIT: Final = "the same server, answering at once"
_PEERS: Final = {
    "flush": "the same server, only a record and a flush for each",
    "plain": "the same server, the intake's job for each request alone",
}
# A sender later than this is a part of what it measures.
_LATE_MS: Final = 10.0
# Seconds for the intake to take webhooks once the topics are there. Only against hanging.
_PATIENCE: Final = 120.0


def run(tell: Callable[[str], None], *, rows: int, seconds: int, here: bool) -> Report:
    """Measure, in the order of the module's docstring."""
    report = Report("webhooks", machine(), datetime.now(UTC).isoformat(timespec="seconds"))
    with servers(here, tell, "intake") as home:
        try:
            Webhooks(home, report, tell).measure(rows, seconds)
        except BusError as error:
            raise BenchError(str(error)) from error
    return report


class Killer:
    """Watches a load and kills the intake whenever a further part of it has come to an end."""

    def __init__(self, home: Home, notices: int) -> None:
        self._home = home
        self._every = notices // (KILLS + 1)
        self._killed: set[int] = set()

    @property
    def kills(self) -> int:
        """How often."""
        return len(self._killed)

    def watch(self, outcome: Outcome) -> None:
        """Kill when it is time to; a process only once, since the state may still name the dead one."""
        ended = len(outcome.accepted) + len(outcome.unanswered)
        if self.kills < KILLS and ended >= (self.kills + 1) * self._every:
            pid = pids(self._home).get("intake")
            if pid is not None and pid not in self._killed:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                    self._killed.add(pid)


class Webhooks:
    """One measurement; every method is one of the numbered steps."""

    def __init__(self, home: Home, report: Report, tell: Callable[[str], None]) -> None:
        self._home, self._report, self._tell = home, report, tell
        self._figure = partial(report.figure, tell)
        settings = load_settings()
        self._port = settings.port
        self._secret = settings.razorpay_webhook_secret.get_secret_value()
        self._id = uuid.uuid4().hex[:6]
        # What the two peers write, one topic each.
        self._peers = {name: f"bench.{name}.{self._id}" for name in ("flush", "plain")}

    def measure(self, rows: int, seconds: int) -> None:
        """All steps."""
        self._prepare()  # 1
        try:
            with Meter({"intake": pids(self._home)["intake"]}) as meter:
                loads = self._full(rows, seconds / (3 * ROUNDS))  # 2
                loads.append(self._half(loads, seconds))  # 3
        finally:
            self._admin.delete_topics(list(self._peers.values()))
        self._figure("intake, memory", meter.used["intake"].peak_mib, "MiB at most")
        crash, killer = self._crash(rows // 2)  # 4
        self._found(loads, crash, killer)  # 5

    def _prepare(self) -> None:
        self._tell("1. topics; warming up")
        cluster = Cluster()
        cluster.apply(cluster.plan(topics().values()))
        bus = bus_settings()
        self._admin = AdminClient({**bus.client()})
        like = topics()[TOPIC].partitions
        new = [NewTopic(name, like, bus.replication) for name in self._peers.values()]
        for made in self._admin.create_topics(new).values():
            made.result(20)
        until = time.monotonic() + _PATIENCE
        while not _takes_webhooks(self._port):
            if time.monotonic() > until:
                raise NotReadyError("the intake does not take webhooks; see `settle logs intake`")
            time.sleep(0.2)
        self._topic = Topic(TOPIC)
        self._since = self._topic.ends()
        warm = full_load(self._notices("w", _WARM), self._port)
        if len(warm.accepted) < _WARM:
            raise UnsoundError(f"the intake refused notices of a warm-up: {dict(warm.statuses)}")

    def _full(self, rows: int, seconds: float) -> list[Outcome]:
        self._tell(f"2. full load: {rows:,} notices in {ROUNDS} rounds")
        limit: list[Outcome] = []
        peers: dict[str, list[Outcome]] = {name: [] for name in self._peers}
        intake: list[Outcome] = []
        for number in range(ROUNDS):
            some = self._notices(f"f{number}", rows // ROUNDS)
            with door("answer") as port:
                limit.append(full_load(some, port))
            for name, topic in self._peers.items():
                with door(name, topic) as port:
                    peers[name].append(full_load(some, port, seconds=seconds))
            intake.append(full_load(some, self._port))
        for name, topic in self._peers.items():
            written = Topic(topic)
            answered = sum(len(load.accepted) for load in peers[name])
            self._report.counts.append(Count(f"{_PEERS[name]}: answered, records", answered, written.end()))
            written.close()
        self._figure(_LIMIT, rate(limit), "requests/s")
        for name, loads in peers.items():
            self._figure(_PEERS[name], rate(loads), "requests/s")
        for against, loads, aim in (
            ("answering at once", limit, AIM_LIMIT),
            ("the same job plainly", peers["plain"], AIM_PLAIN),
            ("only a flush for each", peers["flush"], None),
        ):
            self._figure(
                "accepted notices at full load",
                rate(intake),
                "notices/s",
                (against, rate(loads)),
                aim=aim,
                on_ratio=True,
            )
        return intake

    def _half(self, loads: list[Outcome], seconds: int) -> Outcome:
        half = rate(loads) / 2
        self._tell(f"3. answer times at {half:,.0f} notices/s for {seconds} s")
        some = self._notices("h", round(half * seconds))
        with door("answer") as port:
            limit = scheduled_load(some[: len(some) // 2], port, half)
        done = scheduled_load(some, self._port, half)
        for part in (0.5, 0.99):
            self._figure(
                f"answer time at half load, p{part * 100:.0f}",
                percentile(done.waits, part) * 1000,
                "ms",
                ("answering at once", percentile(limit.waits, part) * 1000),
                aim=AIM_P99_MS if part == 0.99 else None,
                less=True,
            )
        late = percentile(done.late, 0.99) * 1000
        self._report.notes.append(
            f"half load was {done.rate:,.0f} notices/s, {half:,.0f} asked for; the sender itself was late by "
            f"{late:,.0f} ms (p99)"
            + (": it had not the processor it needs, and the answer times say so" if late > _LATE_MS else "")
        )
        return done

    def _crash(self, count: int) -> tuple[Outcome, Killer]:
        self._tell(f"4. full load while the intake is killed {KILLS} times")
        killer = Killer(self._home, count)
        done = full_load(self._notices("k", count), self._port, watch=killer.watch)
        if killer.kills < KILLS:
            raise UnsoundError(f"the intake was killed {killer.kills} times instead of {KILLS}")
        return done, killer

    def _found(self, loads: list[Outcome], crash: Outcome, killer: Killer) -> None:
        self._tell(f"5. what was answered 2xx, on {TOPIC}")
        records: Counter[str] = Counter()
        for message in self._topic.read(self._since):
            key = message.key()
            records[key if isinstance(key, str) else (key or b"").decode()] += 1
        self._topic.close()
        accepted = [key for load in loads for key in load.accepted]
        self._counted("notices answered 2xx, their keys on pg.transactions", accepted, records)
        self._counted("the same while the intake was killed", crash.accepted, records)
        later = sum(load.later for load in (*loads, crash))
        statuses = sum((load.statuses for load in (*loads, crash)), Counter[int]())
        refused = {status: number for status, number in statuses.items() if not 200 <= status < 300}
        broken = sum(len(load.unanswered) for load in loads)
        kept = sum(key in records for key in crash.unanswered)
        again = sum(records[key] - 1 for key in (*accepted, *crash.accepted) if key in records)
        self._report.notes += [
            f"killed {killer.kills} times; {len(crash.unanswered):,} notices under way then had no answer: "
            f"{kept:,} of them are on the topic, the rest are the gateway's to send again",
            f"{later:,} times the answer was 503 or 429 and the notice came again; refused: "
            f"{refused or 'none'}; {broken:,} without an answer although nothing was killed; "
            f"{again:,} records more than keys",
        ]

    def _counted(self, what: str, keys: Iterable[str], records: Counter[str]) -> None:
        told = set(keys)
        self._report.counts.append(Count(what, len(told), len(told & records.keys())))

    def _notices(self, tag: str, count: int) -> list[Notice]:
        return notices(f"{self._id}{tag}", count, self._secret)


def rate(loads: Iterable[Outcome]) -> float:
    """Accepted requests a second over several loads: all of them over all of their time."""
    several = list(loads)
    seconds = sum(load.seconds for load in several)
    return sum(len(load.accepted) for load in several) / seconds if seconds else 0.0


def _takes_webhooks(port: int) -> bool:
    try:
        return requests.get(f"http://127.0.0.1:{port}/health", timeout=5).status_code == 200
    except requests.RequestException:
        return False
