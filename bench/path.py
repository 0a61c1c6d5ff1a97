"""The whole way of a row, and each leg of it, beside a bare reader of the same slot.

1. Servers, tables, topics, connector; a warm-up goes through everything, so that no leg is measured cold.
2. Slot → Kafka: jobs stopped, connector stopped, a backlog is written; the bare reader counts it, then
   Debezium drains the same backlog. Their rates are the first ratio.
3. Kafka → stage: the jobs go on from their savepoint and find that backlog.
4. Stage → warehouse: the loader's own times for it.
5. The whole way: a second backlog, everything running, until the warehouse holds exactly its rows.
6. Latency at a steady 1,000 rows/s, one commit each: to the broker's append, and to the end of the load
   that brought the row. Commit times are Postgres's own, from the WAL.
"""

from __future__ import annotations

import time
import uuid
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Final

from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)

from bench.bare_reader import Reading, read_slot
from bench.errors import BenchError, NotReadyError, UnsoundError
from bench.far_end import Mirror, Staged
from bench.figures import Count, Report, percentile
from bench.kafka_end import Arrival, Topic
from bench.machine import Meter, machine
from bench.servers import pids, servers
from bench.source import PUBLICATION, TOPIC, BareSlot, Source, write_steadily
from bus.cluster import Cluster
from bus.errors import BusError
from bus.registry import Registry
from bus.settings import bus_settings
from bus.topics import topics
from bus.wire import Decoder
from connectors.deploy import apply_plan, make_plan, wait_running
from connectors.desired import desired
from connectors.errors import ConnectorsError
from connectors.rest import Connect
from connectors.settings import load_settings
from flink_jobs.deploy import deploy
from flink_jobs.deploy import stop as stop_job
from flink_jobs.errors import JobsError

if TYPE_CHECKING:
    from collections.abc import Callable

    from stack.home import Home

CONNECTOR: Final = "sabpaisa"
JOBS: Final = ("enrich", "reconcile", "stage")
# What is asked for: the drain beside the bare reader, rows/s end to end, and the two latencies.
AIM_DRAIN, AIM_PATH, AIM_KAFKA_MS, AIM_WAREHOUSE_S = 0.40, 30_000, 50, 20
RATE: Final = 1_000
# Seconds for a thing that is not measured: a stop, a job's first checkpoint. Only against hanging.
PATIENCE: Final = 600.0


def run(tell: Callable[[str], None], *, rows: int, seconds: int, here: bool) -> Report:
    """Measure, in the order of the module's docstring."""
    report = Report("path", machine(), datetime.now(UTC).isoformat(timespec="seconds"))
    with servers(here, tell) as home:
        path = Path(home, report, tell)
        try:
            path.measure(rows, seconds)
        except (ConnectorsError, JobsError, BusError) as error:
            raise BenchError(str(error)) from error
        finally:
            path.close()
    return report


class Path:
    """One measurement of the way; every method is one of the numbered steps."""

    def __init__(self, home: Home, report: Report, tell: Callable[[str], None]) -> None:
        self._home, self._report, self._tell = home, report, tell
        self._figure = partial(report.figure, tell)
        self._source = Source(_source_dsn())
        self._connect = Connect(load_settings().url)
        self._mirror = Mirror()
        self._sent = 0
        self._id = uuid.uuid4().hex[:6]

    def close(self) -> None:
        """Let go of every connection."""
        self._source.close()
        self._connect.close()
        self._mirror.close()

    def measure(self, rows: int, seconds: int) -> None:
        """All steps."""
        self._prepare(rows)  # 1
        before = self._staged.rows()
        self._drain(rows)  # 2
        self._stage(before)  # 3
        self._load()  # 4
        self._whole(rows)  # 5
        self._latency(seconds)  # 6
        self._report.counts.append(
            Count(
                "changes written to Postgres, rows landed in the warehouse", self._sent, self._mirror.landed()
            )
        )

    def _prepare(self, rows: int) -> None:
        self._tell("1. tables, topics, connector, jobs; warming up")
        self._source.prepare()
        cluster = Cluster()
        cluster.apply(cluster.plan(topics().values()))
        _append_time(TOPIC)
        self._mirror.prepare()
        apply_plan(self._connect, make_plan(self._connect, desired()), wait=PATIENCE)
        self._topic = Topic(TOPIC)
        self._staged = Staged()
        if self._mirror.landed() != self._topic.end():
            raise NotReadyError("this stack already holds rows on their way; use a fresh one")
        self._sent = self._topic.end()
        arrival, prefix, written = self._backlog(rows // 5, "w")
        self._figure("slot → Kafka, cold", arrival.rate, "changes/s")
        deploy(JOBS, timeout=PATIENCE)
        self._arrived(prefix, written)

    def _drain(self, rows: int) -> None:
        self._tell("2. slot → Kafka: a backlog, the bare reader, then Debezium")
        for job in JOBS:
            stop_job(job, savepoint=True, timeout=PATIENCE)
        with BareSlot(f"bench_{self._id}") as bare:
            self._stop_connector()
            since, prefix = self._topic.end(), f"{self._id}d"
            written = self._source.backlog(rows, prefix)
            limit = read_slot(bare.dsn, bare.name, PUBLICATION, written)
            with Meter(self._pids("postgres", "connect", "kafka")) as meter:
                arrival = self._resume(written, since)
        self._sent += written
        self._limit, self._drained = limit, (prefix, written)
        self._counted("the bare reader, Debezium", limit, arrival)
        self._figure("slot, bare reader", limit.rate, "changes/s")
        self._figure(
            "slot → Kafka",
            arrival.rate,
            "changes/s",
            ("bare reader", limit.rate),
            aim=AIM_DRAIN,
            on_ratio=True,
        )
        for name, used in meter.used.items():
            micro = used.cpu_seconds / written * 1e6
            self._figure(f"slot → Kafka, {name}", micro, "µs of processor/change")

    def _stage(self, before: int) -> None:
        self._tell("3. Kafka → stage: the jobs find the backlog")
        prefix, written = self._drained
        began = time.perf_counter()
        deploy(JOBS, timeout=PATIENCE)
        up = time.perf_counter()
        end = self._staged.wait(written, before)
        self._figure("Kafka → stage, from the jobs' start", written / (end - began), "rows/s")
        self._report.notes.append(f"the jobs were up after {up - began:.0f} s of the time of Kafka → stage")
        self._report.counts.append(Count("changes, rows staged", written, self._staged.rows() - before))
        self._arrived(prefix, written)

    def _load(self) -> None:
        self._tell("4. stage → warehouse: the loader's own times")
        batches = [batch for batch in self._mirror.batches().values() if batch.rows]
        landed, busy = sum(batch.rows for batch in batches), sum(batch.seconds for batch in batches)
        self._figure("stage → warehouse, while loading", landed / busy if busy else 0.0, "rows/s")

    def _whole(self, rows: int) -> None:
        self._tell("5. the whole way: a backlog, everything running")
        self._stop_connector()
        since, prefix = self._topic.end(), f"{self._id}e"
        written = self._source.backlog(rows, prefix)
        with Meter(self._pids()) as meter:
            arrival = self._resume(written, since)
            self._sent += written
            end = self._arrived(prefix, written)
        whole = end - arrival.began
        self._figure(
            "slot → warehouse", written / whole, "changes/s", ("bare reader", self._limit.rate), aim=AIM_PATH
        )
        for name, used in sorted(meter.used.items()):
            self._figure(f"whole way, {name}", used.cpu_seconds, "processor seconds")
            self._figure(f"whole way, {name}, memory", used.peak_mib, "MiB at most")

    def _latency(self, seconds: int) -> None:
        self._tell(f"6. latency: {RATE:,} rows/s for {seconds} s")
        since, prefix = self._topic.ends(), f"{self._id}l"
        with Meter(self._pids()) as meter:
            done = write_steadily(self._source.dsn, prefix, RATE, seconds)
            self._topic.wait(done.rows, sum(since.values()))
            self._sent += done.rows
            self._mirror.wait(prefix, done.rows, done.rows, 0)
        self._figure("steady writer", done.rate, "rows/s", ("asked for", RATE))
        committed = self._to_kafka(prefix, since, done.rows)
        self._to_warehouse(prefix, committed)
        cpu = sum(used.cpu_seconds for used in meter.used.values())
        self._figure(f"processor at {RATE:,} rows/s", cpu / done.seconds, "cores")

    def _to_kafka(self, prefix: str, since: dict[int, int], rows: int) -> dict[str, float]:
        registry = Registry()
        decoder = Decoder(registry)
        committed: dict[str, float] = {}
        waits = []
        for message in self._topic.read(since):
            value = decoder.decode(message.value() or b"")
            key = (value["after"] or value["before"])["transaction_id"]
            if key.startswith(prefix):
                committed[key] = value["source"]["ts_us"] / 1e6
                waits.append(message.timestamp()[1] - value["source"]["ts_us"] / 1e3)
        registry.close()
        self._report.counts.append(Count("rows committed, records in Kafka", rows, len(waits)))
        for part in (0.5, 0.99):
            self._figure(
                f"commit → Kafka, p{part * 100:.0f}",
                percentile(waits, part),
                "ms",
                aim=AIM_KAFKA_MS if part == 0.99 else None,
                less=True,
            )
        return committed

    def _to_warehouse(self, prefix: str, committed: dict[str, float]) -> None:
        batches, when = self._mirror.batches(), self._mirror.when(prefix)
        waits = [
            batches[when[key]].finished - at for key, at in committed.items() if when.get(key) in batches
        ]
        self._report.counts.append(Count("rows in Kafka, rows with a load", len(committed), len(waits)))
        for part in (0.5, 0.99):
            self._figure(
                f"commit → warehouse, p{part * 100:.0f}",
                percentile(waits, part),
                "s",
                aim=AIM_WAREHOUSE_S if part == 0.99 else None,
                less=True,
            )

    def _backlog(self, rows: int, tag: str) -> tuple[Arrival, str, int]:
        """Write a backlog for a connector that runs already, and wait for it in Kafka."""
        since, prefix = self._topic.end(), f"{self._id}{tag}"
        written = self._source.backlog(rows, prefix)
        self._sent += written
        return self._topic.wait(written, since), prefix, written

    def _arrived(self, prefix: str, written: int) -> float:
        """Wait until the warehouse holds what the source does; 80 in 100 changes are inserts, 15 updates."""
        live = self._source.rows(prefix)
        return self._mirror.wait(prefix, written * 80 // 100, live, written * 15 // 100)

    def _stop_connector(self) -> None:
        self._connect.stop(CONNECTOR)
        until = time.monotonic() + PATIENCE
        while (status := self._connect.status(CONNECTOR))["connector"]["state"] != "STOPPED" or status[
            "tasks"
        ]:
            if time.monotonic() > until:
                raise UnsoundError("the connector does not stop")
            time.sleep(0.1)

    def _resume(self, written: int, since: int) -> Arrival:
        self._connect.resume(CONNECTOR)
        arrival = self._topic.wait(written, since)
        wait_running(self._connect, CONNECTOR, PATIENCE)
        return arrival

    def _counted(self, what: str, limit: Reading, arrival: Arrival) -> None:
        self._report.counts.append(Count(f"changes counted by {what}", limit.changes, arrival.records))

    def _pids(self, *names: str) -> dict[str, int]:
        return {name: pid for name, pid in pids(self._home).items() if not names or name in names}


def _source_dsn() -> str:
    dsn = load_settings().source_dsn.get_secret_value()
    if not dsn:
        raise NotReadyError("SETTLE_SOURCE_DSN is not set; is the stack up?")
    return dsn


def _append_time(topic: str) -> None:
    """Have the broker stamp the topic's records with its own time of appending."""
    admin = AdminClient({**bus_settings().client()})
    entry = ConfigEntry(
        "message.timestamp.type", "LogAppendTime", incremental_operation=AlterConfigOpType.SET
    )
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
    for done in admin.incremental_alter_configs([resource]).values():
        done.result(20)
