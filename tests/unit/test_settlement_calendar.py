"""Which day money belongs to, and when it is due."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, time, timedelta

import pytest

from settlement.banks import CUTOFFS, Bank, cutoff_of, due_at, file_id, record_id
from settlement.calendar import IST, Calendar, ist_date, tick_id
from settlement.errors import CalendarError, SettlementError, UnknownNameError
from settlement.gateways import gateway, settlement_bank
from settlement.gateways import record_id as gateway_record_id
from settlement.holidays import HOLIDAY_LISTS

MUMBAI = Calendar()


def test_a_day_in_india_begins_at_half_past_six_in_the_evening_utc() -> None:
    assert ist_date(datetime(2026, 1, 5, 18, 29, 59, tzinfo=UTC)) == date(2026, 1, 5)
    assert ist_date(datetime(2026, 1, 5, 18, 30, tzinfo=UTC)) == date(2026, 1, 6)
    with pytest.raises(CalendarError):
        ist_date(datetime(2026, 1, 5, 12))  # noqa: DTZ001 (that is what is refused)


@pytest.mark.parametrize(
    ("day", "open_"),
    [
        (date(2026, 1, 3), True),  # first Saturday
        (date(2026, 1, 10), False),  # second
        (date(2026, 1, 17), True),  # third
        (date(2026, 1, 24), False),  # fourth
        (date(2026, 1, 31), True),  # fifth
        (date(2026, 1, 4), False),  # Sunday
        (date(2026, 1, 26), False),  # Republic Day
        (date(2026, 4, 1), False),  # closing of accounts
        (date(2026, 1, 27), True),
    ],
)
def test_business_days(day: date, open_: bool) -> None:
    assert MUMBAI.is_business_day(day) is open_


@pytest.mark.parametrize(
    ("day", "n", "due"),
    [
        (date(2026, 1, 5), 0, date(2026, 1, 5)),
        (date(2026, 1, 5), 1, date(2026, 1, 6)),
        (date(2026, 1, 9), 1, date(2026, 1, 12)),  # over a second Saturday
        (date(2026, 1, 2), 1, date(2026, 1, 3)),  # into a first Saturday
        (date(2026, 1, 23), 1, date(2026, 1, 27)),  # over a fourth Saturday and Republic Day
        (date(2026, 1, 4), 1, date(2026, 1, 6)),  # T itself rolls forward first
        (date(2026, 3, 30), 3, date(2026, 4, 6)),  # Mahavir Jayanti, closing, Good Friday, Sunday
    ],
)
def test_t_plus_n(day: date, n: int, due: date) -> None:
    assert MUMBAI.plus(day, n) == due


def test_t_plus_n_properties() -> None:
    rng = random.Random(5)
    for _ in range(1000):
        day = date(2024, 1, 1) + timedelta(days=rng.randrange(1050))
        n = rng.randrange(8)
        due = MUMBAI.plus(day, n)
        assert MUMBAI.is_business_day(due)
        assert due >= day + timedelta(days=n)
        assert MUMBAI.business_days_between(MUMBAI.on_or_after(day), due) == n
        assert MUMBAI.plus(day, n + 1) > due
        assert MUMBAI.plus(day + timedelta(days=1), n) >= due


def test_a_capture_late_in_the_evening_utc_belongs_to_the_next_day() -> None:
    assert MUMBAI.settles_on(datetime(2026, 1, 5, 19, tzinfo=UTC), 1) == date(2026, 1, 7)


def test_the_list_announced_last_holds() -> None:
    assert MUMBAI.is_business_day(date(2025, 9, 5))
    assert MUMBAI.why_closed(date(2025, 9, 8)) == "Id-e-Milad"
    earlier = Calendar(lists=tuple(one for one in HOLIDAY_LISTS if one.valid_from < date(2025, 9, 1)))
    assert earlier.why_closed(date(2025, 9, 5)) == "Id-e-Milad"


def test_a_closure_announced_for_one_day() -> None:
    closed = Calendar(closures={date(2026, 1, 15): "municipal elections"})
    assert closed.plus(date(2026, 1, 14), 1) == date(2026, 1, 16)


def test_a_year_without_a_list_is_refused_not_guessed() -> None:
    with pytest.raises(CalendarError, match="2031"):
        MUMBAI.is_business_day(date(2031, 1, 1))
    with pytest.raises(CalendarError):
        MUMBAI.plus(date(2026, 1, 1), -1)


def test_every_list_names_its_source_and_holds_its_own_year_only() -> None:
    for one in HOLIDAY_LISTS:
        assert one.source
        assert {day.year for day in one.holidays} == {one.year}
        assert date(one.year, 4, 1) in one.holidays


def test_before_the_rule_every_saturday_was_worked() -> None:
    old = Calendar(lists=(HOLIDAY_LISTS[0].__class__("Mumbai", 2015, "-", date(2015, 1, 1), {}),))
    assert old.is_business_day(date(2015, 8, 8))
    assert not old.is_business_day(date(2015, 9, 12))


def test_cutoffs() -> None:
    assert due_at("axis", date(2026, 1, 6), "11:30") == datetime(2026, 1, 6, 6, 0, tzinfo=UTC)
    assert due_at("AXIS", date(2026, 1, 6), "11:30").tzinfo is IST
    assert sum(len(cutoffs) for cutoffs in CUTOFFS.values()) == 9
    assert [cutoff_of("HDFC", time(hour)) for hour in (0, 10, 11, 22, 23)] == [
        "10:00",
        "10:00",
        "14:00",
        "22:00",
        "22:00",
    ]
    with pytest.raises(UnknownNameError, match="11:30"):
        file_id("ICICI", date(2026, 1, 6), "11:30")


def test_ids() -> None:
    file = file_id("Axis", date(2026, 1, 6), "11:30")
    assert file == "AXIS|2026-01-06|11:30"
    assert record_id(file, 3, "AXISCN1153863727") == "AXIS|2026-01-06|11:30|3|AXISCN1153863727"
    assert record_id(file, 3, None) == "AXIS|2026-01-06|11:30|3|"
    assert tick_id("IN", date(2026, 1, 6)) == "IN|2026-01-06"
    assert gateway_record_id("Razorpay", "PAYMENT", "pay_1") == "razorpay:PAYMENT:pay_1"


def test_every_gateway_has_its_bank() -> None:
    assert [settlement_bank(name) for name in ("razorpay", "PayU", "paytm")] == [
        Bank.HDFC,
        Bank.AXIS,
        Bank.ICICI,
    ]
    with pytest.raises(UnknownNameError, match="razorpay"):
        gateway("stripe")
    with pytest.raises(SettlementError):
        cutoff_of("SBI", time(1))
