"""Submits jobs to Flink: `python -m flink_jobs.launch NAME…`; also the entry point of a managed application.

The jobs named are planned in one JVM and their operators numbered in one row, so a job that shall find its
state again is named alone, as `deploy` does. Every step is one line of JSON on stdout,
{"job": …, "step": "planning" or "submitted", "id": …}; a refusal is one with "error", and exit status 1.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import click

from flink_jobs import catalog, program
from flink_jobs.errors import JobsError
from flink_jobs.settings import APPLICATION_PROPERTIES, jobs_settings


def tell(**what: Any) -> None:
    """One line for whoever started this."""
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


@click.command()
@click.argument("names", nargs=-1)
@click.option(
    "--restore", multiple=True, metavar="NAME=PATH", help="Start this job from this checkpoint or savepoint."
)
def main(names: tuple[str, ...], restore: tuple[str, ...]) -> None:
    """Submit these jobs, or all."""
    states = dict(one.split("=", 1) for one in restore)
    try:
        settings = jobs_settings()
        # Managed Flink runs this inside the cluster, and one application holds one job: SETTLE_JOB names it.
        managed = APPLICATION_PROPERTIES.exists()
        wanted = (
            names
            or tuple(filter(None, os.environ.get("SETTLE_JOB", "").split(",")))
            or tuple(catalog.load_jobs())
        )
        if settings.flink_home:
            os.environ.setdefault("FLINK_HOME", settings.flink_home)
        # No Python function runs in a job: without this PyFlink looks for a worker service it will not need.
        os.environ.setdefault("_python_worker_execution_mode", "process")
        for name in wanted:
            script = catalog.script(catalog.job(name), catalog.placeholders(catalog.job(name), settings))
            tell(job=name, step="planning")
            options = program.job_options(script, settings, states.get(name))
            environment = program.environment(
                options if managed else options | program.cluster_options(settings)
            )
            program.create(environment, script.creates)
            tell(job=name, step="submitted", id=program.submit(environment, script))
    except JobsError as error:
        tell(error=str(error))
        sys.exit(1)


if __name__ == "__main__":
    main()
