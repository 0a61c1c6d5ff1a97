"""Dated holiday lists of Indian banks, each with its source and the date from which it was valid."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class HolidayList:
    """One city's bank holidays of one year besides Sundays and Saturdays, as of one announcement."""

    city: str
    year: int
    source: str
    valid_from: date
    holidays: Mapping[date, str]


def _dated(year: int, days: str) -> dict[date, str]:
    """`26.1 Republic Day; 19.2 …` as dates of the year."""
    dated = {}
    for one in days.split(";"):
        when, _, name = one.strip().partition(" ")
        day, _, month = when.partition(".")
        dated[date(year, int(month), int(day))] = name.strip()
    return dated


# Several lists may cover one year; the one announced last holds. Closures announced for a day or two
# (elections, mourning) come as events and go into Calendar.closures, not here. Feasts that follow the moon
# can be moved by a notification: compare with the source before relying on a list in production.
_SOURCE: Final = (
    "Government of Maharashtra, public holidays under section 25 of the Negotiable Instruments Act; "
    "Reserve Bank of India, holiday matrix, Mumbai"
)
_HOLIDAYS_2025: Final = (
    "19.2 Shivaji Jayanti; 26.2 Mahashivratri; 14.3 Holi; 31.3 Ramzan Id; 1.4 Closing of accounts; "
    "10.4 Mahavir Jayanti; 14.4 Ambedkar Jayanti; 18.4 Good Friday; 1.5 Maharashtra Day; "
    "12.5 Buddha Pournima; 7.6 Bakri Id; 15.8 Independence Day; 27.8 Ganesh Chaturthi; "
    "2.10 Gandhi Jayanti and Dasara; 21.10 Diwali; 22.10 Balipratipada; 5.11 Guru Nanak Jayanti; "
    "25.12 Christmas; "
)

HOLIDAY_LISTS: Final[tuple[HolidayList, ...]] = (
    HolidayList(
        city="Mumbai",
        year=2024,
        source=_SOURCE,
        valid_from=date(2024, 9, 13),
        holidays=_dated(
            2024,
            "26.1 Republic Day; 19.2 Shivaji Jayanti; 8.3 Mahashivratri; 25.3 Holi; 29.3 Good Friday; "
            "1.4 Closing of accounts; 9.4 Gudhi Padwa; 11.4 Ramzan Id; 17.4 Ram Navami; "
            "1.5 Maharashtra Day; 20.5 Lok Sabha elections; 23.5 Buddha Pournima; 17.6 Bakri Id; "
            "17.7 Moharrum; 15.8 Independence Day; 7.9 Ganesh Chaturthi; 18.9 Id-e-Milad; "
            "2.10 Gandhi Jayanti; 1.11 Diwali; 2.11 Balipratipada; 15.11 Guru Nanak Jayanti; "
            "20.11 Assembly elections; 25.12 Christmas",
        ),
    ),
    HolidayList(
        city="Mumbai",
        year=2025,
        source=_SOURCE,
        valid_from=date(2024, 12, 1),
        holidays=_dated(2025, _HOLIDAYS_2025 + "5.9 Id-e-Milad"),
    ),
    HolidayList(
        city="Mumbai",
        year=2025,
        source=_SOURCE + "; Id-e-Milad moved from 5 to 8 September in Mumbai",
        valid_from=date(2025, 9, 3),
        holidays=_dated(2025, _HOLIDAYS_2025 + "8.9 Id-e-Milad"),
    ),
    HolidayList(
        city="Mumbai",
        year=2026,
        source=_SOURCE,
        valid_from=date(2025, 12, 1),
        holidays=_dated(
            2026,
            "26.1 Republic Day; 19.2 Shivaji Jayanti; 3.3 Holi; 19.3 Gudhi Padwa; 21.3 Ramzan Id; "
            "26.3 Ram Navami; 31.3 Mahavir Jayanti; 1.4 Closing of accounts; 3.4 Good Friday; "
            "14.4 Ambedkar Jayanti; 1.5 Maharashtra Day; 28.5 Bakri Id; 26.6 Moharrum; "
            "15.8 Independence Day; 26.8 Id-e-Milad; 14.9 Ganesh Chaturthi; 2.10 Gandhi Jayanti; "
            "20.10 Dasara; 10.11 Balipratipada; 24.11 Guru Nanak Jayanti; 25.12 Christmas",
        ),
    ),
    HolidayList(
        city="Mumbai",
        year=2027,
        source="the days that are the same every year, until the notification for 2027 is entered here",
        valid_from=date(2026, 11, 1),
        holidays=_dated(
            2027,
            "26.1 Republic Day; 19.2 Shivaji Jayanti; 1.4 Closing of accounts; 14.4 Ambedkar Jayanti; "
            "1.5 Maharashtra Day; 2.10 Gandhi Jayanti; 25.12 Christmas",
        ),
    ),
)
