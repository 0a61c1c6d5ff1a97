"""Plan against the running worker, apply exactly that plan, wait until the tasks run."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from connectors.errors import (
    ConnectorFailedError,
    InvalidConfigError,
    NotThereError,
    StalePlanError,
)
from connectors.plan import Change, Plan, applied, fits, masked, plan

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from connectors.rest import Config, Connect

# Seconds between two looks at a starting connector.
_LOOK = 0.25
# Characters of a failure's sentence. Debezium prints whole offsets into some; what matters is at both ends.
_LONG = 240


def make_plan(connect: Connect, desired: Mapping[str, Config]) -> Plan:
    """Ask what runs, compare, and have Connect itself validate every config that would change.

    1. Read the running configs.
    2. Compare them with the desired ones.
    3. Let Connect validate what would be put; it connects to the source database for that.
    """
    running = {name: connect.config(name) for name in connect.names()}  # 1
    found = plan(desired, running)  # 2
    for change in found.changes:  # 3
        if change.action != "keep":
            _validate(connect, change, running.get(change.connector))
    return found


def apply_plan(connect: Connect, found: Plan, *, wait: float = 90.0) -> None:
    """Do what the plan says and nothing else.

    1. Look again at what runs; refuse when it is not what the plan was made from.
    2. Put each changed config.
    3. Wait until every connector of the plan runs, the unchanged ones too.
    4. Wait until each new one has stored a position behind its first snapshot. Connect that dies before has
       the snapshot taken again, and what changed between the two is in no log.
    """
    for change in found.changes:
        if change.action == "keep":
            continue
        running = _running(connect, change.connector)
        if not fits(change, running):  # 1
            raise StalePlanError(f"{change.connector} was changed since the plan was made; plan again")
        connect.put_config(change.connector, applied(change, running))  # 2
    if wait > 0:
        for change in found.changes:  # 3
            wait_running(connect, change.connector, wait, config_put=change.action != "keep")
        for change in found.changes:  # 4
            if change.action == "create":
                _wait_for_snapshot(connect, change.connector, wait)


def snapshot_stored(entries: Iterable[dict[str, Any]]) -> bool:
    """Is a position behind the first snapshot among the stored, from which every later start goes on?"""
    offsets = [entry.get("offset") or {} for entry in entries]
    return bool(offsets) and all(
        not offset.get("snapshot") or offset.get("last_snapshot_record") for offset in offsets
    )


def _wait_for_snapshot(connect: Connect, name: str, wait: float) -> None:
    until = time.monotonic() + wait
    while not snapshot_stored(connect.offsets(name)):
        wait_running(connect, name, max(_LOOK, until - time.monotonic()), config_put=True)
        if time.monotonic() >= until:
            raise ConnectorFailedError(
                f"{name} runs, and its first snapshot is not over after {wait:g} s. "
                "`settle connectors status` says when it is; if Connect ends before: connectors/README.md"
            )
        time.sleep(_LOOK)


def wait_running(connect: Connect, name: str, wait: float, *, config_put: bool = False) -> None:
    """Return when the connector and all its tasks run; raise with the cause when one fails."""
    until = time.monotonic() + wait
    settle_until = time.monotonic() + (5.0 if config_put else 0.0)
    while True:
        try:
            status = connect.status(name)
        except NotThereError:
            status = {"connector": {"state": "UNASSIGNED"}, "tasks": []}
        states = [status["connector"]["state"], *(task["state"] for task in status["tasks"])]
        if len(states) > 1 and all(state == "RUNNING" for state in states):
            return
        # Right after a config was put, the status may still be the old task's: a failure counts only
        # when it stays.
        if "FAILED" in states and time.monotonic() >= settle_until:
            raise ConnectorFailedError(f"{name} failed: {failure(status)}")
        if time.monotonic() >= until:
            raise ConnectorFailedError(f"{name} does not run after {wait:g} s: {', '.join(states)}")
        time.sleep(_LOOK)


def failure(status: dict[str, object]) -> str | None:
    """The sentence behind a failure: the last cause in the trace, on one line."""
    parts = [status.get("connector"), *_tasks(status)]
    traces = [part.get("trace") for part in parts if isinstance(part, dict) and part.get("trace")]
    if not traces:
        return None
    lines = str(traces[0]).splitlines()
    causes = [line.removeprefix("Caused by: ") for line in lines if line.startswith("Caused by: ")]
    sentence = (causes or lines)[-1 if causes else 0].split(": ", 1)[-1].strip()
    shown = masked("trace", sentence) or ""
    return shown if len(shown) <= _LONG else f"{shown[: _LONG // 2]} … {shown[-_LONG // 2 :]}"


def _tasks(status: dict[str, object]) -> list[object]:
    tasks = status.get("tasks")
    return list(tasks) if isinstance(tasks, list) else []


def _running(connect: Connect, name: str) -> Config | None:
    try:
        return connect.config(name)
    except NotThereError:
        return None


def _validate(connect: Connect, change: Change, running: Config | None) -> None:
    wrong = connect.validate(change.connector, applied(change, running))
    if wrong:
        said = "; ".join(
            f"{field}: {masked('', sentence)}" for field, found in sorted(wrong.items()) for sentence in found
        )
        raise InvalidConfigError(f"{change.connector}: {said}")
