"""Business time as events: dates that open, dates that close, and how late it is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

from bus.producer import Producer
from settlement.calendar import IST, Calendar, ist_date, tick_id
from settlement.errors import CalendarError
from settlement.versions import tick_version

if TYPE_CHECKING:
    from collections.abc import Iterator

TOPIC = "calendar.ticks"
CALENDAR = "IN"

_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Tick:
    """One word of the calendar."""

    business_date: date
    is_business_day: bool
    closed: bool
    at: datetime

    @property
    def tick_id(self) -> str:
        """The key on calendar.ticks."""
        return tick_id(CALENDAR, self.business_date)

    def record(self) -> dict[str, Any]:
        """As calendar.ticks has it."""
        return {
            "tick_id": self.tick_id,
            "calendar": CALENDAR,
            "business_date": self.business_date,
            "is_business_day": self.is_business_day,
            "closed": self.closed,
            "at": self.at,
            "op": "u",
            "version": tick_version(self.at),
            "position": 0,
        }


def ticks(
    at: datetime,
    open_day: date | None = None,
    close_day: date | None = None,
    calendar: Calendar | None = None,
) -> list[Tick]:
    """What to say at this moment: a day opens, a day closes, or only that it is so late.

    A later word about a date replaces the earlier one, so a date must not be closed before it is over
    in India, or the next plain tick of that same date would open it again.
    """
    calendar = calendar or Calendar()
    today = ist_date(at)
    if close_day is not None and close_day > today:
        raise CalendarError(f"{close_day} cannot close at {at.isoformat()}: it has not begun")
    if close_day is not None and close_day == open_day:
        raise CalendarError(f"{close_day} cannot open and close in one word")
    said = []
    if open_day is not None or close_day is None:
        day = open_day or today
        said.append(Tick(day, calendar.is_business_day(day), closed=False, at=at))
    if close_day is not None:
        said.append(Tick(close_day, calendar.is_business_day(close_day), closed=True, at=at))
    return said


def publish(
    at: datetime,
    open_day: date | None = None,
    close_day: date | None = None,
    *,
    topic: str = TOPIC,
    producer: Producer | None = None,
) -> list[Tick]:
    """Say it on calendar.ticks, and return once the broker has it."""
    said = ticks(at, open_day, close_day)
    if producer is not None:
        _send(producer, topic, said)
    else:
        with Producer(client_id="settle-calendar", schemas={topic: TOPIC}) as own:
            _send(own, topic, said)
    return said


def by_wall(last: datetime | None, now: datetime, close_hour: int) -> Iterator[Tick]:
    """What the wall clock has to say since the last tick: every date since opens, yesterdays close.

    A day closes at `close_hour` of the next day in India. What was missed while nobody ticked is made up
    for in order, each at its own time, so that a bridge that was down opens and closes no day too few.
    """
    calendar = Calendar()
    minute = now.replace(second=0, microsecond=0)
    if last is None:
        last = datetime.combine(ist_date(minute), time(0), IST) - timedelta(minutes=1)
    moments: list[tuple[datetime, date, bool]] = []
    day = ist_date(last)
    while day <= ist_date(minute):
        opens = datetime.combine(day, time(0), IST)
        closes = datetime.combine(day, time(close_hour), IST)
        moments += [(opens, day, False), (closes, day - _DAY, True)]
        day += _DAY
    moments.append((minute, ist_date(minute), False))
    for at, business_date, closed in sorted(moments, key=lambda one: one[0]):
        if last < at <= minute:
            yield Tick(business_date, calendar.is_business_day(business_date), closed, at.astimezone(UTC))


def _send(producer: Producer, topic: str, said: list[Tick]) -> None:
    for tick in said:
        producer.send(topic, tick.tick_id, tick.record())
    producer.flush()
