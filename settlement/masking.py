"""Card and account numbers out of free text, before anything is written that others may read."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

# What stays readable: enough to recognise one's own card or account, too little to use it.
_KEPT: Final = 4
# Cards have 13 to 19 digits, often in groups.
_CARD: Final = re.compile(r"(?<![A-Za-z0-9_])\d(?:[ -]?\d){12,18}(?![A-Za-z0-9_])")
# With letters right beside it a number is most often a reference of the bank's; one that is as long as its
# first digits say of a card, and checks, is masked even there: POS4111111111111111.
_GLUED: Final = re.compile(
    r"(?<!\d)(?:4\d{3}|5[1-5]\d\d|2[2-7]\d\d|6[05]\d\d|8[12]\d\d|508\d)([ -]?)\d{4}\1\d{4}\1\d{4}(?!\d)"
    r"|(?<!\d)3[47]\d\d([ -]?)\d{6}\2\d{5}(?!\d)",
    re.ASCII,
)
# Indian bank accounts have 9 to 18 digits. A fraction behind, or a point or comma in front: an amount.
_ACCOUNT: Final = re.compile(r"(?<![A-Za-z0-9_])(?<!\d[.,])\d{9,18}(?![A-Za-z0-9_])(?!\.\d)")


def luhn(digits: str) -> bool:
    """Does the last digit check, as on every card?"""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if place % 2 else 1)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def has_card_number(text: str) -> bool:
    """Is there anything in the text that is a card number?"""
    found = (one[0] for form in (_CARD, _GLUED) for one in form.finditer(text))
    return any(luhn(_digits(one)) for one in found)


def is_card_number(text: str) -> bool:
    """Is the whole of it a card number, by its first digits, its length and its check digit?"""
    return _GLUED.fullmatch(text.strip()) is not None and luhn(_digits(text))


def mask_number(number: str) -> str:
    """A card or account number with all but its last four digits crossed out."""
    digits = _digits(number)
    kept = _KEPT if len(digits) > _KEPT else 0
    return "X" * (len(digits) - kept) + digits[len(digits) - kept :]


def mask_text(text: str, keep: Iterable[str | None] = ()) -> str:
    """The text with card numbers (by their check digit) and account numbers (by their length) crossed out.

    `keep` names references that may stay, such as the line's own UTR: twelve digits could be an account too.
    """
    kept = frozenset(one for one in keep if one)

    def card(found: re.Match[str]) -> str:
        digits = _digits(found[0])
        return found[0] if found[0] in kept or not luhn(digits) else mask_number(digits)

    def account(found: re.Match[str]) -> str:
        return found[0] if found[0] in kept else mask_number(found[0])

    return _ACCOUNT.sub(account, _GLUED.sub(card, _CARD.sub(card, text)))


def _digits(text: str) -> str:
    return re.sub(r"\D", "", text)
