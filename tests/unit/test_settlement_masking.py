"""Nothing that could be used to take money stays readable."""

from __future__ import annotations

import random

import pytest

from settlement.masking import has_card_number, luhn, mask_number, mask_text


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("paid with 4111111111111111", "paid with XXXXXXXXXXXX1111"),
        ("paid with 4111 1111 1111 1111.", "paid with XXXXXXXXXXXX1111."),
        ("paid with 5555-5555-5555-4444", "paid with XXXXXXXXXXXX4444"),
        ("amex 378282246310005", "amex XXXXXXXXXXX0005"),
        ("A/C 50100123456789 HDFC", "A/C XXXXXXXXXX6789 HDFC"),
        ("UTR AXISCN1153863727 stays", "UTR AXISCN1153863727 stays"),
        ("amount 123456789.00 stays", "amount 123456789.00 stays"),
        ("setl_1234567890 stays", "setl_1234567890 stays"),
        ("on 20260106 stays", "on 20260106 stays"),
        ("POS4111111111111111 SHOP", "POSXXXXXXXXXXXX1111 SHOP"),
        ("4111111111111111VISA", "XXXXXXXXXXXX1111VISA"),
        ("CARD_5555 5555 5555 4444/X", "CARD_XXXXXXXXXXXX4444/X"),
        ("AMEX3782-822463-10005", "AMEXXXXXXXXXXXX0005"),
        ("AMEX378282246310005", "AMEXXXXXXXXXXXX0005"),
        ("POS4111111111111112", "POS4111111111111112"),
        ("UTIBR52024010112345675 stays", "UTIBR52024010112345675 stays"),
        ("", ""),
    ],
)
def test_masking(text: str, masked: str) -> None:
    assert mask_text(text) == masked


def test_a_lines_own_reference_stays() -> None:
    text = "IMPS 322206890934 FROM 50100123456789"
    assert mask_text(text, keep=["322206890934", None]) == "IMPS 322206890934 FROM XXXXXXXXXX6789"


def test_no_valid_card_survives_anywhere_in_a_text() -> None:
    rng = random.Random(4)
    for _ in range(2000):
        body = "".join(rng.choices("0123456789", k=rng.randrange(12, 18)))
        card = next(body + last for last in "0123456789" if luhn(body + last))
        step = rng.choice((4, 6, 19))
        shown = rng.choice(" -").join(card[at : at + step] for at in range(0, len(card), step))
        text = f"{rng.choice(('', 'card '))}{shown}{rng.choice(('', ' ok', ', x', '.'))}"
        assert has_card_number(text)
        assert card not in mask_text(text).replace(" ", "").replace("-", "")
        assert not has_card_number(mask_text(text))
        assert mask_text(mask_text(text)) == mask_text(text)


def test_short_numbers_are_masked_whole() -> None:
    assert mask_number("1234") == "XXXX"
    assert mask_number("12-34 5678 9") == "XXXXX6789"
