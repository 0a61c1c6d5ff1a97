"""Flink's REST API, the few calls we need, in one place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import requests

from flink_jobs.errors import ClusterUnavailableError, JobFailedError

_TIMEOUT: Final = 20

# A job in one of these still holds its name; in the others it is over.
ALIVE: Final = frozenset(
    {"INITIALIZING", "CREATED", "RUNNING", "RESTARTING", "FAILING", "CANCELLING", "SUSPENDED", "RECONCILING"}
)


@dataclass(frozen=True)
class Run:
    """One submission of a job."""

    job_id: str
    name: str
    state: str
    started_ms: int
    tasks: dict[str, int]

    @property
    def alive(self) -> bool:
        """Does it still hold its name?"""
        return self.state in ALIVE


class Cluster:
    """One Flink cluster."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._session = requests.Session()

    def runs(self) -> list[Run]:
        """Every run the cluster remembers, newest first."""
        found = self._call("GET", "/jobs/overview")["jobs"]
        runs = [Run(one["jid"], one["name"], one["state"], one["start-time"], one["tasks"]) for one in found]
        return sorted(runs, key=lambda run: run.started_ms, reverse=True)

    def newest(self, name: str) -> Run | None:
        """The run that holds this name, else the last one that did."""
        runs = [run for run in self.runs() if run.name == name]
        return next((run for run in runs if run.alive), runs[0] if runs else None)

    def checkpoints(self, job_id: str) -> dict[str, Any]:
        """Counts and the latest checkpoints of one run."""
        return self._call("GET", f"/jobs/{job_id}/checkpoints")

    def checkpoints_completed(self, job_id: str) -> int:
        """How many checkpoints this run has completed."""
        return int(self.checkpoints(job_id)["counts"]["completed"])

    def root_cause(self, job_id: str) -> str:
        """Why a run failed last, in one line; empty where it never did."""
        trace = self.exceptions(job_id)[:1]
        lines = trace[0]["stacktrace"].splitlines() if trace else []
        causes = [line for line in lines if line.startswith("Caused by:")]
        return (causes[-1] if causes else next(iter(lines), ""))[:500]

    def exceptions(self, job_id: str) -> list[dict[str, Any]]:
        """The failures of one run, newest first."""
        found = self._call("GET", f"/jobs/{job_id}/exceptions").get("exceptionHistory", {})
        return list(found.get("entries", []))

    def vertices(self, job_id: str) -> list[dict[str, Any]]:
        """The operators of one run with what they read and wrote."""
        return list(self._call("GET", f"/jobs/{job_id}")["vertices"])

    def cancel(self, job_id: str) -> None:
        """End a run; its last checkpoint stays."""
        self._call("PATCH", f"/jobs/{job_id}?mode=cancel")

    def stop_with_savepoint(self, job_id: str, folder: str) -> str:
        """Ask for a savepoint and the end of the run; the request's id."""
        asked = self._call("POST", f"/jobs/{job_id}/stop", json={"targetDirectory": folder, "drain": False})
        return str(asked["request-id"])

    def savepoint(self, job_id: str, request_id: str) -> str | None:
        """Where the savepoint is, None while it is being written."""
        found = self._call("GET", f"/jobs/{job_id}/savepoints/{request_id}")
        if found["status"]["id"] != "COMPLETED":
            return None
        operation = found.get("operation", {})
        if "failure-cause" in operation:
            raise JobFailedError(f"the savepoint failed: {operation['failure-cause'].get('class')}")
        return str(operation["location"])

    def _call(self, method: str, path: str, **arguments: Any) -> dict[str, Any]:
        try:
            answer = self._session.request(method, self._url + path, timeout=_TIMEOUT, **arguments)
        except requests.RequestException as error:
            raise ClusterUnavailableError(
                f"Flink at {self._url} does not answer: {type(error).__name__}"
            ) from error
        if answer.status_code >= 400:
            raise ClusterUnavailableError(
                f"Flink at {self._url}{path}: {answer.status_code} {answer.text[:300]}"
            )
        found: dict[str, Any] = answer.json() if answer.content else {}
        return found
