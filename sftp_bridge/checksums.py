"""The file beside a file that says what its bytes hash to: NAME.sha256 as `sha256sum` writes it, or bare hex.

It is the bank's word about the bytes as they lie on its server, packed ones too. Without it a file is not
whole; where it says something else, the file is quarantined with claimed beside computed.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from settlement.masking import mask_text
from sftp_bridge.errors import FileRefusedError

if TYPE_CHECKING:
    from typing import BinaryIO

    from sftp_bridge.banks import Checksum

# Bytes of a checksum file that are read: a line of one has some hundred, one of a whole folder's files a few
# thousand.
READ = 16 * 1024
_CHUNK = 1024 * 1024
# Characters of what is no checksum that are kept and shown.
_SHOWN = 80
# HEX, HEX  NAME, HEX *NAME, and as BSD's tools write it: SHA256 (NAME) = HEX.
_GNU = re.compile(r"\\?(?P<hex>[0-9a-f]+)(?:[ \t]+\*?(?P<name>.+))?", re.IGNORECASE)
_BSD = re.compile(r"[\w/-]+ ?\((?P<name>.+)\) ?= ?(?P<hex>[0-9a-f]+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Checked:
    """What a checksum file says of a file, beside what its bytes say."""

    algorithm: str
    claimed: str
    computed: str

    @property
    def agrees(self) -> bool:
        """Is it the bank's word about these bytes?"""
        return self.claimed == self.computed

    def require(self) -> None:
        """Refuse a file whose bytes are not those that the bank spoke of."""
        if not self.agrees:
            raise FileRefusedError(
                f"the bank's {self.algorithm} is {self.claimed!r}, that of the bytes that came is"
                f" {self.computed}; the transfer or the checksum is damaged, ask the bank which"
            )


def claimed_by(text: bytes, name: str, how: Checksum) -> str:
    """The hash that a checksum file says, in small letters; where it says none, how it begins instead."""
    lines = [line.strip() for line in text.decode("utf-8-sig", "replace").split("\n")]
    found = [match for line in lines if (match := _BSD.fullmatch(line) or _GNU.fullmatch(line))]
    # Of several files' checksums this file's; a single one is this file's, whatever it was called before.
    if len(found) > 1:
        found = [one for one in found if (one["name"] or "").rpartition("/")[2] == name]
    claimed = found[0]["hex"].lower() if len(found) == 1 else ""
    if len(claimed) == hashlib.new(how.algorithm, usedforsecurity=False).digest_size * 2:
        return claimed
    return mask_text(" ".join("".join(lines).split()))[:_SHOWN]


def computed_of(file: BinaryIO, algorithm: str) -> str:
    """The hash of all of it; the caller has rewound it."""
    # md5 finds what the line damaged, which is what it is sent for; who sends is the host key's matter.
    digest = hashlib.new(algorithm, usedforsecurity=False)
    while chunk := file.read(_CHUNK):
        digest.update(chunk)
    return digest.hexdigest()
