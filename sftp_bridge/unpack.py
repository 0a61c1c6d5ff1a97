"""What a bank packed and encrypted, opened as a stream: layer by layer, as the bank's description says.

The archive keeps the bytes as they came; only the parser sees what is inside. Nothing may come out larger
than the description's limit, whatever a header promises.
"""

from __future__ import annotations

import gzip
import io
import lzma
import re
import subprocess
import sys
import tempfile
import zipfile
import zlib
from contextlib import ExitStack, contextmanager
from typing import IO, TYPE_CHECKING, Any, BinaryIO, cast

from sftp_bridge import decrypt
from sftp_bridge.banks import Gzip, Pgp, Zip
from sftp_bridge.errors import FileRefusedError, KeyUnusableError
from sftp_bridge.spool import SPOOL_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sftp_bridge.banks import Files

_CHUNK = 1024 * 1024
_MEGABYTE = 1024 * 1024
# Seconds for a decrypting child that has given all its bytes to end by itself.
_END_SECONDS = 10
_BROKEN = (EOFError, gzip.BadGzipFile, zipfile.BadZipFile, zlib.error, lzma.LZMAError, NotImplementedError)
_ENCRYPTED_MEMBER = 0x1


@contextmanager
def unpacked(raw: BinaryIO, files: Files, keys_dir: Path) -> Iterator[BinaryIO]:
    """The file inside, from its first byte; `raw` itself where nothing is packed."""
    limit = files.unpacked_limit_mb * _MEGABYTE
    with ExitStack() as opened:
        stream = raw
        for step in files.unpack:
            inner: IO[bytes]
            if isinstance(step, Gzip):
                inner = cast("IO[bytes]", opened.enter_context(gzip.GzipFile(fileobj=stream, mode="rb")))
            elif isinstance(step, Zip):
                inner = _member(opened, _seekable(opened, stream), step, limit)
            else:
                child = opened.enter_context(_Decrypted(_on_disk(opened, stream), step, keys_dir))
                inner = cast("IO[bytes]", child)
            bounded = opened.enter_context(_Bounded(inner, step.how, limit))
            stream = cast("BinaryIO", opened.enter_context(io.BufferedReader(bounded)))
            if isinstance(step, Pgp) and step.signed_by:
                # Who signed is known at the end only, and nothing looks inside before that.
                stream = opened.enter_context(spooled(stream))
        yield stream


def keys_wanted(files: Files) -> list[str]:
    """The files in the keys' folder without which nothing can be opened."""
    return [name for step in files.unpack if isinstance(step, Pgp) for name in step.key_files]


def tail_of(stream: BinaryIO, length: int) -> bytes:
    """The last bytes of a stream."""
    tail = b""
    while chunk := stream.read(_CHUNK):
        tail = (tail + chunk)[-length:]
    return tail


def spooled(stream: BinaryIO) -> BinaryIO:
    """Everything, where it can be read in any order; the caller closes it."""
    spool = cast("BinaryIO", tempfile.SpooledTemporaryFile(max_size=SPOOL_BYTES))  # noqa: SIM115
    try:
        while chunk := stream.read(_CHUNK):
            spool.write(chunk)
        spool.seek(0)
    except BaseException:
        spool.close()
        raise
    return spool


def _seekable(opened: ExitStack, stream: BinaryIO) -> BinaryIO:
    return stream if stream.seekable() else opened.enter_context(spooled(stream))


def _on_disk(opened: ExitStack, stream: BinaryIO) -> BinaryIO:
    """With a file descriptor of its own that a child can open."""
    file = cast("BinaryIO", opened.enter_context(tempfile.TemporaryFile()))  # noqa: SIM115
    while chunk := stream.read(_CHUNK):
        file.write(chunk)
    file.flush()
    file.seek(0)
    return file


def _member(opened: ExitStack, stream: BinaryIO, step: Zip, limit: int) -> IO[bytes]:
    try:
        archive = opened.enter_context(zipfile.ZipFile(stream))
        members = [member for member in archive.infolist() if not member.is_dir()]
        if len(members) != 1:
            names = ", ".join(repr(member.filename) for member in members[:5])
            raise FileRefusedError(f"zip: one file was expected inside, found {len(members)}: {names}")
        (member,) = members
        if not re.fullmatch(step.member, member.filename):
            raise FileRefusedError(
                f"zip: a file named like {step.member} was expected, found {member.filename!r}"
            )
        if member.flag_bits & _ENCRYPTED_MEMBER:
            raise FileRefusedError("zip: the file inside has a password; the bank must send it without one")
        if member.file_size > limit:
            raise _too_large("zip", limit)
        return opened.enter_context(archive.open(member))
    except (*_BROKEN, OSError, ValueError) as error:
        raise _broken("zip", error) from error


class _Bounded(io.RawIOBase):
    """One layer's bytes: not more than the limit, and what is broken refuses the file."""

    def __init__(self, source: IO[bytes], what: str, limit: int) -> None:
        self._source = source
        self._what = what
        self._limit = limit
        self._given = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            chunk = self._source.read(len(buffer))
        except _BROKEN as error:
            raise _broken(self._what, error) from error
        self._given += len(chunk)
        if self._given > self._limit:
            raise _too_large(self._what, self._limit)
        buffer[: len(chunk)] = chunk
        return len(chunk)


class _Decrypted(io.RawIOBase):
    """What a decrypting child gives; its last word is asked for when it has given everything."""

    def __init__(self, encrypted: BinaryIO, step: Pgp, keys_dir: Path) -> None:
        self._step = step
        names = (step.key, step.passphrase, step.signed_by)
        keys = [str(_key(keys_dir, name)) if name else "" for name in names]
        # An environment of its own: what this process knows is not the child's business.
        self._child = subprocess.Popen(
            [sys.executable, "-I", decrypt.__file__, *keys],
            stdin=encrypted,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={},
        )

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        assert self._child.stdout is not None  # noqa: S101 - it was asked for
        chunk = self._child.stdout.read(len(buffer))
        buffer[: len(chunk)] = chunk
        if not chunk:
            self._judge()
        return len(chunk)

    def close(self) -> None:
        """End the child, however far it is."""
        if self.closed:
            return
        super().close()
        if self._child.poll() is None:
            self._child.kill()
        for pipe in (self._child.stdout, self._child.stderr):
            if pipe is not None:
                pipe.close()
        self._child.wait()

    def _judge(self) -> None:
        assert self._child.stderr is not None  # noqa: S101 - it was asked for
        said = b"" if self._child.stderr.closed else self._child.stderr.read()
        code = self._child.wait(_END_SECONDS)
        if code == 0:
            return
        lines = said.decode(errors="replace").strip().splitlines()
        last = lines[-1] if lines else f"the decrypting process ended with {code}"
        key, signer = self._step.key, self._step.signed_by
        if code in (decrypt.BAD_KEY, decrypt.BAD_SIGNER):
            name = key if code == decrypt.BAD_KEY else signer
            raise KeyUnusableError(f"the OpenPGP key {name} cannot be used: {last}")
        raise FileRefusedError(
            {
                decrypt.WRONG_KEY: f"pgp: encrypted to another key than {key}; "
                "send the bank its public half, or name the right key in the bank's description",
                decrypt.NOT_ENCRYPTED: "pgp: the file is not encrypted though encryption was agreed; "
                "ask the bank, or take pgp out of the bank's description",
                decrypt.UNSIGNED: f"pgp: not signed though a signature by {signer} was agreed; ask the bank",
                decrypt.OTHER_SIGNER: f"pgp: signed by {last}, which is no key of {signer}; "
                "ask the bank by another way before trusting a new key",
                decrypt.SIGNATURE_BROKEN: f"pgp: the signature by {last} does not hold: the content was "
                f"changed after it was signed, or that key of {signer} was not valid then",
            }.get(code, f"pgp: damaged or cut short ({last}); ask the bank to send it again")
        )


def _key(keys_dir: Path, name: str) -> Path:
    path = keys_dir / name
    if not path.is_file():
        raise KeyUnusableError(f"{path} is missing; it belongs in SETTLE_BRIDGE_KEYS_DIR")
    return path


def _broken(what: str, error: Exception) -> FileRefusedError:
    return FileRefusedError(f"{what}: not such a file, damaged or cut short: {error}")


def _too_large(what: str, limit: int) -> FileRefusedError:
    return FileRefusedError(
        f"{what}: more than {limit // _MEGABYTE} MB come out of it; files.unpacked_limit_mb is the limit"
    )
