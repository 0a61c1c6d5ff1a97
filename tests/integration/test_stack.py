"""The stack keeps its promises: what is killed comes back, data stays, nothing of ours is left behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import boto3
import psutil
import psycopg
import pytest

from stack import state
from stack.cli import wipe
from stack.home import CHECKOUT, Home
from stack.ports import Ports
from stack.processes import recorded

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.stack


def settle(home: Home, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "settle", *arguments],
        env={**os.environ, "SETTLE_HOME": str(home.path), "PYTHONPATH": str(CHECKOUT)},
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def told(home: Home) -> state.StackState:
    found = state.read_state(home)
    assert found is not None
    return found


# The shared stack.


def test_every_server_answers_and_has_room(stack: Any) -> None:
    done = settle(stack.home, "status", "--json")
    assert done.returncode == 0, done.stdout
    status = json.loads(done.stdout)
    assert {s["state"] for s in status["servers"]} == {"healthy"}
    # Idle it is under 4 GiB; other tests may have left jobs running in this one.
    assert status["rss_mib"] < 6 * 1024


def test_a_killed_database_comes_back_with_its_rows(stack: Any) -> None:
    table = f"kept_{uuid.uuid4().hex[:12]}"
    dsn = stack.environment["SETTLE_OPS_DSN"]
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(f"CREATE TABLE {table} AS SELECT generate_series(1, 1000) AS n")
    stack.kill("postgres", signal.SIGKILL)
    stack.wait_healthy("postgres")
    with psycopg.connect(dsn, autocommit=True) as connection:
        row = connection.execute(f"SELECT sum(n) FROM {table}").fetchone()
        connection.execute(f"DROP TABLE {table}")
    assert row == (500500,)


def test_a_killed_s3_server_keeps_its_objects(stack: Any) -> None:
    key = f"kept/{uuid.uuid4().hex}"
    variables = stack.environment
    client = boto3.session.Session().client(
        "s3",
        endpoint_url=variables["SETTLE_S3_ENDPOINT"],
        aws_access_key_id=variables["SETTLE_S3_ACCESS_KEY"],
        aws_secret_access_key=variables["SETTLE_S3_SECRET_KEY"],
        region_name="us-east-1",
    )
    client.put_object(Bucket="settle-raw", Key=key, Body=b"bytes")
    stack.kill("s3", signal.SIGKILL)
    stack.wait_healthy("s3")
    assert client.get_object(Bucket="settle-raw", Key=key)["Body"].read() == b"bytes"


def test_the_servers_listen_on_loopback_only(stack: Any) -> None:
    for name in ("postgres", "kafka", "registry", "connect", "s3", "zookeeper", "jobmanager", "taskmanager"):
        for connection in psutil.Process(stack.pid(name)).net_connections(kind="tcp"):
            if connection.status == psutil.CONN_LISTEN:
                assert connection.laddr.ip in ("127.0.0.1", "::ffff:127.0.0.1"), (name, connection.laddr)


# Small stacks of their own: Postgres and S3 only, which start within seconds.

SMALL = "postgres,s3"
OFFSET = 8000


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    home = Home(tmp_path.resolve() / "home")
    yield home
    if state.is_running(home):
        settle(home, "down")
    wipe(home)


def up(home: Home, *arguments: str) -> subprocess.CompletedProcess[str]:
    return settle(home, "up", "--only", SMALL, "--port-offset", str(OFFSET), *arguments)


def processes(home: Home) -> list[psutil.Process]:
    found = [recorded(path) for path in (home.run / "children").glob("*.json")]
    return [process for process in found if process is not None]


def test_data_stays_over_down_and_up_and_reset_removes_it(home: Home) -> None:
    done = up(home)
    assert done.returncode == 0, done.stderr
    dsn = f"host=127.0.0.1 port={Ports(OFFSET)['postgres']} dbname=settle_ops user=settle"
    password = json.loads((home.secrets / "secrets.json").read_text())["settle_password"]
    with psycopg.connect(dsn, password=password) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 1 AS n")
    assert settle(home, "down").returncode == 0
    assert processes(home) == []
    # The offset is remembered.
    assert settle(home, "up", "--only", SMALL).returncode == 0
    with psycopg.connect(dsn, password=password) as connection:
        assert connection.execute("SELECT n FROM kept").fetchone() == (1,)
    assert settle(home, "reset", "--yes").returncode == 0
    assert not state.is_running(home)
    assert not home.postgres.exists()
    assert not home.data.exists()


def test_a_killed_supervisor_leaves_nothing_that_the_next_up_does_not_end(home: Home) -> None:
    assert up(home).returncode == 0
    first = processes(home)
    assert len(first) == 2
    os.kill(told(home).supervisor, signal.SIGKILL)
    done = settle(home, "up", "--only", SMALL)
    assert done.returncode == 0, done.stderr
    second = processes(home)
    assert not {p.pid for p in first} & {p.pid for p in second}
    assert not any(p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in first)


def test_up_twice_starts_nothing_twice(home: Home) -> None:
    assert up(home).returncode == 0
    first = {p.pid for p in processes(home)}
    assert up(home).returncode == 0
    assert {p.pid for p in processes(home)} == first
    moved = settle(home, "up", "--only", SMALL, "--port-offset", str(OFFSET + 1000))
    assert moved.returncode != 0
    assert "settle down" in moved.stderr


@contextmanager
def somebody_on(port: int) -> Iterator[None]:
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", port))
        other.listen()
        yield


def test_a_taken_port_is_named_with_who_holds_it(home: Home) -> None:
    port = Ports(OFFSET)["s3"]
    with somebody_on(port):
        done = up(home)
    assert done.returncode != 0
    assert f"Port {port}, wanted for S3, is taken by" in " ".join(done.stderr.split())
    assert f"pid {os.getpid()}" in " ".join(done.stderr.split())
    assert processes(home) == []
    assert not state.is_running(home)


def test_ctrl_c_stops_a_foreground_run_in_order(home: Home) -> None:
    command = [sys.executable, "-m", "settle", "up", "--only", SMALL, "--port-offset", str(OFFSET)]
    process = subprocess.Popen(
        [*command, "--foreground"],
        env={**os.environ, "SETTLE_HOME": str(home.path), "PYTHONPATH": str(CHECKOUT)},
        cwd=CHECKOUT,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if "Ctrl-C" in line:
            break
    assert len(processes(home)) == 2
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=120)
    assert processes(home) == []
    assert not state.is_running(home)
