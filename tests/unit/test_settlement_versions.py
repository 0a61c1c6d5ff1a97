"""A version only ever grows for its key, and fits 64 bits."""

from __future__ import annotations

import itertools
import random
from datetime import UTC, date, datetime, timedelta

import pytest

from settlement.cutoffs import stage
from settlement.errors import UnknownNameError, VersionRangeError
from settlement.versions import (
    GATEWAY_RANKS,
    MOST_CUTOFFS,
    bank_version,
    cutoff_version,
    gateway_version,
    is_newer,
    postgres_version,
    result_version,
    tick_version,
)

LARGEST = 2**63 - 1


def test_a_snapshot_row_is_older_than_every_change_of_its_epoch() -> None:
    rng = random.Random(6)
    for _ in range(500):
        epoch = rng.randrange(1, 90)
        change = postgres_version(epoch, rng.randrange(2, 10**15), snapshot=False)
        snapshot = postgres_version(epoch, rng.randrange(2, 10**15), snapshot=True)
        assert snapshot < change < postgres_version(epoch + 1, None, snapshot=True) <= LARGEST


def test_changes_keep_the_order_of_the_log() -> None:
    assert postgres_version(1, 100, snapshot=False) < postgres_version(1, 101, snapshot=False)


@pytest.mark.parametrize(("epoch", "lsn"), [(0, 5), (-1, 5), (1, 1), (1, 0), (1, None), (1, 10**15), (91, 5)])
def test_parts_outside_their_range_are_refused(epoch: int, lsn: int | None) -> None:
    with pytest.raises(VersionRangeError):
        postgres_version(epoch, lsn, snapshot=False)


def test_a_gateways_rank_decides_before_its_clock() -> None:
    noon = datetime(2026, 1, 6, 12, tzinfo=UTC)
    captured = gateway_version("CAPTURED", noon)
    assert captured > gateway_version("FAILED", noon + timedelta(days=3650))
    assert captured < gateway_version("CAPTURED", noon + timedelta(seconds=1))
    assert captured < gateway_version("REFUNDED", noon)
    assert gateway_version("SETTLED", noon) == captured
    ranks = [GATEWAY_RANKS[s] for s in ("CREATED", "PENDING", "FAILED", "AUTHORIZED", "CAPTURED", "REFUNDED")]
    assert ranks == [1, 2, 3, 4, 5, 6]
    with pytest.raises(UnknownNameError, match="CAPTURED"):
        gateway_version("captured", noon)
    with pytest.raises(VersionRangeError):
        gateway_version("CAPTURED", datetime(2026, 1, 6))  # noqa: DTZ001 (that is what is refused)
    with pytest.raises(VersionRangeError):
        gateway_version("CAPTURED", datetime(2290, 1, 1, tzinfo=UTC))


def test_a_bank_files_date_then_its_revision() -> None:
    assert bank_version(date(2026, 1, 6), 2) == 202601060002
    assert bank_version(date(2026, 1, 6), 9999) < bank_version(date(2026, 1, 7), 0)
    with pytest.raises(VersionRangeError):
        bank_version(date(2026, 1, 6), 10000)


def test_an_arrivals_word_is_newer_than_every_word_of_time_and_than_every_arrivals_before() -> None:
    said = [cutoff_version(status) for status in ("DUE", "LATE", "MISSED")]
    said += [cutoff_version("PARTIAL", 1), cutoff_version("PARTIAL", 1, late=True)]
    said += [cutoff_version("RECEIVED", 2), cutoff_version("DUPLICATE", 3), cutoff_version("SUPERSEDED", 4)]
    assert said == sorted(set(said))
    with pytest.raises(UnknownNameError):
        cutoff_version("LOST")
    for number in (None, 0, LARGEST // 10):
        with pytest.raises(VersionRangeError):
            cutoff_version("RECEIVED", number)


def test_a_days_cutoffs_fit_into_a_results_version() -> None:
    most = [stage(status) for status in ["RECEIVED"] * MOST_CUTOFFS]
    assert sum(most) <= 99 < sum(most) + 3
    steps = [result_version([5], 1, in_time=step) for step in range(sum(most) + 1)]
    assert steps == sorted(set(steps))


def test_how_far_a_cutoff_is_only_grows() -> None:
    ways = (
        [("DUE", False), ("LATE", False), ("MISSED", False), ("RECEIVED", False), ("DUPLICATE", False)],
        [("DUE", False), ("PARTIAL", False), ("PARTIAL", True), ("RECEIVED", False), ("SUPERSEDED", False)],
        [("DUE", False), ("MISSED", True), ("PARTIAL", True), ("RECEIVED", False), ("RECEIVED", False)],
    )
    for way in ways:
        stages = [stage(status, late=late) for status, late in way]
        assert stages == sorted(stages)
        assert (stages[0], stages[-1]) == (1, 3)
    with pytest.raises(UnknownNameError, match="LOST"):
        stage("LOST")


def test_ticks_count_seconds() -> None:
    assert tick_version(datetime(1970, 1, 2, tzinfo=UTC)) == 86400


def test_a_result_grows_with_every_word_whatever_their_order() -> None:
    """The latest word of each of three sources; any order of arrival ends at the same version."""
    rng = random.Random(7)
    for _ in range(200):
        words = [(source, rng.randrange(1, 10**15)) for source in "abc" for _ in range(3)]
        ends = set()
        for order in itertools.islice(itertools.permutations(words), 0, 5000, 997):
            latest: dict[str, int] = {}
            before = 0
            for source, version in order:
                if version <= latest.get(source, 0):
                    continue
                latest[source] = version
                now = result_version(latest.values(), rules_version=1)
                assert now > before
                before = now
            ends.add(before)
        assert len(ends) == 1


def test_a_result_that_stops_waiting_is_newer_than_whatever_time_said() -> None:
    waiting = [result_version([5, 7], 1, in_time=word) for word in (0, 1, 12, 10_000)]
    assert waiting == sorted(set(waiting))
    assert waiting[-1] < result_version([5, 8], 1)


def test_the_last_epoch_still_fits_a_result() -> None:
    ours = postgres_version(90, 10**15 - 1, snapshot=False)
    theirs = gateway_version("REFUNDED", datetime(2286, 1, 1, tzinfo=UTC))
    assert result_version([ours, *[theirs] * 1000], 10**6, in_time=99) <= LARGEST


def test_a_result_that_does_not_fit_is_refused() -> None:
    with pytest.raises(VersionRangeError):
        result_version([LARGEST], 1)


def test_the_same_word_again_replaces_nothing() -> None:
    assert is_newer((1, 0), None)
    assert is_newer((1, 1), (1, 0))
    assert not is_newer((1, 0), (1, 0))
    assert not is_newer((1, 5), (2, 0))
