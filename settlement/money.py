"""Rupees and paise: read strictly, kept as Decimal, written the Indian way."""

from __future__ import annotations

import re
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Final

from settlement.errors import MoneyError

PAISA: Final = Decimal("0.01")
ZERO: Final = Decimal("0.00")

# DECIMAL(18,2) everywhere: sixteen digits before the point.
_LIMIT: Final = Decimal(10) ** 16
_MINOR_LIMIT: Final = 10**18

_PLAIN: Final = re.compile(r"\d+(\.\d+)?", re.ASCII)
_INDIAN: Final = re.compile(r"\d{1,2}(,\d{2})*,\d{3}(\.\d+)?", re.ASCII)
_WESTERN: Final = re.compile(r"\d{1,3}(,\d{3})+(\.\d+)?", re.ASCII)
_CURRENCY: Final = re.compile(r"^(₹|RS\.?|INR)\s*", re.IGNORECASE)


def parse_amount(text: str | int | Decimal | None, *, places: int = 2) -> Decimal:
    """An amount as a file or gateway wrote it, in rupees.

    Takes padding, tabs, Indian and western grouping and Axis's `-,77,65,682.30`. Refuses floats, exponents,
    wrong grouping, more than `places` decimals that say something, and nothing at all: a bad number is
    quarantined, never zero and never rounded away.
    """
    if isinstance(text, bool) or text is None or isinstance(text, float):
        raise MoneyError(f"{text!r} is not an amount")
    if isinstance(text, int | Decimal):
        return _paise(Decimal(text), text, places)
    body = _CURRENCY.sub("", text.replace("\u00a0", " ").strip())
    sign = 1
    if body[:1] in "+-−" and body:
        sign = 1 if body[0] == "+" else -1
        body = body[1:].strip().removeprefix(",")
    if not (_PLAIN.fullmatch(body) or _INDIAN.fullmatch(body) or _WESTERN.fullmatch(body)):
        raise MoneyError(f"{text!r} is not an amount")
    return _paise(sign * Decimal(body.replace(",", "")), text, places)


def from_minor(paise: int) -> Decimal:
    """Rupees from whole paise, as Razorpay counts."""
    if isinstance(paise, bool) or not isinstance(paise, int):
        raise MoneyError(f"{paise!r} is not a whole number of paise")
    if -_MINOR_LIMIT < paise < _MINOR_LIMIT:
        return Decimal(paise).scaleb(-2)
    return _paise(Decimal(paise).scaleb(-2), paise, 2)


def to_minor(rupees: Decimal) -> int:
    """Whole paise; refuses an amount that has less than a paisa in it."""
    return int(_paise(rupees, rupees, 2).scaleb(2))


def quantize(rupees: Decimal) -> Decimal:
    """Rounded to paise, halves away from zero, as banks and gateways round fees and taxes."""
    if not rupees.is_finite():
        raise MoneyError(f"{rupees} is not an amount")
    try:
        return rupees.quantize(PAISA, ROUND_HALF_UP) + ZERO  # + ZERO turns -0.00 into 0.00
    except InvalidOperation:
        raise MoneyError(f"{rupees} is not an amount") from None


def format_rupees(rupees: Decimal, *, sign: bool = False) -> str:
    """For people: ₹12,34,567.50, with a leading - (or + where asked for)."""
    amount = quantize(rupees)
    whole, _, fraction = f"{abs(amount):.2f}".partition(".")
    head, tail = whole[:-3], whole[-3:]
    groups = [head[max(0, end - 2) : end] for end in range(len(head), 0, -2)][::-1]
    prefix = "-" if amount < 0 else "+" if sign and amount > 0 else ""
    return f"{prefix}₹{','.join([*groups, tail])}.{fraction}"


def _paise(amount: Decimal, given: object, places: int) -> Decimal:
    if not amount.is_finite() or abs(amount) >= _LIMIT:
        raise MoneyError(f"{given!r} is not an amount of at most sixteen digits before the point")
    if amount != round(amount, places):
        raise MoneyError(f"{given!r} has more than {places} decimals")
    return quantize(amount)
