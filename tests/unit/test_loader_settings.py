"""Settings: this room's names first, the usual ones beside them, and a sentence for what is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from snowflake_loader import crash
from snowflake_loader.errors import SettingsError
from snowflake_loader.settings import LoaderSettings, SnowflakeSettings, StageSettings, load

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def _empty(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in ("PASSWORD", "PRIVATE_KEY_FILE", "USER", "SCHEMA", "PORT"):
        for prefix in ("", "SETTLE_LOADER_"):
            monkeypatch.delenv(f"{prefix}SNOWFLAKE_{kind}", raising=False)


def test_own_name_wins_over_the_usual_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SNOWFLAKE_PASSWORD", "usual")
    monkeypatch.setenv("SNOWFLAKE_SCHEMA", "FINANCE")
    assert load(SnowflakeSettings).schema_name == "FINANCE"
    monkeypatch.setenv("SETTLE_LOADER_SNOWFLAKE_PASSWORD", "own")
    password = load(SnowflakeSettings).password
    assert password
    assert password.get_secret_value() == "own"
    assert "own" not in repr(load(SnowflakeSettings))


def test_no_way_in_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match="SETTLE_LOADER_SNOWFLAKE_PASSWORD or …_PRIVATE_KEY_FILE"):
        load(SnowflakeSettings)


def test_two_ways_in_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SNOWFLAKE_PASSWORD", "secret-word")
    monkeypatch.setenv("SNOWFLAKE_PRIVATE_KEY_FILE", str(tmp_path / "key.p8"))
    with pytest.raises(SettingsError) as raised:
        load(SnowflakeSettings)
    assert "secret-word" not in str(raised.value)


def test_wrong_number_names_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SETTLE_LOADER_MAX_FILES", "5000")
    with pytest.raises(SettingsError, match="SETTLE_LOADER_MAX_FILES"):
        load(LoaderSettings)


def test_stage_secret_is_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SETTLE_LOADER_S3_SECRET_KEY", "hidden-word")
    assert "hidden-word" not in repr(load(StageSettings))


def test_unknown_crash_point_is_refused() -> None:
    with pytest.raises(SettingsError, match="none of listed, grouped"):
        crash.point("listed", "lunch")
    crash.point("listed", None)
    crash.point("listed", "merged")
