"""The child process that decrypts one OpenPGP file: standard input to standard output, as a stream.

A process of its own, because the library holds the interpreter's lock while it decrypts, which would stop
every bank; and because what reads hostile bytes is better ended from outside than asked to stop. It is run
by path and imports nothing of this room. Arguments, each may be empty but the first: the private key's file,
the file with its passphrase, the file with the public keys of which one must have signed. The exit code says
what went wrong, standard error says it in a line.
"""

from __future__ import annotations

import base64
import binascii
import re
import sys
from pathlib import Path

import pysequoia
from pysequoia.packet import PacketPile

WRONG_KEY, NOT_ENCRYPTED, DAMAGED, BAD_KEY = 11, 12, 13, 14
UNSIGNED, OTHER_SIGNER, SIGNATURE_BROKEN, BAD_SIGNER = 15, 16, 17, 18
# First packets of an encrypted message: session keys, encrypted data, marker, padding.
_ENCRYPTED = {1, 3, 9, 10, 18, 20, 21}
_HEAD = 4096


def is_encrypted(head: bytes) -> bool:
    """Does a file that begins so hold an encrypted OpenPGP message? A signed one holds plain text."""
    armored = re.match(rb"\s*-----BEGIN PGP MESSAGE-----[^\n]*\n(?:[^\n:]+:[^\n]*\n)*\s*(\S{4})", head)
    try:
        first = base64.b64decode(armored[1])[0] if armored else head[0]
    except (IndexError, binascii.Error):
        return False
    tag = first & 0x3F if first & 0x40 else first >> 2 & 0xF
    return bool(first & 0x80) and tag in _ENCRYPTED


def _say(code: int, error: object) -> int:
    # Sequoia adds a stack trace to what it says.
    print(str(error).partition("\n")[0], file=sys.stderr)  # noqa: T201
    return code


class Signers:
    """The keys of which one must have signed, and the keys that a message says have signed it."""

    def __init__(self, path: str) -> None:
        self._keys = pysequoia.Cert.split_file(path)
        if not self._keys:
            raise ValueError("no OpenPGP key in it")
        packets = (packet for key in self._keys for packet in PacketPile.from_bytes(bytes(key)))
        self._known = [str(packet.fingerprint) for packet in packets if packet.fingerprint]
        self.named: list[str] = []

    def asked(self, ids: list[str]) -> list[pysequoia.Cert]:
        """What the library verifies with: the agreed keys, whoever signed."""
        self.named += ids
        return self._keys

    def refused(self) -> tuple[int, str]:
        """Why no signature counted, once the message has been read."""
        if not self.named:
            return UNSIGNED, "no signature"
        # A message names a key by its fingerprint or, in older ones, by the end of it.
        known = [one for one in self.named if any(key.endswith(one.lower()) for key in self._known)]
        said = ", ".join(one.upper() for one in self.named)
        return (SIGNATURE_BROKEN if known else OTHER_SIGNER), said


def main(key: str, passphrase: str = "", signed_by: str = "") -> int:
    """Decrypt; 0 when every byte was given, authenticated, and signed as agreed."""
    with open("/dev/stdin", "rb") as encrypted:  # noqa: PTH123
        if not is_encrypted(encrypted.read(_HEAD)):
            return _say(NOT_ENCRYPTED, "no encrypted OpenPGP message")
    try:
        word = Path(passphrase).read_text(encoding="utf-8").rstrip("\r\n") if passphrase else None
        decryptor = pysequoia.Tsk.from_file(key).decryptor(word)
    except (OSError, RuntimeError, ValueError, TypeError) as error:
        return _say(BAD_KEY, error)
    try:
        signers = Signers(signed_by) if signed_by else None
    except (OSError, RuntimeError, ValueError, TypeError) as error:
        return _say(BAD_SIGNER, error)
    try:
        store = signers.asked if signers else None
        pysequoia.decrypt_file("/dev/stdin", "/dev/stdout", decryptor=decryptor, store=store)
    except (OSError, RuntimeError) as error:
        if signers and "no valid signatures" in str(error):
            return _say(*signers.refused())
        return _say(WRONG_KEY if "No key to decrypt" in str(error) else DAMAGED, error)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
