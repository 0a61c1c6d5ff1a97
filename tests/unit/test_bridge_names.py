"""Names to business files, and which listed files are whole."""

from __future__ import annotations

import hashlib
import io
from datetime import date
from pathlib import Path

import pytest

import settlement.banks
from sftp_bridge.banks import Bank, Checksum, load_bank, load_banks
from sftp_bridge.checksums import Checked, claimed_by, computed_of
from sftp_bridge.completeness import Outbox
from sftp_bridge.endings import ends_whole
from sftp_bridge.errors import BankConfigError, FileRefusedError
from sftp_bridge.names import BusinessFile, read_name
from sftp_bridge.remote import Listed

BANKS = load_banks()
DAY = date(2026, 1, 6)


@pytest.mark.parametrize(
    ("bank", "name", "cutoff", "revision"),
    [
        ("AXIS", "AXIS_STMT_20260106_1130.csv", "11:30", None),
        ("AXIS", "AXIS_STMT_20260106_1130_R2.csv", "11:30", 2),
        ("HDFC", "HDFC_20260106_2200_R13.csv", "22:00", 13),
        ("ICICI", "ICICI_20260106_0930.csv", "09:30", None),
    ],
)
def test_names_of_business_files(bank: str, name: str, cutoff: str, revision: int | None) -> None:
    assert read_name(BANKS[bank], name) == BusinessFile(bank, DAY, cutoff, revision)


@pytest.mark.parametrize(
    "name",
    [
        "AXIS_STMT_20260106_1130.csv.part",
        "AXIS_STMT_20260106_1131.csv",
        "AXIS_STMT_20260231_1130.csv",
        "AXIS_STMT_20260106_1130_R0.csv",
        "../AXIS_STMT_20260106_1130.csv",
        "/AXIS_STMT_20260106_1130.csv",
        "AXIS_STMT_20260106_1130.csv\n",
        "AXIS_STMT_20260106_1130\u202e.csv",
        "AXIS_STMT_２０２６０１０６_1130.csv",
        "axis_stmt_20260106_1130.csv",
        "AXIS_STMT_20260106_1130xcsv",
    ],
)
def test_other_names_are_nobodys(name: str) -> None:
    assert read_name(BANKS["AXIS"], name) is None


@pytest.mark.parametrize("bank", list(BANKS.values()), ids=list(BANKS))
def test_ids_and_cutoffs_are_the_domains(bank: Bank) -> None:
    assert bank.files.cutoffs == settlement.banks.CUTOFFS[settlement.banks.Bank(bank.bank)]
    for cutoff in bank.files.cutoffs:
        business = BusinessFile(bank.bank, DAY, cutoff, None)
        assert business.file_id == settlement.banks.file_id(bank.bank, DAY, cutoff)
        assert bank.due_at(DAY, cutoff) == settlement.banks.due_at(bank.bank, DAY, cutoff)


def whole(outbox: Outbox, now: float, *listing: Listed, finished: tuple[Listed, ...] = ()) -> list[str]:
    return [one.file.name for one in outbox.whole(listing, now, finished)]


def test_renamed_files_are_whole_and_parts_are_not() -> None:
    outbox = Outbox(BANKS["AXIS"])
    part = Listed("AXIS_STMT_20260106_1530.csv.part", 10, 1)
    ready = Listed("AXIS_STMT_20260106_1130.csv", 10, 1)
    assert whole(outbox, 0, part, ready, Listed("README", 1, 1)) == [ready.name]
    assert outbox.unrecognised == ("README",)


def test_a_marked_file_waits_for_its_marker() -> None:
    outbox = Outbox(BANKS["HDFC"])
    file, marker = Listed("HDFC_20260106_1000.csv", 10, 1), Listed("HDFC_20260106_1000.csv.done", 0, 1)
    assert whole(outbox, 0, file) == []
    assert outbox.waiting == (file.name,)
    assert whole(outbox, 0, file, marker) == [file.name]
    assert whole(outbox, 0, marker) == []
    # Its marker was moved, then the process died.
    assert whole(outbox, 0, file, finished=(file,)) == [file.name]


def test_a_growing_file_is_not_taken() -> None:
    outbox = Outbox(BANKS["ICICI"])
    name = "ICICI_20260106_0930.csv"
    assert whole(outbox, 0, Listed(name, 10, 1)) == []
    assert whole(outbox, 60, Listed(name, 20, 1)) == []
    assert whole(outbox, 61, Listed(name, 20, 1)) == []
    (candidate,) = outbox.whole([Listed(name, 20, 1)], 62.5)
    assert candidate.wants_ending
    # A change of time alone is a change, and begins the count again.
    assert whole(outbox, 63, Listed(name, 20, 2)) == []
    (candidate,) = outbox.whole([Listed(name, 20, 2)], 63 + 900)
    assert not candidate.wants_ending


def test_a_trailer_stands_whole_at_the_end() -> None:
    layout = BANKS["ICICI"].format
    assert layout is not None
    assert ends_whole(layout, b"1,2,3\r\nTRAILER,1,2.00,0.00\r\n")
    assert not ends_whole(layout, b"1,2,3\nTRAILER,1,2.0")
    assert not ends_whole(layout, b"1,2,3\n")
    assert not ends_whole(layout, b"")


def test_a_description_that_contradicts_itself_names_file_and_key(tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "sftp_bridge/banks/axis.yaml").read_text()
    path = tmp_path / "axis.yaml"
    path.write_text(text.replace("narration: Particulars", "narration: Remarks"))
    with pytest.raises(BankConfigError, match=r"axis\.yaml: format.*'Remarks' is none of the columns"):
        load_bank(path)
    path.write_text(text.replace('"11:30", "15:30"', '"15:30", "11:30"'))
    with pytest.raises(BankConfigError, match=r"files\.cutoffs"):
        load_bank(path)


def vouched_for(bank: str) -> Bank:
    return BANKS[bank].model_copy(update={"checksum": Checksum(suffix=".sha256", algorithm="sha256")})


def test_a_file_waits_for_its_checksum() -> None:
    for bank, name, marks in (
        ("AXIS", "AXIS_STMT_20260106_1130.csv", ()),
        ("HDFC", "HDFC_20260106_1000.csv", (Listed("HDFC_20260106_1000.csv.done", 0, 1),)),
    ):
        outbox = Outbox(vouched_for(bank))
        file = Listed(name, 10, 1)
        assert whole(outbox, 0, file, *marks) == []
        assert whole(outbox, 0, file, Listed(f"{name}.sha256", 0, 1), *marks) == []
        assert outbox.waiting == (name,)
        checksum = Listed(f"{name}.sha256", 64, 1)
        (candidate,) = outbox.whole([file, checksum, *marks], 0)
        assert candidate.checksum == checksum
        assert [*outbox.waiting, *outbox.unrecognised, *outbox.alone] == []


def test_a_quiet_file_waits_for_its_checksum_too() -> None:
    outbox = Outbox(vouched_for("ICICI"))
    file = Listed("ICICI_20260106_0930.csv", 10, 1)
    checksum = Listed(f"{file.name}.sha256", 64, 1)
    for now in (0, 1, 5):
        assert whole(outbox, now, file) == []
    (candidate,) = outbox.whole([file, checksum], 6)
    assert (candidate.checksum, candidate.wants_ending) == (checksum, True)


def test_a_checksum_alone_waits_and_is_no_strangers() -> None:
    outbox = Outbox(vouched_for("AXIS"))
    checksum = Listed("AXIS_STMT_20260106_1130.csv.sha256", 64, 1)
    part = Listed(f"{checksum.name}.part", 10, 1)
    assert whole(outbox, 0, checksum, part, Listed("README.sha256", 64, 1)) == []
    assert (outbox.alone, outbox.waiting) == ((checksum,), (checksum.name,))
    assert outbox.unrecognised == ("README.sha256",)


HEX = hashlib.sha256(b"a file").hexdigest()
OTHER = hashlib.sha256(b"another").hexdigest()
NAME = "AXIS_STMT_20260106_1130.csv"


@pytest.mark.parametrize(
    ("text", "claimed"),
    [
        (HEX, HEX),
        (f"{HEX.upper()}\r\n", HEX),
        (f"\ufeff{HEX}  {NAME}\n", HEX),
        (f"{HEX} *{NAME}.part\n", HEX),
        (f"SHA256 ({NAME}) = {HEX}\n", HEX),
        (f"{OTHER}  another.csv\n{HEX}  /outbox/{NAME}\n", HEX),
        (f"{OTHER}  another.csv\n{HEX}  third.csv\n", f"{OTHER}  another.csv{HEX}  third.csv"),
        (f"{HEX}  {NAME}\n{OTHER}  {NAME}\n", f"{HEX}  {NAME}{OTHER}  {NAME}"),
        (HEX[:-1], HEX[:-1]),
        ("", ""),
        ("see mail", "see mail"),
    ],
)
def test_what_a_checksum_file_says(text: str, claimed: str) -> None:
    said = claimed_by(text.encode(), NAME, Checksum(suffix=".sha256", algorithm="sha256"))
    assert said == " ".join(claimed.split())[:80]


def test_a_checksum_of_other_bytes_is_told_beside_theirs() -> None:
    Checked("sha256", HEX, HEX).require()
    with pytest.raises(FileRefusedError) as caught:
        Checked("sha256", OTHER, HEX).require()
    assert OTHER in caught.value.reason
    assert HEX in caught.value.reason
    for algorithm in ("sha256", "sha512", "md5"):
        expected = hashlib.new(algorithm, b"a file").hexdigest()
        assert computed_of(io.BytesIO(b"a file"), algorithm) == expected
        how = Checksum.model_validate({"suffix": ".sum", "algorithm": algorithm})
        assert claimed_by(expected.encode(), NAME, how) == expected


def test_a_checksum_and_a_marker_are_two_files(tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "sftp_bridge/banks/hdfc.yaml").read_text()
    path = tmp_path / "hdfc.yaml"
    path.write_text(f"{text}\nchecksum: {{suffix: .done, algorithm: md5}}\n")
    with pytest.raises(BankConfigError, match=r"hdfc\.yaml.*same suffix \.done"):
        load_bank(path)
    path.write_text(f"{text}\nchecksum: {{suffix: .md5, algorithm: md5}}\n")
    assert load_bank(path).checksum == Checksum(suffix=".md5", algorithm="md5")
