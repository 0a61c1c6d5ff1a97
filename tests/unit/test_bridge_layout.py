"""Every bank's layout as declared, and everything that must refuse a file whole."""

from __future__ import annotations

import io
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from pydantic import ValidationError

from sftp_bridge.banks import Bank, load_banks
from sftp_bridge.errors import FileRefusedError
from sftp_bridge.movements import Movement
from sftp_bridge.readers.text import LINE_LIMIT
from sftp_bridge.statements import Statement

if TYPE_CHECKING:
    from sftp_bridge.formats import AnyFormat

BANKS = load_banks()
DAY = date(2026, 1, 6)

AXIS = (
    "S.No,Transaction Date,Value Date,Particulars,Amount(INR),Debit/Credit,Balance(INR),"
    "Cheque Number,Branch Name(SOL)\n"
)
HDFC = "Date,Narration,Chq./Ref.No.,Value Dt,Withdrawal Amt.,Deposit Amt.,Closing Balance\n"
ICICI = (
    "S No.,Value Date,Transaction Date,Cheque Number,Transaction Remarks,"
    "Withdrawal Amount (INR ),Deposit Amount (INR ),Balance (INR )\n"
)


def layout_of(bank: Bank) -> AnyFormat:
    layout = bank.format_on(DAY)
    assert layout is not None
    return layout


def read(bank: Bank | str, text: str | bytes) -> tuple[list[Movement], Statement]:
    described = BANKS[bank] if isinstance(bank, str) else bank
    raw = io.BytesIO(text.encode() if isinstance(text, str) else text)
    statement = Statement(raw, layout_of(described), DAY)
    return list(statement), statement


def refused(bank: Bank | str, text: str | bytes) -> FileRefusedError:
    with pytest.raises(FileRefusedError) as caught:
        read(bank, text)
    return caught.value


def axis(amount: str = '"1,00,000.50"', sign: str = "CR", **other: str) -> str:
    cells = {"day": "06/01/2026", "particulars": "NEFT/AXISCN1153863727/PAYU PAYMENTS/4711"} | other
    return (
        f'1,06/01/2026,{cells["day"]},{cells["particulars"]},{amount},{sign},"1,77,65,682.30",,MUMBAI (001)\n'
    )


def test_axis_as_the_bank_writes_it() -> None:
    text = (
        AXIS
        + '0,06/01/2026,06/01/2026,OPENING BALANCE,,,"12.00",,\n'
        + axis()
        + axis("\t7,560.00".join('""'), "DR", particulars="NEFT-RETURN/axiscn1153863728/PAYU PAYMENTS/4712")
        + axis("10.5", "DR", particulars="CONSOLIDATED CHARGES")
        + "TRAILER,3,100000.50,7570.50\n"
    )
    (credit, debit, charge), statement = read("AXIS", text)
    assert credit == Movement(
        3,
        "AXISCN1153863727",
        "AXISCN1153863727",
        "4711",
        "CR",
        Decimal("100000.50"),
        DAY,
        "NEFT/AXISCN1153863727/PAYU PAYMENTS/4711",
    )
    assert (debit.utr, debit.utr_raw, debit.direction, debit.amount) == (
        "AXISCN1153863728",
        "axiscn1153863728",
        "DR",
        Decimal("7560.00"),
    )
    assert (charge.utr, charge.settlement_ref, charge.amount) == (None, None, Decimal("10.50"))
    assert statement.totals.count == 3
    assert statement.totals.credit_total == Decimal("100000.50")
    assert statement.totals.debit_count == 2
    assert statement.claim is not None


def test_hdfc_as_the_bank_writes_it() -> None:
    text = (
        "HDFC BANK LTD,,,,,,\nAccount No : 50200012345678,,,,,,\n"
        + HDFC
        + "********,********,********,********,********,********,********\n"
        + '06/01/26,NEFT CR-setl_A1-b-RAZORPAY,N006261598444659,06/01/26,,"12,345.67","12,345.67"\n'
        + "06/01/2026,SMS CHARGES,0000000000000000,05/01/2026,17.70,0.00,12327.97\n"
        + "TRAILER,2,12345.67,17.70\n"
    )
    (credit, charge), _ = read("HDFC", text)
    assert (credit.line_no, credit.utr, credit.settlement_ref) == (5, "N006261598444659", "setl_A1-b")
    assert (charge.utr, charge.direction, charge.value_date) == (None, "DR", date(2026, 1, 5))


def test_icici_as_the_bank_writes_it() -> None:
    text = (
        "\ufeff"
        + ICICI.replace("(INR )", "(INR  )").replace("\n", "\r\n")
        + "1,06-01-2026,06/01/2026,,NEFT/ICICN26010600001/PAYTM PAYMENTS/P_1,,75.25,75.25\r\n"
        + "\r\n"
        + "TRAILER,1,75.25,0\r\n"
    )
    (credit,), statement = read("ICICI", text)
    assert (credit.utr, credit.settlement_ref, credit.amount) == ("ICICN26010600001", "P_1", Decimal("75.25"))
    assert statement.new_columns == ()


def test_a_new_column_is_accepted_and_told() -> None:
    text = HDFC.replace("\n", ",Channel\n") + "06/01/26,X,,06/01/26,,1.00,1.00,NEFT\nTRAILER,1,1.00,0.00\n"
    (credit,), statement = read("HDFC", text)
    assert credit.amount == Decimal("1.00")
    assert statement.new_columns == ("Channel",)


def test_reordered_columns_are_found_by_name() -> None:
    text = (
        "Value Dt,Date,Narration,Deposit Amt.,Chq./Ref.No.,Withdrawal Amt.,Closing Balance\n"
        "06/01/26,06/01/26,X,1.00,,,1.00\nTRAILER,1,1.00,0.00\n"
    )
    assert read("HDFC", text)[0][0].direction == "CR"


def test_an_empty_day_is_a_file_with_nothing_in_it() -> None:
    movements, statement = read("AXIS", AXIS + "TRAILER,0,0.00,0.00\n")
    assert movements == []
    assert statement.totals.credit_total == Decimal("0.00")


@pytest.mark.parametrize(
    "amount",
    [
        '"1.234,56"',
        '"1,2,3"',
        "(100.00)",
        "100-",
        "-100.00",
        "NaN",
        "Infinity",
        "1e5",
        "12345678901234567890",
        "0.001",
        "",
        "0.00",
        '"=1+1"',
        "१००",
    ],
)
def test_what_is_no_amount_refuses_the_file(amount: str) -> None:
    error = refused("AXIS", AXIS + axis("1.00") + axis(amount) + "TRAILER,2,2.00,0.00\n")
    assert (error.line, error.column) == (3, "Amount(INR)")


@pytest.mark.parametrize(
    "day", ["31/02/2026", "2026-01-06", "06/01/26", "", "01/06/2026", "06/01/2024", "６/1/2026"]
)
def test_what_is_no_date_near_the_business_date_refuses_the_file(day: str) -> None:
    error = refused("AXIS", AXIS + axis("1.00", day=day) + "TRAILER,1,1.00,0.00\n")
    assert (error.line, error.column) == (2, "Value Date")


@pytest.mark.parametrize("utr", ["1.23457E+15", "3.2E+11", "26010612345", "123456789012300000", "AXIS CN#1"])
def test_a_spoilt_reference_refuses_the_file(utr: str) -> None:
    text = AXIS + axis("1.00", particulars=f"NEFT/{utr}/PAYU PAYMENTS/4711") + "TRAILER,1,1.00,0.00\n"
    error = refused("AXIS", text)
    assert (error.line, error.column) == (2, "Particulars")


@pytest.mark.parametrize(
    ("trailer", "says"),
    [
        ("", "trailer is missing"),
        ("TRAILER,2,1.00,0.00\n", "2 in movements, the lines say 1"),
        ("TRAILER,1,1.01,0.00\n", "1.01 in credits"),
        ("TRAILER,1,1.00,5.00\n", "5.00 in debits"),
        ("TRAILER,one,1.00,0.00\n", "is not a number"),
        ("TRAILER,1,1.00\n", "has no debit total"),
        ("TRAILER,1,1.00,0.00\nTRAILER,1,1.00,0.00\n", "follows the trailer"),
    ],
)
def test_the_trailer_must_agree(trailer: str, says: str) -> None:
    assert says in refused("AXIS", AXIS + axis("1.00") + trailer).reason


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty"),
        (b"\r\n\r\n", "empty"),
        (AXIS.replace("Value Date", "Valuta").encode(), "expected"),
        (AXIS.encode("utf-16"), "utf-16"),
        (AXIS.encode() + b"1,06/01/2026,06/01/2026,caf\xe9,1.00,CR,1.00,,\n", "not utf-8"),
        (AXIS.encode() + b"1,06/01/2026,06/01/2026,a\0b,1.00,CR,1.00,,\n", "NUL"),
        (AXIS.encode() + b'1,06/01/2026,06/01/2026,"open,1.00,CR,1.00,,\n', "not well-formed"),
        (AXIS.encode() + b"1,06/01/2026,06/01/2026,short,1.00,CR\n", "6 cells"),
        (AXIS.encode() + b"1," + b"x" * LINE_LIMIT + b"\n", "longer than"),
    ],
)
def test_what_is_no_such_file_is_refused_with_a_reason(content: bytes, says: str) -> None:
    assert says in refused("AXIS", content).reason


def test_a_direction_must_be_one_of_two() -> None:
    assert refused("AXIS", AXIS + axis("1.00", "XX")).column == "Debit/Credit"
    both = HDFC + "06/01/26,X,,06/01/26,1.00,1.00,1.00\n"
    assert "exactly one" in refused("HDFC", both).reason


def test_what_was_claimed_and_parsed_is_known_of_a_refused_file_too() -> None:
    text = AXIS + axis() + "TRAILER,2,100000.50,0.00\n"
    statement = Statement(io.BytesIO(text.encode()), layout_of(BANKS["AXIS"]), DAY)
    with pytest.raises(FileRefusedError):
        list(statement)
    assert statement.claim is not None
    assert (statement.claim.count, statement.lines.count) == (2, 1)
    assert statement.claim.credit_total == statement.lines.credit_total == Decimal("100000.50")


def test_the_refused_line_goes_on_as_an_excerpt() -> None:
    error = refused("AXIS", AXIS + axis("NaN", particulars="NEFT/AXISCN1153863727/X/1"))
    assert error.excerpt.startswith("1,06/01/2026")


def test_card_numbers_do_not_leave_the_parser() -> None:
    text = AXIS + axis("1.00", particulars="POS 4111 1111 1111 1111 SHOP") + "TRAILER,1,1.00,0.00\n"
    ((charge,), _) = read("AXIS", text)
    assert "4111 1111" not in charge.narration
    assert charge.narration.endswith("1111 SHOP")


def test_a_card_where_a_reference_should_be_is_none() -> None:
    for card in ("4111111111111111", "4111 1111 1111 1111", "4111-1111-1111-1111"):
        text = HDFC + f"06/01/26,POS SHOP,{card},06/01/26,1.00,,1.00\nTRAILER,1,0.00,1.00\n"
        ((charge,), _) = read("HDFC", text)
        assert (charge.utr, charge.utr_raw) == (None, None)
        line = axis("1.00", particulars=f"NEFT/AXISCN1153863727/PAYU PAYMENTS/{card}")
        ((credit,), _) = read("AXIS", AXIS + line + "TRAILER,1,1.00,0.00\n")
        assert (credit.utr, credit.settlement_ref) == ("AXISCN1153863727", None)
        assert credit.narration == "NEFT/AXISCN1153863727/PAYU PAYMENTS/XXXXXXXXXXXX1111"


def test_a_refusal_does_not_repeat_card_numbers() -> None:
    error = refused("AXIS", AXIS + axis("4111 1111 1111 1111"))
    assert "4111 1111" not in str(error)
    assert "1111' is not an amount" in error.reason


def test_decimal_comma_by_declaration() -> None:
    layout = layout_of(BANKS["AXIS"]).model_copy(update={"decimal": ",", "thousands": "."})
    german = BANKS["AXIS"].model_copy(update={"format": layout})
    ((credit,), _) = read(german, AXIS + axis('"1.234,56"') + 'TRAILER,1,"1.234,56","0,00"\n')
    assert credit.amount == Decimal("1234.56")
    assert "not an amount" in refused(german, AXIS + axis('"1,234.56"')).reason


def test_memory_does_not_grow_with_the_file() -> None:
    class Endless(io.RawIOBase):
        """Lines without end, counted."""

        given = 0
        rest = b""

        def readable(self) -> bool:
            return True

        def seekable(self) -> bool:
            return True

        def seek(self, offset: int, whence: int = 0) -> int:
            return 0 * (offset + whence)

        def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
            if not self.rest:
                self.rest = AXIS.encode() if not self.given else axis("1.00").encode()
                self.given += 1
            part, self.rest = self.rest[: len(buffer)], self.rest[len(buffer) :]
            buffer[: len(part)] = part
            return len(part)

    endless = Endless()
    raw: io.BufferedReader[Endless] = io.BufferedReader(endless, 512)  # type: ignore[type-var]
    movements = iter(Statement(raw, layout_of(BANKS["AXIS"]), DAY))
    for _ in range(50_000):
        next(movements)
    # Read ahead is a block's worth, not the file.
    assert endless.given < 70_000


def test_a_renamed_column_is_told_with_what_was_expected_and_what_was_found() -> None:
    error = refused("HDFC", HDFC.replace("Deposit Amt.", "Credit Amount"))
    assert error.column == "Deposit Amt."
    assert "missing ['Deposit Amt.'], unknown ['Credit Amount']" in error.reason
    assert "expected ['Date', 'Narration'" in error.reason


@pytest.mark.parametrize(
    ("row", "column", "says"),
    [
        ("06/01/26,X,,46028,,1.00,1.00", "Value Dt", "'46028' is no date of the form %d/%m/%y or %d/%m/%Y"),
        ("06/01/26,X,,06/01/26,,CR,1.00", "Deposit Amt.", "'CR' is not an amount"),
    ],
)
def test_a_retyped_column_is_told_with_what_was_expected_and_what_was_found(
    row: str, column: str, says: str
) -> None:
    error = refused("HDFC", f"{HDFC}{row}\n")
    assert (error.column, says in error.reason) == (column, True)


def test_what_nobody_described_is_noted() -> None:
    _, statement = read("HDFC", HDFC.replace("\n", ",Channel\n") + "TRAILER,0,0.00,0.00\n")
    assert statement.note == "columns nobody described: Channel"


def dated(*formats: dict[str, object]) -> Bank:
    described = BANKS["HDFC"].model_dump(by_alias=True, exclude_none=True)
    described["formats"] = formats
    del described["format"]
    return Bank.model_validate(described)


def test_an_old_file_is_read_by_the_format_of_its_day() -> None:
    now = layout_of(BANKS["HDFC"]).model_dump(by_alias=True, exclude_none=True)
    old = now | {"from": "2024-04-01", "delimiter": "~"}
    bank = dated(old, now | {"from": "2026-01-06"})
    days = [date(2024, 3, 31), date(2024, 4, 1), date(2026, 1, 5), DAY, date(2027, 1, 1)]
    found = [bank.format_on(day) for day in days]
    assert [one and one.since for one in found] == [
        None,
        date(2024, 4, 1),
        date(2024, 4, 1),
        DAY,
        DAY,
    ]
    before = bank.format_on(date(2026, 1, 5))
    assert before is not None
    text = (HDFC + "05/01/26,X,,05/01/26,,1.00,1.00\nTRAILER,1,1.00,0.00\n").replace(",", "~")
    assert len(list(Statement(io.BytesIO(text.encode()), before, date(2026, 1, 5)))) == 1
    assert "missing" in refused(bank, text).reason


@pytest.mark.parametrize(
    ("dates", "says"),
    [
        ([None], "every one of formats has a from"),
        (["2026-01-06", "2024-04-01"], "they ascend"),
        (["2026-01-06", "2026-01-06"], "they ascend"),
        ([], "either format or formats"),
    ],
)
def test_formats_that_do_not_follow_each_other_are_named(dates: list[str | None], says: str) -> None:
    now = layout_of(BANKS["HDFC"]).model_dump(by_alias=True, exclude_none=True)
    with pytest.raises(ValidationError, match=says):
        dated(*(now | ({"from": one} if one else {}) for one in dates))


def icici(*rows: tuple[str, str, str], trailer: str) -> str:
    """Rows of serial number, UTR and amount."""
    lines = [f"{at},06/01/2026,06/01/2026,,NEFT/{utr}/PAYTM/P_1,,{amount},\n" for at, utr, amount in rows]
    return ICICI + "".join(lines) + f"TRAILER,{trailer},0.00\n"


def by_identity(*columns: str) -> Bank:
    layout = layout_of(BANKS["ICICI"]).model_copy(update={"identity": columns})
    return BANKS["ICICI"].model_copy(update={"format": layout})


UTR_A, UTR_B = "ICICN26010600001", "ICICN26010600002"


def test_a_repeated_line_is_two_lines() -> None:
    movements, statement = read("ICICI", icici(("1", UTR_A, "5.00"), ("1", UTR_A, "5.00"), trailer="2,10.00"))
    assert [(one.place, one.amount) for one in movements] == [(2, Decimal("5.00")), (3, Decimal("5.00"))]
    assert statement.note is None


def test_a_repeated_line_is_one_where_the_bank_says_what_makes_it_one() -> None:
    text = icici(("1", UTR_A, "5.00"), ("2", UTR_B, "5.00"), ("1", UTR_A, "5.00"), trailer="3,15.00")
    movements, statement = read(by_identity("S No.", "Transaction Remarks"), text)
    assert [one.line_no for one in movements] == [2, 3]
    assert (statement.totals.count, statement.totals.credit_total) == (2, Decimal("10.00"))
    assert statement.note == "1 lines repeat others and count once"
    assert statement.claim is not None
    assert statement.claim.count == statement.lines.count == 3


def test_an_identity_does_not_depend_on_the_place_nor_show_what_is_in_it() -> None:
    bank = by_identity("Transaction Remarks")
    first, _ = read(bank, icici(("1", UTR_A, "5.00"), trailer="1,5.00"))
    later, _ = read(bank, icici(("1", UTR_B, "7.00"), ("2", UTR_A, "6.00"), trailer="2,13.00"))
    assert first[0].place == later[1].place != later[0].place
    assert UTR_A not in str(first[0].place)


def test_two_lines_of_one_identity_that_differ_refuse_the_file() -> None:
    text = icici(("1", UTR_A, "5.00"), ("1", UTR_A, "6.00"), trailer="2,11.00")
    error = refused(by_identity("S No."), text)
    assert (error.line, "says something else" in error.reason) == (3, True)


def test_a_line_without_what_makes_it_one_refuses_the_file() -> None:
    text = icici(("1", UTR_A, "5.00"), trailer="1,5.00")
    error = refused(by_identity("Cheque Number"), text)
    assert (error.line, error.column) == (2, "Cheque Number")


@pytest.mark.parametrize(
    ("business_date", "day", "is_read"),
    [
        (date(2026, 2, 1), "02/01/2026", False),
        (date(2026, 1, 2), "01/02/2026", False),
        (date(2026, 2, 1), "01/02/2026", True),
        (date(2026, 2, 2), "02/02/2026", True),
        (date(2026, 2, 1), "03/01/2026", True),
        (date(2026, 2, 1), "31/01/2026", True),
    ],
)
def test_day_and_month_swapped_are_not_taken_for_an_older_day(
    business_date: date, day: str, is_read: bool
) -> None:
    raw = io.BytesIO((AXIS + axis("1.00", day=day) + "TRAILER,1,1.00,0.00\n").encode())
    statement = Statement(raw, layout_of(BANKS["AXIS"]), business_date)
    if is_read:
        assert len(list(statement)) == 1
        return
    with pytest.raises(FileRefusedError, match="day and month swapped") as caught:
        list(statement)
    assert (caught.value.line, caught.value.column) == (2, "Value Date")
