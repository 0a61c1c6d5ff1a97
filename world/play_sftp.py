"""Plays the banks: files over SFTP, each the way its bank says that a file is whole.

AXIS uploads under another name and renames; HDFC puts a marker beside the file; ICICI says nothing, and is
slow: its files grow in parts.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import asyncssh

from stack.sftp import logged_in, upload_target
from world.errors import DoorError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from world.statements import Statement

# A slow bank's parts, and the pause between them: shorter than the quiet a file must keep to count as whole.
_PARTS: Final = 3
_PAUSE: Final = 0.4


def upload(statements: Sequence[Statement]) -> None:
    """Drop these files, every bank over one connection of its own."""
    try:
        asyncio.run(_upload(statements))
    except (OSError, asyncssh.Error) as error:
        raise DoorError(f"a bank's SFTP server does not take its file: {error}") from error


async def _upload(statements: Sequence[Statement]) -> None:
    by_bank: dict[str, list[Statement]] = {}
    for statement in statements:
        by_bank.setdefault(statement.key[0], []).append(statement)
    await asyncio.gather(*(_bank(bank, mine) for bank, mine in by_bank.items()))


async def _bank(bank: str, statements: list[Statement]) -> None:
    target = upload_target(bank)
    async with logged_in(target) as sftp:
        await asyncio.gather(*(_drop(sftp, bank, target.outbox, statement) for statement in statements))


async def _drop(sftp: asyncssh.SFTPClient, bank: str, outbox: str, statement: Statement) -> None:
    path = f"{outbox}/{statement.name}"
    if bank == "AXIS":
        await _write(sftp, f"{path}.part", statement.data, parts=1)
        await sftp.posix_rename(f"{path}.part", path)
    elif bank == "HDFC":
        await _write(sftp, path, statement.data, parts=1)
        await _write(sftp, f"{path}.done", b"", parts=1)
    else:
        await _write(sftp, path, statement.data, parts=_PARTS)


async def _write(sftp: asyncssh.SFTPClient, path: str, data: bytes, *, parts: int) -> None:
    size = max(1, -(-len(data) // parts))
    async with sftp.open(path, "wb") as file:
        for at in range(0, len(data), size):
            if at:
                await asyncio.sleep(_PAUSE)
            await file.write(data[at : at + size])
