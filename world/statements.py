"""The banks' statement files, each in its bank's own layout, as the bank would drop them."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Final, NamedTuple

from world.model import COMES_TWICE, IS_CORRECTED, NEVER_ARRIVES, NOT_DUE_YET, BankLine, FileKey, World, money

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date

_HEADERS: Final = {
    "AXIS": (
        "S.No", "Transaction Date", "Value Date", "Particulars", "Amount(INR)", "Debit/Credit",
        "Balance(INR)", "Cheque Number", "Branch Name(SOL)",
    ),
    "HDFC": (
        "Date", "Narration", "Chq./Ref.No.", "Value Dt", "Withdrawal Amt.", "Deposit Amt.", "Closing Balance",
    ),
    "ICICI": (
        "S No.", "Value Date", "Transaction Date", "Cheque Number", "Transaction Remarks",
        "Withdrawal Amount (INR )", "Deposit Amount (INR )", "Balance (INR )",
    ),
}  # fmt: skip
_NAMES: Final = {"AXIS": "AXIS_STMT", "HDFC": "HDFC", "ICICI": "ICICI"}
_OPENING: Final = 10_000_000_00


class Statement(NamedTuple):
    """One file: its name and bytes, and which business file it is."""

    key: FileKey
    name: str
    data: bytes


def file_name(key: FileKey, revision: int = 1) -> str:
    """AXIS_STMT_20260106_1130.csv; a later revision says so before the ending."""
    bank, day, cutoff = key
    suffix = f"_R{revision}" if revision > 1 else ""
    return f"{_NAMES[bank]}_{day:%Y%m%d}_{cutoff.replace(':', '')}{suffix}.csv"


def statements(world: World) -> dict[FileKey, Statement]:
    """Every file that ever arrives, as it is first dropped."""
    made = {}
    for key, lines in world.files.items():
        if key == NEVER_ARRIVES or key in NOT_DUE_YET:
            continue
        first = world.first_revision if key == IS_CORRECTED else lines
        made[key] = Statement(key, file_name(key), _render(key, first))
    return made


def correction(world: World) -> Statement:
    """The second revision of the corrected file."""
    return Statement(
        IS_CORRECTED, file_name(IS_CORRECTED, 2), _render(IS_CORRECTED, world.files[IS_CORRECTED])
    )


def same_again(world: World) -> Statement:
    """A file's bytes a second time, under another name."""
    return Statement(COMES_TWICE, file_name(COMES_TWICE, 2), _render(COMES_TWICE, world.files[COMES_TWICE]))


def _render(key: FileKey, lines: Iterable[BankLine]) -> bytes:
    bank, day, _ = key
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_HEADERS[bank])
    balance, count, credit, debit = _OPENING, 0, 0, 0
    for count, line in enumerate(lines, 1):
        arrives = line.direction == "CR"
        credit += line.paise if arrives else 0
        debit += 0 if arrives else line.paise
        balance += line.paise if arrives else -line.paise
        writer.writerow(_ROWS[bank](count, day, line, balance))
    writer.writerow(["TRAILER", count, money(credit), money(debit)])
    return out.getvalue().encode()


def _rail(line: BankLine) -> str:
    """The rail that the reference's form speaks of."""
    if len(line.utr) == 22:
        return "RTGS"
    return "IMPS" if line.utr.isdigit() else "NEFT"


def _particulars(line: BankLine) -> str:
    returned = " RETURN" if line.direction == "DR" else ""
    return f"{_rail(line)}{returned}/{line.utr}/{line.gateway.upper()} PAYMENTS/{line.reference}"


def _indian(paise: int) -> str:
    """12,34,567.50: thousands once, then hundreds."""
    whole, fraction = money(paise).split(".")
    head, tail = whole[:-3], whole[-3:]
    groups = [head[max(0, end - 2) : end] for end in range(len(head), 0, -2)][::-1]
    return ",".join([*groups, tail]) + "." + fraction


def _axis(number: int, day: date, line: BankLine, balance: int) -> list[object]:
    on = f"{day:%d/%m/%Y}"
    # Axis pads its amounts with a tab.
    amount = f"\t{_indian(line.paise)}"
    return [
        number,
        on,
        f"{line.value_date:%d/%m/%Y}",
        _particulars(line),
        amount,
        line.direction,
        _indian(balance),
        "-",
        "MUMBAI (004)",
    ]


def _hdfc(number: int, day: date, line: BankLine, balance: int) -> list[object]:  # noqa: ARG001 - no number here
    arrives = line.direction == "CR"
    narration = f"{_rail(line)} {'CR' if arrives else 'RETURN'}-{line.reference}-{line.gateway.upper()}"
    amount = money(line.paise)
    return [
        f"{day:%d/%m/%y}",
        narration,
        line.utr,
        f"{line.value_date:%d/%m/%y}",
        "" if arrives else amount,
        amount if arrives else "",
        money(balance),
    ]


def _icici(number: int, day: date, line: BankLine, balance: int) -> list[object]:
    arrives = line.direction == "CR"
    amount = money(line.paise)
    return [
        number,
        f"{line.value_date:%d/%m/%Y}",
        f"{day:%d/%m/%Y}",
        "-",
        _particulars(line),
        "0.00" if arrives else amount,
        amount if arrives else "0.00",
        money(balance),
    ]


_ROWS: Final = {"AXIS": _axis, "HDFC": _hdfc, "ICICI": _icici}
