"""What the bridge tells of a bank's description, in `settle banks list` and in sp_v2_bank_configs alike."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import orjson

from sftp_bridge.remote import Remote
from sftp_bridge.unpack import keys_wanted

if TYPE_CHECKING:
    from sftp_bridge.banks import Bank
    from sftp_bridge.settings import BridgeSettings


def described(bank: Bank, settings: BridgeSettings) -> dict[str, Any]:
    """As the bridge runs it with these settings. Of keys and passphrases only the names of their files."""
    remote = Remote(bank, settings)
    formats = (bank.format,) if bank.format else bank.formats
    return {
        "bank": bank.bank,
        "server": remote.address,
        "host": remote.host,
        "port": remote.port,
        "account": bank.sftp.account,
        "key": bank.sftp.key,
        "host_key": bank.sftp.host_key,
        "outbox": bank.folders.outbox,
        "processed": bank.folders.processed,
        "names": bank.files.name,
        "cutoffs": list(bank.files.cutoffs),
        "time_zone": bank.files.time_zone,
        "grace_minutes": bank.files.grace_minutes,
        "files_per_cutoff": bank.files.per_cutoff,
        "early_minutes": bank.files.early_minutes,
        "calendar": bank.calendar.model_dump(mode="json"),
        "complete": bank.complete.how,
        "checksum": bank.checksum.algorithm if bank.checksum else None,
        "unpack": [step.how for step in bank.files.unpack],
        "unpack_keys": list(keys_wanted(bank.files)),
        "formats": [
            {"kind": one.kind, "from": one.since.isoformat() if one.since else None} for one in formats
        ],
        "sha256": digest(bank),
    }


def digest(bank: Bank) -> str:
    """Of what the description says; its comments, the order of its keys and our defaults are not in it."""
    said = bank.model_dump(mode="json", by_alias=True, exclude_unset=True)
    return hashlib.sha256(orjson.dumps(said, option=orjson.OPT_SORT_KEYS)).hexdigest()
