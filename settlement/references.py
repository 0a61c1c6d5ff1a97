"""Bank references: the UTR of a transfer or the RRN of an instant payment, as every side should spell it."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final, NamedTuple

from settlement.errors import ReferenceDamagedError


class ReferenceKind(StrEnum):
    """The rail a reference's form belongs to."""

    NEFT = "NEFT"
    RTGS = "RTGS"
    RRN = "RRN"  # IMPS and UPI
    OTHER = "OTHER"


class Reference(NamedTuple):
    """A reference fit for matching, and the rail its form speaks of."""

    value: str
    kind: ReferenceKind


_FORMS: Final = (
    # Bank code, R, channel, yyyymmdd, eight digits: UTIBR72023062000022728.
    (ReferenceKind.RTGS, re.compile(r"[A-Z]{4}R[A-Z0-9]20\d{6}\d{8}")),
    # 16 letters and digits beginning with a letter: KKBKH14156891582, N223211598444659.
    (ReferenceKind.NEFT, re.compile(r"[A-Z][A-Z0-9]{5}[0-9A-Z]{2}\d{8}")),
    (ReferenceKind.RRN, re.compile(r"\d{12}")),
)
# What people and programs write where they know none; banks that fill a column up write zeros alone.
_NOTHING: Final = re.compile(r"|--?|0+|NA|N/A|NIL|NULL|NONE|NAN")
# 3.2E+11, 1.23457E+15: a spreadsheet took it for a number and threw digits away.
_SCIENTIFIC: Final = re.compile(r"[+-]?\d+([.,]\d+)?E\+\d+|[+-]?\d+[.,]\d+E\d+")
_NUMBER_WITH_FRACTION: Final = re.compile(r"\d+[.,]\d+")
_ALLOWED: Final = re.compile(r"[A-Z0-9]{8,35}")
_TOKEN: Final = re.compile(r"(?<![A-Z0-9_])[A-Z0-9]{12,22}(?![A-Z0-9_])")


def reference(raw: str | None) -> Reference | None:
    """Read a reference as a person or program wrote it; None where there is none.

    Refuses what can no longer be told apart from another reference: matching money by a guess is worse
    than not matching it.
    """
    if raw is None:
        return None
    text = raw.strip().strip("\ufeff")
    # Marks that keep spreadsheets from touching the text: '0322…, ="0322…".
    text = re.sub(r"[\s\u00a0]+", "", text.removeprefix("=").strip("\"'` "))
    if not text.isascii():
        # Before the capitals: ß would become SS and a dotless ı an I, which is another reference.
        raise ReferenceDamagedError(f"{raw!r}: a reference is 8 to 35 letters and digits, of English ones")
    text = text.upper()
    if _NOTHING.fullmatch(text):
        return None
    if _SCIENTIFIC.fullmatch(text):
        raise ReferenceDamagedError(f"{raw!r}: a spreadsheet wrote it as a number; digits are lost")
    if _NUMBER_WITH_FRACTION.fullmatch(text):
        raise ReferenceDamagedError(f"{raw!r}: a reference has no fraction; it went through a number")
    if text.isdigit() and len(text) < 12:
        raise ReferenceDamagedError(f"{raw!r}: shorter than 12 digits, so leading zeros are lost")
    if text.isdigit() and len(text) >= 15 and text.endswith("00000"):
        # Numbers keep 15 digits in a spreadsheet; what comes after turns into zeros.
        raise ReferenceDamagedError(f"{raw!r}: the last digits were rounded to zeros")
    if not _ALLOWED.fullmatch(text):
        raise ReferenceDamagedError(f"{raw!r}: a reference is 8 to 35 letters and digits")
    return Reference(text, kind_of(text))


def normalise_utr(raw: str | None) -> str | None:
    """The spelling to match by, or None; see `reference`."""
    found = reference(raw)
    return found.value if found else None


def kind_of(value: str) -> ReferenceKind:
    """The rail a normalised reference belongs to, by its form."""
    for kind, form in _FORMS:
        if form.fullmatch(value):
            return kind
    return ReferenceKind.OTHER


def find_reference(narration: str | None) -> Reference | None:
    """The first reference of a known form in a bank's free text, None where there is none."""
    for token in _TOKEN.findall((narration or "").upper()):
        kind = kind_of(token)
        if kind is not ReferenceKind.OTHER:
            return Reference(token, kind)
    return None
