"""`settle gateways gaps` and `poll`: how what was missed is grouped, and both kinds of polls told as one."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from click.testing import CliRunner

from webhook_intake import cli
from webhook_intake.gap_ledger import Missed
from webhook_intake.gaps import Closed
from webhook_intake.poller import Polled

NOON = datetime(2026, 1, 6, 6, 30, tzinfo=UTC)


class Ledger:
    """Opens and closes, and holds nothing."""

    def __init__(self, *_: object) -> None:
        """Nobody is connected to."""

    async def open(self) -> None:
        """Nothing to open."""

    async def close(self) -> None:
        """Nothing to close."""

    async def missed(self) -> list[Missed]:
        later = NOON + timedelta(minutes=5)
        return [
            Missed("payu", date(2026, 1, 5), "1", NOON, "PUBLISHED"),
            Missed("payu", date(2026, 1, 5), "2", later, "DEAD"),
            Missed("payu", date(2026, 1, 6), "3", later, "PUBLISHED"),
            Missed("razorpay", date(2026, 1, 5), "pay_1", later, None),
        ]


def test_gaps_are_told_by_gateway_and_day(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "Ledger", Ledger)
    monkeypatch.setattr(cli, "GapLedger", Ledger)
    rows = json.loads(CliRunner().invoke(cli.gateways, ["gaps", "--json"]).stdout)
    assert [(row["gateway"], row["day"], row["missed"], row["dead"]) for row in rows] == [
        ("payu", "2026-01-05", 2, 1),
        ("payu", "2026-01-06", 1, 0),
        ("razorpay", "2026-01-05", 1, 0),
    ]
    assert rows[0]["first_noticed"] < rows[0]["last_noticed"]
    assert [one["payment"] for one in rows[0]["payments"]] == ["1", "2"]
    table = CliRunner().invoke(cli.gateways, ["gaps"])
    assert table.exit_code == 0
    assert "2026-01-06" in table.stdout


@pytest.mark.parametrize(
    ("of_reports", "of_lists", "problem"),
    [(None, None, None), ("a", None, "a"), (None, "b", "b"), ("a", "b", "a; b")],
)
def test_a_poll_tells_of_reports_and_lists(
    monkeypatch: pytest.MonkeyPatch, of_reports: str | None, of_lists: str | None, problem: str | None
) -> None:
    class Poller:
        def __init__(self, *_: object) -> None:
            """Nobody is asked."""

        def poll_once(self, gateways: list[str] | None) -> list[Polled]:
            assert gateways == ["payu"]
            return [Polled("payu", lines=7, problem=of_reports)]

        def stop(self) -> None:
            """Nothing to stop."""

    async def look(*_: Any) -> list[Closed]:
        return [Closed("payu", NOON, 5, 2, of_lists)]

    monkeypatch.setattr(cli, "Poller", Poller)
    monkeypatch.setattr(cli, "_look", look)
    answer = CliRunner().invoke(cli.gateways, ["poll", "payu", "--json"])
    (row,) = json.loads(answer.stdout)
    assert (row["lines"], row["listed"], row["missed"], row["problem"]) == (7, 5, 2, problem)
    assert answer.exit_code == (1 if problem else 0)
