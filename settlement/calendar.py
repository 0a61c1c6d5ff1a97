"""Business days of Indian banks: which day a moment belongs to, which days count, and T+n."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Final

from settlement.errors import CalendarError, UnknownNameError
from settlement.holidays import HOLIDAY_LISTS, HolidayList

if TYPE_CHECKING:
    from collections.abc import Mapping

# India keeps one offset all year, so a fixed one needs no time zone database.
IST: Final = timezone(timedelta(hours=5, minutes=30), "IST")

# Since then banks are closed on second and fourth Saturdays and work on the others (RBI, 28 August 2015).
SATURDAY_RULE_FROM: Final = date(2015, 9, 1)

_DAY: Final = timedelta(days=1)
_SATURDAY, _SUNDAY = 5, 6


def ist_date(at: datetime) -> date:
    """The business date a moment belongs to: its date in India."""
    if at.tzinfo is None:
        raise CalendarError(f"{at.isoformat()} has no time zone, so its business date is unknown")
    return at.astimezone(IST).date()


def tick_id(calendar: str, business_date: date) -> str:
    """A day's key on calendar.ticks."""
    return f"{calendar}|{business_date.isoformat()}"


@dataclass(frozen=True)
class Calendar:
    """The business days of one place, from the lists valid there and closures announced since."""

    name: str = "IN"
    city: str = "Mumbai"
    lists: tuple[HolidayList, ...] = HOLIDAY_LISTS
    closures: Mapping[date, str] = field(default_factory=dict)
    # Worked although the rules or the list say otherwise.
    working_days: frozenset[date] = frozenset()

    def why_closed(self, day: date) -> str | None:
        """Why banks are closed that day, None on a business day."""
        if day in self.working_days:
            return None
        if day.weekday() == _SUNDAY:
            return "Sunday"
        if day.weekday() == _SATURDAY and day >= SATURDAY_RULE_FROM and (day.day - 1) // 7 in (1, 3):
            return "second or fourth Saturday"
        if day in self.closures:
            return self.closures[day]
        return self._list_for(day).holidays.get(day)

    def is_business_day(self, day: date) -> bool:
        """Are banks open that day?"""
        return self.why_closed(day) is None

    def on_or_after(self, day: date) -> date:
        """That day, or the next business day when it is none."""
        while not self.is_business_day(day):
            day += _DAY
        return day

    def plus(self, day: date, n: int) -> date:
        """T+n: T rolls forward to a business day, then n business days later."""
        if n < 0:
            raise CalendarError(f"T+{n}: settlement does not go back in time")
        day = self.on_or_after(day)
        for _ in range(n):
            day = self.on_or_after(day + _DAY)
        return day

    def settles_on(self, captured_at: datetime, n: int) -> date:
        """The business date on which a payment captured then is due to be paid out."""
        return self.plus(ist_date(captured_at), n)

    def business_days_between(self, first: date, last: date) -> int:
        """How many business days lie after `first` up to and with `last`; negative the other way round."""
        if last < first:
            return -self.business_days_between(last, first)
        days = (first + _DAY * step for step in range(1, (last - first).days + 1))
        return sum(1 for day in days if self.is_business_day(day))

    def _list_for(self, day: date) -> HolidayList:
        """The list for that day that was announced last."""
        fitting = [one for one in self.lists if one.city == self.city and one.year == day.year]
        if not fitting:
            years = sorted({one.year for one in self.lists if one.city == self.city})
            raise CalendarError(f"no holiday list for {self.city} {day.year}; there are {years}")
        return max(fitting, key=lambda one: one.valid_from)


CALENDARS: Final = {"IN": Calendar()}


def calendar(name: str) -> Calendar:
    """The calendar of that name, as calendar.ticks and the banks' descriptions call it."""
    try:
        return CALENDARS[name]
    except KeyError:
        raise UnknownNameError(f"no calendar {name!r}; there are {', '.join(CALENDARS)}") from None
