"""Packed and encrypted files: what is inside comes out as a stream, and nothing else does."""

from __future__ import annotations

import gzip
import io
import os
import shutil
import subprocess
import zipfile
from datetime import date
from typing import TYPE_CHECKING, cast

import pysequoia
import pytest

from sftp_bridge.banks import Files, Gzip, Pgp, Zip, load_banks
from sftp_bridge.endings import TAIL, ends_whole
from sftp_bridge.errors import FileRefusedError, KeyUnusableError
from sftp_bridge.statements import Statement
from sftp_bridge.unpack import keys_wanted, tail_of, unpacked

if TYPE_CHECKING:
    from pathlib import Path

    from sftp_bridge.formats import Delimited

AXIS = load_banks()["AXIS"]
LAYOUT = cast("Delimited", AXIS.format)
TEXT = (
    ",".join(LAYOUT.columns)
    + "\n1,06/01/2026,06/01/2026,NEFT/AXISCN1153863727/PAYU PAYMENTS/4711,12.50,CR,12.50,,\n"
    + "TRAILER,1,12.50,0.00\n"
).encode()
OURS = pysequoia.Tsk.from_bytes(bytes(pysequoia.Tsk.generate("settlement@example.invalid")))
OTHERS = pysequoia.Tsk.generate("somebody@example.invalid")


def files(*steps: Gzip | Zip | Pgp, limit: int = 1) -> Files:
    return AXIS.files.model_copy(update={"unpack": steps, "unpacked_limit_mb": limit})


def zipped(*members: tuple[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return packed.getvalue()


def encrypted(content: bytes, key: pysequoia.Tsk = OURS, *, armor: bool = False) -> bytes:
    return pysequoia.encrypt(content, recipients=[key.extract_certificate()], armor=armor)


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    (tmp_path / "axis.asc").write_text(str(OURS))
    (tmp_path / "broken.asc").write_text("no key")
    return tmp_path


def opened(packed: bytes, described: Files, keys_dir: Path) -> bytes:
    with unpacked(io.BytesIO(packed), described, keys_dir) as inside:
        return inside.read()


def refused(packed: bytes, described: Files, keys_dir: Path) -> str:
    with pytest.raises(FileRefusedError) as caught:
        opened(packed, described, keys_dir)
    return caught.value.reason


GZIP, ZIP, PGP = Gzip(how="gzip"), Zip(how="zip"), Pgp(how="pgp", key="axis.asc")


@pytest.mark.parametrize(
    ("packed", "steps"),
    [
        (TEXT, ()),
        (gzip.compress(TEXT), (GZIP,)),
        (gzip.compress(TEXT[:40]) + gzip.compress(TEXT[40:]), (GZIP,)),
        (zipped(("AXIS.csv", TEXT)), (ZIP,)),
        (encrypted(TEXT), (PGP,)),
        (encrypted(TEXT, armor=True), (PGP,)),
        (encrypted(zipped(("AXIS.csv", TEXT))), (PGP, ZIP)),
        (encrypted(gzip.compress(TEXT)), (PGP, GZIP)),
        (gzip.compress(encrypted(TEXT)), (GZIP, PGP)),
    ],
)
def test_what_is_inside_is_read_like_a_plain_file(
    packed: bytes, steps: tuple[Gzip | Zip | Pgp, ...], keys: Path
) -> None:
    with unpacked(io.BytesIO(packed), files(*steps), keys) as inside:
        (credit,) = Statement(inside, LAYOUT, date(2026, 1, 6))
    assert (credit.line_no, credit.utr) == (2, "AXISCN1153863727")


def test_the_trailer_is_found_inside(keys: Path) -> None:
    described = files(PGP, GZIP)
    for content, whole in ((TEXT, True), (TEXT[:-9], False)):
        with unpacked(io.BytesIO(encrypted(gzip.compress(content))), described, keys) as inside:
            assert ends_whole(LAYOUT, tail_of(inside, TAIL)) is whole


@pytest.mark.parametrize("steps", [(GZIP,), (ZIP,), (PGP,)])
def test_a_bomb_ends_at_the_limit(steps: tuple[Gzip | Zip | Pgp, ...], keys: Path) -> None:
    bomb = bytes(1024 * 1024 + 1)
    packed = {"gzip": gzip.compress, "zip": lambda it: zipped(("a.csv", it)), "pgp": encrypted}
    assert "more than 1 MB" in refused(packed[steps[0].how](bomb), files(*steps), keys)


def test_a_zip_that_lies_about_its_size_ends_there_too(keys: Path) -> None:
    honest = zipped(("a.csv", bytes(3 * 1024 * 1024)))
    size = (3 * 1024 * 1024).to_bytes(4, "little")
    assert honest.count(size) == 2
    assert refused(honest.replace(size, (10).to_bytes(4, "little")), files(ZIP), keys).startswith("zip:")


@pytest.mark.parametrize(
    ("packed", "says"),
    [
        (zipped(("a.csv", TEXT), ("b.csv", TEXT)), "one file was expected inside, found 2: 'a.csv', 'b.csv'"),
        (zipped(), "found 0"),
        (zipped(("../a.csv", TEXT)), "found '../a.csv'"),
        (zipped(("readme.txt", TEXT)), "named like"),
        (zipped(("a.csv", TEXT))[:-30], "damaged or cut short"),
        (TEXT, "damaged or cut short"),
    ],
)
def test_a_zip_that_is_not_as_agreed_is_refused(packed: bytes, says: str, keys: Path) -> None:
    assert says in refused(packed, files(Zip(how="zip", member=r"\w+\.csv")), keys)


def test_a_zip_with_a_password_is_refused(keys: Path) -> None:
    packed = bytearray(zipped(("a.csv", TEXT)))
    packed[packed.index(b"PK\x01\x02") + 8] |= 1
    assert "password" in refused(bytes(packed), files(ZIP), keys)


@pytest.mark.parametrize("packed", [TEXT, gzip.compress(TEXT)[:-6], gzip.compress(TEXT) + b"more", b""])
def test_what_is_no_whole_gzip_is_refused(packed: bytes, keys: Path) -> None:
    if packed:
        assert "gzip: not such a file" in refused(packed, files(GZIP), keys)
    else:
        assert opened(packed, files(GZIP), keys) == b""


def test_another_key_is_told_with_what_to_do(keys: Path) -> None:
    said = refused(encrypted(TEXT, OTHERS), files(PGP), keys)
    assert "another key than axis.asc" in said
    assert "public half" in said


@pytest.mark.parametrize("packed", [TEXT, b"", pysequoia.sign(OURS.signer(), TEXT)])
def test_what_is_not_encrypted_is_told_with_what_to_do(packed: bytes, keys: Path) -> None:
    assert "not encrypted though encryption was agreed" in refused(packed, files(PGP), keys)


def test_what_was_changed_on_the_way_is_refused(keys: Path) -> None:
    packed = bytearray(encrypted(TEXT + os.urandom(200_000)))
    packed[-100_000] ^= 1
    assert "damaged" in refused(bytes(packed), files(PGP), keys)


@pytest.mark.parametrize("key", ["nobody.asc", "broken.asc"])
def test_a_key_of_ours_that_is_not_there_is_not_the_files_fault(key: str, keys: Path) -> None:
    with pytest.raises(KeyUnusableError, match=key):
        opened(encrypted(TEXT), files(Pgp(how="pgp", key=key)), keys)


def test_a_reader_that_stops_early_leaves_no_process(keys: Path) -> None:
    packed = encrypted(os.urandom(900_000))
    with unpacked(io.BytesIO(packed), files(PGP), keys) as inside:
        assert len(inside.read(10)) == 10


def test_the_keys_that_must_be_there_are_known_beforehand() -> None:
    described = files(Pgp(how="pgp", key="axis.asc", passphrase="axis.word"), ZIP)
    assert keys_wanted(described) == ["axis.asc", "axis.word"]
    assert keys_wanted(files(GZIP)) == []


def test_a_key_with_a_passphrase_opens_with_it_alone(tmp_path: Path) -> None:
    if shutil.which("gpg") is None:
        pytest.skip("gpg, which makes such a key, is not installed")
    home = tmp_path / "gpg"
    home.mkdir(mode=0o700)
    gpg = ["gpg", "--homedir", str(home), "--batch", "--quiet", "--pinentry-mode", "loopback"]
    gpg += ["--passphrase", "open sesame"]
    try:
        subprocess.run([*gpg, "--quick-generate-key", "axis@example.invalid"], check=True)
        secret = subprocess.run([*gpg, "--export-secret-keys"], check=True, capture_output=True).stdout
        plain = ["--trust-model", "always", "--recipient", "axis@example.invalid", "--encrypt"]
        packed = subprocess.run([*gpg, *plain], check=True, input=TEXT, capture_output=True).stdout
    finally:
        subprocess.run(["gpgconf", "--homedir", str(home), "--kill", "gpg-agent"], check=False)
    (tmp_path / "axis.asc").write_bytes(secret)
    (tmp_path / "axis.word").write_text("open sesame\n")
    (tmp_path / "wrong.word").write_text("open barley\n")
    assert opened(packed, files(Pgp(how="pgp", key="axis.asc", passphrase="axis.word")), tmp_path) == TEXT
    for word in (None, "wrong.word"):
        with pytest.raises(KeyUnusableError, match="cannot be used"):
            opened(packed, files(Pgp(how="pgp", key="axis.asc", passphrase=word)), tmp_path)


SIGNED = Pgp(how="pgp", key="axis.asc", signed_by="axis-signing.asc")


@pytest.fixture
def banks_keys(keys: Path) -> Path:
    """Ours, and the bank's: its old one and its new one in one file."""
    certs = [one.extract_certificate() for one in (pysequoia.Tsk.generate("old@axis.invalid"), BANK)]
    (keys / "axis-signing.asc").write_bytes(b"".join(map(bytes, certs)))
    return keys


BANK = pysequoia.Tsk.generate("files@axis.invalid")


def signed(content: bytes, signer: pysequoia.Tsk | None = BANK) -> bytes:
    """Signed inside and encrypted to us, as gpg --sign --encrypt does."""
    key = OURS.extract_certificate()
    return pysequoia.encrypt(content, recipients=[key], signer=signer.signer() if signer else None)


def test_what_the_bank_signed_is_read(banks_keys: Path) -> None:
    large = os.urandom(9_000_000)
    for content, steps in ((TEXT, (SIGNED,)), (gzip.compress(TEXT), (SIGNED, GZIP)), (large, (SIGNED,))):
        expected = TEXT if GZIP in steps else content
        assert opened(signed(content), files(*steps, limit=10), banks_keys) == expected


@pytest.mark.parametrize(
    ("packed", "says"),
    [
        (signed(TEXT, None), "not signed though a signature by axis-signing.asc was agreed"),
        # A signature in plain sight is not one over the message: anybody can wrap what the bank once signed.
        (encrypted(pysequoia.sign(BANK.signer(), TEXT)), "not signed"),
        (signed(TEXT, OTHERS), "which is no key of axis-signing.asc"),
        (signed(TEXT, OURS), "which is no key of axis-signing.asc"),
        (TEXT, "not encrypted"),
        (signed(TEXT)[:-300] + b"\n-----END PGP MESSAGE-----\n", "damaged"),
    ],
)
def test_what_the_bank_did_not_sign_is_refused(packed: bytes, says: str, banks_keys: Path) -> None:
    assert says in refused(packed, files(SIGNED), banks_keys)


def test_nothing_unsigned_reaches_the_parser(banks_keys: Path) -> None:
    packed = signed(os.urandom(40_000_000), OTHERS)
    with (
        pytest.raises(FileRefusedError, match="no key of"),
        unpacked(io.BytesIO(packed), files(SIGNED, limit=100), banks_keys),
    ):
        pytest.fail("the file was opened before its signature was known")


def test_a_signature_over_other_words_does_not_hold(banks_keys: Path, tmp_path: Path) -> None:
    if shutil.which("gpg") is None:
        pytest.skip("gpg, which encrypts a signed message as it stands, is not installed")
    changed = pysequoia.sign(BANK.signer(), TEXT, armor=False).replace(b"12.50,CR", b"92.50,CR")
    home = tmp_path / "gpg"
    home.mkdir(mode=0o700)
    (tmp_path / "ours.pub").write_bytes(bytes(OURS.extract_certificate()))
    gpg = ["gpg", "--homedir", str(home), "--batch", "--quiet", "--trust-model", "always", "--no-literal"]
    gpg += ["--compress-algo", "none", "--recipient-file", str(tmp_path / "ours.pub"), "--encrypt"]
    packed = subprocess.run(gpg, check=True, input=changed, capture_output=True).stdout
    assert "changed after it was signed" in refused(packed, files(SIGNED), banks_keys)


@pytest.mark.parametrize("content", [b"no key", b""])
def test_a_banks_key_that_cannot_be_used_is_not_the_files_fault(content: bytes, banks_keys: Path) -> None:
    (banks_keys / "axis-signing.asc").write_bytes(content)
    with pytest.raises(KeyUnusableError, match=r"axis-signing\.asc cannot be used"):
        opened(signed(TEXT), files(SIGNED), banks_keys)


def test_a_passphrase_instead_of_our_key_is_told(keys: Path) -> None:
    packed = pysequoia.encrypt(TEXT, passwords=["open sesame"])
    assert "another key than axis.asc" in refused(packed, files(PGP), keys)
