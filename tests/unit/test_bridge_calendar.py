"""Expectations and ticks."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta

import pytest

from settlement.calendar import IST
from settlement.errors import CalendarError
from sftp_bridge.banks import load_banks
from sftp_bridge.calendar_ticks import by_wall, ticks
from sftp_bridge.expectations import DUE, LATE, RECEIVED, late, opened, word

BANKS = load_banks()
TUESDAY = date(2026, 1, 6)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=IST)


def test_a_date_that_opens_is_owed_by_every_bank_at_every_cutoff() -> None:
    words = opened(BANKS.values(), TUESDAY, at("2026-01-06T00:00"))
    assert len(words) == 3 + 4 + 2
    assert {one.status for one in words} == {DUE}
    first = words[0]
    assert first.cutoff_id == "AXIS|2026-01-06|11:30"
    assert first.record() == {
        "cutoff_id": "AXIS|2026-01-06|11:30",
        "bank": "AXIS",
        "business_date": TUESDAY,
        "cutoff": "11:30",
        "cutoffs_in_day": 3,
        "status": "DUE",
        "due_at": at("2026-01-06T11:30"),
        "at": at("2026-01-06T00:00"),
        "op": "u",
        "version": 1,
        "position": 0,
    }
    assert first.late_after == at("2026-01-06T12:00")


def test_words_only_grow_in_rank() -> None:
    bank = BANKS["AXIS"]
    versions = [word(bank, TUESDAY, "11:30", status, None).version for status in (DUE, LATE, RECEIVED)]
    assert versions == sorted(set(versions))


def test_a_word_before_any_tick_is_said_at_the_cutoff() -> None:
    assert word(BANKS["AXIS"], TUESDAY, "11:30", RECEIVED, None).at == at("2026-01-06T11:30")


def test_overdue_rows_become_late_words() -> None:
    row = asdict(opened(BANKS.values(), TUESDAY, at("2026-01-06T00:00"))[0])
    now = at("2026-01-06T12:01")
    (one,) = late([row], now)
    assert (one.status, one.at, one.version) == (LATE, now, 2)


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
