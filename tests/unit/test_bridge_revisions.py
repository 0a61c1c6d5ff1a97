"""Duplicates, corrections, latecomers; and what a correction publishes."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pyarrow as pa
import pytest

from sftp_bridge.movement_columns import AMOUNT, MovementColumns
from sftp_bridge.movements import Movement
from sftp_bridge.published_lines import PublishedLines, movements_in
from sftp_bridge.revisions import Known, State, Verdict, changes, judge

FILE = "AXIS|2026-01-06|11:30"
OTHER = "AXIS|2026-01-06|15:30"


def known(
    revision: int = 1,
    sha256: str = "a",
    state: State = State.LOADED,
    file_id: str = FILE,
    count: int | None = 5,
) -> Known:
    return Known(10 + revision, file_id, revision, sha256, state, count)


def test_the_first_is_revision_one() -> None:
    assert judge(FILE, None, [], []) == Verdict(State.RECEIVED, 1)
    assert judge(FILE, 3, [], []) == Verdict(State.RECEIVED, 3)


def test_new_bytes_are_the_next_revision_under_either_name() -> None:
    assert judge(FILE, 2, [known()], []) == Verdict(State.RECEIVED, 2, supersedes="a")
    assert judge(FILE, None, [known()], []) == Verdict(State.RECEIVED, 2, supersedes="a")
    both = [known(), known(2, "b")]
    assert judge(FILE, 2, both, []) == Verdict(State.RECEIVED, 3, supersedes="b")


@pytest.mark.parametrize("state", [State.LOADED, State.RECEIVED, State.SUPERSEDED, State.QUARANTINED])
def test_the_same_bytes_of_the_same_file_change_nothing(state: State) -> None:
    same = known(state=state)
    assert judge(FILE, 2, [same], [same]) == Verdict(State.DUPLICATE, 1, duplicate_of=11)


def test_the_same_bytes_under_another_files_name_change_nothing() -> None:
    assert judge(OTHER, None, [], [known()]).state is State.DUPLICATE


def test_empty_files_look_alike_at_every_cutoff() -> None:
    assert judge(OTHER, None, [], [known(count=0)]) == Verdict(State.RECEIVED, 1)


def test_a_file_quarantined_under_a_wrong_name_may_come_under_the_right_one() -> None:
    assert judge(OTHER, None, [], [known(state=State.QUARANTINED, count=None)]).state is State.RECEIVED


def test_a_revision_that_was_overtaken_is_recorded_only() -> None:
    assert judge(FILE, 2, [known(), known(3, "c")], []) == Verdict(State.SUPERSEDED, 2)
    assert judge(FILE, None, [known(2, "b")], []) == Verdict(State.SUPERSEDED, 1)


def test_a_quarantined_revision_is_not_what_the_next_supersedes() -> None:
    refused = known(2, "b", State.QUARANTINED)
    assert judge(FILE, None, [known(), refused], []) == Verdict(State.RECEIVED, 3, supersedes="a")


def line(number: int, utr: str | None, amount: str = "1.00") -> Movement:
    return Movement(number, utr, utr, None, "CR", Decimal(amount), date(2026, 1, 6), "")


def said(before: list[list[Movement]], now: list[Movement]) -> list[tuple[str, int, str | None]]:
    return [(op, movement.line_no, movement.utr) for op, movement in changes(before, now)]


def test_a_first_publication_only_adds() -> None:
    assert said([], [line(2, "A"), line(3, None)]) == [("u", 2, "A"), ("u", 3, None)]


def test_a_correction_takes_back_exactly_what_is_gone() -> None:
    before = [line(2, "A"), line(3, "B"), line(4, "C"), line(6, "E")]
    now = [line(2, "A", "9.00"), line(3, "X"), line(5, "D")]
    assert said([before], now) == [
        ("u", 2, "A"),
        ("d", 3, "B"),
        ("u", 3, "X"),
        ("d", 4, "C"),
        ("u", 5, "D"),
        ("d", 6, "E"),
    ]


def test_everything_may_be_gone() -> None:
    assert said([[line(2, "A")]], []) == [("d", 2, "A")]


def test_two_earlier_publications_of_unknown_fate_are_both_taken_back() -> None:
    assert said([[line(2, "A")], [line(2, "B")]], [line(2, "A")]) == [("d", 2, "B"), ("u", 2, "A")]


def one(number: int, identity: str, utr: str = "A") -> Movement:
    return replace(line(number, utr), identity=identity)


def moved(before: list[list[Movement]], now: list[Movement]) -> list[tuple[str, str | int]]:
    return [(op, movement.place) for op, movement in changes(before, now, by_identity=True)]


def test_by_identity_a_line_that_moved_still_stands() -> None:
    before = [one(2, "a"), one(3, "b"), one(4, "c")]
    now = [one(2, "new"), one(3, "a"), one(4, "c")]
    assert moved([before], now) == [("u", "new"), ("u", "a"), ("u", "c"), ("d", "b")]
    assert moved([before], [one(2, "a", "B")]) == [("u", "a"), ("d", "a"), ("d", "b"), ("d", "c")]


def test_by_identity_two_publications_of_unknown_fate_are_taken_back_once() -> None:
    assert moved([[one(2, "a"), one(3, "b")], [one(2, "b")]], [one(2, "a")]) == [("u", "a"), ("d", "b")]


def test_what_was_published_by_number_is_taken_back_when_an_identity_is_agreed() -> None:
    assert moved([[line(2, "A")]], [one(2, "a")]) == [("u", "a"), ("d", 2)]
    taken_back = [(op, movement.place) for op, movement in changes([[one(2, "a")]], [line(2, "A")])]
    assert taken_back == [("d", "a"), ("u", 2)]


def many(first: int, utrs: str) -> MovementColumns:
    count = len(utrs)
    return MovementColumns(
        line_no=pa.array(range(first, first + count), pa.int32()),
        utr=pa.array(list(utrs)),
        settlement_ref=pa.nulls(count, pa.string()),
        direction=pa.array(["CR"] * count),
        amount=pa.array([Decimal("1.00")] * count, AMOUNT),
        value_date=pa.array([date(2026, 1, 6)] * count),
        narration=pa.array(["words"] * count),
    )


def test_published_lines_are_read_as_they_were_written() -> None:
    lines = PublishedLines()
    written = [line(2, "A"), one(3, "b", "B")]
    for movement in written:
        lines.add(movement)
    lines.add_all(many(4, "CDE"))
    lines.add(line(7, "F"))
    read = list(movements_in(lines.finished()))
    lines.close()
    written += [line(4, "C"), line(5, "D"), line(6, "E"), line(7, "F")]
    # Without their words, which nobody needs to take them back.
    assert read == [replace(movement, utr_raw=movement.utr, narration="") for movement in written]


def test_one_of_each_is_held_at_a_time() -> None:
    def endless() -> object:
        number = 1
        while True:
            number += 1
            yield line(number, "A")

    stream = changes([endless()], endless())  # type: ignore[list-item, arg-type]
    assert [next(stream)[0] for _ in range(1000)] == ["u"] * 1000
