"""Names to business files, and which listed files are whole."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

import settlement.banks
from sftp_bridge.banks import Bank, load_bank, load_banks
from sftp_bridge.completeness import Outbox
from sftp_bridge.endings import ends_whole
from sftp_bridge.errors import BankConfigError
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
