"""Ids and references in the forms that gateways and banks really use, never the same one twice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from datetime import date
    from random import Random

_LETTERS: Final = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz0123456789"
# From two lakh rupees on, a transfer goes by RTGS.
_RTGS_FROM: Final = 2_00_000_00


class References:
    """Hands out ids; counters make them unique, the random part makes them look at home."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._next = 0

    def number(self) -> int:
        """A number used nowhere else in this world."""
        self._next += 1
        return self._next

    def razorpay(self, prefix: str) -> str:
        """pay_29QQoUBi66xm2f and its like: fourteen letters and digits."""
        number, tail = self.number(), ""
        for _ in range(5):
            number, place = divmod(number, len(_LETTERS))
            tail = _LETTERS[place] + tail
        return f"{prefix}_{self._text(9)}{tail}"

    def payu(self) -> str:
        """A mihpayid: eleven digits (the longer kind could be mistaken for a card number)."""
        return str(40_300_000_000 + self.number() * 7 + int(self._rng.random() * 7))

    def paytm(self, day: date) -> str:
        """A TXNID: the day and a long number."""
        return f"{day:%Y%m%d}11121280011016{self.number():09d}"

    def rrn(self, day: date) -> str:
        """Twelve digits: last digit of the year, day of the year, hour, six more."""
        return self._instant(day, self.number())

    def utr(self, day: date, paise: int) -> str:
        """The reference of a transfer: RTGS for large ones, else NEFT, some by IMPS."""
        serial = self.number()
        if paise >= _RTGS_FROM:
            return f"UTIBR7{day:%Y%m%d}{serial:08d}"
        kind = self._rng.random()
        if kind < 0.45 and serial < 1_000_000:
            return f"KKBKH{day:%y}{day.timetuple().tm_yday:03d}{serial % 1_000_000:06d}"
        if kind < 0.75:
            return f"AXISCN11{serial:08d}"
        if kind < 0.9:
            return f"N{day.timetuple().tm_yday:03d}{day:%y}1{serial:09d}"
        return self._instant(day, serial)

    def _instant(self, day: date, serial: int) -> str:
        hour, rest = divmod(serial, 1_000_000)
        return f"{day.year % 10}{day.timetuple().tm_yday:03d}{hour % 24:02d}{rest:06d}"

    def _text(self, length: int) -> str:
        return "".join(self._rng.choices(_LETTERS, k=length))
