"""Every kind of format: the golden file as it should be read, and what damage must refuse it whole."""

from __future__ import annotations

import io
import json
import zipfile
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import openpyxl
import pytest

from sftp_bridge.banks import Bank, load_bank
from sftp_bridge.endings import TAIL, ends_whole
from sftp_bridge.errors import BankConfigError, FileRefusedError
from sftp_bridge.readers import camt053, xlsx
from sftp_bridge.readers.text import Lines
from sftp_bridge.statements import Statement
from sftp_bridge.unpack import keys_wanted

if TYPE_CHECKING:
    from collections.abc import Callable

    from sftp_bridge.formats import AnyFormat
    from sftp_bridge.movements import Movement

DATA = Path(__file__).parents[1] / "data"
BANKS = {path.stem: load_bank(path) for path in sorted((DATA / "banks").glob("*.yaml"))}
DAY = date(2026, 1, 6)


def sheet(*rows: tuple[object, ...], title: str = "Settlements") -> bytes:
    book = openpyxl.Workbook()
    assert book.active is not None
    book.active.title = title
    for row in rows:
        book.active.append(row)
    written = io.BytesIO()
    book.save(written)
    return written.getvalue()


HEADER = ("Settle Date", "UTR", "Net Amount", "Description")
ROWS: tuple[tuple[object, ...], ...] = (
    ("SHEET BANK",),
    HEADER,
    (datetime.combine(DAY, time(9, 30)), "SHEEN26010600001", 100000.5, "NEFT RAZORPAY/setl_A1"),
    ("05/01/2026", 123456789012, -17.7, "CHARGES REVERSED"),
    (date(2026, 1, 6), None, "1,200", "CASH"),
    ("TOTAL", 3, 101200.5, 17.7),
)
GOLDEN = {
    path.stem: path.read_bytes()
    for path in sorted((DATA / "golden" / "bank_files").glob("*"))
    if path.suffix != ".json"
} | {"xlsx": sheet(*ROWS)}


def layout_of(bank: Bank) -> AnyFormat:
    layout = bank.format_on(DAY)
    assert layout is not None
    return layout


def read(kind: str, content: bytes) -> tuple[list[Movement], Statement]:
    statement = Statement(io.BytesIO(content), layout_of(BANKS[kind]), DAY)
    return list(statement), statement


def refused(kind: str, content: bytes) -> FileRefusedError:
    with pytest.raises(FileRefusedError) as caught:
        read(kind, content)
    return caught.value


def as_json(movement: Movement) -> list[object]:
    return [
        movement.line_no,
        movement.utr,
        movement.settlement_ref,
        movement.direction,
        str(movement.amount),
        movement.value_date.isoformat(),
        movement.narration,
    ]


@pytest.mark.parametrize("kind", sorted(BANKS))
def test_the_golden_file_is_read_as_it_should_be(kind: str) -> None:
    movements, _ = read(kind, GOLDEN[kind])
    expected = json.loads((DATA / "golden" / "bank_files" / f"{kind}.json").read_text(encoding="utf-8"))
    assert [as_json(movement) for movement in movements] == expected


@pytest.mark.parametrize("kind", sorted(BANKS))
def test_the_end_shows_whether_the_file_is_whole(kind: str) -> None:
    layout = layout_of(BANKS[kind])
    assert ends_whole(layout, GOLDEN[kind][-TAIL:])
    assert not ends_whole(layout, GOLDEN[kind][: len(GOLDEN[kind]) * 2 // 3][-TAIL:])


@pytest.mark.parametrize("kind", sorted(BANKS))
@pytest.mark.parametrize("part", [0.0, 0.3, 0.6, 0.97])
def test_what_was_cut_short_is_refused(kind: str, part: float) -> None:
    assert refused(kind, GOLDEN[kind][: int(len(GOLDEN[kind]) * part)]).reason


@pytest.mark.parametrize("kind", sorted(BANKS))
def test_another_kind_of_file_is_refused(kind: str) -> None:
    for other in sorted(set(GOLDEN) - {kind}):
        assert refused(kind, GOLDEN[other]).reason


def replaced(old: str, new: str) -> Callable[[bytes], bytes]:
    def change(content: bytes) -> bytes:
        assert old.encode() in content
        return content.replace(old.encode(), new.encode(), 1)

    return change


DAMAGED = [
    ("fixed_width", replaced("D20260106C", "D20260106X"), "neither C nor D"),
    ("fixed_width", replaced("000000010000050", "0000000100000.5"), "digits alone"),
    ("fixed_width", replaced("D20260106", "X20260106"), "not agreed: 'X'"),
    ("fixed_width", replaced("SMS CHARGES", "SMS CHARGES "), "81 bytes where 80"),
    ("fixed_width", replaced("H20260106", "D20260106"), "header H must be the first"),
    ("fixed_width", replaced("T00000003", "T00000004"), "says 4 in movements, the lines say 3"),
    ("fixed_width", replaced("000000000010004250", "000000000010004251"), "says 100042.51 in credits"),
    ("fixed_width", replaced("012345678901 ", "12345678901  "), "leading zeros are lost"),
    ("mt940", replaced("CR100000,50N", "CR100000,51N"), "make 100881.51"),
    ("mt940", replaced(":60M:C260106INR100881,50", ":60M:C260106INR100881,00"), "part before closed with"),
    ("mt940", replaced(":60F:C251231INR", ":60F:C251231USD"), "USD where INR"),
    ("mt940", replaced("D119,NCHG", "D119.00NCHG"), "no statement line"),
    ("mt940", replaced("2601060106CR", "2613060106CR"), "'261306' is no date"),
    ("mt940", replaced(":62M:C260106INR100881,50", ":64:C260106INR100881,50"), "before the last one closed"),
    ("mt940", replaced(":60F:C251231INR1000,00", ":13D:2601061130"), "before an opening balance"),
    ("camt053", replaced(">100982.80<", ">100982.81<"), "said to be 100982.81"),
    ("camt053", replaced("<NbOfNtries>3<", "<NbOfNtries>4<"), "says 4, the entries say 3"),
    ("camt053", replaced("<Sum>17.70<", "<Sum>17.71<"), "says 17.71, the entries say 17.70"),
    ("camt053", replaced('Ccy="INR">17.70', 'Ccy="EUR">17.70'), "EUR where INR"),
    ("camt053", replaced("camt.053.001.08", "camt.052.001.08"), "where a camt.053 document"),
    ("camt053", replaced("<Cd>OPBD</Cd>", "<Cd>CLAV</Cd>"), "opening (OPBD or PRCD)"),
    ("camt053", replaced("<Document", '<!DOCTYPE d [<!ENTITY a "b">]><Document'), "declares a document type"),
    ("camt053", replaced(">100000.50<", ">1e5<"), "not an amount"),
    ("bai2", replaced("16,698,1770", "16,698,1771"), "control total is said to be 30201920"),
    ("bai2", replaced("49,30201920,6", "49,30201920,7"), "records is said to be 7"),
    ("bai2", replaced("98,30201920,1,8", "98,30201920,2,8"), "accounts is said to be 2"),
    ("bai2", replaced("99,30201920,1,10", "99,30201920,1,11"), "records is said to be 11"),
    ("bai2", replaced("100,10000050,1,,400,1770", "100,10000049,1,,400,1771"), "says 100000.49"),
    ("bai2", replaced("010,100000,", "010,100001,"), "control total"),
    ("bai2", replaced("CASHBANK,1,260106", "CASHBANK,3,260106"), "only updates"),
    ("bai2", replaced("16,698", "16,750"), "neither credit nor debit"),
    ("bai2", replaced("INR,010", "USD,010"), "USD where INR"),
    ("bai2", replaced("02,SETTLE", "03,SETTLE"), "stands in 01"),
]


@pytest.mark.parametrize(("kind", "damage", "says"), DAMAGED)
def test_damage_refuses_the_file(kind: str, damage: Callable[[bytes], bytes], says: str) -> None:
    assert says in refused(kind, damage(GOLDEN[kind])).reason


@pytest.mark.parametrize(
    ("row", "says", "column"),
    [
        (("06/01/2026", "SHEEN26010600001", 1234.560000000001, "X"), "15 digits", "Net Amount"),
        (("06/01/2026", 1234567890123456, 1, "X"), "15 digits", "UTR"),
        (("06/01/2026", 12345678901, 1, "X"), "leading zeros are lost", "UTR"),
        (("06/01/2026", None, 0.125, "X"), "not an amount", "Net Amount"),
        (("06/01/2026", None, True, "X"), "not an amount", "Net Amount"),
        (("06/01/2026", None, "#REF!", "X"), "not an amount", "Net Amount"),
        (("06/01/2026", None, None, "X"), "not an amount", "Net Amount"),
        ((46028, None, 1, "X"), "no date of the form", "Settle Date"),
        (("06/01/2026", None, 1, "X", "beside"), "5 cells", None),
    ],
)
def test_a_cell_that_is_not_what_was_agreed_refuses_the_workbook(
    row: tuple[object, ...], says: str, column: str | None
) -> None:
    error = refused("xlsx", sheet(HEADER, row, ("TOTAL", 1, 1, 0)))
    assert says in error.reason
    assert (error.line, error.column) == (2, column)


def test_a_workbooks_totals_must_agree() -> None:
    error = refused("xlsx", sheet(*ROWS[:-1], ("TOTAL", 3, 101200.49, 17.7)))
    assert "says 101200.49 in credits, the lines say 101200.50" in error.reason
    assert "sheet Settlements expected" in refused("xlsx", sheet(*ROWS, title="Summary")).reason


def test_a_workbook_that_expands_entities_is_refused() -> None:
    bomb = b'<?xml version="1.0"?><!DOCTYPE d [<!ENTITY a "bbbb"><!ENTITY c "&a;&a;">]>'
    spoilt = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(GOLDEN["xlsx"])) as good, zipfile.ZipFile(spoilt, "w") as archive:
        for member in good.infolist():
            content = good.read(member)
            archive.writestr(member, bomb + content if "sheet1" in member.filename else content)
    assert refused("xlsx", spoilt.getvalue()).reason


def test_a_workbook_larger_than_a_sheet_can_be_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xlsx, "_ROWS", 1000)
    spoilt = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(GOLDEN["xlsx"])) as good, zipfile.ZipFile(spoilt, "w") as archive:
        for member in good.infolist():
            content = good.read(member)
            archive.writestr(member, content.replace(b'<row r="4"', b'<row r="9999999999"'))
    assert "more than 1000 rows" in refused("xlsx", spoilt.getvalue()).reason


def test_signs_behind_the_amount_and_implied_decimals() -> None:
    described = layout_of(BANKS["xlsx"]).model_dump(by_alias=True, exclude_none=True)
    described |= {"amount": {"how": "signed", "column": "Net Amount", "sign": "trailing", "positive": "DR"}}
    layout = type(layout_of(BANKS["xlsx"])).model_validate(described)
    content = sheet(
        HEADER, ("06/01/2026", None, "12.50-", "X"), ("06/01/2026", None, "1", "Y"), ("TOTAL", 2, 12.5, 1)
    )
    credit, debit = Statement(io.BytesIO(content), layout, DAY)
    assert (credit.direction, credit.amount) == ("CR", Decimal("12.50"))
    assert (debit.direction, debit.amount) == ("DR", Decimal("1.00"))


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("record_length: 80", "record_length: 79", "narration ends at 80, the record at 79"),
        (", trailer: T}", "}", "known by its record_type"),
        ("encoding: ascii", "encoding: klingon", "no such encoding"),
        ("column: reference", "column: utr", "'utr' is none of the columns"),
    ],
)
def test_a_description_that_contradicts_itself_is_named(
    old: str, new: str, says: str, tmp_path: Path
) -> None:
    text = (DATA / "banks" / "fixed_width.yaml").read_text(encoding="utf-8")
    assert old in text
    (tmp_path / "bank.yaml").write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(BankConfigError, match=r"bank\.yaml: format") as caught:
        load_bank(tmp_path / "bank.yaml")
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("encoding", "written", "says"),
    [
        ("utf-8", "cp1252", "it looks like cp1252"),
        ("utf-8", "utf-16", "looks like utf-16 where utf-8 was agreed"),
        ("utf-8", "utf-16-le", "looks like utf-16-le where utf-8 was agreed"),
        ("utf-8", "utf-16-be", "looks like utf-16-be where utf-8 was agreed"),
        ("ascii", "utf-8", "it looks like utf-8"),
        ("cp1252", "utf-8", "looks like utf-8 where cp1252 was agreed"),
        ("cp1252", "utf-8-sig", "is utf-8 where cp1252 was agreed"),
        ("latin-1", "utf-8", "looks like utf-8 where latin-1 was agreed"),
        ("utf-16", "utf-8", "looks like utf-8 where utf-16 was agreed"),
        ("utf-16-le", "cp1252", "looks like cp1252 where utf-16-le was agreed"),
        ("utf-16-le", "utf-16-be", "looks like utf-16-be where utf-16-le was agreed"),
    ],
)
def test_another_encoding_is_told_beside_the_agreed_one(encoding: str, written: str, says: str) -> None:
    assert says in decoded(encoding, "Café,Crédit\n".encode(written))


@pytest.mark.parametrize(
    ("encoding", "written"),
    [
        ("utf-8", "utf-8"),
        ("utf-8", "utf-8-sig"),
        ("cp1252", "cp1252"),
        ("latin-1", "latin-1"),
        ("utf-16", "utf-16"),
        ("utf-16-le", "utf-16-le"),
        ("utf-16-be", "utf-16-be"),
    ],
)
def test_the_agreed_encoding_is_read(encoding: str, written: str) -> None:
    assert decoded(encoding, "Café,Crédit\n".encode(written)) == "Café,Crédit\n"


def test_a_wrong_letter_far_down_is_told_too() -> None:
    plain = b"plain\n" * 101_000
    lines = Lines(io.BytesIO(plain + "Café\n".encode("cp1252") + plain), "utf-8")
    with pytest.raises(FileRefusedError) as caught:
        list(lines)
    assert caught.value.line == 101_001
    assert "it looks like cp1252" in decoded("utf-8", plain + "Café\n".encode("cp1252"))
    assert "it looks like utf-8" in decoded("ascii", plain + "Café\n".encode())


def decoded(encoding: str, content: bytes) -> str:
    """The lines as read, or why they are refused."""
    lines = Lines(io.BytesIO(content), encoding)
    try:
        return "".join(lines)
    except FileRefusedError as error:
        return error.reason
    finally:
        lines.close()


def test_an_older_camt_and_an_entry_of_several_transactions() -> None:
    text = GOLDEN["camt053"].decode().replace("camt.053.001.08", "camt.053.001.02")
    for status in ("BOOK", "PDNG"):
        text = text.replace(f"<Sts><Cd>{status}</Cd></Sts>", f"<Sts>{status}</Sts>")
    single = text[text.index("<TxDtls>") : text.index("</TxDtls>") + len("</TxDtls>")]
    alone, _ = read("camt053", text.encode())
    several, _ = read("camt053", text.replace(single, single + single).encode())
    # Of several transactions in one credit none gives the whole its reference.
    assert [one.utr for one in alone] == ["ISOBN26010600001", None]
    assert [one.utr for one in several] == [None, None]
    assert [one.amount for one in several] == [one.amount for one in alone]


def test_an_entry_without_end_does_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(camt053, "_ENTRY_BYTES", 100_000)
    long = replaced("SMS CHARGES", "x" * 200_000)
    assert "more than 100000 bytes" in refused("camt053", long(GOLDEN["camt053"])).reason


def test_a_workbook_with_too_much_to_hold_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xlsx, "_HELD_MEGABYTES", 0)
    assert "where 0 MB can be read" in refused("xlsx", GOLDEN["xlsx"]).reason


def test_an_mt940_without_envelope_and_with_an_open_end() -> None:
    lines = GOLDEN["mt940"].decode().replace("-}", "-").splitlines(keepends=True)
    bare = "".join(line for line in lines if not line.startswith("{"))
    assert [one.line_no for one in read("mt940", bare.encode())[0]] == [5, 16]
    first = bare[: bare.index(":20:", 5)]
    assert "last part of a statement is missing" in refused("mt940", first.encode()).reason


@pytest.mark.parametrize("funds", ["", "0", "Z", "S,1,2,3", "V,260106,1130", "D,2,0,100,1,200"])
def test_every_type_of_funds_is_stepped_over(funds: str) -> None:
    change = replaced("16,698,1770,Z,,", f"16,698,1770,{funds},,")
    movements, _ = read("bai2", change(GOLDEN["bai2"]))
    assert [one.narration for one in movements] == [
        "NEFT RAZORPAY/PAYMENTS SECOND LINE",
        "SMS CHARGES",
    ]


def test_the_descriptions_show_everything_that_can_be_declared() -> None:
    assert [step.how for step in BANKS["camt053"].files.unpack] == ["pgp", "zip"]
    assert keys_wanted(BANKS["camt053"].files) == ["iso_pgp.asc", "iso_pgp.word", "iso_bank.asc"]
    assert BANKS["fixed_width"].checksum is not None
    assert BANKS["fixed_width"].format_on(date(2024, 3, 31)) is None
    movements, _ = read("xlsx", GOLDEN["xlsx"])
    assert len({one.place for one in movements}) == 3
