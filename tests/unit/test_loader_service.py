"""The loader's loop when something is away: it says so, waits, and goes on; and what it says about itself."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from snowflake_loader import audit, migrations
from snowflake_loader.batches import Batch
from snowflake_loader.datasets import BY_NAME
from snowflake_loader.errors import StageUnreachable
from snowflake_loader.load import Loaded
from snowflake_loader.migrations import Migration, Plan
from snowflake_loader.service import Loader
from snowflake_loader.settings import LoaderSettings
from snowflake_loader.staging import StagedFile
from snowflake_loader.state import State, serve

if TYPE_CHECKING:
    from collections.abc import Callable


class Session:
    def close(self) -> None: ...


class Away:
    """A stage that answers when its turn has come."""

    def __init__(self, *turns: Callable[[], list[StagedFile]]) -> None:
        self.turns = list(turns)

    def files(self) -> list[StagedFile]:
        return self.turns.pop(0)()


def raises(error: Exception) -> Callable[[], list[StagedFile]]:
    def turn() -> list[StagedFile]:
        raise error

    return turn


@pytest.fixture
def applied(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrations, "plan", lambda _: Plan(("0001_a",), ()))
    monkeypatch.setattr(audit, "sweep", lambda _: [])


def loader_with(stage: Any) -> Loader:
    settings = LoaderSettings.model_validate({"poll_seconds": 0.001})
    return Loader(settings, stage, Session)  # type: ignore[arg-type]


def test_stage_away_is_said_and_outlived(applied: None) -> None:
    told: list[tuple[bool, str | None]] = []

    def look() -> list[StagedFile]:
        told.append((loader.state.health()[0], loader.state.health()[1]["reason"]))
        return []

    def stop() -> list[StagedFile]:
        look()
        loader.stop.set()
        return []

    loader = loader_with(Away(look, raises(StageUnreachable("s3 is away")), look, stop))
    loader.run()
    assert told == [(False, "starting"), (False, "s3 is away"), (True, None)]


def test_missing_tables_are_waited_for_without_alarm(monkeypatch: pytest.MonkeyPatch) -> None:
    loader = loader_with(Away())
    plans = [Plan((), (Migration("0001_a", ""),)), Plan(("0001_a",), ())]
    seen: list[dict[str, Any]] = []

    def plan(_: Any) -> Plan:
        seen.append(loader.state.health()[1])
        return plans.pop(0)

    def sweep(_: Any) -> list[str]:
        loader.stop.set()
        return []

    monkeypatch.setattr(migrations, "plan", plan)
    monkeypatch.setattr(audit, "sweep", sweep)
    monkeypatch.setattr(Loader, "cycle", lambda _: 0)
    loader.run()
    assert seen[1]["status"] == "waiting"
    assert seen[1]["reason"] == "waiting for `settle warehouse apply`"


def test_health_and_metrics_over_http() -> None:
    state = State()
    server = serve(state, 0)
    base = f"http://127.0.0.1:{server.server_address[1]}"

    def get(path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(base + path, timeout=10) as answer:  # noqa: S310 - the address above
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    assert get("/health")[0] == 503
    state.well()
    file = StagedFile(datetime(2026, 1, 6, tzinfo=UTC), "bank_records/part-1", 70)
    batch = Batch(BY_NAME["bank_records"], (file,), {file.name: 5})
    state.loaded("bank_records", Loaded(batch, landed=5, inserted=4, updated=1))
    state.waiting({"bank_files": 2}, parked=1)
    status, body = get("/health")
    assert (status, json.loads(body)["status"]) == (200, "ok")
    metrics = get("/metrics")[1]
    for line in (
        'settle_loader_rows_total{dataset="bank_records"} 5',
        'settle_loader_bytes_total{dataset="bank_records"} 70',
        'settle_loader_pending_files{dataset="bank_files"} 2',
        "settle_loader_parked_files 1",
        "settle_loader_up 1",
    ):
        assert line in metrics
    assert get("/elsewhere")[0] == 404
    server.shutdown()
    server.server_close()
