"""A figure says what it is measured against and whether it meets its aim; a report says whether it counts."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from bench.cli import BENCHES, bench
from bench.figures import Count, Figure, Report, percentile


def report(*counts: Count) -> Report:
    return Report("x", {"cores": 2}, "2026-01-01T00:00:00+00:00", counts=list(counts))


@pytest.mark.parametrize(
    ("figure", "ratio", "met"),
    [
        (Figure("a", 40.0, "rows/s", "limit", 100.0, aim=0.4, aim_on="ratio"), 0.4, True),
        (Figure("a", 39.0, "rows/s", "limit", 100.0, aim=0.4, aim_on="ratio"), 0.39, False),
        (Figure("a", 39.0, "rows/s", "limit", 100.0), 0.39, None),
        (Figure("a", 50.0, "ms", aim=50, better="less"), None, True),
        (Figure("a", 50.1, "ms", aim=50, better="less"), None, False),
        (Figure("a", 1.0, "rows/s", "nothing", 0.0, aim=0.4, aim_on="ratio"), None, None),
    ],
)
def test_the_aim_is_for_the_ratio_or_for_the_value(
    figure: Figure, ratio: float | None, met: bool | None
) -> None:
    assert figure.ratio == ratio
    assert figure.met is met
    assert {"name", "value", "unit", "against", "ratio", "aim", "met"} <= figure.shown().keys()


def test_a_report_is_sound_when_something_was_counted_and_is_equal() -> None:
    assert not report().sound
    assert report(Count("rows", 5, 5)).sound
    assert not report(Count("rows", 5, 5), Count("records", 5, 6)).sound


def test_the_percentile_is_a_value_that_was_measured() -> None:
    values = [float(number) for number in range(1, 101)]
    assert percentile(values, 0.5) == 50.0
    assert percentile(values, 0.99) == 99.0
    assert percentile([7.0], 0.99) == 7.0


def test_without_a_name_it_lists_what_there_is() -> None:
    shown = CliRunner().invoke(bench, ["--json"])
    assert shown.exit_code == 0
    assert [one["name"] for one in json.loads(shown.output)] == [one.name for one in BENCHES]
    assert "path" in CliRunner().invoke(bench, []).output


def test_an_unknown_bench_is_refused_with_those_there_are() -> None:
    refused = CliRunner().invoke(bench, ["nothing"])
    assert refused.exit_code == 2
    assert "path" in refused.output
