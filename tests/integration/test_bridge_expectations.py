"""What banks owe, through the real servers: every way a file may come, and what finance and Flink hear of it.

Here HDFC sends two files for every cutoff, and ICICI names its files by the moment of sending.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import uuid
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from settlement.calendar import IST
from sftp_bridge import calendar_ticks
from sftp_bridge.crash_points import SAID_AGAIN
from sftp_bridge.ledger import Ledger
from sftp_bridge.revisions import State
from tests.integration.bridge_world import PATIENCE, axis, wait_for
from tests.integration.test_bridge import HDFC, ICICI, drop
from tests.integration.test_bridge import world as world

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.integration.bridge_world import World

pytestmark = pytest.mark.stack


class Banks:
    """The world's banks with customs of this module's own, and what is known of what they owe."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.folder = world.folder / "banks-that-owe"
        shutil.copytree(world.environment["SETTLE_BRIDGE_BANKS_DIR"], self.folder)
        self.change("hdfc", "{cutoff}[_R", "{cutoff}_{part}[_R")
        self.change("hdfc", "grace_minutes: 30", "grace_minutes: 30\n  per_cutoff: 2")
        self.change("icici", "{business_date}_{cutoff}", "{sent_at}")
        self.change("icici", "calendar: IN", "calendar: {name: IN, holidays: [2026-02-12]}")
        world.environment["SETTLE_BRIDGE_BANKS_DIR"] = str(self.folder)

    def change(self, bank: str, old: str, new: str) -> None:
        description = self.folder / f"{bank}.yaml"
        text = description.read_text()
        assert old in text
        description.write_text(text.replace(old, new))

    def settle(self, *words: str) -> Any:
        done = self.world.settle(*words, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def tick(self, moment: str, open_day: date | None = None, close_day: date | None = None) -> None:
        said = datetime.fromisoformat(moment).replace(tzinfo=IST)
        calendar_ticks.publish(said, open_day, close_day, topic=f"{self.world.tag}.calendar.ticks")

    def kept(self, bank: str, day: date) -> dict[str, str]:
        rows = self.world.ledger.expectations(self.world.bank(bank), day)
        return {row["cutoff"]: _told(row) for row in rows}

    def become(self, bank: str, day: date, cutoff: str, told: str) -> None:
        now = self.kept
        wait_for(
            lambda: now(bank, day).get(cutoff) == told, f"{bank} {cutoff} to be {told}: {now(bank, day)}"
        )

    def words(self, bank: str, day: date, cutoff: str) -> list[str]:
        said = self.world.records("bank.cutoffs", f"{self.world.bank(bank)}|{day}|{cutoff}")
        versions = [one["version"] for one in said]
        assert versions == sorted(set(versions))
        return [_told(one) for one in said]


def _told(row: dict[str, Any]) -> str:
    late = ", late" if row["late"] else ""
    return f"{row['status']} {row['files_received']}/{row['files_expected']}{late}"


@pytest.fixture(scope="module")
def banks(world: World) -> Banks:
    return Banks(world)


def hdfc(utr: str, day: str) -> bytes:
    row = f"{day},NEFT CR-setl_9-RAZORPAY,{utr},{day},,5.00,5.00\n"
    return f"{HDFC}{row}TRAILER,1,5.00,0\n".encode()


def icici(utr: str, day: str) -> bytes:
    row = f"1,{day},{day},,NEFT/{utr}/PAYTM PAYMENTS/P1,,7.25,7.25\n"
    return f"{ICICI}{row}TRAILER,1,7.25,0.00\n".encode()


def test_a_file_finds_its_place_early_after_midnight_and_twice(world: World, banks: Banks) -> None:
    day = date(2026, 2, 10)
    first = icici("ICICN26021000001", "10/02/2026")
    with world.bridge():
        # Before its date opens.
        drop(
            world, "axis", "AXIS_STMT_20260210_1130.csv", axis(("AXISCN7000000001", "1.00"), day="10/02/2026")
        )
        banks.become("axis", day, "11:30", "RECEIVED 1/1")
        banks.tick("2026-02-10T00:05", open_day=day)
        banks.become("icici", day, "21:30", "DUE 0/1")
        banks.become("axis", day, "15:30", "DUE 0/1")
        assert banks.words("axis", day, "11:30") == ["RECEIVED 1/1"]
        # After midnight, then the same again at the next cutoff's time, then a correction.
        drop(world, "icici", "ICICI_202602110015.csv", first)
        banks.become("icici", day, "21:30", "RECEIVED 1/1")
        drop(world, "icici", "ICICI_20260211092500.csv", first)
        banks.become("icici", day, "21:30", "DUPLICATE 1/1")
        drop(world, "icici", "ICICI_202602110100.csv", icici("ICICN26021000002", "10/02/2026"))
        banks.become("icici", day, "21:30", "SUPERSEDED 1/1")
    assert banks.words("icici", day, "21:30") == [
        "DUE 0/1",
        "RECEIVED 1/1",
        "DUPLICATE 1/1",
        "SUPERSEDED 1/1",
    ]
    # The bytes belong to the evening: of the morning, whose name they came under, nothing is known.
    assert banks.words("icici", date(2026, 2, 11), "09:30") == []
    rows = [row for row in world.files("icici") if row.business_date >= day]
    assert [(row.business_date.day, row.cutoff, row.revision, row.state) for row in rows] == [
        (10, "21:30", 1, State.SUPERSEDED),
        (11, "09:30", 1, State.DUPLICATE),
        (10, "21:30", 2, State.LOADED),
    ]
    (row,) = world.ledger.expectations(world.bank("icici"), day, "SUPERSEDED")
    assert row["last_file"] == "ICICI_202602110100.csv"


def test_a_cutoff_of_two_files_and_a_bank_that_is_closed(world: World, banks: Banks) -> None:
    day, at = date(2026, 2, 12), "14:00"
    bank = world.bank("hdfc")
    with world.bridge():
        banks.tick("2026-02-12T00:05", open_day=day)
        banks.become("hdfc", day, at, "DUE 0/2")
        assert banks.kept("icici", day) == {}
        drop(world, "hdfc", "HDFC_20260212_1400_2.csv", hdfc("HDFCN26021200002", "12/02/26"))
        banks.become("hdfc", day, at, "PARTIAL 1/2")
        banks.tick("2026-02-12T14:31")
        banks.become("hdfc", day, at, "PARTIAL 1/2, late")
        partial = banks.settle("files", "expectations", "--status", "partial", "--bank", bank)
        assert [(one["cutoff"], one["files_received"], one["files_expected"]) for one in partial] == [
            (at, 1, 2)
        ]
        drop(world, "hdfc", "HDFC_20260212_1400_1.csv", hdfc("HDFCN26021200001", "12/02/26"))
        banks.become("hdfc", day, at, "RECEIVED 2/2")
        drop(world, "hdfc", "HDFC_20260212_1400_1_R2.csv", hdfc("HDFCN26021200003", "12/02/26"))
        banks.become("hdfc", day, at, "SUPERSEDED 2/2")
    assert banks.words("hdfc", day, at) == [
        *("DUE 0/2", "PARTIAL 1/2", "PARTIAL 1/2, late", "RECEIVED 2/2", "SUPERSEDED 2/2"),
    ]
    for part, utrs in (
        (1, ["HDFCN26021200001", "HDFCN26021200001", "HDFCN26021200003"]),
        (2, ["HDFCN26021200002"]),
    ):
        records = world.records("bank.records", f"{bank}|{day}|{at}|{part}")
        assert sorted(one["utr"] for one in records) == utrs
    shown = banks.settle("files", "show", f"{bank}:{day}:{at}")
    assert [one["file_id"][-2:] for one in shown] == ["|2", "|1", "|1"]
    assert len(banks.settle("files", "show", f"{bank}/{day}/{at}/2")) == 1


def test_a_refused_part_that_is_replayed_after_the_other_makes_the_cutoff_whole(
    world: World, banks: Banks
) -> None:
    """Its number in the ledger is the older one; its word is the newer one all the same."""
    day, at = date(2026, 2, 13), "10:00"
    with world.bridge():
        broken = hdfc("HDFCN26021300001", "13/02/26").replace(b",13/02/26,,", b",13-Feb-26,,")
        drop(world, "hdfc", "HDFC_20260213_1000_1.csv", broken)
        file_id = f"{world.bank('hdfc')}|{day}|{at}|1"
        wait_for(lambda: world.states(file_id) == [State.QUARANTINED], "the first part to be refused")
        drop(world, "hdfc", "HDFC_20260213_1000_2.csv", hdfc("HDFCN26021300002", "13/02/26"))
        banks.become("hdfc", day, at, "PARTIAL 1/2")
    banks.change("hdfc", '"%d/%m/%y", ', '"%d/%m/%y", "%d-%b-%y", ')
    banks.settle("files", "replay", file_id)
    assert banks.kept("hdfc", day)[at] == "RECEIVED 2/2"
    assert banks.words("hdfc", day, at) == ["PARTIAL 1/2", "RECEIVED 2/2"]


def test_what_was_missed_is_taken_all_the_same(world: World, banks: Banks) -> None:
    day, at = date(2026, 2, 17), "15:30"
    with world.bridge():
        banks.tick("2026-02-17T00:05", open_day=day)
        banks.tick("2026-02-17T16:01")
        banks.become("axis", day, at, "LATE 0/1, late")
        banks.tick("2026-02-18T12:00", close_day=day)
        banks.become("axis", day, at, "MISSED 0/1, late")
        banks.become("axis", day, "20:00", "MISSED 0/1, late")
        banks.become("icici", day, "21:30", "MISSED 0/1, late")
        drop(
            world, "axis", "AXIS_STMT_20260217_1530.csv", axis(("AXISCN7000000002", "1.00"), day="17/02/2026")
        )
        banks.become("axis", day, at, "RECEIVED 1/1")
    assert banks.words("axis", day, at) == ["DUE 0/1", "LATE 0/1, late", "MISSED 0/1, late", "RECEIVED 1/1"]
    # A bridge that starts again hears every tick again, and closes nothing that is in.
    with world.bridge():
        wait_for(lambda: _business_time(world).startswith("2026-02-18T06:30"), "the last tick")
    assert banks.kept("axis", day)[at] == "RECEIVED 1/1"
    missed = banks.settle("files", "expectations", "--status", "MISSED", "--date", str(day))
    assert len([one for one in missed if one["bank"] == world.bank("axis")]) == 2


def _business_time(world: World) -> str:
    try:
        return str(world.health()["business_time"])
    except OSError:
        return ""


def test_a_process_killed_before_the_ledger_knows_says_again_what_came_again(
    world: World, banks: Banks
) -> None:
    day, at = date(2026, 2, 19), "11:30"
    content = axis(("AXISCN7000000003", "1.00"), day="19/02/2026")
    with world.bridge():
        drop(world, "axis", "AXIS_STMT_20260219_1130.csv", content)
        banks.become("axis", day, at, "RECEIVED 1/1")
    drop(world, "axis", "AXIS_STMT_20260219_1130_R2.csv", content)
    dying = world.start("sftp_bridge", SETTLE_BRIDGE_CRASH_AT=SAID_AGAIN)
    assert dying.wait(PATIENCE) == -signal.SIGKILL
    assert banks.words("axis", day, at) == ["RECEIVED 1/1", "DUPLICATE 1/1"]
    assert banks.kept("axis", day)[at] == "RECEIVED 1/1"
    with world.bridge():
        banks.become("axis", day, at, "DUPLICATE 1/1")
    assert banks.words("axis", day, at) == ["RECEIVED 1/1", "DUPLICATE 1/1", "DUPLICATE 1/1"]
    assert len(world.records("bank.files.received", f"{world.bank('axis')}|{day}|{at}")) == 1


def test_a_process_killed_before_the_ledger_knows_says_again_what_came(world: World, banks: Banks) -> None:
    day, at = date(2026, 2, 20), "10:00"
    drop(world, "hdfc", "HDFC_20260220_1000_1.csv", hdfc("HDFCN26022000001", "20/02/26"))
    dying = world.start("sftp_bridge", SETTLE_BRIDGE_CRASH_AT="published")
    assert dying.wait(PATIENCE) == -signal.SIGKILL
    assert banks.kept("hdfc", day) == {}
    with world.bridge():
        banks.become("hdfc", day, at, "PARTIAL 1/2")
        drop(world, "hdfc", "HDFC_20260220_1000_2.csv", hdfc("HDFCN26022000002", "20/02/26"))
        banks.become("hdfc", day, at, "RECEIVED 2/2")
    assert banks.words("hdfc", day, at) == ["PARTIAL 1/2", "PARTIAL 1/2", "RECEIVED 2/2"]


def test_the_ledger_has_the_newest_word_on_the_bus(world: World, banks: Banks) -> None:
    """After everything above."""
    newest: dict[str, dict[str, Any]] = {}
    for word in world.records("bank.cutoffs"):
        if word["version"] > newest.get(word["cutoff_id"], {"version": 0})["version"]:
            newest[word["cutoff_id"]] = word
    assert len(newest) > 20
    for name in ("axis", "hdfc", "icici"):
        for row in world.ledger.expectations(world.bank(name)):
            word = newest.pop(row["cutoff_id"])
            said = {key: value for key, value in word.items() if key not in ("op", "position")}
            assert {key: row[key] for key in said} == said
    assert newest == {}


@pytest.fixture
def before(stack: object) -> Iterator[Ledger]:
    """A ledger as it was while there were three words."""
    schema = f"before_{uuid.uuid4().hex[:8]}"
    dsn = os.environ["SETTLE_BRIDGE_DSN"]
    ledger = Ledger(make_conninfo(dsn, options=f"-csearch_path={schema}"))
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {schema}")
        try:
            ledger.execute(
                "CREATE TABLE sp_v2_bank_file_expectations (cutoff_id text PRIMARY KEY, bank text NOT NULL,"
                " business_date date NOT NULL, cutoff text NOT NULL, cutoffs_in_day integer NOT NULL,"
                " status text NOT NULL CHECK (status IN ('DUE', 'LATE', 'RECEIVED')),"
                " version bigint NOT NULL, due_at timestamptz NOT NULL, late_after timestamptz NOT NULL,"
                " at timestamptz NOT NULL,"
                " updated_at timestamptz NOT NULL DEFAULT now())",
                (),
            )
            yield ledger
        finally:
            ledger.close()
            connection.execute(f"DROP SCHEMA {schema} CASCADE")


def test_a_ledger_of_three_words_learns_the_others(before: Ledger, tmp_path: Path) -> None:
    for number, status in enumerate(("DUE", "LATE", "RECEIVED"), 1):
        before.execute(
            "INSERT INTO sp_v2_bank_file_expectations VALUES"
            " (%s, 'B', '2026-01-06', %s, 3, %s, %s, now(), now() - interval '1 hour', now())",
            (f"B|{number}", f"1{number}:00", status, number),
        )
    before.apply_schema()
    before.apply_schema()
    rows = before.expectations("B")
    assert [_told(row) for row in rows] == ["DUE 0/1", "LATE 0/1, late", "RECEIVED 1/1"]
    assert [one.status for one in before.overdue(["B"], rows[0]["at"])] == ["DUE"]
    before.execute("UPDATE sp_v2_bank_file_expectations SET status = 'MISSED' WHERE status = 'LATE'", ())
    with pytest.raises(psycopg.errors.CheckViolation):
        before.execute("UPDATE sp_v2_bank_file_expectations SET status = 'LOST'", ())
