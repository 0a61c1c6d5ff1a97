"""Ticks: what the calendar says, and what the wall clock makes of it."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from settlement.calendar import IST
from settlement.errors import CalendarError
from sftp_bridge.calendar_ticks import by_wall, ticks

TUESDAY = date(2026, 1, 6)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=IST)


def test_ticks_open_close_and_advance() -> None:
    (plain,) = ticks(at("2026-01-06T12:00"))
    assert (plain.business_date, plain.closed, plain.is_business_day) == (TUESDAY, False, True)
    opening, closing = ticks(at("2026-01-07T00:00"), date(2026, 1, 7), TUESDAY)
    assert (opening.business_date, opening.closed) == (date(2026, 1, 7), False)
    assert (closing.business_date, closing.closed) == (TUESDAY, True)
    assert opening.record()["version"] == int(at("2026-01-07T00:00").timestamp())
    (sunday,) = ticks(at("2026-01-04T12:00"))
    assert not sunday.is_business_day


def test_a_day_cannot_close_before_it_begins() -> None:
    with pytest.raises(CalendarError, match="has not begun"):
        ticks(at("2026-01-06T12:00"), close_day=date(2026, 1, 7))
    with pytest.raises(CalendarError):
        ticks(at("2026-01-06T12:00"), TUESDAY, TUESDAY)


def test_the_wall_clock_says_each_minute_once() -> None:
    now = at("2026-01-06T09:10:30")
    first = list(by_wall(None, now, 12))
    assert [(one.business_date, one.closed) for one in first] == [(TUESDAY, False), (TUESDAY, False)]
    assert first[0].at == at("2026-01-06T00:00")
    assert list(by_wall(first[-1].at, now + timedelta(seconds=20), 12)) == []
    (again,) = by_wall(first[-1].at, now + timedelta(seconds=40), 12)
    assert again.at == datetime(2026, 1, 6, 3, 41, tzinfo=UTC)


def test_the_wall_clock_makes_up_for_the_days_it_missed() -> None:
    said = list(by_wall(at("2026-01-05T20:00"), at("2026-01-07T13:00"), 12))
    assert [(one.business_date.day, one.closed) for one in said] == [
        (6, False),
        (5, True),
        (7, False),
        (6, True),
        (7, False),
    ]
    assert [one.at for one in said] == sorted(one.at for one in said)
