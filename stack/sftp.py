"""The banks' SFTP servers on this machine: one host key, one port, one root and two accounts per bank.

    python -m stack.sftp

| Account | Port | May |
|---|---|---|
| `<bank>` | that bank's only | list, read and rename: this is what the bridge logs in as |
| `<bank>-upload` | any | drop files as the bank does: for the demo, the tests and curious people |

Both see SETTLE_HOME/data/sftp/<bank> as `/`. Keys are made once, in SETTLE_HOME/secrets/sftp:

| File | What it is |
|---|---|
| `<bank>_host_ed25519` | the server's own key |
| `<bank>.pub` | its public half as the bridge pins it; written once, never renewed behind anybody's back |
| `<bank>_ed25519`, `<bank>-upload_ed25519` | the accounts' private keys |

A bank listens on SETTLE_BRIDGE_SFTP_PORT (2222) plus the `local_port_offset` of its description.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import asyncssh

from sftp_bridge.banks import BANKS_DIR, Bank, load_banks
from stack.home import Home
from stack.ports import BASE_PORTS, LOOPBACK

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

log = logging.getLogger("sftp")


@dataclass(frozen=True, slots=True)
class Account:
    """Who may log in, where, and what that account sees as its root."""

    name: str
    root: Path
    public_key: str
    # The bank whose port alone takes it; None: any.
    only_at: str | None


@dataclass(frozen=True, slots=True)
class UploadTarget:
    """What a program needs to drop files as the bank would."""

    host: str
    port: int
    username: str
    client_key: Path
    host_key: Path
    outbox: str


def banks_here() -> dict[str, Bank]:
    """The banks that are played here: those the bridge knows."""
    return load_banks(Path(os.environ.get("SETTLE_BRIDGE_BANKS_DIR") or BANKS_DIR))


def base_port() -> int:
    """The first bank's port; the others' lie above it."""
    return int(os.environ.get("SETTLE_BRIDGE_SFTP_PORT") or BASE_PORTS["sftp_axis"])


def keys_dir(home: Home) -> Path:
    """Where all keys of this stand-in lie."""
    return home.secrets / "sftp"


def upload_target(bank: str, home: Home | None = None) -> UploadTarget:
    """How to drop a file at this bank (any case of its name)."""
    home = home or Home.current()
    known = banks_here()[bank.upper()]
    keys = keys_dir(home)
    return UploadTarget(
        host=os.environ.get("SETTLE_BRIDGE_SFTP_HOST") or LOOPBACK,
        port=base_port() + known.sftp.local_port_offset,
        username=f"{known.slug}-upload",
        client_key=keys / f"{known.slug}-upload_ed25519",
        host_key=keys / f"{known.slug}.pub",
        outbox=known.folders.outbox,
    )


@contextlib.asynccontextmanager
async def logged_in(
    target: UploadTarget, encryption: str | tuple[str, ...] = ()
) -> AsyncIterator[asyncssh.SFTPClient]:
    """A connection as the bank, to the server that its host key names."""
    async with (
        asyncssh.connect(
            target.host,
            target.port,
            username=target.username,
            client_keys=[str(target.client_key)],
            known_hosts=([str(target.host_key)], [], []),
            encryption_algs=encryption,
            config=None,
        ) as connection,
        connection.start_sftp_client() as sftp,
    ):
        yield sftp


def make_keys_and_roots(home: Home, banks: Mapping[str, Bank]) -> None:
    """Whatever is not there yet; what is there stays as it is."""
    keys = keys_dir(home)
    keys.mkdir(parents=True, exist_ok=True)
    keys.chmod(0o700)
    for bank in banks.values():
        host_key = _key(keys / f"{bank.slug}_host_ed25519")
        pinned = keys / f"{bank.slug}.pub"
        if not pinned.exists():
            _write(pinned, host_key.export_public_key())
        _key(keys / bank.sftp.key)
        _key(keys / f"{bank.slug}-upload_ed25519")
        root = _root(home, bank)
        for folder in (bank.folders.outbox, bank.folders.processed):
            (root / folder.lstrip("/")).mkdir(parents=True, exist_ok=True)


def accounts(home: Home, banks: Mapping[str, Bank]) -> dict[str, Account]:
    """Every account by its name."""
    keys = keys_dir(home)
    found: dict[str, Account] = {}
    for bank in banks.values():
        for name, key, only_at in (
            (bank.sftp.account, bank.sftp.key, bank.bank),
            (f"{bank.slug}-upload", f"{bank.slug}-upload_ed25519", None),
        ):
            public = asyncssh.read_private_key(keys / key).export_public_key().decode()
            found[name] = Account(name, _root(home, bank), public, only_at)
    return found


async def serve(home: Home, banks: Mapping[str, Bank], port: int) -> list[asyncssh.SSHAcceptor]:
    """Start every bank's listener; each has its own host key and folder."""
    known = accounts(home, banks)
    listeners = []
    for bank in banks.values():
        at = port + bank.sftp.local_port_offset
        listeners.append(
            await asyncssh.listen(
                LOOPBACK,
                at,
                server_host_keys=[keys_dir(home) / f"{bank.slug}_host_ed25519"],
                server_factory=lambda bank=bank: _Door(bank.bank, known),
                sftp_factory=lambda channel: _Root(channel, known),
                reuse_address=True,
                # One machine: compression only burns the CPU that everybody shares.
                compression_algs=["none"],
            )
        )
        log.info("%s: %s:%d, root %s", bank.bank, LOOPBACK, at, _root(home, bank))
    return listeners


class _Door(asyncssh.SSHServer):
    """Lets in the accounts of this port, by key only."""

    def __init__(self, bank: str, known: Mapping[str, Account]) -> None:
        self._bank = bank
        self._known = known
        self._connection: asyncssh.SSHServerConnection | None = None

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn

    def begin_auth(self, username: str) -> bool:
        account = self._known.get(username)
        allowed = account is not None and account.only_at in (None, self._bank)
        keys = asyncssh.import_authorized_keys(account.public_key if account and allowed else "")
        if self._connection is not None:
            self._connection.set_authorized_keys(keys)
        return True

    def public_key_auth_supported(self) -> bool:
        return True

    def password_auth_supported(self) -> bool:
        return False

    def kbdint_auth_supported(self) -> bool:
        return False


class _Root(asyncssh.SFTPServer):
    """One account's view: its bank's folder is `/`, and nothing leads out of it."""

    def __init__(self, channel: asyncssh.SSHServerChannel[bytes], known: Mapping[str, Account]) -> None:
        username = channel.get_connection().get_extra_info("username")
        super().__init__(channel, chroot=os.fsencode(known[username].root))

    def symlink(self, oldpath: bytes, newpath: bytes) -> NoReturn:
        raise asyncssh.SFTPPermissionDenied(f"no links here: {newpath!r} to {oldpath!r}")

    def link(self, oldpath: bytes, newpath: bytes) -> NoReturn:
        raise asyncssh.SFTPPermissionDenied(f"no links here: {newpath!r} to {oldpath!r}")


def _root(home: Home, bank: Bank) -> Path:
    return home.data / "sftp" / bank.slug


def _key(path: Path) -> asyncssh.SSHKey:
    if path.exists():
        return asyncssh.read_private_key(path)
    key = asyncssh.generate_private_key("ssh-ed25519", comment=path.name)
    _write(path, key.export_private_key())
    return key


def _write(path: Path, content: bytes) -> None:
    """All or nothing: a key cut short by a crash would lock everybody out."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    draft.replace(path)


async def _run() -> None:
    home = Home.current()
    banks = banks_here()
    make_keys_and_roots(home, banks)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    listeners = await serve(home, banks, base_port())
    await stop.wait()
    for listener in listeners:
        listener.close()
    for listener in listeners:
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(listener.wait_closed(), 3)


def main() -> None:
    """Serve until told to stop."""
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s"
    )
    logging.getLogger("asyncssh").setLevel(logging.WARNING)
    try:
        asyncio.run(_run())
    except OSError as error:
        log.error("cannot serve: %s", error)  # noqa: TRY400 - the port that is taken, not our stack trace
        sys.exit(1)


if __name__ == "__main__":
    main()
