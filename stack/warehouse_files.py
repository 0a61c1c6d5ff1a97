"""S3 for the local warehouse's DuckDB, whose own httpfs extension would have to be downloaded."""

from __future__ import annotations

import io
import threading
import time
from collections import OrderedDict, defaultdict
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from fsspec.implementations.arrow import ArrowFSWrapper

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pyarrow.fs import S3FileSystem

# Staged files below this are fetched with one request instead of one for each column.
WHOLE_FILE_BYTES = 2_000_000
# A COPY asks for the same file's facts and bytes a dozen times within a moment. Finished files do not change;
# a broken one that somebody replaced is seen anew after this.
REMEMBERED_SECONDS = 5.0
FACTS_KEPT = 4096
FILES_KEPT = 16

# DuckDB passes on what a file system raises as text only; this is how the text is known again.
AWAY = "the stage does not answer"

_Value = TypeVar("_Value")


@contextmanager
def _answering() -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        raise OSError(f"{AWAY}: {error}") from error


class Memory(Generic[_Value]):
    """The last few answers, for a few seconds."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._kept: OrderedDict[str, tuple[float, _Value]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: str, ask: Callable[[], _Value]) -> _Value:
        with self._lock:
            known = self._kept.get(key)
        if known and time.monotonic() - known[0] < REMEMBERED_SECONDS:
            return known[1]
        value = ask()
        with self._lock:
            self._kept[key] = (time.monotonic(), value)
            self._kept.move_to_end(key)
            while len(self._kept) > self._size:
                self._kept.popitem(last=False)
        return value


class S3Files(ArrowFSWrapper):  # type: ignore[misc]
    """Read-only; DuckDB is handed s3:// names by COPY."""

    protocol = "s3"

    def __init__(self, arrow: S3FileSystem) -> None:
        super().__init__(arrow)
        self._facts: Memory[dict[str, Any]] = Memory(FACTS_KEPT)
        self._files: Memory[bytes] = Memory(FILES_KEPT)

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return path.removeprefix("s3://")

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        with _answering():
            return self._facts.get(path, lambda: ArrowFSWrapper.info(self, path))

    def modified(self, path: str) -> Any:
        return self.info(path)["mtime"]

    def open(self, path: str, mode: str = "rb", **_: Any) -> Any:
        if mode != "rb":
            raise OSError(f"staged files are only read here, not opened with {mode!r}")
        path = self._strip_protocol(path)
        large = (self.info(path)["size"] or 0) > WHOLE_FILE_BYTES
        with _answering():
            if large:
                return SharedReader(self.fs.open_input_file(path))
            content = self._files.get(path, lambda: self.fs.open_input_file(path).read())
        opened = io.BytesIO(content)
        opened.size = len(content)  # type: ignore[attr-defined]
        return opened

    _open = open  # noqa: A003


class SharedReader:
    """One remote file read by several of DuckDB's threads, which seek and then read in two calls."""

    def __init__(self, source: Any) -> None:
        self._source = source
        self.size = source.size()
        self._at: dict[int, int] = defaultdict(int)
        self.closed = False

    def seek(self, offset: int, whence: int = 0) -> int:
        thread = threading.get_ident()
        self._at[thread] = offset + (0, self._at[thread], self.size)[whence]
        return self._at[thread]

    def tell(self) -> int:
        return self._at[threading.get_ident()]

    def read(self, count: int = -1) -> bytes:
        thread = threading.get_ident()
        at = self._at[thread]
        wanted = self.size - at if count < 0 else min(count, self.size - at)
        with _answering():
            content: bytes = self._source.read_at(wanted, at)
        self._at[thread] = at + len(content)
        return content

    def close(self) -> None:
        self.closed = True
        self._source.close()
