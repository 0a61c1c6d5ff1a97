"""The story of the four business days as the banks and the calendar tell it.

1. The gateways' reports stand ready; some transfers have no UTR yet.
2. A business date opens, and with it every bank owes its files; the first sale day closes on the first.
3. The day's files arrive. One is late and comes a day later, one is corrected a day later, one comes twice,
   one never comes.
4. In the evening, when what came is loaded, the graces are over: what is missing is late.
5. On the last day the missing UTRs are known, and the story stops before the last two files are due.
"""

from __future__ import annotations

import hashlib
import time
from typing import TYPE_CHECKING, Final

import psycopg

from settlement.banks import file_id
from sftp_bridge import calendar_ticks
from world.errors import DoorError, NotReadyError
from world.model import ARRIVES_LATE, COMES_TWICE, END, PAYOUT_DAYS, SALE_DAYS, at_ist
from world.play_http import Parcel, parcels, publish_reports
from world.play_sftp import upload
from world.reports import late_reports
from world.statements import Statement, correction, same_again, statements

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from world.model import World

_LOOK: Final = 0.25
_DONE: Final = ("LOADED", "DUPLICATE", "SUPERSEDED")
_EVENING: Final = 23 * 3600
_NOON: Final = 12 * 3600


class BankDays:
    """Plays the banks and the calendar; waits for what the bridge makes of each day before the next."""

    def __init__(
        self, world: World, ready: Sequence[Parcel], ops_dsn: str, gateways_url: str, timeout: float
    ) -> None:
        self._world = world
        self._parcels = ready
        self._dsn = ops_dsn
        self._gateways = gateways_url
        self._deadline = time.monotonic() + timeout

    def play(self, tell: Callable[[str], None]) -> None:
        """The days, numbered as in the module's docstring."""
        drops = self._drops()
        # 1.
        rows = publish_reports(self._gateways, self._parcels)
        tell(f"{rows:,} rows of settlement reports")
        with psycopg.connect(self._dsn, autocommit=True) as ops:
            for number, day in enumerate(PAYOUT_DAYS):
                if day == PAYOUT_DAYS[-1]:
                    # 5.
                    publish_reports(self._gateways, parcels(late_reports(self._world)))
                # 2.
                calendar_ticks.publish(at_ist(day, 300), open_day=day)
                if number == 0:
                    calendar_ticks.publish(at_ist(day, _NOON), close_day=SALE_DAYS[0])
                # 3.
                tell(f"{day:%a %d %b}: {len(drops[number])} files")
                upload(drops[number])
                self._wait_loaded(ops, drops[number])
                # 4.
                if day != PAYOUT_DAYS[-1]:
                    calendar_ticks.publish(at_ist(day, _EVENING))
                if day == ARRIVES_LATE[1]:
                    self._wait_late(ops)
            calendar_ticks.publish(END)
        tell(f"{sum(map(len, drops))} files, business time is {END:%a %d %b %H:%M}")

    def _drops(self) -> list[list[Statement]]:
        """Which files arrive on which day."""
        first = statements(self._world)
        drops: list[list[Statement]] = [[] for _ in PAYOUT_DAYS]
        for key, statement in first.items():
            came = PAYOUT_DAYS.index(key[1]) + (1 if key == ARRIVES_LATE else 0)
            drops[came].append(statement)
        drops[PAYOUT_DAYS.index(COMES_TWICE[1]) + 1].append(same_again(self._world))
        corrected = correction(self._world)
        drops[PAYOUT_DAYS.index(corrected.key[1]) + 1].append(corrected)
        return drops

    def _wait_loaded(self, ops: psycopg.Connection, drops: Sequence[Statement]) -> None:
        wanted = {(hashlib.sha256(one.data).hexdigest(), one.name) for one in drops}
        while True:
            rows = ops.execute(
                "SELECT sha256, remote_name, state, reason FROM bank_files WHERE remote_name = ANY(%s)",
                ([name for _, name in wanted],),
            ).fetchall()
            refused = [f"{row[1]}: {row[3]}" for row in rows if row[2] == "QUARANTINED"]
            if refused:
                raise DoorError(f"the bridge refused {'; '.join(refused)}")
            left = wanted - {(row[0], row[1]) for row in rows if row[2] in _DONE}
            if not left:
                return
            self._pause(f"the bridge has not loaded {', '.join(sorted(name for _, name in left))}")

    def _wait_late(self, ops: psycopg.Connection) -> None:
        wanted = file_id(*ARRIVES_LATE)
        while True:
            row = ops.execute(
                "SELECT status FROM sp_v2_bank_file_expectations WHERE cutoff_id = %s", (wanted,)
            ).fetchone()
            if row is not None and row[0] != "DUE":
                return
            self._pause(f"{wanted} was not declared late")

    def _pause(self, otherwise: str) -> None:
        if time.monotonic() > self._deadline:
            raise NotReadyError(otherwise)
        time.sleep(_LOOK)
