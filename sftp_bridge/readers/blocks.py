"""A text file in pieces of whole lines, each of which is looked at at once or read on line by line."""

from __future__ import annotations

import codecs
import io
from typing import TYPE_CHECKING, BinaryIO, Final

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

# Bytes of the first piece, which holds what stands above the lines, and of the others: enough that a piece is
# worth looking at at once, little enough that one odd line makes few others slow.
_FIRST: Final = 64 * 1024
_BLOCK: Final = 1024 * 1024
# Encodings in which the bytes of a line's end are nothing else.
_PLAIN: Final = frozenset({"ascii", "utf-8", "cp1252", "iso8859-1", "iso8859-15"})


class Blocks(io.RawIOBase):
    """Whoever takes a block decides: read it here and now, or give it back to be streamed.

    As a stream it gives what was given back, and goes on into the next block only if the reader wants to
    know how a line ends that began in the one before.
    """

    def __init__(self, raw: BinaryIO) -> None:
        super().__init__()
        self._raw = raw
        self._rest = b""
        self._size = _FIRST
        self._streamed = memoryview(b"")
        # Lines that were given to be streamed.
        self.lines = 0

    def take(self) -> bytes | None:
        """The next whole lines; what does not end, in a piece that is too long; None at the end."""
        piece = self._rest + self._raw.read(self._size)
        self._size = _BLOCK
        end = piece.rfind(b"\n") + 1 or len(piece)
        self._rest = piece[end:]
        return piece[:end] or None

    def stream(self, block: bytes) -> None:
        """Give it back, to be read as a stream."""
        self._streamed = memoryview(block)
        self.lines += lines_in(block)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        if not self._streamed:
            block = self.take()
            if block is None:
                return 0
            self.stream(block)
        view = memoryview(buffer).cast("B")
        size = min(len(view), len(self._streamed))
        view[:size] = self._streamed[:size]
        self._streamed = self._streamed[size:]
        return size


def in_blocks(encoding: str) -> bool:
    """Can a file in this encoding be cut at its line ends without being decoded?"""
    return codecs.lookup(encoding).name in _PLAIN


def lines_in(block: bytes) -> int:
    """Lines as Python's text files count them; also one that goes on behind the block."""
    ends = block.count(b"\n") + block.count(b"\r") - block.count(b"\r\n")
    return ends + (not block.endswith((b"\n", b"\r")))
