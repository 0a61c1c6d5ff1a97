"""Statement files as AXIS writes them, of any length, and what is in them."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import date, timedelta
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BANK: Final = "AXIS"
CUTOFFS: Final = ("1130", "1530", "2000")
_HEADER: Final = (
    "S.No,Transaction Date,Value Date,Particulars,Amount(INR),Debit/Credit,Balance(INR),"
    "Cheque Number,Branch Name(SOL)\n"
)
# Lines that are written together.
_TOGETHER: Final = 20_000


@dataclass(frozen=True, slots=True)
class Place:
    """The business file that a file is."""

    day: date
    cutoff: str
    bank: str = BANK

    @property
    def name(self) -> str:
        """As the bank calls it."""
        return f"{self.bank}_STMT_{self.day:%Y%m%d}_{self.cutoff}.csv"

    @property
    def file_id(self) -> str:
        """As everybody behind the bridge calls it."""
        return f"{self.bank}|{self.day.isoformat()}|{self.cutoff[:2]}:{self.cutoff[2:]}"


@dataclass(frozen=True, slots=True)
class Written:
    """A file that was written: its size, and what must be found of it behind the bridge."""

    place: Place
    path: Path
    size: int
    rows: int
    paise: int
    # Of the keys that its records must have, in any order.
    keys: int


def places(count: int, first: date) -> Iterator[Place]:
    """So many business files, three to a day, from that day back."""
    for number in range(count):
        yield Place(first - timedelta(number // len(CUTOFFS)), CUTOFFS[number % len(CUTOFFS)])


def write_statement(folder: Path, place: Place, rows: int) -> Written:
    """Credits only, each with a UTR and a settlement reference; and the trailer that sums them up."""
    rng = random.Random(f"{place.file_id} {rows}")
    path = folder / place.name
    day, total, keys = f"{place.day:%d/%m/%Y}", 0, 0
    with path.open("w", encoding="ascii", newline="") as file:
        file.write(_HEADER)
        for begin in range(0, rows, _TOGETHER):
            lines = []
            for number in range(begin, min(begin + _TOGETHER, rows)):
                paise = rng.randrange(100, 10**8)
                total += paise
                utr = f"PAYUN26{number:09d}"
                # Line 1 is the header.
                keys += digest(f"{place.file_id}|{number + 2}|{utr}".encode())
                lines.append(
                    f"{number + 1},{day},{day},NEFT/{utr}/PAYU PAYMENTS/setl_{rng.getrandbits(40):012x},"
                    f"{rupees(paise)},CR,{rupees(10**12 + total)},,MUMBAI MAIN (0004)\n"
                )
            file.write("".join(lines))
        file.write(f"TRAILER,{rows},{rupees(total)},0.00\n")
    return Written(place, path, path.stat().st_size, rows, total, keys % 2**64)


def digest(key: bytes) -> int:
    """A number that stands for a key; their sum stands for all of them, in any order."""
    return int.from_bytes(blake2b(key, digest_size=8).digest(), "big")


def rupees(paise: int) -> str:
    """As banks write them."""
    return f"{paise // 100}.{paise % 100:02d}"
