"""What Flink makes of the jobs' SQL with Kafka behind it: the files of tests/sql are planned differently."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from flink_jobs import catalog

if TYPE_CHECKING:
    from tests.conftest import Stack

pytestmark = pytest.mark.stack

# In a process of its own: PyFlink has one JVM in each, and tests/sql has one without connectors.
EXPLAIN = """
import sys
from pyflink.table import ExplainDetail
from flink_jobs import catalog, program
from flink_jobs.settings import jobs_settings

settings = jobs_settings()
script = catalog.script(catalog.job(sys.argv[1]), catalog.placeholders(catalog.job(sys.argv[1]), settings))
environment = program.environment(program.job_options(script, settings, None))
program.create(environment, script.creates)
statements = environment.create_statement_set()
for insert in script.inserts:
    statements.add_insert_sql(insert)
print(statements.explain(ExplainDetail.CHANGELOG_MODE))
"""


def explained(stack: Stack, job: str) -> tuple[str, str]:
    """The physical plan with its changelog modes, and what is executed."""
    done = subprocess.run(
        [sys.executable, "-c", EXPLAIN, job],
        env={**os.environ, **stack.environment, "_python_worker_execution_mode": "process"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    _, _, planned = done.stdout.partition("== Optimized Physical Plan ==")
    physical, _, executed = planned.partition("== Optimized Execution Plan ==")
    return physical, executed


@pytest.fixture(scope="module", params=["enrich", "reconcile"])
def plan(request: pytest.FixtureRequest, stack: Stack) -> tuple[str, str, str]:
    return (request.param, *explained(stack, request.param))


def test_the_newest_version_takes_the_one_before_back(plan: tuple[str, str, str]) -> None:
    ranks = re.findall(r"Rank\(.*", plan[1])
    assert ranks
    assert all("changelogMode=[I,UB,UA,D]" in rank for rank in ranks)


def test_every_sum_is_planned_once(plan: tuple[str, str, str]) -> None:
    texts = [path.read_text() for path in catalog.job(plan[0]).files().values()]
    written = sum(len(re.findall(r"^ *(?:GROUP BY|SELECT DISTINCT)\b", text, re.MULTILINE)) for text in texts)
    # A local sum before a global one is the same sum.
    planned = re.findall(r"(?<!Local)GroupAggregate\(", plan[2])
    assert len(planned) == written > 0


def test_folded_changes_meet_in_joins_that_can_be_cancelled(plan: tuple[str, str, str]) -> None:
    if plan[0] == "reconcile":
        assert "MiniBatchAssigner" in plan[2]
        assert re.findall(r"(?<!Multi)Join\(", plan[2]) == []
    else:
        assert "MiniBatchAssigner" not in plan[2]
