"""docker-compose.yml is a second description of the stack; here it is held to the first."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from stack import containers, versions
from stack.environment import variables
from stack.home import Home
from stack.ports import BASE_PORTS, Ports
from stack.servers.postgres import DATABASES, USERS

ROOT = Path(__file__).parents[2]
FILE = ROOT / "docker-compose.yml"
COMPOSE: dict[str, Any] = yaml.safe_load(FILE.read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]

IMAGES = {
    "postgres": f"postgres:{versions.POSTGRES.removesuffix('.0')}",
    "kafka": f"apache/kafka:{versions.KAFKA}",
    "connect": f"apache/kafka:{versions.KAFKA}",
    "registry": f"apicurio/apicurio-registry:{versions.REGISTRY}",
    "jobmanager": f"flink:{versions.FLINK}-java21",
    "taskmanager": f"flink:{versions.FLINK}-java21",
}


@pytest.mark.parametrize(("service", "image"), IMAGES.items())
def test_the_image_is_of_the_listed_version(service: str, image: str) -> None:
    assert SERVICES[service]["image"] == image


def test_every_image_is_pinned() -> None:
    for name, service in SERVICES.items():
        tag = service["image"].partition(":")[2]
        assert tag, name
        assert tag != "latest", name


def test_the_same_ports_on_loopback_only() -> None:
    published = {}
    for name, service in SERVICES.items():
        for port in service.get("ports", []):
            address, outside, _ = port.split(":")
            assert address == "127.0.0.1", name
            published[int(outside)] = name
    inside_only = {"kafka_controller", "flink_rpc", "console"}
    expected = {port for name, port in BASE_PORTS.items() if name not in inside_only}
    assert published.keys() == expected


def test_what_is_published_of_ours_is_forwarded() -> None:
    inside = {int(port.rpartition(":")[2]) for port in SERVICES["settle"]["ports"]}
    assert inside == {port + containers.PUBLISHED_BY for port in containers.PUBLISHED}


def test_every_server_says_whether_it_is_healthy() -> None:
    for name, service in SERVICES.items():
        assert "healthcheck" in service or service.get("restart") == "no", name


def test_what_must_last_is_in_named_volumes() -> None:
    used = {v.partition(":")[0] for s in SERVICES.values() for v in s.get("volumes", [])}
    assert used == set(COMPOSE["volumes"])
    for name in ("postgres", "kafka", "s3", "zookeeper"):
        assert name in used


def test_our_parts_get_every_variable_of_the_local_stack(tmp_path: Path) -> None:
    # Paths that exist only where the servers are child processes, and what has the same default anyway.
    elsewhere = {
        *("FLINK_HOME", "FLINK_CONF_DIR", "JAVA_HOME", "SETTLE_JOBS_FLINK_HOME", "SETTLE_BRIDGE_KEYS_DIR"),
        *("SETTLE_BRIDGE_S3_ENDPOINT", "SETTLE_BRIDGE_S3_ACCESS_KEY", "SETTLE_BRIDGE_S3_SECRET_KEY"),
        *("SETTLE_BRIDGE_HEALTH_PORT", "SETTLE_INTAKE_PORT", "SETTLE_LOADER_HEALTH_PORT"),
        *("SETTLE_GATEWAYS_DATA", "SETTLE_LOADER_STAGE_BUCKET"),
        *("SETTLE_JOBS_CHECKPOINT_SECONDS", "SETTLE_JOBS_PARALLELISM"),
    }
    told = set(COMPOSE["x-settle"]["environment"])
    assert set(variables(Home(tmp_path), Ports())) - told == elsewhere


def test_the_databases_and_users_are_the_same() -> None:
    sql = COMPOSE["configs"]["databases"]["content"]
    for user in USERS:
        assert f"CREATE ROLE {user} LOGIN" in sql
    for database, owner in DATABASES.items():
        assert f"CREATE DATABASE {database} OWNER {owner};" in sql


def test_docker_itself_reads_it() -> None:
    docker = shutil.which("docker")
    command = [docker or "docker", "compose", "-f", str(FILE), "config", "-q"]
    if (
        not docker
        or subprocess.run([docker, "compose", "version"], capture_output=True, check=False).returncode
    ):
        pytest.skip("docker compose is not installed here")
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
