"""Business time at work: follows calendar.ticks, and says what is due, late and missed."""

from __future__ import annotations

import logging
import uuid
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from bus.consumer import Consumer, read_topic
from bus.errors import BusError
from bus.producer import Producer
from settlement.errors import SettlementError
from sftp_bridge.calendar_ticks import CALENDAR, TOPIC, by_wall
from sftp_bridge.errors import BridgeError
from sftp_bridge.expectations import Expectation, missed, opened, overdue
from sftp_bridge.ledger import Ledger

if TYPE_CHECKING:
    import threading
    from collections.abc import Mapping
    from typing import Any

    from sftp_bridge.banks import Bank
    from sftp_bridge.business_time import BusinessTime
    from sftp_bridge.settings import BridgeSettings

log = logging.getLogger("bridge")

CUTOFFS = "bank.cutoffs"
# Seconds before the topic is read again from its start after Kafka or Postgres was away.
PAUSE = 2.0


class Clock:
    """One thread: reads every tick from the start, since what it says of each is the same each time."""

    def __init__(
        self, banks: Mapping[str, Bank], settings: BridgeSettings, business_time: BusinessTime
    ) -> None:
        self._banks = banks
        self._time = business_time
        self._by_wall = settings.clock == "wall"
        self._close_hour = settings.close_hour
        self._ticks = settings.topic(TOPIC)
        self._cutoffs = settings.topic(CUTOFFS)
        self._ledger = Ledger(settings.dsn.get_secret_value())
        # A date with what the calendar last said of it: a business day, or not.
        self._opened: set[tuple[date, bool]] = set()
        self._closed: set[date] = set()
        self._judged: datetime | None = None

    def run(self, stop: threading.Event) -> None:
        """Until told to stop; a neighbour that is away only makes it late."""
        while not stop.is_set():
            try:
                self._follow(stop)
            except (BusError, BridgeError, SettlementError) as error:
                # Terminal ones too, such as a year without a holiday list: files go on meanwhile, the health
                # page says what is wrong, and nobody has to restart anything once it is mended.
                if str(error) != self._time.problem:
                    log.error("the clock waits: %s", error)  # noqa: TRY400 - said by its message
                self._time.problem = str(error)
                stop.wait(PAUSE)
        self._ledger.close()

    def _follow(self, stop: threading.Event) -> None:
        schemas = {self._cutoffs: CUTOFFS, self._ticks: TOPIC}
        group = f"settle-bridge-clock-{uuid.uuid4().hex}"
        with (
            Consumer([self._ticks], group=group) as consumer,
            Producer(client_id="settle-bridge-clock", schemas=schemas) as producer,
        ):
            # Only once the past is known can the wall clock tell what is missing in it.
            for record in read_topic(self._ticks):
                self._tick(record.value, producer)
            while not stop.is_set():
                # Begins at the start as well; what was heard before means nothing new.
                for record in consumer.poll(0.5):
                    self._tick(record.value, producer)
                if self._by_wall:
                    self._wall(producer)
                self._time.problem = None

    def _tick(self, tick: Mapping[str, Any], producer: Producer) -> None:
        """What a tick means for what banks owe.

        1. Business time goes on; it never goes back.
        2. A business date that opens: every bank that works on it owes every file of it.
        3. A business date that closes: what was owed and is not there is missed.
        4. Whatever is not there yet, or not all of it, though its grace is over, is late.
        5. Kafka hears it first, the ledger keeps it then: dying in between says the same again.
        """
        if tick["calendar"] != CALENDAR:
            return
        at: datetime = tick["at"]
        # 1.
        self._time.advance(at)
        # 2.
        day, business_day = tick["business_date"], tick["is_business_day"]
        opens = not tick["closed"] and (day, business_day) not in self._opened
        if opens:
            self._say(opened(self._banks.values(), day, at, business_day=business_day), producer)
            self._opened.add((day, business_day))
        # 3.
        if tick["closed"] and day not in self._closed:
            self._say(missed(self._ledger.outstanding(self._banks, day), at), producer)
            self._closed.add(day)
        # 4.
        if opens or self._judged is None or at > self._judged:
            self._say(overdue(self._ledger.overdue(self._banks, at), at), producer)
            self._judged = at

    def _say(self, words: list[Expectation], producer: Producer) -> None:
        kept: dict[str, int] = {}
        for day in {one.business_date for one in words}:
            kept |= {row["cutoff_id"]: row["version"] for row in self._ledger.expectations(day=day)}
        new = [one for one in words if kept.get(one.cutoff_id, 0) < one.version]
        if not new:
            return
        # 5.
        for one in new:
            producer.send(self._cutoffs, one.cutoff_id, one.record())
        producer.flush()
        for one in new:
            self._ledger.put_expectation(one)
            log.info("%s is %s", one.cutoff_id, one.status)

    def _wall(self, producer: Producer) -> None:
        for tick in by_wall(self._time.last_tick, datetime.now(UTC), self._close_hour):
            producer.send(self._ticks, tick.tick_id, tick.record())
            producer.flush()
            self._tick(tick.record(), producer)
