"""A bank's description: where its files are, how they are named and packed, when they are due.

One bank is one YAML file under `banks/`; adding a bank is adding a file.
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo

import yaml
from pydantic import Field, ValidationError, field_validator, model_validator

from settlement.calendar import Calendar, calendar
from settlement.versions import MOST_CUTOFFS
from sftp_bridge.errors import BankConfigError, BankUnknownError
from sftp_bridge.formats import AnyFormat, Part, regular

BANKS_DIR = Path(__file__).parent / "banks"


class Sftp(Part):
    """How to reach the bank's server and know it again."""

    host: str
    port: int = Field(default=22, ge=1, le=65535)
    account: str = Field(pattern=r"^[a-z][a-z0-9_-]*$")
    key: str = Field(pattern=r"^[\w.-]+$")
    host_key: str = Field(pattern=r"^[\w.-]+$")
    local_port_offset: int = Field(default=0, ge=0, le=50)


class Folders(Part):
    """Absolute remote folders."""

    outbox: str = Field(pattern=r"^/")
    processed: str = Field(pattern=r"^/")


class Gzip(Part):
    """Compressed with gzip."""

    how: Literal["gzip"]


class Zip(Part):
    """The one file of a zip archive, with a name that fits."""

    how: Literal["zip"]
    # A name, not a path.
    member: str = r"[^/\\]+"

    @field_validator("member")
    @classmethod
    def _compiles(cls, pattern: str) -> str:
        return regular(pattern)


class Pgp(Part):
    """Encrypted to a key of ours, and signed by the bank where its key is named: in the keys' folder."""

    how: Literal["pgp"]
    key: str = Field(pattern=r"^[\w.-]+$")
    passphrase: str | None = Field(default=None, pattern=r"^[\w.-]+$")
    # The bank's public keys; one of them must have signed.
    signed_by: str | None = Field(default=None, pattern=r"^[\w.-]+$")

    @property
    def key_files(self) -> list[str]:
        """The files without which nothing can be opened."""
        return [name for name in (self.key, self.passphrase, self.signed_by) if name]


class Files(Part):
    """Which names are business files, how they are packed, and when one is due."""

    name: str
    time_zone: str
    cutoffs: tuple[str, ...] = Field(min_length=1, max_length=MOST_CUTOFFS)
    grace_minutes: int = Field(ge=0, le=24 * 60)
    # Files that make one cutoff whole; the name's {part} counts them from 1.
    per_cutoff: int = Field(default=1, ge=1, le=99)
    # Of a name that tells when it was sent: so long before a cutoff a file is already that cutoff's.
    early_minutes: int = Field(default=30, ge=0, le=12 * 60)
    # Layers from the outside in.
    unpack: tuple[Annotated[Gzip | Zip | Pgp, Field(discriminator="how")], ...] = ()
    # Megabytes that may come out of one layer. Banks' largest files have 800; a few kilobytes of a hostile
    # archive would otherwise fill the disk.
    unpacked_limit_mb: int = Field(default=4096, ge=1)

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (OSError, ValueError) as error:
            raise ValueError(f"no such time zone: {name}") from error
        return name

    @field_validator("cutoffs")
    @classmethod
    def _ascending(cls, cutoffs: tuple[str, ...]) -> tuple[str, ...]:
        for cutoff in cutoffs:
            if not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", cutoff):
                raise ValueError(f"{cutoff} is not HH:MM")
        if list(cutoffs) != sorted(set(cutoffs)):
            raise ValueError("cutoffs must ascend")
        return cutoffs

    @model_validator(mode="after")
    def _name_has_its_tokens(self) -> Self:
        sent = "{sent_at}" in self.name
        once = {
            "{sent_at}": sent,
            "{business_date}": not sent,
            "{cutoff}": not sent,
            "{part}": self.per_cutoff > 1,
        }
        for token, wanted in once.items():
            if self.name.count(token) != wanted:
                raise ValueError(f"name must hold {token} once" if wanted else f"name must not hold {token}")
        return self


class BankCalendar(Part):
    """The days on which the bank owes its files: a calendar that we have, and the bank's own exceptions."""

    name: str = "IN"
    # Closed, or working, whatever the calendar says.
    holidays: tuple[date, ...] = ()
    working_days: tuple[date, ...] = ()

    @field_validator("name")
    @classmethod
    def _known_calendar(cls, name: str) -> str:
        calendar(name)
        return name

    @model_validator(mode="after")
    def _one_word_per_day(self) -> Self:
        both = sorted(set(self.holidays) & set(self.working_days))
        if both:
            raise ValueError(f"{both[0]} is a holiday and a working day")
        return self


class Rename(Part):
    """Uploaded under another name, renamed when whole."""

    how: Literal["rename"]
    suffix: str = Field(pattern=r"^\.")


class Marker(Part):
    """A second file says that the first is whole."""

    how: Literal["marker"]
    suffix: str = Field(pattern=r"^\.")


class Stable(Part):
    """No sign: nothing changes over some listings and seconds, and the trailer stands at the end."""

    how: Literal["stable"]
    listings: int = Field(ge=2)
    quiet_seconds: float = Field(ge=0)
    patience_seconds: float = Field(ge=0)


class Checksum(Part):
    """NAME with this suffix stands beside NAME and says what it hashes to."""

    suffix: str = Field(pattern=r"^\.")
    algorithm: Literal["sha256", "sha512", "md5"]


class Bank(Part):
    """One bank's description, as its YAML file has it."""

    bank: str = Field(pattern=r"^[A-Z][A-Z0-9]*$")
    sftp: Sftp
    folders: Folders
    files: Files
    calendar: BankCalendar = BankCalendar()
    complete: Annotated[Rename | Marker | Stable, Field(discriminator="how")]
    checksum: Checksum | None = None
    # What is inside: one format, or several, each from a business date on.
    format: AnyFormat | None = None
    formats: tuple[AnyFormat, ...] = ()

    @field_validator("calendar", mode="before")
    @classmethod
    def _named_alone(cls, said: object) -> object:
        """`calendar: IN` where there is nothing else to say."""
        return {"name": said} if isinstance(said, str) else said

    @model_validator(mode="after")
    def _suffixes_differ(self) -> Self:
        taken = None if isinstance(self.complete, Stable) else self.complete.suffix
        if self.checksum is not None and self.checksum.suffix == taken:
            raise ValueError(f"checksum and complete have the same suffix {taken}")
        return self

    @model_validator(mode="after")
    def _formats_are_dated(self) -> Self:
        if (self.format is None) != bool(self.formats):
            raise ValueError("either format or formats must be given")
        if self.format is not None and self.format.since is not None:
            raise ValueError("format has no from; put it under formats")
        dates = [one.since for one in self.formats]
        if None in dates or any(a >= b for a, b in pairwise(one for one in dates if one)):
            raise ValueError("every one of formats has a from, and they ascend")
        return self

    def format_on(self, business_date: date) -> AnyFormat | None:
        """The format of that day's files, of old ones too; None from before the first."""
        if self.format is not None:
            return self.format
        fitting = [one for one in self.formats if one.since is not None and one.since <= business_date]
        return fitting[-1] if fitting else None

    @property
    def slug(self) -> str:
        """The bank's name in folders, keys and S3."""
        return self.bank.lower()

    @cached_property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.files.time_zone)

    @cached_property
    def business_days(self) -> Calendar:
        own = self.calendar
        return replace(
            calendar(own.name),
            closures=dict.fromkeys(own.holidays, f"a holiday of {self.bank}"),
            working_days=frozenset(own.working_days),
        )

    def owes_on(self, business_date: date, *, told: bool) -> bool:
        """Is it a business day of this bank, where calendar.ticks has `told` what it is to all of them?"""
        if business_date in self.calendar.working_days:
            return True
        return told and business_date not in self.calendar.holidays

    def due_at(self, business_date: date, cutoff: str) -> datetime:
        """The moment the cutoff falls on, with the bank's time zone."""
        return datetime.combine(business_date, time.fromisoformat(cutoff), self.zone)

    def late_after(self, business_date: date, cutoff: str) -> datetime:
        """From then on a missing file is late."""
        return self.due_at(business_date, cutoff) + timedelta(minutes=self.files.grace_minutes)


def load_bank(path: Path) -> Bank:
    """Read one description; the error names the file and the key."""
    try:
        text: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise BankConfigError(f"{path}: {error}") from error
    try:
        return Bank.model_validate(text)
    except ValidationError as error:
        said = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        raise BankConfigError(f"{path}: {said}") from error


def load_banks(folder: Path = BANKS_DIR) -> dict[str, Bank]:
    """Every bank of the folder by its name."""
    banks: dict[str, Bank] = {}
    for path in sorted(folder.glob("*.yaml")):
        bank = load_bank(path)
        if bank.bank in banks:
            raise BankConfigError(f"{path}: bank: {bank.bank} is described twice")
        banks[bank.bank] = bank
    if not banks:
        raise BankConfigError(f"{folder}: no bank is described there")
    return banks


def find_bank(banks: dict[str, Bank], name: str) -> Bank:
    """One bank by its name in any case."""
    try:
        return banks[name.upper()]
    except KeyError:
        raise BankUnknownError(f"no bank {name}; known: {', '.join(sorted(banks))}") from None
