"""The plan is data: what it holds, what it hides, and that apply does nothing else."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from connectors.deploy import apply_plan, failure, make_plan, snapshot_stored
from connectors.desired import desired, read
from connectors.errors import (
    ConfigError,
    ConnectorFailedError,
    InvalidConfigError,
    NotThereError,
    StalePlanError,
)
from connectors.plan import MASK, applied, fits, masked, plan, secrets_in_clear
from connectors.rest import Config, Connect
from connectors.status import Slot, slot_problem

if TYPE_CHECKING:
    from pathlib import Path

CONFIG: Config = {
    "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
    "database.password": "${env:SETTLE_DEBEZIUM_PASSWORD}",
    "producer.override.linger.ms": "20",
}


class Worker(Connect):
    """A worker that keeps configs in memory and remembers what was put."""

    def __init__(self, running: dict[str, Config], wrong: dict[str, list[str]] | None = None) -> None:
        super().__init__("http://127.0.0.1:1")
        self.running = running
        self.wrong = wrong or {}
        self.put: list[str] = []
        self.task_state = "RUNNING"
        self.stored: dict[str, Any] | None = {"lsn_proc": 7}

    def offsets(self, _name: str) -> list[dict[str, Any]]:
        return [{"partition": {}, "offset": self.stored}] if self.stored else []

    def names(self) -> list[str]:
        return sorted(self.running)

    def config(self, name: str) -> Config:
        if name not in self.running:
            raise NotThereError(404, name)
        return {**self.running[name], "name": name}

    def validate(self, _name: str, _config: Config) -> dict[str, list[str]]:
        return self.wrong

    def put_config(self, name: str, config: Config) -> None:
        self.put.append(name)
        self.running[name] = config

    def status(self, _name: str) -> dict[str, Any]:
        return {"connector": {"state": "RUNNING"}, "tasks": [{"id": 0, "state": self.task_state}]}


def test_what_runs_as_the_file_says_is_kept() -> None:
    found = plan({"a": CONFIG}, {"a": {**CONFIG, "name": "a"}})
    assert found.empty
    assert [change.action for change in found.changes] == ["keep"]


def test_an_added_a_changed_and_a_removed_setting_are_three_fields() -> None:
    running = {**CONFIG, "producer.override.linger.ms": "5", "old": "1"}
    found = plan({"a": {**CONFIG, "new": "2"}}, {"a": running})
    (change,) = found.changes
    assert change.action == "change"
    assert [(f.name, f.before, f.after) for f in change.fields] == [
        ("new", None, "2"),
        ("old", "1", None),
        ("producer.override.linger.ms", "5", "20"),
    ]
    assert applied(change, running) == {**CONFIG, "new": "2"}


def test_a_connector_without_a_file_is_named_and_left_alone() -> None:
    found = plan({"a": CONFIG}, {"a": CONFIG, "theirs": CONFIG})
    assert found.foreign == ("theirs",)
    assert found.empty


def test_secrets_are_masked_in_the_plan_and_references_are_not() -> None:
    found = plan(
        {"a": {**CONFIG, "sasl.jaas.config": "user pass"}}, {"a": {**CONFIG, "ssl.key.password": "x"}}
    )
    text = json.dumps(found.shown())
    assert "user pass" not in text
    assert MASK in text
    assert masked("database.password", "${env:SETTLE_DEBEZIUM_PASSWORD}") == "${env:SETTLE_DEBEZIUM_PASSWORD}"
    assert masked("registry.url", "http://me:pw@host/x") == f"http://{MASK}@host/x"
    assert masked("key.converter", "io.Avro") == "io.Avro"


@pytest.mark.parametrize(
    "field", [{"database.password": "pw"}, {"u": "http://me:pw@h"}, {"x.token": "a ${env:B}"}]
)
def test_a_secret_in_clear_is_found(field: Config) -> None:
    assert secrets_in_clear({**CONFIG, **field}) == list(field)


def test_the_same_plan_has_the_same_fingerprint_and_another_has_not() -> None:
    one, same, other = plan({"a": CONFIG}, {}), plan({"a": CONFIG}, {}), plan({"b": CONFIG}, {})
    assert one.fingerprint == same.fingerprint != other.fingerprint


def test_apply_does_what_was_planned_and_then_nothing_is_left_to_do() -> None:
    worker = Worker({"kept": CONFIG, "changed": {**CONFIG, "producer.override.linger.ms": "5"}})
    wanted = {"kept": CONFIG, "changed": CONFIG, "new": CONFIG}
    apply_plan(worker, make_plan(worker, wanted), wait=1)
    assert worker.put == ["changed", "new"]
    assert make_plan(worker, wanted).empty


def test_apply_refuses_when_somebody_was_faster() -> None:
    worker = Worker({"a": {**CONFIG, "producer.override.linger.ms": "5"}})
    found = make_plan(worker, {"a": CONFIG})
    worker.running["a"]["producer.override.linger.ms"] = "7"
    with pytest.raises(StalePlanError):
        apply_plan(worker, found)
    assert worker.put == []
    assert not fits(found.changes[0], None)


def test_what_connect_does_not_accept_never_becomes_a_plan() -> None:
    worker = Worker({}, {"slot.name": ["must be lower case", "http://u:p@h refused"]})
    with pytest.raises(InvalidConfigError, match=r"slot\.name: must be lower case") as refused:
        make_plan(worker, {"a": CONFIG})
    assert "u:p" not in str(refused.value)


def test_a_failed_task_is_an_error_of_apply() -> None:
    worker = Worker({"a": CONFIG})
    worker.task_state = "FAILED"
    with pytest.raises(ConnectorFailedError, match="a failed"):
        apply_plan(worker, make_plan(worker, {"a": CONFIG}))


@pytest.mark.parametrize(
    "stored", [None, {"lsn_proc": 7, "snapshot": "INITIAL", "last_snapshot_record": False}]
)
def test_apply_is_not_over_while_a_first_snapshot_is_not(stored: dict[str, Any] | None) -> None:
    worker = Worker({})
    worker.stored = stored
    with pytest.raises(ConnectorFailedError, match="first snapshot is not over"):
        apply_plan(worker, make_plan(worker, {"a": CONFIG}), wait=0.1)
    worker.stored = {"lsn_proc": 7, "snapshot": "INITIAL", "last_snapshot_record": True}
    assert snapshot_stored(worker.offsets("a"))


def test_the_last_cause_is_the_sentence() -> None:
    trace = "org.X: outer\n\tat here\nCaused by: io.Y: the slot is gone\n\tat there\n"
    assert failure({"connector": {}, "tasks": [{"state": "FAILED", "trace": trace}]}) == "the slot is gone"
    assert failure({"connector": {"state": "RUNNING"}, "tasks": []}) is None


SLOT = Slot("s", True, "reserved", None, "0/1", 100, 10, 5)


@pytest.mark.parametrize(
    ("slot", "stored", "said"),
    [
        (SLOT, 100, None),
        (SLOT, None, None),
        (SLOT, 40, "60 bytes of WAL after"),
        (None, None, "does not exist"),
        (None, 40, "are lost"),
        (Slot("s", False, "reserved", None, "0/1", 100, 10, 5), 100, "not being read"),
        (Slot("s", False, "lost", "wal_removed", "0/1", 100, 10, 5), 100, "is lost"),
    ],
)
def test_a_slot_that_cannot_give_what_is_missing_is_a_problem(
    slot: Slot | None, stored: int | None, said: str | None
) -> None:
    problem = slot_problem(slot, "s", stored)
    assert problem is None if said is None else said in (problem or "")


def test_our_own_files_are_plain_configs_without_secrets() -> None:
    for name, config in desired().items():
        assert not secrets_in_clear(config), name
        assert config["offset.mismatch.strategy"] == "trust_offset"
        assert config["publication.autocreate.mode"] == "disabled"
        assert config["tombstones.on.delete"] == "false"
        assert config["transforms.epoch.value.literal"].isdigit()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "Expecting"),
        ("[]", "not a connector config"),
        ('{"connector.class": "x", "tasks.max": 1}', 'write "1"'),
        ('{"connector.class": "x", "connector.class": "y"}', "written twice: connector.class"),
        ('{"connector.class": "x", "name": "other"}', "the file says c"),
        ('{"connector.class": "x", "database.password": "pw"}', "secret in clear in database.password"),
    ],
)
def test_a_file_that_is_not_a_config_is_refused_with_its_name(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "c.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"c\.json") as refused:
        read(path)
    assert said in str(refused.value)
    assert '"pw"' not in str(refused.value)
