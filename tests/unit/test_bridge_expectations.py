"""What banks owe, word by word: every way there is, told in any order and twice; and where a file belongs."""

from __future__ import annotations

import random
from dataclasses import asdict, replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from settlement.calendar import IST
from settlement.cutoffs import IN, stage
from sftp_bridge.banks import BANKS_DIR, load_bank, load_banks
from sftp_bridge.errors import BankConfigError
from sftp_bridge.expectations import (
    DUE,
    DUPLICATE,
    LATE,
    MISSED,
    PARTIAL,
    RECEIVED,
    SUPERSEDED,
    Expectation,
    Standing,
    arrived,
    came_again,
    missed,
    opened,
    overdue,
)
from sftp_bridge.names import BusinessFile, file_ids, last_due, read_name

if TYPE_CHECKING:
    from pathlib import Path

    from sftp_bridge.banks import Bank

BANKS = load_banks()
AXIS = BANKS["AXIS"]
TUESDAY = date(2026, 1, 6)
CUTOFF = "11:30"


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=IST)


OPENS, LATE_NOW, CLOSES = at("2026-01-06T00:00"), at("2026-01-06T12:01"), at("2026-01-07T12:00")


def described(folder: Path, *changes: tuple[str, str]) -> Bank:
    text = (BANKS_DIR / "axis.yaml").read_text(encoding="utf-8")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path = folder / "axis.yaml"
    path.write_text(text, encoding="utf-8")
    return load_bank(path)


IN_PARTS = (
    ("_{cutoff}[_R", "_{cutoff}_{part}[_R"),
    ("grace_minutes: 30", "grace_minutes: 30\n  per_cutoff: 2"),
)
BY_SENDING = ("{business_date}_{cutoff}", "{sent_at}")


class Said:
    """The clock and a bank's arrivals at one cutoff: what the ledger keeps, and what the bus has heard."""

    def __init__(self, bank: Bank) -> None:
        self.bank = bank
        self.kept: Expectation | None = None
        self.loaded: set[str] = set()
        self.words: list[Expectation] = []
        self._number = 0

    def opens(self) -> None:
        mine = [one for one in opened([self.bank], TUESDAY, OPENS, business_day=True) if one.cutoff == CUTOFF]
        self._say(mine)

    def graces_end(self, now: datetime = LATE_NOW) -> None:
        self._say(overdue([self.kept] if self.kept else [], now))

    def closes(self) -> None:
        self._say(missed([self.kept] if self.kept else [], CLOSES))

    def comes(self, part: int | None = None, now: datetime | None = None) -> None:
        file = BusinessFile(self.bank.bank, TUESDAY, CUTOFF, None, part)
        self._number += 1
        standing = Standing(self._number, frozenset(self.loaded), self.kept)
        self._say([arrived(self.bank, file, "name", standing, now)])
        self.loaded.add(file.file_id)

    def comes_again(self) -> None:
        if self.kept is not None and self.kept.status in IN:
            self._number += 1
            self._say([came_again(self.kept, self._number, "name again", None)])

    def _say(self, words: list[Expectation]) -> None:
        for one in words:
            if self.kept is None or one.version > self.kept.version:
                self.words.append(one)
                self.kept = one

    def statuses(self) -> list[str]:
        return [f"{one.status}{' late' if one.status == PARTIAL and one.late else ''}" for one in self.words]


def test_a_date_that_opens_is_owed_by_every_bank_at_every_cutoff() -> None:
    words = opened(BANKS.values(), TUESDAY, OPENS, business_day=True)
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
        "at": OPENS,
        "files_expected": 1,
        "files_received": 0,
        "late": False,
        "last_file": None,
        "op": "u",
        "version": 1,
        "position": 0,
    }
    assert first.late_after == at("2026-01-06T12:00")
    assert opened(BANKS.values(), TUESDAY, OPENS, business_day=False) == []


def test_nothing_comes_until_it_does() -> None:
    said = Said(AXIS)
    said.opens()
    said.graces_end(at("2026-01-06T12:00"))
    assert said.statuses() == [DUE]
    said.graces_end()
    said.graces_end(CLOSES)
    said.closes()
    said.closes()
    assert said.statuses() == [DUE, LATE, MISSED]
    assert said.kept is not None
    assert (said.kept.late, said.kept.files_received, said.kept.at) == (True, 0, CLOSES)
    # It is never too late for money.
    said.comes()
    said.graces_end(CLOSES)
    said.closes()
    assert said.statuses() == [DUE, LATE, MISSED, RECEIVED]
    assert (said.kept.late, said.kept.files_received, said.kept.last_file) == (False, 1, "name")


def test_a_file_that_comes_before_its_date_opens_is_not_due_any_more() -> None:
    said = Said(AXIS)
    said.comes()
    said.opens()
    said.graces_end()
    said.closes()
    assert said.statuses() == [RECEIVED]
    assert said.words[0].at == said.words[0].due_at


def test_what_came_comes_again_and_is_corrected() -> None:
    said = Said(AXIS)
    said.comes_again()
    said.opens()
    said.comes()
    said.comes_again()
    said.comes()
    said.comes_again()
    assert said.statuses() == [DUE, RECEIVED, DUPLICATE, SUPERSEDED, DUPLICATE]
    assert {one.files_received for one in said.words[1:]} == {1}


def test_some_of_a_cutoffs_files_are_not_all(tmp_path: Path) -> None:
    said = Said(described(tmp_path, *IN_PARTS))
    said.opens()
    said.comes(2, at("2026-01-06T11:00"))
    # Corrected, and still alone.
    said.comes(2, at("2026-01-06T11:10"))
    said.comes_again()
    said.graces_end()
    said.graces_end(CLOSES)
    said.closes()
    assert said.statuses() == [DUE, PARTIAL, PARTIAL, f"{PARTIAL} late"]
    assert [one.files_received for one in said.words] == [0, 1, 1, 1]
    assert {one.files_expected for one in said.words} == {2}
    said.comes(1, CLOSES)
    said.comes(1, CLOSES)
    assert said.statuses()[4:] == [RECEIVED, SUPERSEDED]
    assert [(one.files_received, one.late) for one in said.words[4:]] == [(2, False), (2, False)]


@pytest.mark.parametrize("now", [None, at("2026-01-06T11:00"), CLOSES])
def test_a_part_of_what_was_late_is_late(tmp_path: Path, now: datetime | None) -> None:
    said = Said(described(tmp_path, *IN_PARTS))
    said.opens()
    said.graces_end()
    # Whatever time the process knows that takes it: late stays late.
    said.comes(1, now)
    assert said.statuses() == [DUE, LATE, f"{PARTIAL} late"]


def test_a_part_that_comes_past_the_grace_is_late_at_once(tmp_path: Path) -> None:
    said = Said(described(tmp_path, *IN_PARTS))
    said.comes(1, LATE_NOW)
    said.graces_end(CLOSES)
    assert said.statuses() == [f"{PARTIAL} late"]


def test_what_is_in_stays_in_when_more_files_are_agreed(tmp_path: Path) -> None:
    said = Said(AXIS)
    said.comes()
    said.bank = described(tmp_path, *IN_PARTS)
    said.comes()
    assert said.statuses() == [RECEIVED, SUPERSEDED]


def test_any_history_told_in_any_order_and_twice_ends_the_same(tmp_path: Path) -> None:
    rng = random.Random(20260106)
    in_parts = described(tmp_path, *IN_PARTS)
    ends = set()
    for _ in range(400):
        bank = rng.choice([AXIS, in_parts])
        said = Said(bank)
        parts = (None,) if bank is AXIS else (1, 2)
        for _ in range(rng.randrange(1, 12)):
            match rng.randrange(6):
                case 0:
                    said.opens()
                case 1:
                    said.graces_end(rng.choice([OPENS, LATE_NOW, CLOSES]))
                case 2:
                    said.closes()
                case 3:
                    said.comes_again()
                case _:
                    said.comes(rng.choice(parts), rng.choice([None, OPENS, LATE_NOW]))
        if not said.words:
            continue
        versions = [one.version for one in said.words]
        assert versions == sorted(set(versions))
        stages = [stage(one.status, late=one.late) for one in said.words]
        assert stages == sorted(stages)
        told = said.words * 2
        rng.shuffle(told)
        newest: Expectation | None = None
        for one in told:
            newest = one if newest is None or one.version > newest.version else newest
        assert newest == said.kept
        assert newest is not None
        assert (newest.status in IN) == (len(said.loaded) == bank.files.per_cutoff)
        assert newest.late == (stages[-1] == 2)
        ends.add((newest.status, newest.late))
    assert {status for status, _ in ends} == {DUE, LATE, MISSED, PARTIAL, RECEIVED, DUPLICATE, SUPERSEDED}


def test_a_word_that_is_said_again_after_a_crash_says_what_holds_now(tmp_path: Path) -> None:
    """Part 2 was told, then its process died; part 1 is replayed before anybody comes back to part 2."""
    bank = described(tmp_path, *IN_PARTS)
    one, two = (BusinessFile(bank.bank, TUESDAY, CUTOFF, None, part) for part in (1, 2))
    lost = arrived(bank, two, "2", Standing(1, frozenset(), None), None)
    replayed = arrived(bank, one, "1", Standing(2, frozenset(), None), None)
    again = arrived(bank, two, "2", Standing(3, frozenset({one.file_id}), replayed), None)
    assert [word.status for word in (lost, replayed, again)] == [PARTIAL, PARTIAL, RECEIVED]
    assert lost.version < replayed.version < again.version


def test_a_words_fields_are_its_row(tmp_path: Path) -> None:
    (word,) = overdue([replace(opened([AXIS], TUESDAY, OPENS, business_day=True)[0])], LATE_NOW)
    assert Expectation(**asdict(word)) == word
    assert (word.status, word.late, word.at, word.version) == (LATE, True, LATE_NOW, 2)


# A bank's own days.


def test_a_bank_owes_nothing_on_its_own_holidays_and_something_on_its_own_working_days(
    tmp_path: Path,
) -> None:
    own = ("calendar: IN ", "calendar: {name: IN, holidays: [2026-01-06], working_days: [2026-01-10]} ")
    bank = described(tmp_path, own)
    both = [bank, BANKS["HDFC"]]
    assert {one.bank for one in opened(both, TUESDAY, OPENS, business_day=True)} == {"HDFC"}
    second_saturday = date(2026, 1, 10)
    assert not BANKS["HDFC"].business_days.is_business_day(second_saturday)
    assert {one.bank for one in opened(both, second_saturday, OPENS, business_day=False)} == {"AXIS"}
    assert bank.business_days.why_closed(TUESDAY) == "a holiday of AXIS"
    assert bank.business_days.is_business_day(second_saturday)


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ("calendar: UK", r"calendar\.name: .*no calendar 'UK'; there are IN"),
        (
            "calendar: {holidays: [2026-01-06], working_days: [2026-01-06]}",
            "2026-01-06 is a holiday and a work",
        ),
        ("calendar: {holidays: [tuesday]}", r"calendar\.holidays"),
    ],
)
def test_a_calendar_that_nobody_has_is_refused(tmp_path: Path, said: str, problem: str) -> None:
    with pytest.raises(BankConfigError, match=problem):
        described(tmp_path, ("calendar: IN ", f"{said} "))


# Where a file belongs.


@pytest.mark.parametrize(
    ("sent", "day", "cutoff"),
    [
        ("202601061105", 6, "11:30"),  # a little early
        ("202601061059", 5, "20:00"),  # too early: the last that was due
        ("20260106113000", 6, "11:30"),
        ("20260106152959", 6, "15:30"),
        ("202601061500", 6, "15:30"),
        ("202601061459", 6, "11:30"),
        ("202601062359", 6, "20:00"),
        ("202601070010", 6, "20:00"),  # after midnight
        ("202601111200", 9, "20:00"),  # Sunday after a second Saturday: Friday's last
        ("202601101140", 9, "20:00"),  # the second Saturday
        ("202601031140", 3, "11:30"),  # a first Saturday is worked
        ("202601261140", 23, "20:00"),  # Republic Day is a Monday, and the fourth Saturday is before it
    ],
)
def test_a_file_named_by_its_sending_belongs_to_the_cutoff_that_was_due(
    tmp_path: Path, sent: str, day: int, cutoff: str
) -> None:
    bank = described(tmp_path, BY_SENDING)
    file = BusinessFile("AXIS", date(2026, 1, day), cutoff, None)
    assert read_name(bank, f"AXIS_STMT_{sent}.csv") == file
    assert read_name(bank, f"AXIS_STMT_{sent}_R2.csv") == replace(file, named_revision=2)


def test_a_banks_own_holiday_moves_what_is_sent_on_it(tmp_path: Path) -> None:
    own = ("calendar: IN ", "calendar: {holidays: [2026-01-06]} ")
    bank = described(
        tmp_path, BY_SENDING, own, ("grace_minutes: 30", "grace_minutes: 30\n  early_minutes: 0")
    )
    found = [
        read_name(bank, f"AXIS_STMT_{sent}.csv") for sent in ("202601061200", "202601071129", "202601071130")
    ]
    assert [one and (one.business_date.day, one.cutoff) for one in found] == [
        (5, "20:00"),
        (5, "20:00"),
        (7, "11:30"),
    ]


def test_a_sending_is_in_the_banks_own_time(tmp_path: Path) -> None:
    """The clocks go forward in London in the night to the 29th of March 2026."""
    bank = described(tmp_path, BY_SENDING, ("Asia/Kolkata", "Europe/London"))
    last = last_due(bank, datetime(2026, 3, 30, 10, 30, tzinfo=UTC))
    assert last == (date(2026, 3, 30), "11:30")
    assert last_due(bank, datetime(2026, 3, 30, 10, 30, tzinfo=UTC) - timedelta(seconds=1)) != last


@pytest.mark.parametrize(
    "sent",
    [
        *("2026010611", "20260106110", "2026010611055", "202601062400", "202613061105", "20260106110560"),
        # No holiday list tells; and neither the first nor the last minute there is.
        *("202811061105", "000101010000", "999912312359"),
    ],
)
def test_what_was_never_sent_is_nobodys(tmp_path: Path, sent: str) -> None:
    assert read_name(described(tmp_path, BY_SENDING), f"AXIS_STMT_{sent}.csv") is None


def test_a_cutoffs_files_are_counted_in_their_names(tmp_path: Path) -> None:
    bank = described(tmp_path, *IN_PARTS)
    file = read_name(bank, "AXIS_STMT_20260106_1130_2_R3.csv")
    assert file == BusinessFile("AXIS", TUESDAY, "11:30", 3, 2)
    assert (file.file_id, file.cutoff_id) == ("AXIS|2026-01-06|11:30|2", "AXIS|2026-01-06|11:30")
    assert file_ids(bank, TUESDAY, "11:30") == ["AXIS|2026-01-06|11:30|1", file.file_id]
    assert file_ids(AXIS, TUESDAY, "11:30") == ["AXIS|2026-01-06|11:30"]
    assert read_name(bank, "AXIS_STMT_20260106_1130_02.csv") == replace(file, named_revision=None)
    for part in ("0", "3", "00", ""):
        assert read_name(bank, f"AXIS_STMT_20260106_1130_{part}.csv") is None
    assert read_name(bank, "AXIS_STMT_20260106_1130.csv") is None


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ([IN_PARTS[0]], "must not hold {part}"),
        ([IN_PARTS[1]], "must hold {part} once"),
        ([("{cutoff}", "{sent_at}")], "must not hold {business_date}"),
        ([("{business_date}", "")], "must hold {business_date} once"),
        ([("{business_date}_{cutoff}", "{sent_at}{sent_at}")], "must hold {sent_at} once"),
    ],
)
def test_a_name_that_cannot_tell_is_refused(
    tmp_path: Path, changes: list[tuple[str, str]], problem: str
) -> None:
    with pytest.raises(BankConfigError, match=problem):
        described(tmp_path, *changes)


def test_more_cutoffs_than_a_result_can_count_are_refused(tmp_path: Path) -> None:
    many = ", ".join(f'"{at // 60:02}:{at % 60:02}"' for at in range(0, 34 * 15, 15))
    with pytest.raises(BankConfigError, match=r"files\.cutoffs"):
        described(tmp_path, ('"11:30", "15:30", "20:00"', many))
