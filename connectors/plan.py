"""What would change: desired configs against running ones, as plain data. No I/O here."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from connectors.rest import Config

Action = Literal["create", "change", "keep"]

# Words in a field's name behind which a secret may stand. "key" alone is not one: key.converter.
_SECRET = re.compile(r"password|secret|token|credential|passphrase|private.?key|jaas|api.?key|userinfo", re.I)
# ${provider:path:key} or ${provider:key}: a reference is no secret, it says where one is.
_REFERENCE = re.compile(r"\$\{[a-z0-9_.-]+:[^}]+\}", re.I)
# user:password@ inside an address.
_USERINFO = re.compile(r"(?<=://)[^/@\s]+:[^/@\s]+(?=@)")
MASK = "********"


@dataclass(frozen=True, slots=True)
class Field:
    """One setting that differs; None stands for "not there"."""

    name: str
    before: str | None
    after: str | None

    def shown(self) -> dict[str, str | None]:
        """The same with secrets masked, for people and for --json."""
        return {
            "name": self.name,
            "before": masked(self.name, self.before),
            "after": masked(self.name, self.after),
        }


@dataclass(frozen=True, slots=True)
class Change:
    """One connector: what is to be done, field by field."""

    connector: str
    action: Action
    fields: tuple[Field, ...]

    def shown(self) -> dict[str, Any]:
        """The same with secrets masked."""
        return {
            "connector": self.connector,
            "action": self.action,
            "fields": [f.shown() for f in self.fields],
        }


@dataclass(frozen=True, slots=True)
class Plan:
    """Every desired connector, changed or not, and those that run without a file."""

    changes: tuple[Change, ...]
    foreign: tuple[str, ...]

    @property
    def empty(self) -> bool:
        """Nothing to do: what runs is what the files say."""
        return all(change.action == "keep" for change in self.changes)

    @property
    def fingerprint(self) -> str:
        """Two plans with the same one do the same; `apply --plan` takes it."""
        text = json.dumps([asdict(change) for change in self.changes], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def shown(self) -> dict[str, Any]:
        """The plan as data, secrets masked."""
        return {
            "plan": self.fingerprint,
            "empty": self.empty,
            "changes": [change.shown() for change in self.changes],
            "foreign": list(self.foreign),
        }


def plan(desired: Mapping[str, Config], running: Mapping[str, Config]) -> Plan:
    """Compare; connectors that run without a file are named and never touched."""
    return Plan(
        changes=tuple(_change(name, desired[name], running.get(name)) for name in sorted(desired)),
        foreign=tuple(sorted(set(running) - set(desired))),
    )


def _change(name: str, desired: Config, running: Config | None) -> Change:
    before = _without_name(running or {})
    after = _without_name(desired)
    fields = tuple(
        Field(field, before.get(field), after.get(field))
        for field in sorted(before.keys() | after.keys())
        if before.get(field) != after.get(field)
    )
    if running is None:
        return Change(name, "create", fields)
    return Change(name, "change" if fields else "keep", fields)


def applied(change: Change, running: Config | None) -> Config:
    """The config that the change leads to from what runs now."""
    config = _without_name(running or {})
    for field in change.fields:
        if field.after is None:
            config.pop(field.name, None)
        else:
            config[field.name] = field.after
    return config


def fits(change: Change, running: Config | None) -> bool:
    """Is what runs now still what the change was made from?"""
    if (running is None) != (change.action == "create"):
        return False
    before = _without_name(running or {})
    return all(before.get(field.name) == field.before for field in change.fields)


def secrets_in_clear(config: Config) -> list[str]:
    """Fields that hold a secret itself instead of a reference to one."""
    return sorted(
        name
        for name, value in config.items()
        if (_SECRET.search(name) and value and not _REFERENCE.fullmatch(value)) or _USERINFO.search(value)
    )


def masked(name: str, value: str | None) -> str | None:
    """The value as it may be shown."""
    if value is None or _REFERENCE.fullmatch(value):
        return value
    if _SECRET.search(name):
        return MASK
    return _USERINFO.sub(MASK, value)


def _without_name(config: Config) -> Config:
    """Connect adds `name` to what it keeps; the file's own name says it already."""
    return {key: value for key, value in config.items() if key != "name"}
