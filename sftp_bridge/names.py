"""Which business file a remote name speaks of: bank, business date, cutoff, revision."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sftp_bridge.banks import Bank

_TOKENS = {
    "{business_date}": r"(?P<business_date>\d{8})",
    "{cutoff}": r"(?P<cutoff>\d{4})",
    "{revision}": r"(?P<revision>[1-9]\d{0,2})",
    # What stands in brackets may be missing.
    "[": "(?:",
    "]": ")?",
}


@dataclass(frozen=True, slots=True)
class BusinessFile:
    """What a file is about, whatever it is called."""

    bank: str
    business_date: date
    cutoff: str
    # As the name has it; None where the name carries none.
    named_revision: int | None

    @property
    def file_id(self) -> str:
        """The key on bank.files.received, and of the expectation."""
        return file_id(self.bank, self.business_date, self.cutoff)


def file_id(bank: str, business_date: date, cutoff: str) -> str:
    """BANK|business date|cutoff, as settlement.banks writes it, for any bank that has a description."""
    return f"{bank}|{business_date.isoformat()}|{cutoff}"


def read_name(bank: Bank, name: str) -> BusinessFile | None:
    """The business file of that name; None for anything that is not exactly one of the bank's names.

    Only digits of the name are ever used, so a name can carry neither a path nor a control character on.
    """
    found = _regex(bank.files.name).fullmatch(name)
    if found is None:
        return None
    digits = found["business_date"]
    try:
        business_date = date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
    except ValueError:
        return None
    cutoff = f"{found['cutoff'][:2]}:{found['cutoff'][2:]}"
    if cutoff not in bank.files.cutoffs:
        return None
    revision = found.groupdict().get("revision")
    return BusinessFile(bank.bank, business_date, cutoff, int(revision) if revision else None)


@lru_cache(maxsize=256)
def _regex(template: str) -> re.Pattern[str]:
    parts = re.split(r"(\{business_date\}|\{cutoff\}|\{revision\}|\[|\])", template)
    # ASCII only: other scripts' digits are digits to \d as well.
    return re.compile("".join(_TOKENS.get(part) or re.escape(part) for part in parts), re.ASCII)
