"""Lines of text in the agreed encoding, one held at a time; says what another encoding looks like."""

from __future__ import annotations

import codecs
import io
import re
from typing import TYPE_CHECKING, BinaryIO, cast

from sftp_bridge.errors import FileRefusedError

if TYPE_CHECKING:
    from collections.abc import Iterator

# Characters of one line. Statement lines have a few hundred; without a limit one line of 100 MB, or one
# quotation mark that never closes, would be read into memory whole.
LINE_LIMIT = 64 * 1024
# Characters of a refused line that go on to the dead letter.
_EXCERPT = 500
_LINE_END = re.compile(rb"\r\n|\r|\n")
# Bytes that are looked at before the first line is read, and from what does not decode on.
_SAMPLE = 4096
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


class Lines:
    """Lines with their ends; knows the number and the beginning of the one given last."""

    def __init__(self, raw: BinaryIO, encoding: str) -> None:
        self.number = 0
        self.excerpt = ""
        self._raw = raw
        self._encoding = encoding
        # A file in one byte per character decodes whatever it is; utf-8 in it is recognised by its pairs.
        self._may_be_utf8 = _one_byte_each(encoding)
        self._lines = self._read()

    def __iter__(self) -> Iterator[str]:
        return self._lines

    def skip(self, lines: int) -> None:
        """So many were read by somebody else."""
        self.number += lines

    def close(self) -> None:
        """Give the raw file back, open."""
        close = getattr(self._lines, "close", None)
        if close is not None:
            close()

    def _read(self) -> Iterator[str]:
        given = self._raw
        buffered = (
            given if isinstance(given, io.BufferedReader) else io.BufferedReader(cast("io.RawIOBase", given))
        )
        text = None
        try:
            self._check_start(buffered)
            text = io.TextIOWrapper(buffered, encoding=self._encoding, errors="strict", newline="")
            while line := self._next(text):
                yield line
        finally:
            if text is not None:
                text.detach()
            if buffered is not given:
                buffered.detach()

    def _next(self, text: io.TextIOWrapper) -> str:
        self.excerpt = ""
        try:
            line = text.readline(LINE_LIMIT)
        except UnicodeDecodeError as error:
            looks = looks_like(error.object[error.start :][:_SAMPLE])
            # What is decoded at once has many lines; none of those before it was given yet.
            number = self.number + 1 + len(_LINE_END.findall(error.object[: error.start]))
            raise FileRefusedError(
                f"not {self._encoding}: {error.reason}; it looks like {looks}", line=number
            ) from error
        except UnicodeError as error:
            raise FileRefusedError(f"not {self._encoding}: {error}", line=self.number + 1) from error
        if not line:
            return line
        self.number += 1
        self.excerpt = line[:_EXCERPT]
        if len(line) >= LINE_LIMIT and not line.endswith(("\n", "\r")):
            raise FileRefusedError(f"the line is longer than {LINE_LIMIT} characters", line=self.number)
        if "\0" in line:
            raise FileRefusedError("the line holds NUL bytes", line=self.number)
        if self._may_be_utf8 and not line.isascii() and _is_utf8(line.encode(self._encoding, "replace")):
            raise FileRefusedError(
                f"the file looks like utf-8 where {self._encoding} was agreed", line=self.number
            )
        return line

    def _check_start(self, buffered: io.BufferedReader) -> None:
        start = buffered.peek(_SAMPLE)[:_SAMPLE]
        found, agreed = looks_like(start), codecs.lookup(self._encoding).name
        if agreed.startswith("utf-16"):
            # Every comma and digit has an empty byte; what has none was written in another encoding.
            ends = {found[-2:], agreed[-2:]}
            is_other = bool(start) and (b"\0" not in start or ends == {"le", "be"})
        else:
            is_other = found.startswith("utf-16")
        if is_other:
            raise FileRefusedError(f"the file looks like {found} where {self._encoding} was agreed", line=1)
        if start.startswith(codecs.BOM_UTF8):
            if self._may_be_utf8:
                raise FileRefusedError(f"the file is utf-8 where {self._encoding} was agreed", line=1)
            buffered.read(len(codecs.BOM_UTF8))
        elif agreed in ("utf-16-le", "utf-16-be") and found == "utf-16":
            buffered.read(len(codecs.BOM_UTF16))


def looks_like(sample: bytes) -> str:
    """The encoding that a piece of a file is most likely in."""
    for mark, name in _MARKS:
        if sample.startswith(mark):
            return name
    # In both of these, western letters leave every second byte empty.
    even, odd = sample[::2], sample[1::2]
    if odd and odd.count(0) > len(odd) // 2 and not even.count(0):
        return "utf-16-le"
    if even and even.count(0) > len(even) // 2 and not odd.count(0):
        return "utf-16-be"
    if sample.isascii():
        return "ascii"
    if _is_utf8(sample):
        return "utf-8"
    try:
        sample.decode("cp1252")
    except UnicodeDecodeError:
        return "latin-1"
    return "cp1252"


def _is_utf8(data: bytes) -> bool:
    """Does it decode? A sample may end within a character."""
    try:
        codecs.getincrementaldecoder("utf-8")().decode(data)
    except UnicodeDecodeError:
        return False
    return True


def _one_byte_each(encoding: str) -> bool:
    """Is every byte a character of its own, as in cp1252 and latin-1?"""
    try:
        return len(b"\xc3\xa9".decode(encoding)) == 2
    except UnicodeError:
        return False
