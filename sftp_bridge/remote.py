"""A bank's SFTP server: list, read, move. To a host key that is not the pinned one nothing is said."""

from __future__ import annotations

import asyncio
import logging
import stat
from collections import deque
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import asyncssh

from sftp_bridge import crash_points
from sftp_bridge.counts import Transfer
from sftp_bridge.errors import (
    AccessRefusedError,
    FileChangedError,
    HostKeyError,
    RemoteUnavailableError,
    RequestFailedError,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Iterator
    from pathlib import Path

    from sftp_bridge.banks import Bank
    from sftp_bridge.settings import BridgeSettings
    from sftp_bridge.spool import Spool

log = logging.getLogger("bridge")

# Bytes asked for at once; asyncssh keeps many requests of the largest size the server takes in flight to
# fill it. With single 16 KiB requests a transfer waits for the network two thirds of the time; so it does for
# a part of it when the next is asked for only once one is there.
CHUNK = 1024 * 1024
AHEAD = 4
# Processors have instructions for it: twice as fast as what asyncssh would choose. Then all else it knows.
ENCRYPTION = "^aes128-gcm@openssh.com,aes256-gcm@openssh.com"
# Seconds for a login, and for one answer: a chunk, a listing, a move. A server that hangs longer counts as
# away; its bank alone waits for it.
LOGIN_SECONDS = 20
ANSWER_SECONDS = 120
# Seconds between keep-alives; three unanswered ones end the connection.
KEEPALIVE_SECONDS = 15
# The name of no file anywhere; asked about, never made.
_NOBODYS = ".settle-banks-check"
# Permission to write for owner, group or others.
_WRITABLE = 0o222


@dataclass(frozen=True, slots=True)
class Listed:
    """One plain file as the server lists it."""

    name: str
    size: int
    mtime: int


class Remote:
    """One bank's server; connects when first needed and again after a failure."""

    def __init__(self, bank: Bank, settings: BridgeSettings) -> None:
        self._bank = bank
        self.host = settings.sftp_host or bank.sftp.host
        self.port = settings.sftp_port + bank.sftp.local_port_offset if settings.sftp_port else bank.sftp.port
        self._key = settings.keys_dir / bank.sftp.key
        self._host_key = settings.keys_dir / bank.sftp.host_key
        self._connection: asyncssh.SSHClientConnection | None = None
        self._client: asyncssh.SFTPClient | None = None

    @property
    def address(self) -> str:
        """host:port, for people."""
        return f"{self.host}:{self.port}"

    async def list_outbox(self) -> list[Listed]:
        """The plain files in the bank's outbox; links and folders are none of our business."""
        async with self._sftp("listing the outbox") as sftp:
            outbox = self._bank.folders.outbox
            try:
                # By bytes: one name in another encoding must not hide all the others.
                entries = await sftp.readdir(outbox.encode())
            except (asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath, asyncssh.SFTPNotADirectory) as error:
                raise self._no_folder("outbox", outbox) from error
        return sorted(_plain_files(entries), key=lambda one: one.name)

    async def read(self, file: Listed, spool: Spool, transfer: Transfer | None = None) -> None:
        """What the spool does not have yet; raises when the file is not the listed one at the end."""
        path = f"{self._bank.folders.outbox}/{file.name}"
        # No limit for the whole: a large file takes its time, chunk by chunk.
        reading = self._sftp(f"reading {file.name}", seconds=None)
        async with reading as sftp, sftp.open(path, "rb") as opened:
            await self._resume(opened, file, spool)
            transfer = transfer or Transfer(file.name, file.size)
            transfer.goes_on(spool.size)
            # What came last is hashed and written while the next is on its way, and other banks' tasks run.
            writing: asyncio.Future[None] = asyncio.ensure_future(asyncio.sleep(0))
            try:
                async with aclosing(self._chunks(opened, spool.size, file.size)) as chunks:
                    async for chunk in chunks:
                        await writing
                        transfer.took(len(chunk))
                        crash_points.reached("transfer")
                        writing = asyncio.ensure_future(asyncio.to_thread(spool.take, chunk))
            finally:
                await writing
        now = await self.stat(file.name)
        if now != file or spool.size != file.size:
            raise FileChangedError(
                f"{file.name} changed while it was read: {file} became {now}, read {spool.size}"
            )

    async def _resume(self, opened: asyncssh.SFTPClientFile, file: Listed, spool: Spool) -> None:
        """Keep what came before, if the file still says so."""
        end = await asyncio.to_thread(spool.resume)
        if not end:
            return
        async with asyncio.timeout(ANSWER_SECONDS):
            again = cast("bytes", await opened.read(len(end), spool.size))
        if again == end:
            spool.take(end)
            log.info("%s goes on at %d of %d bytes", file.name, spool.size, file.size)
        else:
            log.warning("%s is not what began to come; from its first byte again", file.name)
            spool.restart()

    async def _chunks(self, opened: asyncssh.SFTPClientFile, at: int, size: int) -> AsyncGenerator[bytes]:
        """From there to the end and one look behind it; asked for ahead, so that the line never waits."""
        asked: deque[asyncio.Future[bytes]] = deque()
        try:
            while True:
                for ahead in range(at + len(asked) * CHUNK, min(at + AHEAD * CHUNK, size + 1), CHUNK):
                    asked.append(asyncio.ensure_future(opened.read(CHUNK, ahead)))
                if not asked:
                    return
                async with asyncio.timeout(ANSWER_SECONDS):
                    chunk = await asked[0]
                if not chunk:
                    return
                asked.popleft()
                at += len(chunk)
                yield chunk
                if len(chunk) < CHUNK:
                    # The end, or a server that gives less than it is asked for: what comes next begins here.
                    await _cancelled(asked)
        finally:
            await _cancelled(asked)

    async def tail(self, file: Listed, length: int) -> bytes:
        """The file's last bytes."""
        path = f"{self._bank.folders.outbox}/{file.name}"
        async with self._sftp(f"reading the end of {file.name}") as sftp, sftp.open(path, "rb") as opened:
            return cast("bytes", await opened.read(length, max(0, file.size - length)))

    async def stat(self, name: str) -> Listed | None:
        """The file as it is now; None when it is gone."""
        async with self._sftp(f"looking at {name}") as sftp:
            try:
                attributes = await sftp.lstat(f"{self._bank.folders.outbox}/{name}")
            except asyncssh.SFTPNoSuchFile:
                return None
        return Listed(name, attributes.size or 0, int(attributes.mtime or 0))

    async def move_to_processed(self, name: str, unique: str) -> None:
        """Out of the outbox; under `unique` in front where the name is taken already."""
        source = f"{self._bank.folders.outbox}/{name}"
        async with self._sftp(f"moving {name}") as sftp:
            target = f"{self._bank.folders.processed}/{name}"
            if await sftp.exists(target):
                target = f"{self._bank.folders.processed}/{unique}.{name}"
            try:
                await sftp.rename(source, target)
            except asyncssh.SFTPNoSuchFile as error:
                if await sftp.isdir(self._bank.folders.processed):
                    raise
                raise self._no_folder("processed", self._bank.folders.processed) from error

    async def check_folders(self) -> dict[str, str]:
        """What is wrong with the two folders, by folder; empty when nothing is."""
        wrong = {}
        async with self._sftp("looking at the folders") as sftp:
            for folder in (self._bank.folders.outbox, self._bank.folders.processed):
                try:
                    if not await sftp.isdir(folder):
                        wrong[folder] = "is no folder"
                except asyncssh.SFTPError as error:
                    wrong[folder] = error.reason
        return wrong

    async def move_refused(self) -> str | None:
        """Why nothing may be moved to the processed folder, as far as asking tells.

        Moves a file that is not there: a server that checks our rights first says no to them, the others say
        that there is no such file, and nothing has changed either way.
        """
        outbox, processed = self._bank.folders.outbox, self._bank.folders.processed
        async with self._sftp("asking whether files may be moved") as sftp:
            mode = (await sftp.stat(processed)).permissions
            if mode is not None and not mode & _WRITABLE:
                return "is closed to everybody's writing"
            try:
                await sftp.rename(f"{outbox}/{_NOBODYS}", f"{processed}/{_NOBODYS}")
            except asyncssh.SFTPPermissionDenied as error:
                return f"is closed to us: {error.reason}"
            except asyncssh.SFTPError:
                return None
        return None

    async def close(self) -> None:
        """Let go of the connection."""
        connection, self._connection, self._client = self._connection, None, None
        if connection is not None:
            connection.close()
            await connection.wait_closed()

    def _no_folder(self, which: str, path: str) -> AccessRefusedError:
        return AccessRefusedError(
            f"{self._bank.bank} {self.address}: there is no folder {path}; ask the bank, or mend"
            f" folders.{which} in its description"
        )

    @asynccontextmanager
    async def _sftp(
        self, doing: str, seconds: float | None = ANSWER_SECONDS
    ) -> AsyncIterator[asyncssh.SFTPClient]:
        where = f"{self._bank.bank} {self.address}: {doing}"
        try:
            if self._client is None:
                await self._connect()
            assert self._client is not None  # noqa: S101 - for the type checker
            async with asyncio.timeout(seconds):
                yield self._client
        except (asyncssh.SFTPPermissionDenied, asyncssh.PermissionDenied) as error:
            await self.close()
            raise AccessRefusedError(f"{where}: {error.reason or 'refused'}") from error
        except asyncssh.HostKeyNotVerifiable as error:
            raise HostKeyError(
                f"{where}: the server's host key is not the one in {self._host_key}; nothing was read. "
                "Ask the bank by another way before pinning a new key"
            ) from error
        except asyncssh.SFTPNoSuchFile as error:
            raise RequestFailedError(f"{where}: not there any more") from error
        except (asyncssh.SFTPConnectionLost, asyncssh.SFTPNoConnection) as error:
            await self.close()
            raise RemoteUnavailableError(f"{where}: {error.reason or 'the line broke'}") from error
        except asyncssh.SFTPError as error:
            # The line is well, so one file that cannot be moved holds up no other.
            raise RequestFailedError(f"{where}: {type(error).__name__} {error.reason}".rstrip()) from error
        except (asyncssh.Error, OSError, TimeoutError) as error:
            await self.close()
            said = f"{type(error).__name__} {error}".rstrip()
            if isinstance(error, TimeoutError) and not error.args:
                said = "no answer in time"
            raise RemoteUnavailableError(f"{where}: {said}") from error

    async def _connect(self) -> None:
        try:
            pinned = asyncssh.read_public_key(self._host_key)
            own = asyncssh.read_private_key(self._key)
        except (OSError, asyncssh.KeyImportError) as error:
            raise AccessRefusedError(f"{self._bank.bank}: a key cannot be read: {error}") from error
        # Only the pinned key, and only its algorithm: whatever else the server shows ends the handshake
        # before we have said who we are.
        self._connection = await asyncssh.connect(
            self.host,
            self.port,
            username=self._bank.sftp.account,
            client_keys=[own],
            known_hosts=([pinned], [], []),
            encryption_algs=ENCRYPTION,
            agent_path=None,
            config=None,
            login_timeout=LOGIN_SECONDS,
            connect_timeout=LOGIN_SECONDS,
            keepalive_interval=KEEPALIVE_SECONDS,
        )
        self._client = await self._connection.start_sftp_client()


async def _cancelled(asked: deque[asyncio.Future[bytes]]) -> None:
    for one in asked:
        one.cancel()
    await asyncio.gather(*asked, return_exceptions=True)
    asked.clear()


def pinned_fingerprint(path: Path) -> str:
    """The pinned key as `ssh-keygen -l` shows it."""
    try:
        return asyncssh.read_public_key(path).get_fingerprint()
    except (OSError, asyncssh.KeyImportError) as error:
        raise AccessRefusedError(f"the pinned host key cannot be read: {error}") from error


def _plain_files(entries: object) -> Iterator[Listed]:
    assert isinstance(entries, list | tuple)  # noqa: S101 - for the type checker
    for entry in entries:
        attributes = entry.attrs
        mode = attributes.permissions
        if mode is not None and not stat.S_ISREG(mode):
            continue
        name = entry.filename.decode("utf-8", "backslashreplace")
        yield Listed(name, attributes.size or 0, int(attributes.mtime or 0))
