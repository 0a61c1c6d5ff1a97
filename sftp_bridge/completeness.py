"""Which of the listed files are whole, by the way their bank says so."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sftp_bridge.banks import Marker, Stable
from sftp_bridge.endings import has_ending
from sftp_bridge.names import BusinessFile, read_name

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from sftp_bridge.banks import Bank
    from sftp_bridge.remote import Listed


@dataclass(frozen=True, slots=True)
class Candidate:
    """A listed file with a business name."""

    file: Listed
    business: BusinessFile
    marker: str | None = None
    # The file beside it that says what it hashes to; None where none was agreed.
    checksum: Listed | None = None
    # Whole only if its end also shows it; asked of the server by who holds the connection.
    wants_ending: bool = False


@dataclass(slots=True)
class _Seen:
    file: Listed
    since: float
    listings: int = 1


@dataclass(slots=True)
class Outbox:
    """What one listing says, and what it takes from the listings before."""

    bank: Bank
    # Names that are none of the bank's; shown, never touched.
    unrecognised: tuple[str, ...] = ()
    waiting: tuple[str, ...] = ()
    # Checksum files whose file is not there: it is still to come, or it was here before.
    alone: tuple[Listed, ...] = ()
    _seen: dict[str, _Seen] = field(default_factory=dict)

    def whole(
        self, listing: Sequence[Listed], now: float, finished: Collection[Listed] = ()
    ) -> list[Candidate]:
        """The files that may be taken; `now` is any clock that only goes forward.

        `finished` files were taken before and only have to be moved away: they are whole by memory, even
        when their marker was moved already.
        """
        how = self.bank.complete
        names = {one.name: one for one in listing}
        candidates: list[Candidate] = []
        unrecognised: list[str] = []
        waiting: list[str] = []
        alone: list[Listed] = []
        for one in listing:
            business = read_name(self.bank, one.name)
            if business is None:
                file = self.file_of(one.name)
                if file is not None and file not in names:
                    alone.append(one)
                elif file is None and not self._belongs(one.name):
                    unrecognised.append(one.name)
                continue
            marker = f"{one.name}{how.suffix}" if isinstance(how, Marker) else None
            has_marker = marker in names
            checksum = self._checksum(one, names)
            if one in finished:
                candidates.append(Candidate(one, business, marker if has_marker else None, checksum))
            elif isinstance(how, Stable):
                state = self._stable(how, one, business, now)
                if state is None or not self._is_vouched(checksum):
                    waiting.append(one.name)
                else:
                    candidates.append(Candidate(one, business, None, checksum, wants_ending=state))
            elif (marker is not None and not has_marker) or not self._is_vouched(checksum):
                waiting.append(one.name)
            else:
                candidates.append(Candidate(one, business, marker, checksum))
        for gone in self._seen.keys() - names.keys():
            del self._seen[gone]
        waiting += (one.name for one in alone)
        self.unrecognised, self.waiting, self.alone = tuple(unrecognised), tuple(waiting), tuple(alone)
        return candidates

    def file_of(self, name: str) -> str | None:
        """The business file that a checksum file of this name speaks of."""
        how = self.bank.checksum
        if how is None or not name.endswith(how.suffix):
            return None
        file = name.removesuffix(how.suffix)
        return file if read_name(self.bank, file) is not None else None

    def _checksum(self, one: Listed, names: Mapping[str, Listed]) -> Listed | None:
        how = self.bank.checksum
        return names.get(f"{one.name}{how.suffix}") if how is not None else None

    def _is_vouched(self, checksum: Listed | None) -> bool:
        """Is what must stand beside the file there? An empty checksum file is still being written."""
        return self.bank.checksum is None or (checksum is not None and checksum.size > 0)

    def _stable(self, how: Stable, one: Listed, business: BusinessFile, now: float) -> bool | None:
        """None: still waiting. True: quiet, if its ending is there. False: patience is over, take it."""
        seen = self._seen.get(one.name)
        if seen is None or seen.file != one:
            self._seen[one.name] = _Seen(one, now)
            return None
        seen.listings += 1
        quiet = now - seen.since
        if seen.listings < how.listings or quiet < how.quiet_seconds:
            return None
        return self._has_ending(business) and quiet < how.patience_seconds

    def _has_ending(self, business: BusinessFile) -> bool:
        layout = self.bank.format_on(business.business_date)
        return layout is not None and has_ending(layout)

    def _belongs(self, name: str) -> bool:
        """Part files and markers, of checksum files too: expected, and no files of their own."""
        how = self.bank.complete
        if isinstance(how, Stable) or not name.endswith(how.suffix):
            return False
        file = name.removesuffix(how.suffix)
        return read_name(self.bank, file) is not None or self.file_of(file) is not None
