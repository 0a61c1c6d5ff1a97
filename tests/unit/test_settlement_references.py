"""References match when they are the same, and are refused when nobody can know."""

from __future__ import annotations

import random
import string

import pytest

from settlement.errors import ReferenceDamagedError
from settlement.references import ReferenceKind, find_reference, kind_of, normalise_utr, reference


@pytest.mark.parametrize(
    ("raw", "value", "kind"),
    [
        ("KKBKH14156891582", "KKBKH14156891582", ReferenceKind.NEFT),
        (" axiscn1153863727\n", "AXISCN1153863727", ReferenceKind.NEFT),
        ("N223211598444659", "N223211598444659", ReferenceKind.NEFT),
        ("utibr72023062000022728", "UTIBR72023062000022728", ReferenceKind.RTGS),
        ("322206890934", "322206890934", ReferenceKind.RRN),
        ("'022206890934", "022206890934", ReferenceKind.RRN),
        ('="022206890934"', "022206890934", ReferenceKind.RRN),
        ("3222 0689 0934", "322206890934", ReferenceKind.RRN),
        ("1568176960vxp0rj", "1568176960VXP0RJ", ReferenceKind.OTHER),
    ],
)
def test_references_as_people_write_them(raw: str, value: str, kind: ReferenceKind) -> None:
    assert reference(raw) == (value, kind)


@pytest.mark.parametrize(
    "raw", [None, "", "  ", "-", "NA", "null", "0", "000000000000", "0000000000000000", "'", "None"]
)
def test_no_reference_is_none(raw: str | None) -> None:
    assert normalise_utr(raw) is None


@pytest.mark.parametrize(
    "raw",
    [
        "1.23457E+15",
        "3.2E+11",
        "3,2E+11",
        "1E+15",
        "3.22207E11",
        "322206890934.0",
        "32220689093",
        "123",
        "123456789012300000",
        "AXIS/CN1153863727",
        "SHORT",
        "X" * 36,
        "नेफ्ट12345678",
        "axißn1153863727",
        "axıscn1153863727",
        "AXISCN115386\u200b3727",
        "AXISCN115386\u202e3727",
        "322,206,890,934",
        "#N/A",
        "#REF!",
        "TRUE",
    ],
)
def test_spoilt_references_are_refused(raw: str) -> None:
    with pytest.raises(ReferenceDamagedError):
        reference(raw)


def test_normalising_twice_changes_nothing() -> None:
    rng = random.Random(3)
    for _ in range(2000):
        raw = "".join(rng.choices(string.ascii_letters + string.digits, k=rng.choice((16, 22))))
        try:
            once = normalise_utr(f"  {raw} ")
        except ReferenceDamagedError:
            assert raw.isdigit() or "." in raw
            continue
        assert once == raw.upper() == normalise_utr(once)


@pytest.mark.parametrize(
    ("narration", "value"),
    [
        ("NEFT/AXISCN1153863727/RAZORPAY PAYMENTS/setl_DGlQ1Rj8os78Ec", "AXISCN1153863727"),
        ("NEFT CR-setl_DGlQ1Rj8os78Ec-RAZORPAY", None),
        ("RTGS-UTIBR72023062000022728-PAYU", "UTIBR72023062000022728"),
        ("IMPS-322206890934-PAYTM", "322206890934"),
        ("BY CASH", None),
        (None, None),
    ],
)
def test_finding_a_reference_in_free_text(narration: str | None, value: str | None) -> None:
    found = find_reference(narration)
    assert (found.value if found else None) == value


def test_kinds_by_form() -> None:
    assert kind_of("UTIBR72023062000022728") is ReferenceKind.RTGS
    assert kind_of("12345") is ReferenceKind.OTHER
