"""The local stack's passwords: random, made at first `up`, readable by their owner only."""

from __future__ import annotations

import json
import os
import secrets
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stack.home import Home

# PayU and Paytm fix the lengths of theirs: Paytm's merchant key is an AES-128 key, sixteen characters.
NAMES = {
    "postgres_password": 24,
    "payments_password": 24,
    "debezium_password": 24,
    "settle_password": 24,
    "s3_access_key": 20,
    "s3_secret_key": 40,
    "warehouse_password": 24,
    "razorpay_webhook_secret": 32,
    "razorpay_key_id": 14,
    "razorpay_key_secret": 24,
    "payu_key": 6,
    "payu_salt": 32,
    "paytm_merchant_key": 16,
    "paytm_mid": 20,
}
# No characters that a URL, a shell or a properties file would read as something else.
ALPHABET = "abcdefghjkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"


def load(home: Home) -> dict[str, str]:
    """All secrets; a name added later gets its value without touching the others."""
    home.make()
    path = home.secrets / "secrets.json"
    known: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
    missing = {n: size for n, size in NAMES.items() if n not in known}
    if missing:
        known |= {n: "".join(secrets.choice(ALPHABET) for _ in range(size)) for n, size in missing.items()}
        handle, part = tempfile.mkstemp(dir=home.secrets)  # mkstemp makes it 0600
        with os.fdopen(handle, "w") as file:
            json.dump(known, file, indent=2)
        Path(part).rename(path)
    return known
