"""Money is read strictly and never loses a paisa."""

from __future__ import annotations

import random
from decimal import Decimal

import pytest

from settlement.errors import MoneyError
from settlement.money import format_rupees, from_minor, parse_amount, quantize, to_minor


@pytest.mark.parametrize(
    ("text", "rupees"),
    [
        ("0", "0.00"),
        ("10.00", "10.00"),
        ("10.5", "10.50"),
        ("\t7,560.00 ", "7560.00"),
        ("-,77,65,682.30", "-7765682.30"),
        ("1,23,45,678.90", "12345678.90"),
        ("12,345,678.90", "12345678.90"),
        ("₹ 1,234.50", "1234.50"),
        ("Rs. 99", "99.00"),
        ("INR 5.00", "5.00"),
        ("+3.10", "3.10"),
        ("-0.00", "0.00"),
        ("\u00a01,000.00", "1000.00"),
    ],
)
def test_amounts_as_banks_write_them(text: str, rupees: str) -> None:
    assert str(parse_amount(text)) == rupees


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "-",
        "abc",
        "1e5",
        "1.2.3",
        "12,34",
        "1,2,345.00",
        ",5",
        "1.234",
        "NaN",
        "Infinity",
        "(5.00)",
        "1 000.00",
        "٣",
        "10.",
        ".5",
        "12345678901234567.00",
        "5.00 Cr",
        "--5",
        "1,234,56.00",
    ],
)
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(MoneyError):
        parse_amount(text)


@pytest.mark.parametrize("value", [None, True, 1.5])
def test_floats_and_nothing_are_refused(value: object) -> None:
    with pytest.raises(MoneyError):
        parse_amount(value)  # type: ignore[arg-type]


def test_payu_may_write_four_decimals_when_asked() -> None:
    assert parse_amount("239.5960", places=4) == Decimal("239.60")
    assert parse_amount("43.1250", places=4) == Decimal("43.13")
    with pytest.raises(MoneyError):
        parse_amount("43.12505", places=4)


def test_minor_units_go_there_and_back() -> None:
    rng = random.Random(1)
    for _ in range(2000):
        paise = rng.randrange(-(10**17), 10**17)
        assert to_minor(from_minor(paise)) == paise


def test_formatting_goes_there_and_back() -> None:
    rng = random.Random(2)
    for _ in range(2000):
        rupees = from_minor(rng.randrange(-(10 ** rng.randrange(1, 17)), 10**10))
        assert parse_amount(format_rupees(rupees)[rupees < 0 :].lstrip("₹")) == abs(rupees)
        assert format_rupees(rupees).startswith("-") == (rupees < 0)


@pytest.mark.parametrize(
    ("rupees", "text"),
    [
        ("0", "₹0.00"),
        ("999.9", "₹999.90"),
        ("1000", "₹1,000.00"),
        ("100000", "₹1,00,000.00"),
        ("1234567.5", "₹12,34,567.50"),
        ("-123456789", "-₹12,34,56,789.00"),
    ],
)
def test_indian_grouping(rupees: str, text: str) -> None:
    assert format_rupees(Decimal(rupees)) == text


def test_a_gain_can_carry_its_sign() -> None:
    assert format_rupees(Decimal("0.01"), sign=True) == "+₹0.01"


def test_rounding_is_half_away_from_zero() -> None:
    assert [str(quantize(Decimal(text))) for text in ("0.005", "-0.005", "0.0049", "2.675")] == [
        "0.01",
        "-0.01",
        "0.00",
        "2.68",
    ]
    with pytest.raises(MoneyError):
        to_minor(Decimal("0.001"))
    with pytest.raises(MoneyError):
        from_minor(True)
    with pytest.raises(MoneyError):
        quantize(Decimal("NaN"))
