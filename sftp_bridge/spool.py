"""A file's bytes on their way to the archive: hashed as they pass, kept for the parser and for a next try."""

from __future__ import annotations

import hashlib
import io
import uuid
from typing import TYPE_CHECKING, BinaryIO, Final

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from sftp_bridge.remote import Listed

# Bytes that are held in memory, of a file or of what is made of it; more goes to disk. Most bank files are
# under 1 MB, some are 800 MB.
SPOOL_BYTES: Final = 8 * 1024 * 1024
# Bytes that are fetched again and compared before a transfer goes on: after a power cut a file may be as long
# as it should be and end in nothing.
OVERLAP: Final = 1024 * 1024
_CHUNK: Final = 1024 * 1024
_SUFFIX: Final = ".part"


class Spool:
    """One file's bytes; in memory, or in a file of their own that outlives a broken transfer."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._file: BinaryIO = io.BytesIO() if path is None else path.open("a+b")
        self._hash = hashlib.sha256()
        self.size = 0

    def take(self, chunk: bytes) -> None:
        """The next bytes."""
        self._hash.update(chunk)
        self._file.write(chunk)
        self.size += len(chunk)

    def resume(self) -> bytes:
        """Take what is there already, but for its end; that end is to be compared with what comes."""
        self._file.seek(0, io.SEEK_END)
        keep = max(0, self._file.tell() - OVERLAP)
        self._file.seek(0)
        while self.size < keep:
            chunk = self._file.read(min(_CHUNK, keep - self.size))
            self._hash.update(chunk)
            self.size += len(chunk)
        end = self._file.read()
        self._file.truncate(keep)
        return end

    def restart(self) -> None:
        """Nothing of what is there is worth anything."""
        self._file.truncate(0)
        self._hash = hashlib.sha256()
        self.size = 0

    @property
    def sha256(self) -> str:
        """Of everything taken so far."""
        return self._hash.hexdigest()

    def opened(self) -> BinaryIO:
        """Everything from the first byte, for one reader; there may be several at once."""
        if self._path is None:
            assert isinstance(self._file, io.BytesIO)  # noqa: S101 - for the type checker
            return io.BytesIO(self._file.getbuffer())
        self._file.flush()
        return self._path.open("rb")

    def close(self) -> None:
        """Let go; what is on disk stays, to be resumed."""
        self._file.close()

    def discard(self) -> None:
        """Let go, and free the disk."""
        self._file.close()
        if self._path is not None:
            self._path.unlink(missing_ok=True)


class SpoolFolder:
    """Where one bank's large files lie while they are worked on."""

    def __init__(self, folder: Path, bank: str) -> None:
        self._folder = folder
        self._prefix = f"{bank}-"

    def spool(self, file: Listed) -> Spool:
        """For this file as it is listed; with what is there of it."""
        if file.size <= SPOOL_BYTES:
            return Spool()
        self._folder.mkdir(parents=True, exist_ok=True)
        return Spool(self._folder / self._name(file))

    def temporary(self, size: int) -> Spool:
        """For bytes that can be fetched again at any time."""
        if size <= SPOOL_BYTES:
            return Spool()
        self._folder.mkdir(parents=True, exist_ok=True)
        return Spool(self._folder / f"{self._prefix}{uuid.uuid4().hex}{_SUFFIX}")

    def sweep(self, listing: Collection[Listed]) -> None:
        """Forget what belongs to no listed file any more."""
        wanted = {self._name(file) for file in listing}
        for path in self._folder.glob(f"{self._prefix}*{_SUFFIX}"):
            if path.name not in wanted:
                path.unlink(missing_ok=True)

    def _name(self, file: Listed) -> str:
        # A digest: names come from outside. Another size or time is another file.
        said = f"{file.name}\0{file.size}\0{file.mtime}".encode()
        return f"{self._prefix}{hashlib.sha256(said).hexdigest()[:32]}{_SUFFIX}"
