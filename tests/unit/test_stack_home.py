"""Secrets, addresses, names of servers: what everything else is told about the stack."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sftp_bridge.banks import load_banks
from stack import environment, processes, secrets, state
from stack.child import start_time
from stack.home import Home
from stack.ports import BASE_PORTS, Ports
from stack.servers import SERVERS, with_needs
from stack.versions import FLINK


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def test_secrets_are_made_once_and_only_their_owner_reads_them(home: Home) -> None:
    first = secrets.load(home)
    assert secrets.load(home) == first
    path = home.secrets / "secrets.json"
    assert path.stat().st_mode & 0o777 == 0o600
    assert home.secrets.stat().st_mode & 0o777 == 0o700
    assert len(first["paytm_merchant_key"]) == 16


def test_a_secret_added_later_leaves_the_others_alone(home: Home) -> None:
    first = secrets.load(home)
    path = home.secrets / "secrets.json"
    path.write_text(json.dumps({k: v for k, v in first.items() if k != "payu_salt"}))
    again = secrets.load(home)
    assert {k: v for k, v in again.items() if k != "payu_salt"} == {
        k: v for k, v in first.items() if k != "payu_salt"
    }
    assert len(again["payu_salt"]) == 32


def test_an_offset_moves_every_address(home: Home) -> None:
    told = environment.variables(home, Ports(7000))
    assert told["SETTLE_BUS_BOOTSTRAP_SERVERS"] == f"127.0.0.1:{BASE_PORTS['kafka'] + 7000}"
    for name, port in BASE_PORTS.items():
        assert f":{port}" not in " ".join(told.values()), name


def test_two_offsets_apart_by_a_thousand_never_meet() -> None:
    assert len({port % 1000 for port in BASE_PORTS.values()}) == len(BASE_PORTS)


def test_every_bank_has_the_port_where_the_bridge_looks_for_it() -> None:
    first = BASE_PORTS["sftp_axis"]
    wanted = {f"sftp_{bank.slug}": first + bank.sftp.local_port_offset for bank in load_banks().values()}
    assert {name: BASE_PORTS[name] for name in SERVERS["sftp"].ports} == wanted


def test_what_the_user_has_set_wins(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in environment.variables(home, Ports()):
        monkeypatch.setenv(name, "mine")  # restored afterwards
        monkeypatch.delenv(name)
    monkeypatch.setenv("SETTLE_CONNECT_URL", "https://connect.example")
    home.make()
    environment.adopt(home)
    assert "SETTLE_BUS_BOOTSTRAP_SERVERS" not in os.environ  # this home has never been up
    state.write_offset(home, 3000)
    environment.adopt(home)
    assert os.environ["SETTLE_CONNECT_URL"] == "https://connect.example"
    assert os.environ["SETTLE_BUS_BOOTSTRAP_SERVERS"].endswith(":12192")


def test_a_server_brings_what_it_needs() -> None:
    assert with_needs(["intake"]) == ["postgres", "kafka", "registry", "gateways", "intake"]
    assert set(with_needs(["flink"])) == {"s3", "zookeeper", "jobmanager", "taskmanager"}
    with pytest.raises(KeyError):
        with_needs(["oracle"])


def test_every_need_exists_and_there_is_no_ring() -> None:
    done: set[str] = set()
    while len(done) < len(SERVERS):
        ready = {n for n, s in SERVERS.items() if n not in done and set(s.needs) <= done}
        assert ready, f"these need each other: {set(SERVERS) - done}"
        done |= ready
    assert {n for s in SERVERS.values() for n in s.asked_through} <= set(SERVERS)


def test_the_installed_flink_is_the_listed_one() -> None:
    from importlib.metadata import version

    assert version("apache-flink") == FLINK


def test_a_record_means_one_process_and_no_other(tmp_path: Path) -> None:
    record = tmp_path / "server.json"
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        right = {"pid": child.pid, "started": start_time(child.pid), "program": sys.executable}
        record.write_text(json.dumps(right))
        found = processes.recorded(record)
        assert found is not None
        assert found.pid == child.pid
        # The pid has been given to somebody else since.
        record.write_text(json.dumps({**right, "started": "another-boot/1"}))
        assert processes.recorded(record) is None
        record.write_text(json.dumps(right))
    finally:
        child.kill()
        child.wait()
    assert processes.recorded(record) is None
    assert processes.recorded(tmp_path / "never.json") is None


def test_only_one_supervisor_holds_a_home(home: Home) -> None:
    first, second = state.Lock(home), state.Lock(home)
    assert first.take()
    assert not second.take()
    assert state.is_running(home)
    first.release()
    assert not state.is_running(home)
    second.release()


def test_the_compose_file_and_the_run_script_are_shell_and_executable() -> None:
    root = Path(__file__).parents[2]
    for script in (root / "run", root / ".ci" / "run"):
        assert os.access(script, os.X_OK)
        assert subprocess.run(["sh", "-n", str(script)], check=False).returncode == 0
