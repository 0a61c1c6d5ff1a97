"""`settle banks check`: everything that a bank's description names, tried one by one; nothing is changed."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

import asyncssh
import pysequoia

from settlement.masking import mask_text
from sftp_bridge.archive import Archive
from sftp_bridge.banks import Pgp, Stable
from sftp_bridge.completeness import Outbox
from sftp_bridge.errors import BridgeError
from sftp_bridge.ledger import Ledger
from sftp_bridge.names import read_name
from sftp_bridge.remote import Remote, pinned_fingerprint
from sftp_bridge.screen import printable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sftp_bridge.banks import Bank
    from sftp_bridge.settings import BridgeSettings

# Names of the outbox that are shown.
_NAMES = 3


class Finding(NamedTuple):
    """One thing that was tried."""

    what: str
    well: bool
    says: str


def findings(bank: Bank, settings: BridgeSettings) -> list[Finding]:
    """What is in the description alone first, then the keys, then what answers over the network."""
    return [
        *_described(bank),
        *_keys(bank, settings.keys_dir),
        *asyncio.run(_server(bank, settings)),
        _archive(settings),
        _ledger(settings),
    ]


def _described(bank: Bank) -> Iterator[Finding]:
    today = datetime.now(bank.zone).date()
    cutoff = bank.files.cutoffs[0]
    name = bank.files.name.replace("{business_date}", f"{today:%Y%m%d}").replace(
        "{cutoff}", cutoff.replace(":", "")
    )
    # As the bank would write the first file of today, without what may be missing.
    before, _, rest = name.partition("[")
    name = before + rest.partition("]")[2] if rest else name
    business = read_name(bank, name)
    beside = [] if isinstance(bank.complete, Stable) else [f"{name}{bank.complete.suffix}"]
    beside += [f"{name}{bank.checksum.suffix}"] if bank.checksum else []
    if business is None:
        yield Finding("names", False, f"{name}, made by files.name, is not read back by it")
    else:
        yield Finding("names", True, f"such as {' with '.join([name, *beside])}")
    layout = bank.format_on(today)
    if layout is None:
        yield Finding("format", False, f"the first format is from {bank.formats[0].since}, after today")
    else:
        since = f" since {layout.since}" if layout.since else ""
        packed = "".join(f"{step.how}, inside it " for step in bank.files.unpack)
        yield Finding("format", True, f"{packed}{layout.kind}{since}")


def _keys(bank: Bank, folder: Path) -> Iterator[Finding]:
    try:
        own = asyncssh.read_private_key(folder / bank.sftp.key)
        yield Finding("ssh key", True, f"{bank.sftp.key}, {own.get_fingerprint()}")
    except (OSError, asyncssh.KeyImportError) as error:
        yield Finding("ssh key", False, f"{folder / bank.sftp.key}: {_line(error)}")
    try:
        yield Finding("host key", True, pinned_fingerprint(folder / bank.sftp.host_key))
    except BridgeError as error:
        yield Finding("host key", False, str(error))
    for step in bank.files.unpack:
        if isinstance(step, Pgp):
            yield _opens(step, folder)
            if step.signed_by:
                yield _signer(folder / step.signed_by)


def _opens(step: Pgp, folder: Path) -> Finding:
    name = step.key
    try:
        word = None
        if step.passphrase:
            name = step.passphrase
            word = (folder / name).read_text(encoding="utf-8").rstrip("\r\n")
            name = step.key
        key = pysequoia.Tsk.from_file(str(folder / step.key))
        key.decryptor(word)
        return _lasting("pgp key", step.key, key.extract_certificate())
    except (OSError, RuntimeError, ValueError, TypeError) as error:
        return Finding("pgp key", False, f"{folder / name}: {_line(error)}")


def _signer(path: Path) -> Finding:
    try:
        keys = pysequoia.Cert.split_file(str(path))
    except (OSError, RuntimeError, ValueError, TypeError) as error:
        return Finding("bank's pgp key", False, f"{path}: {_line(error)}")
    found = [_lasting("bank's pgp key", path.name, key) for key in keys]
    # One key that holds is enough: an old one stays in the file until the bank has stopped using it.
    wells = [one for one in found if one.well]
    return (wells or found or [Finding("bank's pgp key", False, f"{path}: no key in it")])[0]


def _lasting(what: str, name: str, key: pysequoia.Cert) -> Finding:
    until = key.expiration
    says = f"{name}, {key.fingerprint.upper()}"
    if key.is_revoked:
        return Finding(what, False, f"{says}, is revoked")
    if until is not None and until < datetime.now(UTC):
        return Finding(what, False, f"{says}, expired on {until:%Y-%m-%d}")
    return Finding(what, True, says + (f", until {until:%Y-%m-%d}" if until else ""))


async def _server(bank: Bank, settings: BridgeSettings) -> list[Finding]:
    remote = Remote(bank, settings)
    folders = bank.folders
    try:
        wrong = await remote.check_folders()
        found = [Finding("server", True, f"{remote.address} lets {bank.sftp.account} in")]
        if folders.outbox in wrong:
            found.append(Finding("outbox", False, f"{folders.outbox} {wrong[folders.outbox]}"))
        else:
            outbox = Outbox(bank)
            listing = await remote.list_outbox()
            outbox.whole(listing, 0.0)
            names = ", ".join(printable(mask_text(name)) for name in outbox.unrecognised[:_NAMES])
            strange = f", {len(outbox.unrecognised)} not the bank's: {names}" if names else ""
            found.append(Finding("outbox", True, f"{folders.outbox}, {len(listing)} files{strange}"))
        processed = wrong.get(folders.processed) or await remote.move_refused()
        found.append(Finding("processed", not processed, f"{folders.processed} {processed or ''}".rstrip()))
    except BridgeError as error:
        return [Finding("server", False, str(error))]
    finally:
        await remote.close()
    return found


def _archive(settings: BridgeSettings) -> Finding:
    try:
        Archive(settings).check()
    except BridgeError as error:
        return Finding("archive", False, str(error))
    return Finding("archive", True, f"s3://{settings.s3_bucket}, {settings.encryption}")


def _ledger(settings: BridgeSettings) -> Finding:
    ledger = Ledger(settings.dsn.get_secret_value())
    try:
        ledger.apply_schema()
    except BridgeError as error:
        return Finding("ledger", False, str(error))
    finally:
        ledger.close()
    return Finding("ledger", True, "the operational Postgres")


def _line(error: BaseException) -> str:
    # Sequoia adds a stack trace to what it says; an OSError names the file again.
    said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return said.partition("\n")[0]
