"""What the domain refuses.

    SettlementError (ValueError)
    ├── MoneyError               text or number that is not an amount in rupees and paise
    ├── ReferenceDamagedError    a bank reference that a spreadsheet or a hand has spoilt
    ├── UnknownNameError         a gateway, bank, cutoff or status nobody has heard of
    ├── CalendarError            a date outside what the holiday lists cover
    └── VersionRangeError        a version that would not fit, or would not grow, as 64 bits

All are terminal: the same input is refused again. Parsers catch SettlementError and quarantine the line.
"""

from __future__ import annotations


class SettlementError(ValueError):
    """Anything the domain says no to."""


class MoneyError(SettlementError):
    """Raised while reading an amount; the parser quarantines the line with it."""


class ReferenceDamagedError(SettlementError):
    """Raised while reading a UTR or RRN that can no longer be told from others."""


class UnknownNameError(SettlementError):
    """Raised for a name outside a closed list; the message holds the list."""


class CalendarError(SettlementError):
    """Raised when a business day is asked for that no holiday list covers."""


class VersionRangeError(SettlementError):
    """Raised when a version's parts leave their range; going on could let old replace new."""
