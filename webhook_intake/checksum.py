"""Paytm's checksum: a salted SHA-256 under AES, as its webhooks and APIs carry it.

1. Form: drop CHECKSUMHASH, sort the keys, join the values with "|" (null becomes empty). JSON: the text
   of `body` exactly as sent.
2. Append "|" and a salt of four characters; SHA-256 in hex; append the salt.
3. PKCS#7, AES-CBC with the merchant key and Paytm's fixed IV, base64.
4. To verify: decrypt, take the salt off the end, compute again, compare in constant time.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
import string
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC

if TYPE_CHECKING:
    from collections.abc import Mapping

# Paytm's choice, the same for every merchant: the salt is what makes two checksums of one text differ.
_IV = b"@@@@&&&&####$$$$"
_SALT_LENGTH = 4
_SALT_CHARACTERS = string.ascii_letters + string.digits
# 64 hex characters and the salt, padded to 80 bytes, in base64: any other length was not made by Paytm.
_LENGTH = 108


def form_text(fields: Mapping[str, str | None]) -> str:
    """What a form's checksum stands over."""
    return "|".join(fields[key] or "" for key in sorted(fields) if key != "CHECKSUMHASH")


def sign_form(fields: Mapping[str, str | None], key: str, salt: str | None = None) -> str:
    """The CHECKSUMHASH of a form."""
    return sign_text(form_text(fields), key, salt)


def sign_text(text: str, key: str, salt: str | None = None) -> str:
    """The signature of a JSON body's exact text."""
    # 2.
    salt = salt or "".join(secrets.choice(_SALT_CHARACTERS) for _ in range(_SALT_LENGTH))
    plain = _salted(text, salt.encode())
    # 3.
    padder = padding.PKCS7(AES.block_size).padder()
    padded = padder.update(plain) + padder.finalize()
    encryptor = Cipher(AES(key.encode()), CBC(_IV)).encryptor()
    return base64.b64encode(encryptor.update(padded) + encryptor.finalize()).decode()


def verify_text(text: str, signature: str, key: str) -> bool:
    """Was this signature made over this text with this key? Never raises on what a forger sends."""
    # 4.
    if len(signature) != _LENGTH:
        return False
    try:
        sealed = base64.b64decode(signature, validate=True)
        decryptor = Cipher(AES(key.encode()), CBC(_IV)).decryptor()
        padded = decryptor.update(sealed) + decryptor.finalize()
        unpadder = padding.PKCS7(AES.block_size).unpadder()
        plain = unpadder.update(padded) + unpadder.finalize()
    except (binascii.Error, ValueError):
        return False
    return hmac.compare_digest(plain, _salted(text, plain[-_SALT_LENGTH:]))


def verify_form(fields: Mapping[str, str | None], signature: str, key: str) -> bool:
    """Was this CHECKSUMHASH made over these fields with this key?"""
    return verify_text(form_text(fields), signature, key)


def _salted(text: str, salt: bytes) -> bytes:
    digest = hashlib.sha256(text.encode("utf-8", "surrogateescape") + b"|" + salt).hexdigest()
    return digest.encode() + salt
