"""How the gateways sign what they send, written from their side.

The intake verifies with code of its own; two hands that follow the same page check each other.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import TYPE_CHECKING, NamedTuple

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

if TYPE_CHECKING:
    from collections.abc import Mapping

_PAYTM_IV = b"@@@@&&&&####$$$$"
_PAYU_HASHED = ("udf1", "email", "firstname", "productinfo", "amount", "txnid", "key")


class Secrets(NamedTuple):
    """What the gateways and we agreed on."""

    razorpay_secret: str
    payu_key: str
    payu_salt: str
    paytm_mid: str
    paytm_key: str


def razorpay_signature(body: bytes, secret: bytes) -> str:
    """X-Razorpay-Signature: HMAC-SHA256 over the raw body."""
    return hmac.digest(secret, body, "sha256").hex()


def payu_hash(fields: Mapping[str, str], salt: str) -> str:
    """SALT|status||||||udf5|udf4|udf3|udf2|udf1|email|firstname|productinfo|amount|txnid|key."""
    udfs = [fields.get(f"udf{n}", "") for n in (5, 4, 3, 2)]
    rest = [fields.get(name, "") for name in _PAYU_HASHED]
    text = "|".join([salt, fields["status"], "", "", "", "", "", *udfs, *rest])
    return hashlib.sha512(text.encode()).hexdigest()


def paytm_form_checksum(fields: Mapping[str, str], key: str, salt: str) -> str:
    """CHECKSUMHASH of a form: its values in the order of their names."""
    return paytm_checksum(
        "|".join(fields[name] for name in sorted(fields) if name != "CHECKSUMHASH"), key, salt
    )


def paytm_checksum(text: str, key: str, salt: str) -> str:
    """SHA-256 over the text and a salt of four characters, both encrypted under the merchant key."""
    plain = (hashlib.sha256(f"{text}|{salt}".encode()).hexdigest() + salt).encode()
    padding = 16 - len(plain) % 16
    encryptor = Cipher(algorithms.AES(key.encode()), modes.CBC(_PAYTM_IV)).encryptor()
    sealed = encryptor.update(plain + bytes([padding]) * padding) + encryptor.finalize()
    return base64.b64encode(sealed).decode()
