"""A job's SQL handed to Flink through PyFlink: the tables, the views, then one statement set.

Nothing here computes: no Python function takes part in a job, so the cluster needs no Python.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from flink_jobs.errors import LaunchRefusedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from flink_jobs.catalog import Script
    from flink_jobs.settings import JobsSettings

_VIEW: Final = re.compile(r"^CREATE TEMPORARY VIEW (\w+) AS$", re.MULTILINE)


def cluster_options(settings: JobsSettings) -> dict[str, str]:
    """How to reach a running session cluster; absent on Managed Flink, where the program runs in one."""
    address, _, port = settings.flink_url.partition("://")[2].rpartition(":")
    return {
        "execution.target": "remote",
        "execution.attached": "false",
        "rest.address": address,
        "rest.port": port,
        # The address above is the truth: no asking ZooKeeper who leads.
        "high-availability.type": "NONE",
    }


def job_options(script: Script, settings: JobsSettings, restore: str | None) -> dict[str, str]:
    """What Flink is told about this job, beside its SQL."""
    name = script.job.name
    options = {
        "pipeline.name": name,
        "parallelism.default": str(settings.parallelism),
        "table.local-time-zone": "UTC",
        "execution.checkpointing.interval": f"{settings.checkpoint_seconds} s",
        "execution.checkpointing.mode": "EXACTLY_ONCE",
        # One folder per job, not per run, so that the newest state of a job can be found by its name.
        "execution.checkpointing.dir": f"{settings.checkpoint_uri}/{name}",
        "execution.checkpointing.savepoint-dir": f"{settings.savepoint_uri}/{name}",
        "execution.checkpointing.externalized-checkpoint-retention": "RETAIN_ON_CANCELLATION",
        **script.job.options,
    }
    if restore:
        options["execution.state-recovery.path"] = restore
    return options


def environment(options: Mapping[str, str]) -> Any:
    """A fresh table environment, so that one job's tables are not another's."""
    from pyflink.common import Configuration
    from pyflink.table import EnvironmentSettings, TableEnvironment

    configuration = Configuration()
    for name, value in options.items():
        configuration.set_string(name, value)
    settings = (
        EnvironmentSettings.new_instance().in_streaming_mode().with_configuration(configuration).build()
    )
    return TableEnvironment.create(settings)


def create(table_environment: Any, creates: Iterable[tuple[str, str]]) -> None:
    """Run the CREATE statements in order; a refusal names the file."""
    for name, text in creates:
        view = _VIEW.search(text)
        try:
            if view:
                # A view made by SQL is translated again, with all it stands on, by everything that uses it:
                # minutes for a tree like ours. A query under a name is translated once.
                query = table_environment.sql_query(text[view.end() :])
                table_environment.create_temporary_view(view.group(1), query)
            else:
                table_environment.execute_sql(text)
        except Exception as error:
            raise LaunchRefusedError(f"{name}.sql: {said(error)}") from error


def submit(table_environment: Any, script: Script) -> str:
    """Plan all inserts as one job and submit it; the job's id."""
    try:
        statements = table_environment.create_statement_set()
        for insert in script.inserts:
            statements.add_insert_sql(insert)
        client = statements.execute().get_job_client()
        return str(client.get_job_id())
    except Exception as error:
        raise LaunchRefusedError(f"{script.job.name}: {said(error)}") from error


def said(error: BaseException) -> str:
    """The innermost reason in a Java stack trace, which is the one for people."""
    lines = str(error).splitlines()
    causes = [line.strip() for line in lines if line.strip().startswith("Caused by:")]
    return (causes[-1] if causes else next((line for line in lines if line.strip()), repr(error)))[:1000]
