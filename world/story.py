"""The demo from an empty stack to a comparison, through the real doors.

1. Make the world, and all bytes that can be made before, while the servers start (ready.py).
2. Make sure that this home holds this world or none.
3. Our own first day, before anybody listens: what the connector will find as its snapshot.
4. At once: the connector and then our second day; the jobs; the gateways' notices; the banks' four days.
5. Wait until nothing is missing in the warehouse, or nothing moves any more.
6. Compare every row, then every column of the mirrors.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import psycopg

from bus.cluster import Cluster
from bus.errors import BusError
from bus.topics import topics
from connectors.deploy import apply_plan, make_plan
from connectors.desired import desired
from connectors.errors import ConnectorsError
from connectors.rest import Connect
from flink_jobs.deploy import deploy
from flink_jobs.errors import JobsError
from snowflake_loader import migrations, warehouse
from snowflake_loader.errors import LoaderError
from snowflake_loader.settings import LoaderSettings
from snowflake_loader.settings import load as loader_settings
from world.bank_days import BankDays
from world.compare import Comparison, Mirror, Warehouse
from world.errors import DoorError, NotReadyError, OtherWorldError
from world.model import END
from world.parallel import together
from world.play_http import Delivered, deliver
from world.play_sql import SourceDatabase
from world.rows import last_rows

if TYPE_CHECKING:
    from collections.abc import Callable

    from stack.home import Home
    from stack.ports import Ports
    from world.ready import Ready
    from world.screen import Screen

# Seconds without any change in the results after which what is missing will not come.
_STILL: Final = 90.0
_LOOK: Final = 1.0


@dataclass
class Outcome:
    """What the demo found out."""

    comparison: Comparison | None = None
    mirrors: list[Mirror] = field(default_factory=list)
    notices: Delivered | None = None
    forged_refused: int = 0

    @property
    def equal(self) -> bool:
        """Everything is as planned, to the paisa."""
        whole = self.comparison is not None and self.comparison.equal
        return whole and bool(self.mirrors) and all(mirror.equal for mirror in self.mirrors)


class Story:
    """Plays one world against one running stack."""

    def __init__(self, ready: Ready, home: Home, ports: Ports, screen: Screen, timeout: float) -> None:
        self._ready = ready
        self._world = ready.world
        self._home = home
        self._ports = ports
        self._screen = screen
        self._deadline = time.monotonic() + timeout
        self._fresh = True
        self.outcome = Outcome()

    def play(self) -> Outcome:
        """Steps 2 to 6."""
        source = SourceDatabase(os.environ["SETTLE_SOURCE_DSN"], self._world)
        results = Warehouse(self._world)
        try:
            # 2.
            self._claim(source)
            # 3.
            together(self._tables, lambda: self._our_first_day(source))
            # 4.
            together(
                lambda: self._connector_and_second_day(source), self._jobs, self._notices, self._bank_days
            )
            # 5. and 6.
            self._wait_and_compare(results)
            self._compare_mirrors(results, source)
        finally:
            results.close()
            source.close()
        return self.outcome

    def _claim(self, source: SourceDatabase) -> None:
        """One home holds one world: rows of two could not be told from differences."""
        marker = self._home.data / "world.json"
        mine = {"seed": self._world.seed, "scale": self._world.scale}
        there = json.loads(marker.read_text()) if marker.exists() else None
        self._fresh = source.prepare()
        if there not in (None, mine) or (there is None and not self._fresh):
            told = f"the world of --seed {there['seed']} --scale {there['scale']}" if there else "other data"
            raise OtherWorldError(
                f"{self._home.path} already holds {told}. Play that one again, or begin with an empty stack: "
                "`./run reset`, or `./run demo --fresh`."
            )
        self._check_time()
        marker.write_text(json.dumps(mine))

    def _check_time(self) -> None:
        """Business time never goes back: past the story's end, files that are to be awaited would be late."""
        with psycopg.connect(os.environ["SETTLE_BRIDGE_DSN"]) as ops:
            row = ops.execute("SELECT max(at) FROM sp_v2_bank_file_expectations").fetchone()
        if row is not None and row[0] is not None and row[0] > END:
            raise OtherWorldError(
                f"business time in {self._home.path} is already {row[0]:%Y-%m-%d %H:%M}, after the demo's "
                f"{END:%Y-%m-%d}. Begin with an empty stack: `./run reset`, or `./run demo --fresh`."
            )

    def _tables(self) -> None:
        with self._screen.phase("Topics, schemas and warehouse tables") as phase:
            try:
                cluster = Cluster()
                plan = cluster.plan(topics().values())
                cluster.apply(plan)
                settings = loader_settings(LoaderSettings)
                values = {
                    "stage_url": settings.stage_url,
                    "storage_integration": settings.storage_integration,
                }
                with warehouse.connect(query_tag="settlestream:demo") as session:
                    shown = migrations.plan(session)
                    migrations.apply(session, shown, values)
            except (BusError, LoaderError) as error:
                raise DoorError(str(error)) from error
            phase.tell(f"{len(plan.steps)} steps, {len(shown.pending)} migrations")

    def _our_first_day(self, source: SourceDatabase) -> None:
        with self._screen.phase("Our own first day, before anybody listens") as phase:
            if self._fresh:
                phase.tell(f"{_translated(source.snapshot):,} rows")
            else:
                phase.tell("was there already")

    def _connector_and_second_day(self, source: SourceDatabase) -> None:
        with self._screen.phase("Connector, through Kafka Connect's REST API") as phase:
            connect = Connect(os.environ["SETTLE_CONNECT_URL"])
            try:
                plan = make_plan(connect, desired())
                apply_plan(connect, plan, wait=self._left())
            except ConnectorsError as error:
                raise DoorError(str(error)) from error
            finally:
                connect.close()
            phase.tell(", ".join(f"{change.connector} {change.action}" for change in plan.changes))
        with self._screen.phase("Our own second day, while changes stream") as phase:
            source.tell = phase.tell
            _translated(source.stream if self._fresh else source.heal)

    def _jobs(self) -> None:
        with self._screen.phase("Flink jobs") as phase:
            try:
                done = deploy(tell=phase.tell, timeout=self._left())
            except JobsError as error:
                raise DoorError(str(error)) from error
            phase.tell(f"{', '.join(one.name for one in done)} run")

    def _notices(self) -> None:
        with self._screen.phase("The gateways' webhooks") as phase:
            told = self._ready.notices
            whole = len(told.genuine)
            host, port = self._ports.address("webhooks").split(":")
            done = deliver(told.genuine, host, int(port), lambda count: phase.tell(f"{count:,} of {whole:,}"))
            forged = deliver(told.forged, host, int(port))
            if done.accepted != whole:
                raise DoorError(f"not every webhook was accepted: {dict(done.statuses)}")
            refused = sum(count for status, count in forged.statuses.items() if 400 <= status < 500)
            if refused != len(told.forged):
                raise DoorError(f"forged webhooks were answered with {dict(forged.statuses)}")
            self.outcome.notices, self.outcome.forged_refused = done, refused
            phase.tell(
                f"{whole:,} accepted ({told.copies} twice, {told.out_of_order} out of order),"
                f" {refused} forged refused"
            )

    def _bank_days(self) -> None:
        with self._screen.phase("The banks' files and the calendar") as phase:
            days = BankDays(
                self._world,
                self._ready.reports,
                os.environ["SETTLE_BRIDGE_DSN"],
                self._ports.url("gateways"),
                self._left(),
            )
            days.play(phase.tell)

    def _wait_and_compare(self, results: Warehouse) -> None:
        """Ask until every row is as planned, time is up, or nothing has moved for long."""
        with self._screen.phase("Reconciled rows in the warehouse") as phase:
            pulse, moved, compared = None, time.monotonic(), None
            while True:
                now = results.pulse()
                if now != pulse:
                    pulse, moved = now, time.monotonic()
                there, whole = results.progress()
                phase.tell(f"{there:,} of {whole:,}")
                if results.looks_done() and compared != now:
                    compared = now
                    self.outcome.comparison = results.compare()
                    if self.outcome.comparison.equal:
                        return
                if time.monotonic() - moved > _STILL or self._left() <= 1:
                    self.outcome.comparison = results.compare()
                    return
                time.sleep(_LOOK)

    def _compare_mirrors(self, results: Warehouse, source: SourceDatabase) -> None:
        with self._screen.phase("Mirrors, all rows and columns") as phase:
            planned = last_rows(self._world)
            until = time.monotonic() + min(_STILL, max(1.0, self._left()))
            while True:
                mirrors = [results.mirror(table, source.rows(table), rows) for table, rows in planned.items()]
                self.outcome.mirrors = mirrors
                equal = sum(mirror.equal for mirror in mirrors)
                phase.tell(f"{equal} of {len(mirrors)} equal")
                if equal == len(mirrors) or time.monotonic() > until:
                    return
                time.sleep(_LOOK)

    def _left(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise NotReadyError("time is up (--timeout)")
        return left


def _translated(write: Callable[[], int]) -> int:
    try:
        return write()
    except psycopg.Error as error:
        raise DoorError(f"the payment company's database: {error}") from error


def as_data(outcome: Outcome) -> dict[str, Any]:
    """For --json: amounts as text, so that nobody reads them as floats."""
    comparison = outcome.comparison
    lines = comparison.lines if comparison else []
    return {
        "equal": outcome.equal,
        "lines": [
            {
                "level": line.level,
                "outcome": line.outcome,
                "equal": line.equal,
                "planned": {"rows": line.wanted.rows}
                | {k: str(v) for k, v in line.wanted._asdict().items() if k != "rows"},
                "found": {"rows": line.found.rows}
                | {k: str(v) for k, v in line.found._asdict().items() if k != "rows"},
            }
            for line in lines
        ],
        "wrong": comparison.wrong if comparison else [],
        "wrong_count": comparison.wrong_count if comparison else None,
        "mirrors": [mirror._asdict() | {"equal": mirror.equal} for mirror in outcome.mirrors],
        "webhooks": {
            "accepted": outcome.notices.accepted if outcome.notices else 0,
            "offered_again": outcome.notices.again if outcome.notices else 0,
            "forged_refused": outcome.forged_refused,
        },
    }
