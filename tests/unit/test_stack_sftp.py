"""The banks' SFTP servers are asked for their health as the bridge asks them for files."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import time
from typing import TYPE_CHECKING

import asyncssh
import pytest

from stack.errors import StackError
from stack.home import Home
from stack.ports import LOOPBACK, Ports
from stack.server import Context
from stack.servers import sftp
from stack.servers.sftp import Sftp

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def free_offset() -> int:
    """Where all three ports are nobody's."""
    for offset in range(20_000, 60_000, 7):
        try:
            for name in Sftp.ports:
                with socket.socket() as probe:
                    probe.bind((LOOPBACK, Ports(offset)[name]))
        except OSError:
            continue
        return offset
    pytest.fail("no three ports are free")


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Context:
    home = Home(tmp_path_factory.mktemp("home"))
    home.make()
    return Context(home, Ports(free_offset()))


@pytest.fixture
def process(context: Context) -> Iterator[subprocess.Popen[bytes]]:
    command = Sftp().command(context)
    with subprocess.Popen(command.argv, env=command.environment, stderr=subprocess.DEVNULL) as process:
        yield process
        process.kill()


@pytest.fixture
def server(context: Context, process: subprocess.Popen[bytes]) -> Sftp:
    """Has answered once."""
    server = Sftp()
    deadline = time.monotonic() + 60
    while True:
        assert process.poll() is None
        assert time.monotonic() < deadline
        with contextlib.suppress(StackError):
            server.check(context)
            return server
        time.sleep(0.05)


@pytest.fixture
def another_key(context: Context) -> Iterator[Path]:
    """What is pinned for HDFC is not what its server shows."""
    pinned = context.home.secrets / "sftp" / "hdfc.pub"
    before = pinned.read_bytes()
    pinned.write_bytes(asyncssh.generate_private_key("ssh-ed25519").export_public_key())
    yield pinned
    pinned.write_bytes(before)


def test_a_new_process_must_let_us_in_at_every_bank(
    server: Sftp,
    another_key: Path,
    context: Context,
) -> None:
    server.check(context)  # it has let us in a moment ago: its banner will do
    server.prepare(context)
    with pytest.raises(StackError, match="HDFC"):
        server.check(context)


def test_an_old_login_is_no_proof(
    server: Sftp, another_key: Path, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = time.monotonic() + sftp.LOGIN_EVERY
    monkeypatch.setattr("stack.servers.sftp.time.monotonic", lambda: later)
    with pytest.raises(StackError, match="HDFC"):
        server.check(context)


def test_a_server_that_hangs_is_heard_of_and_must_let_us_in_afterwards(
    server: Sftp,
    context: Context,
    process: subprocess.Popen[bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sftp, "HEALTH_SECONDS", 0.3)
    process.send_signal(signal.SIGSTOP)
    with pytest.raises(TimeoutError):
        server.check(context)
    with pytest.raises(StackError, match=r"AXIS|HDFC|ICICI"):
        server.check(context)
    monkeypatch.undo()
    process.send_signal(signal.SIGCONT)
    server.check(context)


def test_a_dead_server_is_not_healthy(
    server: Sftp, context: Context, process: subprocess.Popen[bytes]
) -> None:
    process.kill()
    process.wait()
    with pytest.raises(ConnectionRefusedError):
        server.check(context)
