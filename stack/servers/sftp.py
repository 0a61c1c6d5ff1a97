"""The banks' SFTP servers of this machine, and how their health is asked: as the bridge logs in."""

from __future__ import annotations

import asyncio
import socket
import time
from typing import TYPE_CHECKING

import asyncssh

from sftp_bridge.banks import load_banks
from stack.errors import StackError
from stack.server import HEALTH_SECONDS, LOOPBACK, Context
from stack.servers.ours import Ours

if TYPE_CHECKING:
    from pathlib import Path

    from sftp_bridge.banks import Bank

# Seconds from one login that went well to the next. Logging in to all three costs the two sides 0.06 s of CPU
# together, a banner costs nothing, and a server that hangs or has died has none.
LOGIN_EVERY = 30.0


class Sftp(Ours):
    name = "sftp"
    title = "SFTP of the banks"
    module = "stack.sftp"
    ports = ("sftp_axis", "sftp_hdfc", "sftp_icici")

    def __init__(self) -> None:
        self._login_due = 0.0

    def prepare(self, context: Context) -> None:  # noqa: ARG002
        self._login_due = 0.0  # a new process has let nobody in yet

    def check(self, context: Context) -> None:
        """Log in at every bank with its account and pinned host key, and list its root; else the banner."""
        if time.monotonic() >= self._login_due:
            asyncio.run(_list_roots(context))
            self._login_due = time.monotonic() + LOGIN_EVERY
            return
        try:
            for port in self.ports:
                _hear_banner(context.ports[port])
        except Exception:
            self._login_due = 0.0
            raise


async def _list_roots(context: Context) -> None:
    keys = context.home.secrets / "sftp"
    banks = load_banks().values()
    await asyncio.gather(*(_list_root(bank, context.ports[f"sftp_{bank.slug}"], keys) for bank in banks))


async def _list_root(bank: Bank, port: int, keys: Path) -> None:
    try:
        async with (
            asyncio.timeout(HEALTH_SECONDS),
            asyncssh.connect(
                LOOPBACK,
                port,
                username=bank.sftp.account,
                client_keys=[asyncssh.read_private_key(keys / bank.sftp.key)],
                known_hosts=([asyncssh.read_public_key(keys / bank.sftp.host_key)], [], []),
                agent_path=None,
                config=None,
            ) as connection,
            connection.start_sftp_client() as sftp,
        ):
            await sftp.listdir("/")
    except (OSError, TimeoutError, asyncssh.Error, asyncssh.KeyImportError) as error:
        raise StackError(f"{bank.bank}: {str(error) or type(error).__name__}") from error


def _hear_banner(port: int) -> None:
    with socket.create_connection((LOOPBACK, port), HEALTH_SECONDS) as line:
        if not line.recv(64).startswith(b"SSH-2.0-"):
            raise StackError(f"no SSH banner on port {port}")
