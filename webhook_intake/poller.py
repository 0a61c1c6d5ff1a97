"""Reads gateways' settlement reports from a stored cursor and publishes the lines not yet published.

1. Publish what an earlier poll wrote down and did not get acknowledged.
2. Business today: the wall clock in India, or the greatest `at` on calendar.ticks (SETTLE_INTAKE_CLOCK).
3. For each day from the cursor less the overlap up to today: fetch its pages, skip those already known by
   their bytes.
4. Write new, changed and moved lines into the poll ledger, with their versions, in one transaction.
5. Publish them and wait for every acknowledgement; rows that cannot be read go to pg.dead.
6. Mark them published, remember the pages' bytes, move the cursor.

A crash between any two steps repeats work and publishes the same keys with the same versions. A line that a
report no longer shows is not deleted: pages promise no snapshot, so absence says nothing.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bus.errors import BusError
from bus.producer import Producer
from webhook_intake.business_time import Ticks, Wall, days_to_ask
from webhook_intake.errors import GatewayError, UnavailableError
from webhook_intake.fetching import CONCURRENCY, Fetcher
from webhook_intake.hearing import dead_letter
from webhook_intake.lines import LineLedger
from webhook_intake.pipeline import DEAD_TOPIC, TOPIC
from webhook_intake.reports import Report, reports

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date

    from webhook_intake.config import IntakeSettings
    from webhook_intake.metrics import Metrics
    from webhook_intake.records import Line, Page

log = logging.getLogger("webhook_intake")

# Lines compared in one transaction: bounds memory on a day of a million lines.
_CHUNK = 20_000


@dataclass(slots=True)
class Polled:
    """How one gateway's poll went."""

    gateway: str
    day: date | None = None
    days: int = 0
    lines: int = 0
    published: int = 0
    dead: int = 0
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class _Known:
    """A page as it was when its lines were last dealt with."""

    digest: str
    rows: int
    more: bool
    pages: int | None


@dataclass(slots=True)
class _Rhythm:
    """When a day is due again: a day that brings nothing new is asked for ever more rarely."""

    due: float = 0.0
    pause: float = 0.0


class Poller:
    """Polls every gateway in turn, in a thread of its own."""

    def __init__(self, settings: IntakeSettings, metrics: Metrics) -> None:
        self._settings = settings
        self._metrics = metrics
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._fetcher = Fetcher(metrics, self._stopping)
        self._reports = reports(settings)
        self._known: dict[tuple[str, date, int], _Known] = {}
        self._rhythms: dict[tuple[str, date], _Rhythm] = {}
        self._clock = Ticks() if settings.clock == "ticks" else Wall()
        self._today: date | None = None
        self._producer: Producer | None = None
        self._ledger = LineLedger(settings.dsn.get_secret_value())

    def start(self) -> None:
        """Poll until stopped."""
        self._thread = threading.Thread(target=self._for_ever, name="poller", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End after the page under way."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(10)
        self._fetcher.close()

    def poll_once(self, gateways: list[str] | None = None) -> list[Polled]:
        """One round of everything, for the command line."""
        self._ledger.setup()
        try:
            return self.poll(gateways, everything=True)
        finally:
            self._let_go()

    def _for_ever(self) -> None:
        ready = False
        while not self._stopping.is_set():
            try:
                if not ready:
                    self._ledger.setup()
                    ready = True
                self.poll()
            except (UnavailableError, BusError) as error:
                log.warning("polling: %s", error)
            except Exception:
                # What nobody foresaw must not end the polling for good; the next round tries again.
                log.exception("polling failed")
            self._stopping.wait(self._settings.poll_seconds)
        self._let_go()

    def _let_go(self) -> None:
        self._clock.close()
        self._ledger.close()
        if self._producer is not None:
            # Every flush before this one has said what failed.
            with contextlib.suppress(BusError):
                self._producer.close(5.0)
            self._producer = None

    def poll(self, gateways: list[str] | None = None, *, everything: bool = False) -> list[Polled]:
        """One round; `everything` also asks for days not due. Raises when Postgres or Kafka is away."""
        # 2.
        opened, today = self._clock.days()
        if today != self._today:
            # Business time has moved: any gateway may have something new to say about any day.
            self._today = today
            self._rhythms.clear()
        return [
            self._poll_one(report, opened, today, everything=everything)
            for name, report in self._reports.items()
            if gateways is None or name in gateways
        ]

    def _poll_one(
        self, report: Report, opened: date | None, today: date | None, *, everything: bool
    ) -> Polled:
        polled = Polled(report.name)
        # 1.
        polled.published += self._publish(report.name)
        cursor = self._ledger.cursor(report.name)
        try:
            for day in days_to_ask(
                cursor or opened, today, self._settings.poll_overlap_days, self._settings.poll_from
            ):
                rhythm = self._rhythms.setdefault((report.name, day), _Rhythm())
                if not everything and time.monotonic() < rhythm.due:
                    continue
                before = polled.published
                self._read_day(report, day, polled)
                polled.days += 1
                self._next(rhythm, changed=polled.published > before)
                if self._stopping.is_set():
                    break
            else:
                polled.day = today
        except GatewayError as error:
            polled.problem = str(error)
            log.warning("polling: %s", error)
        self._metrics.count(
            "settle_intake_polls_total", gateway=report.name, outcome="failed" if polled.problem else "ok"
        )
        # 6.
        if polled.days or polled.published or polled.problem or polled.day != cursor:
            self._ledger.move_cursor(
                report.name,
                polled.day,
                lines=polled.lines,
                published=polled.published,
                dead=polled.dead,
                problem=polled.problem,
            )
        if polled.published:
            log.info(
                "%s: %d lines of %d days, %d published",
                report.name,
                polled.lines,
                polled.days,
                polled.published,
            )
        return polled

    def _next(self, rhythm: _Rhythm, *, changed: bool) -> None:
        shortest = self._settings.poll_seconds
        rhythm.pause = (
            shortest if changed else min(max(rhythm.pause, shortest) * 2, self._settings.reread_seconds)
        )
        # At half the pause of one round before it, so that "every 300 s" does not become every second round.
        rhythm.due = time.monotonic() + rhythm.pause - shortest / 2

    def _read_day(self, report: Report, day: date, polled: Polled) -> None:
        lines: list[Line] = []
        seen: dict[tuple[str, date, int], _Known] = {}
        # 3.
        for number, known, page in self._pages(report, day):
            seen[report.name, day, number] = known
            if page is None:
                continue
            lines += page.lines
            polled.lines += len(page.lines)
            polled.dead += len(page.dead)
            self._bury(report.name, day, page)
            if len(lines) >= _CHUNK:
                polled.published += self._take(report.name, lines)
                lines = []
        polled.published += self._take(report.name, lines)
        # 6.
        self._known |= seen

    def _pages(self, report: Report, day: date) -> Iterator[tuple[int, _Known, Page | None]]:
        """A day's pages; None for one whose bytes are those of the last time."""
        first, page = self._fetch(report, day, 1)
        yield 1, first, page
        if first.pages is not None:
            with ThreadPoolExecutor(CONCURRENCY) as threads:
                numbers = range(2, first.pages + 1)
                for number, (known, page) in zip(
                    numbers, threads.map(lambda one: self._fetch(report, day, one), numbers), strict=True
                ):
                    yield number, known, page
            return
        number, known = 1, first
        while known.more and not self._stopping.is_set():
            number += 1
            known, page = self._fetch(report, day, number)
            yield number, known, page

    def _fetch(self, report: Report, day: date, number: int) -> tuple[_Known, Page | None]:
        body = self._fetcher.get(report.name, report.ask(day, number))
        digest = report.digest(body)
        known = self._known.get((report.name, day, number))
        if known is not None and known.digest == digest:
            return known, None
        page, pages = report.read(body)
        self._metrics.count("settle_intake_poll_lines_total", page.rows, gateway=report.name)
        return _Known(digest, page.rows, page.more, pages), page

    def _take(self, gateway: str, lines: list[Line]) -> int:
        if not lines:
            return 0
        # 4.
        self._ledger.take(gateway, lines)
        # 5. and 6.
        return self._publish(gateway)

    def _publish(self, gateway: str) -> int:
        published = 0
        while changes := self._ledger.unpublished(gateway):
            producer = self._sender()
            for change in changes:
                producer.send_then(TOPIC, change.record_id, change.record, _nothing)
            producer.flush()
            self._ledger.published(changes)
            published += len(changes)
        if published:
            self._metrics.count("settle_intake_records_total", published, topic=TOPIC, origin="POLL")
        return published

    def _bury(self, gateway: str, day: date, page: Page) -> None:
        for payload, reason in page.dead:
            sha256 = hashlib.sha256(payload).hexdigest()
            letter = dead_letter(gateway, f"settlements {day.isoformat()}", reason, payload, sha256)
            self._sender().send_then(DEAD_TOPIC, letter["letter_id"], letter, _nothing)
        if page.dead:
            self._sender().flush()
            log.warning(
                "%s: %d rows of %s were not understood: %s", gateway, len(page.dead), day, page.dead[0][1]
            )

    def _sender(self) -> Producer:
        if self._producer is None:
            self._producer = Producer(client_id="webhook_intake-poll")
        return self._producer


def _nothing(delivery: object, error: BusError | None) -> None:
    """Failures show at the flush."""
