"""Large files are read block by block: the same movements as row by row, or the same refusal."""

from __future__ import annotations

import io
import random
from dataclasses import astuple
from datetime import date
from typing import TYPE_CHECKING, Any

import pytest

from sftp_bridge.banks import Bank, load_banks
from sftp_bridge.errors import FileRefusedError
from sftp_bridge.movements import Movement
from sftp_bridge.readers import blocks, delimited
from sftp_bridge.statements import Statement

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sftp_bridge.formats import AnyFormat

DAY = date(2026, 1, 6)
BANKS = load_banks()
# Columns of a bank made to have what the three do not: a sign in the amount, commas as decimals.
SIGNED = {
    "kind": "delimited",
    "delimiter": ";",
    "header": ["Day", "Text", "Amount", "Settlement"],
    "currency": "INR",
    "value_date": {"column": "Day", "formats": ["%Y-%m-%d"]},
    "value_date_within_days": 31,
    "amount": {"how": "signed", "column": "Amount", "sign": "trailing", "positive": "DR"},
    "decimal": ",",
    "thousands": ".",
    "narration": "Text",
    "reference": {"column": "Text", "pattern": "(?P<utr>[A-Z]{4}[A-Z0-9]{8,}|\\b\\d{12}\\b)"},
    "settlement_ref": {"column": "Settlement", "pattern": "^(?P<settlement_ref>setl_\\w+)?"},
    "skip": [{"column": "Text", "matches": "^(OPENING|CLOSING) BALANCE"}],
}


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a short file has many of them."""
    monkeypatch.setattr(blocks, "_FIRST", 300)
    monkeypatch.setattr(blocks, "_BLOCK", 700)


def signed(**change: Any) -> AnyFormat:
    described = BANKS["AXIS"].model_dump(by_alias=True, exclude_none=True) | {"format": SIGNED | change}
    return layout_of(Bank.model_validate(described))


def layout_of(bank: Bank) -> AnyFormat:
    layout = bank.format_on(DAY)
    assert layout is not None
    return layout


def outcome(layout: AnyFormat, data: bytes) -> tuple[Any, ...]:
    statement = Statement(io.BytesIO(data), layout, DAY)
    try:
        movements = list(statement)
    except FileRefusedError as error:
        return "refused", error.reason, error.line, error.column, error.excerpt
    return movements, astuple(statement.totals), astuple(statement.lines), statement.claim


def blockwise(layout: AnyFormat, data: bytes) -> tuple[int, int]:
    """Movements that were read many at once, and one by one."""
    at_once = single = 0
    for movements in Statement(io.BytesIO(data), layout, DAY).read():
        if isinstance(movements, Movement):
            single += 1
        else:
            at_once += len(movements)
    return at_once, single


def row_by_row(monkeypatch: pytest.MonkeyPatch, layout: AnyFormat, data: bytes) -> tuple[Any, ...]:
    with monkeypatch.context() as patched:
        patched.setattr(delimited, "in_blocks", lambda _: False)
        return outcome(layout, data)


AXIS_HEAD = (
    "S.No,Transaction Date,Value Date,Particulars,Amount(INR),Debit/Credit,Balance(INR),"
    "Cheque Number,Branch Name(SOL)"
)
ICICI_HEAD = (
    "S No.,Value Date,Transaction Date,Cheque Number,Transaction Remarks,"
    "Withdrawal Amount (INR ),Deposit Amount (INR ),Balance (INR )"
)


def axis(rng: random.Random, number: int) -> str:
    text = rng.choice(
        [
            f"NEFT/PAYUN26{rng.randrange(10**9):09d}/PAYU PAYMENTS/setl_{number}",
            f"IMPS/{rng.randrange(10**11, 10**12)}/PAYU PAYMENTS/setl_{number}",
            f"NEFT-RETURN/AXISCN{rng.randrange(10**10):010d}",
            "CONSOLIDATED CHARGES",
            "OPENING BALANCE",
            f"POS 4111 1111 1111 1111 REF {number}",
            f"POS4111111111111111 REF {number}",
            f"IMPS/{'0' * 12}/PAYU PAYMENTS/setl_{number}" * (number == 7) or "FEE",
            f"NEFT/PAYUN26{number:09d}/PAYU PAYMENTS/4111 1111 1111 1111" * (number == 9) or "FEE",
            f"RTGS/UTIBR720260106{rng.randrange(10**8):08d}/PAYU PAYMENTS/setl_{number}",
            f'"TRANSFER, A/C {rng.randrange(10**9, 10**14)}"',
        ]
    )
    paise = rng.randrange(1, 10**9)
    amount = rng.choice([f"{paise / 100:.2f}", f'"{paise // 100:,}.50"', f" {paise // 100} ", '"1,00,000.5"'])
    return (
        f"{number},06/01/2026,0{rng.randrange(1, 9)}/01/2026,{text},{amount},{rng.choice(['CR', 'DR'])},1,,X"
    )


def icici(rng: random.Random, number: int) -> str:
    paid, taken = rng.choice([("", "12.50"), ("1,000.00", ""), ("0.00", "7"), ('"1,00,000.00"', "0")])
    paid, taken = (f'"{one}"' if "," in one and '"' not in one else one for one in (paid, taken))
    text = f"NEFT-RAZRN26{rng.randrange(10**9):09d}-RAZORPAY-setl{number}"
    return f"{number},06/01/2026,06/01/2026,,{text},{paid},{taken},1.00"


def other(rng: random.Random, number: int) -> str:
    paise = rng.randrange(1, 10**8)
    amount = f"{paise // 100:,}".replace(",", ".") + f",{paise % 100:02d}" + rng.choice(["", "+", "-", " -"])
    text = rng.choice(
        [f"RAZRN26{rng.randrange(10**9):09d} paid", f"UPI {rng.randrange(10**11, 10**12)}", "fee"]
    )
    return f"2026-01-0{rng.randrange(1, 9)};{text};{amount};{rng.choice(['setl_' + str(number), '', 'x'])}"


KINDS: dict[str, tuple[Callable[[], AnyFormat], str, Callable[[random.Random, int], str]]] = {
    "sign column": (lambda: layout_of(BANKS["AXIS"]), AXIS_HEAD, axis),
    "two columns": (lambda: layout_of(BANKS["ICICI"]), ICICI_HEAD, icici),
    "signed": (signed, "Day;Text;Amount;Settlement", other),
}
# What may stand in a file that is not plain, and what nobody may take.
ODD = (
    '"',
    '""',
    "\t",
    "\r",
    "\n",
    "\r\n",
    "\x00",
    "\x1c",
    "\x0b",
    "₹",
    "é",
    " ",
    ",",
    ";",
    "-",
    "+",
    "0",
    "9" * 17,
    "E+11",
    "NaN",
    "(100.00)",
    "4111111111111111",
    "31/02/2026",
    "TRAILER",
    "\ufeff",
    ",,,,,,,,",
    "\n\n",
    " \n",
    "\u0968",
)


def files(kind: str, seed: int) -> Iterator[tuple[AnyFormat, bytes]]:
    describe, head, row = KINDS[kind]
    layout, rng = describe(), random.Random(seed)
    rows = [row(rng, number) for number in range(rng.randrange(1, 60))]
    end = rng.choice(["\n", "\r\n"])
    text = end.join([head, *rows]) + rng.choice([end, ""])
    yield layout, text.encode()
    for _ in range(4):
        at = rng.randrange(len(head), len(text) + 1)
        hurt = text[:at] + rng.choice(ODD) + text[at + rng.choice([0, 0, 1, 30]) :]
        yield layout, hurt.encode(rng.choice(["utf-8", "utf-8", "cp1252"]), "replace")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(60))
def test_blocks_say_what_rows_say(monkeypatch: pytest.MonkeyPatch, kind: str, seed: int) -> None:
    for layout, data in files(kind, seed):
        described = layout.model_copy(update={"trailer": None})
        assert outcome(described, data) == row_by_row(monkeypatch, described, data)


def test_a_trailer_is_found_behind_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(7)
    rows = [axis(rng, number).replace("OPENING", "SOME") for number in range(80)]
    for trailer in ("TRAILER,80,0,0", "TRAILER,79,1.00,2.00", "TRAILER,80,0,0\n1,2", "", "TRAILER"):
        data = "\n".join([AXIS_HEAD, *rows, trailer, ""]).encode()
        layout = layout_of(BANKS["AXIS"])
        assert outcome(layout, data) == row_by_row(monkeypatch, layout, data)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_plain_is_read_at_once(kind: str) -> None:
    describe, head, row = KINDS[kind]
    rng = random.Random(3)
    rows = [row(rng, number) for number in range(200)]
    described = describe().model_copy(update={"trailer": None})
    at_once, single = blockwise(described, "\n".join([head, *rows, ""]).encode())
    assert at_once > 10 * single


def test_one_odd_line_makes_few_others_slow() -> None:
    rng = random.Random(3)
    rows = [axis(rng, number) for number in range(200)]
    rows[100] = rows[100].replace("06/01/2026", "06/01/2026\u00a0")
    layout = layout_of(BANKS["AXIS"]).model_copy(update={"trailer": None})
    at_once, single = blockwise(layout, "\n".join([AXIS_HEAD, *rows, ""]).encode())
    assert at_once > 5 * single > 0


@pytest.mark.parametrize(
    "change",
    [
        {"identity": ("Text",)},
        {"reference": {"column": "Text", "pattern": "(?P<utr>(?i:setl)\\d{12})"}},
        {"reference": {"column": "Text", "pattern": "(?P<utr>\\d{,12})"}},
        {"reference": {"column": "Text", "pattern": "(?P<utr>\\d{12})(?=X)"}},
        {"reference": {"column": "Text", "pattern": "(\\w)(?P<utr>\\d{12})"}},
    ],
)
def test_what_two_engines_could_read_differently_is_read_row_by_row(change: dict[str, Any]) -> None:
    rng = random.Random(3)
    rows = [other(rng, number).replace(" paid", f" {number}") for number in range(100)]
    data = "\n".join(["Day;Text;Amount;Settlement", *rows, ""]).encode()
    try:
        at_once, _ = blockwise(signed(**change), data)
    except FileRefusedError:
        return
    assert at_once == 0
