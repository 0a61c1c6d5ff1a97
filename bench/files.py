"""Bank files: one of 800 MB beside what its transfer and its records alone cost, and a thousand small ones.

1. Servers, topics, a bridge of the bench's own; a small file goes through, so that nothing is measured cold.
2. The bridge: a large file from its rename until its word is committed on bank.files.received; its memory.
3. The limit: the same file fetched by asyncssh and thrown away, then Kafka's own producer test with as many
   of the same records. Nothing that does the bridge's work can be faster than the two.
4. The plain way: paramiko, csv, fastavro, one produce a row, with a tenth of the rows.
5. Another bank's small files while a second large one is on its way.
6. Every record that step 2 published is read back; count, keys and money must be the file's.
7. A thousand small files on a whole stack, until their lines stand in the warehouse.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
import uuid
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final

import asyncssh
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from bench.bank_side import Outboxes, Words
from bench.errors import BenchError, NotReadyError, UnsoundError
from bench.far_end import Mirror
from bench.figures import Count, Report, percentile
from bench.kafka_end import Topic
from bench.machine import machine
from bench.servers import servers
from bench.statement_files import BANK, Place, Written, digest, places, write_statement
from bus.cluster import Cluster
from bus.errors import BusError
from bus.settings import bus_settings
from bus.topics import topics
from flink_jobs.deploy import deploy
from flink_jobs.errors import JobsError
from sftp_bridge.remote import ENCRYPTION
from stack.server import java
from stack.servers.kafka import class_path
from stack.sftp import logged_in, upload_target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from stack.home import Home

RECORDS: Final = "bank.records"
FILES: Final = "bank.files.received"
_TOPICS: Final = (RECORDS, FILES, "bank.cutoffs", "bank.dead", "calendar.ticks")
# What is asked for: of the limit, times the plain way, and memory.
AIM_LIMIT, AIM_PLAIN, AIM_MIB = 1.5, 5.0, 256
SMALL: Final = 1_000
_SMALL_ROWS: Final = 20
_WARM_ROWS: Final = 100_000
# Records that Kafka's test picks from.
_SAMPLE: Final = 100_000
_AS_THE_BUS: Final = ("acks=all", "compression.type=lz4", "linger.ms=10", "batch.size=1000000")
# Seconds against hanging.
_PATIENCE: Final = 900.0


def run(tell: Callable[[str], None], *, rows: int, seconds: int, here: bool) -> Report:  # noqa: ARG001
    """Measure, in the order of the module's docstring."""
    report = Report("files", machine(), datetime.now(UTC).isoformat(timespec="seconds"))
    with servers(here, tell, "postgres", "kafka", "registry", "s3", "sftp") as home, _translated():
        LargeFile(home, report, tell).measure(rows)
    with servers(here, tell) as home, _translated():
        SmallFiles(home, report, tell).measure()
    return report


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (BusError, JobsError, OSError, asyncssh.Error) as error:
        raise BenchError(str(error)) from error


class LargeFile:
    """Steps 1 to 6."""

    def __init__(self, home: Home, report: Report, tell: Callable[[str], None]) -> None:
        self._home, self._report, self._tell = home, report, tell
        self._figure = partial(report.figure, tell)
        self._prefix = f"bench-{uuid.uuid4().hex[:6]}-"
        self._admin = AdminClient({**bus_settings().client()})
        self._outboxes = Outboxes(home)
        self._day = _some_day()
        self._rate = 0.0

    def measure(self, rows: int) -> None:
        """All steps."""
        made = [self._topic(name) for name in (*_TOPICS, "plain", "limit")]
        with tempfile.TemporaryDirectory(dir=self._home.path) as folder:
            try:
                self._make_topics()
                with self._bridge() as bridge, Words(self._topic(FILES)) as words:
                    large, again = self._prepare(rows, Path(folder), words)  # 1
                    took = self._bridged(large, bridge, words)  # 2
                    self._limit(large, took)  # 3
                    self._plain(large, Path(folder))  # 4
                    self._neighbours(again, words)  # 5
                    self._count(large, words)  # 6
            finally:
                self._admin.delete_topics(made)

    def _make_topics(self) -> None:
        known, bus = topics(), bus_settings()
        wanted = {name: known[name].partitions for name in _TOPICS}
        wanted |= {"plain": wanted[RECORDS], "limit": wanted[RECORDS]}
        new = [NewTopic(self._topic(name), count, bus.replication) for name, count in wanted.items()]
        for made in self._admin.create_topics(new).values():
            made.result(20)

    def _prepare(self, rows: int, folder: Path, words: Words) -> tuple[Written, Written]:
        self._tell(f"1. files of {rows:,} lines; warming up")
        warm = write_statement(folder, Place(self._day, "1130"), _WARM_ROWS)
        words.wait(warm.place.file_id, self._outboxes.drop(warm))
        large, again = (
            write_statement(folder, Place(self._day, cutoff), rows) for cutoff in ("1530", "2000")
        )
        return large, again

    def _bridged(self, large: Written, bridge: int, words: Words) -> float:
        self._tell(f"2. the bridge: {large.size / 1e6:,.0f} MB")
        took = words.wait(large.place.file_id, self._outboxes.drop(large))
        self._rate = large.rows / took
        self._figure("one large file, its rename → all of it committed", took, "s")
        self._figure("the same", large.size / took / 1e6, "MB/s")
        self._figure("bridge, memory", _most_resident(bridge), "MiB at most", aim=AIM_MIB, less=True)
        return took

    def _limit(self, large: Written, took: float) -> None:
        self._tell("3. the limit: a bare transfer, then Kafka's own producer test")
        name = f"{large.place.name}.bare"
        self._outboxes.drop(large, name=name)
        fetched = min(asyncio.run(_fetch(name)) for _ in range(2))
        (self._outboxes.folder(BANK) / name).unlink()
        rate = self._producer_test(large.rows, *_AS_THE_BUS)
        shipped = self._producer_test(large.rows)
        self._figure("a bare transfer of the same bytes", fetched, "s")
        self._figure("Kafka's producer test, the same records, sent as the bus sends", rate, "records/s")
        self._figure("the same, as the test is shipped", shipped, "records/s")
        self._figure(
            "one large file, its rename → all of it committed",
            took,
            "s",
            ("transfer and producer test", fetched + large.rows / rate),
            aim=AIM_LIMIT,
            on_ratio=True,
            less=True,
        )
        self._figure(
            "the same",
            took,
            "s",
            ("transfer and the test as shipped", fetched + large.rows / shipped),
        )

    def _producer_test(self, rows: int, *properties: str) -> float:
        """With these settings of the client's; payloads are text, so a byte here and there takes two."""
        with tempfile.NamedTemporaryFile("w", dir=self._home.path, encoding="utf-8", suffix=".txt") as sample:
            topic = Topic(self._topic(RECORDS))
            for message in islice(topic.read({}), _SAMPLE):
                sample.write((message.value() or b"").decode("latin-1").replace("\n", " ") + "\n")
            topic.close()
            sample.flush()
            said = _output(
                java(
                    *("-cp", class_path(), "org.apache.kafka.tools.ProducerPerformance"),
                    *("--topic", self._topic("limit"), "--num-records", str(rows), "--throughput", "-1"),
                    *("--payload-file", sample.name, "--bootstrap-server", bus_settings().bootstrap_servers),
                    *(word for one in properties for word in ("--command-property", one)),
                    heap="512m",
                )
            )
        found = re.findall(r"([\d.]+) records/sec", said)
        if not found:
            raise NotReadyError(f"Kafka's producer test said no rate: {said[-300:]}")
        return float(found[-1])

    def _plain(self, large: Written, folder: Path) -> None:
        self._tell("4. the plain way, with a tenth of the rows")
        tenth = write_statement(folder, Place(self._day - timedelta(1), "1130"), large.rows // 10)
        name = f"{tenth.place.name}.plain"
        self._outboxes.drop(tenth, name=name)
        remote = f"{upload_target(BANK).outbox}/{name}"
        said = json.loads(_output([sys.executable, "-m", "bench.plain_bridge", remote, self._topic("plain")]))
        (self._outboxes.folder(BANK) / name).unlink()
        self._report.counts.append(Count("rows for the plain way, records", tenth.rows, said["rows"]))
        self._figure(
            "the bridge with its large file",
            self._rate,
            "rows/s",
            ("the plain way", said["rows"] / said["seconds"]),
            aim=AIM_PLAIN,
            on_ratio=True,
        )

    def _neighbours(self, again: Written, words: Words) -> None:
        self._tell("5. another bank's files while a large one is on its way")
        days = iter(self._day - timedelta(number) for number in range(10_000))

        def small() -> float:
            day = next(days)
            file_id, since = self._outboxes.drop_marked(day, (self._day - day).days)
            return words.wait(file_id, since)

        alone = [small() for _ in range(5)]
        beside: list[float] = []
        words.wait(again.place.file_id, self._outboxes.drop(again), lambda: beside.append(small()))
        self._figure(
            "another bank's small file meanwhile, the slowest",
            max(beside),
            "s",
            ("nothing else on its way", max(alone)),
        )
        self._report.notes.append(f"{len(beside)} small files of another bank went through meanwhile")

    def _count(self, large: Written, words: Words) -> None:
        self._tell("6. reading every record back")
        topic, count, keys = Topic(self._topic(RECORDS)), 0, 0
        mine = f"{large.place.file_id}|".encode()
        for message in topic.read({}):
            key = message.key()
            key = key if isinstance(key, bytes) else (key or "").encode()
            if key.startswith(mine):
                count += 1
                keys += digest(key)
        topic.close()
        word = words.said[large.place.file_id]
        self._report.counts += [
            Count("lines of the large file, records on bank.records", large.rows, count),
            Count("digest of the keys they must have", large.keys, keys % 2**64),
            Count(
                "paise in its trailer, on bank.files.received", large.paise, int(word["credit_total"] * 100)
            ),
        ]

    @contextmanager
    def _bridge(self) -> Iterator[int]:
        """A bridge beside the stack, which asks often, with topics of its own; gives its process."""
        own = {
            "SETTLE_BRIDGE_TOPIC_PREFIX": self._prefix,
            "SETTLE_BRIDGE_POLL_SECONDS": "0.2",
            "SETTLE_BRIDGE_HEALTH_PORT": "0",
        }
        log = self._home.path / "logs" / "bench-bridge.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        with (
            log.open("wb") as said,
            subprocess.Popen(
                [sys.executable, "-m", "sftp_bridge"], env=os.environ | own, stdout=said, stderr=said
            ) as bridge,
        ):
            try:
                yield bridge.pid
            finally:
                bridge.terminate()

    def _topic(self, name: str) -> str:
        return f"{self._prefix}{name}"


class SmallFiles:
    """Step 7."""

    def __init__(self, home: Home, report: Report, tell: Callable[[str], None]) -> None:
        self._home, self._report, self._tell = home, report, tell
        self._figure = partial(report.figure, tell)
        self._outboxes = Outboxes(home)

    def measure(self) -> None:
        """Drop them all, and see when each is in the warehouse."""
        self._tell(f"7. {SMALL:,} small files of {_SMALL_ROWS} lines, until they stand in the warehouse")
        cluster, mirror = Cluster(), Mirror()
        cluster.apply(cluster.plan(topics().values()))
        mirror.prepare()
        deploy(["stage"], timeout=_PATIENCE)
        try:
            with tempfile.TemporaryDirectory(dir=self._home.path) as folder, Words(FILES) as words:
                files = [
                    write_statement(Path(folder), place, _SMALL_ROWS)
                    for place in places(SMALL + 1, _some_day())
                ]
                # What is cold is warmed up by one that is not counted.
                words.wait(files[0].place.file_id, self._outboxes.drop(files[0]))
                self._loaded(mirror, files[:1])
                began = time.time()
                for written in files[1:]:
                    self._outboxes.drop(written)
                dropped = time.perf_counter()
                committed = [words.wait(written.place.file_id, dropped) for written in files[1:]]
                queryable = [at - began for at in self._loaded(mirror, files[1:])]
        finally:
            mirror.close()
        for part in (0.5, 0.99):
            name = f"{SMALL:,} files dropped at once, p{part * 100:.0f}"
            self._figure(f"{name}, drop → committed", percentile(committed, part), "s")
            self._figure(f"{name}, drop → queryable", percentile(queryable, part), "s")
        self._figure("small files through the bridge", SMALL / max(committed), "files/s")

    def _loaded(self, mirror: Mirror, files: list[Written]) -> list[float]:
        """When the load ended that brought each file's last line."""
        give_up = time.monotonic() + _PATIENCE
        while time.monotonic() < give_up:
            lines, batches = mirror.lines_of_files(), mirror.batches("bank_records")
            found = [lines.get(written.place.file_id, {}) for written in files]
            there = sum(sum(one.values()) for one in found)
            if there == _SMALL_ROWS * len(files) and all(batch in batches for one in found for batch in one):
                self._report.counts.append(
                    Count("lines of small files, rows in the warehouse", _SMALL_ROWS * len(files), there)
                )
                return [max(batches[batch].finished for batch in one) for one in found]
            time.sleep(0.5)
        raise UnsoundError(f"{there} of {_SMALL_ROWS * len(files)} lines came to the warehouse")


def _some_day() -> date:
    """Another one each time: on a stack that runs, the same file again would be a duplicate."""
    return date(2005, 1, 1) + timedelta(random.randrange(6000))


async def _fetch(name: str) -> float:
    """Seconds to fetch the file as the bridge's own client would, with nothing done to it."""
    target = upload_target(BANK)
    async with logged_in(target, ENCRYPTION) as sftp:
        began = time.perf_counter()
        await sftp.get(f"{target.outbox}/{name}", os.devnull)
        return time.perf_counter() - began


def _output(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE, check=True)
    except subprocess.SubprocessError as error:
        said = getattr(error, "stderr", "") or ""
        raise NotReadyError(f"{Path(command[0]).name}: {error} {str(said)[-300:]}") from error
    return done.stdout


def _most_resident(pid: int) -> float:
    """The most memory a process ever held, its libraries included, in MiB."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    except OSError as error:
        raise NotReadyError("memory is read from /proc, which only Linux has") from error
    return int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) / 1024
