"""The cases of tests/sql/*.yaml: inputs, what views between must hold, what comes out.

All cases of a file run as one job, beside each other; each has keys of its own.
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.sql.conftest import newest

if TYPE_CHECKING:
    from tests.sql.conftest import FlinkSql

FILES = sorted(Path(__file__).parent.glob("*.yaml"))


def load(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return found


CASES = [(path.stem, case["name"], case) for path in FILES for case in load(path)["cases"]]
_results: dict[str, dict[str, Any]] = {}


def outputs(flink: FlinkSql, name: str) -> dict[str, Any]:
    """The file's one run: view → its final rows, `out` → the newest row per key."""
    if name not in _results:
        file = load(Path(__file__).parent / f"{name}.yaml")
        given: dict[str, list[Any]] = {}
        for case in file["cases"]:
            for table, rows in case["given"].items():
                given.setdefault(table, []).extend(rows)
        views = {view for case in file["cases"] for view in case["then"] if view != "out"}
        insert = f"insert {file['insert']}"
        found = flink.run(file["job"], given, [*views, insert])
        _results[name] = {view: found[view] for view in views} | {"out": newest(found[insert], file["key"])}
    return _results[name]


def plain(value: Any) -> Any:
    return str(value) if isinstance(value, Decimal) or hasattr(value, "isoformat") else value


@pytest.mark.parametrize(("file", "name", "case"), CASES, ids=[f"{file}: {name}" for file, name, _ in CASES])
def test_case(flink: FlinkSql, file: str, name: str, case: dict[str, Any]) -> None:
    found = outputs(flink, file)
    for view, expected in case["then"].items():
        if view == "out":
            for key, fields in expected.items():
                row = found["out"].get(key)
                assert row is not None, f"nothing came out for {key}"
                assert {field: plain(row[field]) for field in fields} == fields
        else:
            for fields in expected:
                rows = [{field: plain(row[field]) for field in fields} for row in found[view]]
                assert fields in rows, view
