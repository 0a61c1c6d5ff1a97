"""The banks' side of the bridge: files laid into their outboxes, and what the bus says has become of them."""

from __future__ import annotations

import os
import time
import uuid
from typing import TYPE_CHECKING, Any, Final, Self

from bench.errors import UnsoundError
from bus.consumer import Consumer

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date
    from pathlib import Path

    from bench.statement_files import Written
    from stack.home import Home

# Seconds between two looks at what is committed, and against hanging.
_LOOK: Final = 0.02
_PATIENCE: Final = 900.0


class Outboxes:
    """The banks' folders on this machine."""

    def __init__(self, home: Home) -> None:
        self._root = home.data / "sftp"

    def folder(self, bank: str) -> Path:
        """Where that bank drops."""
        return self._root / bank.lower() / "outbox"

    def drop(self, written: Written, *, name: str | None = None) -> float:
        """Lay the file there under its name, or another; gives the moment of its rename."""
        there = self.folder(written.place.bank) / f"{written.place.name}.part"
        os.link(written.path, there)
        now = time.perf_counter()
        there.rename(there.with_name(name or written.place.name))
        return now

    def drop_marked(self, day: date, number: int) -> tuple[str, float]:
        """One small file of HDFC, with its marker: the business file, and the moment of the marker."""
        path = self.folder("HDFC") / f"HDFC_{day:%Y%m%d}_1000.csv"
        on, utr = f"{day:%d/%m/%y}", f"RAZRN26{number:09d}"
        path.write_text(
            "Date,Narration,Chq./Ref.No.,Value Dt,Withdrawal Amt.,Deposit Amt.,Closing Balance\n"
            f"{on},NEFT CR-setl_{number}-RAZORPAY,{utr},{on},,1.00,1.00\n"
            "TRAILER,1,1.00,0.00\n",
            encoding="ascii",
        )
        path.with_name(f"{path.name}.done").touch()
        return f"HDFC|{day.isoformat()}|10:00", time.perf_counter()


class Words:
    """What is committed on bank.files.received, by business file."""

    def __init__(self, topic: str) -> None:
        self._consumer = Consumer([topic], group=f"settle-bench-{uuid.uuid4().hex}")
        self.said: dict[str, dict[str, Any]] = {}
        # When each was seen first, by time.perf_counter().
        self.seen: dict[str, float] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._consumer.close()

    def about(self, file_id: str) -> dict[str, Any] | None:
        """The file's word, if it is there."""
        for record in self._consumer.poll(_LOOK):
            self.said[record.value["file_id"]] = record.value
            self.seen.setdefault(record.value["file_id"], time.perf_counter())
        return self.said.get(file_id)

    def wait(self, file_id: str, since: float, meanwhile: Callable[[], None] = lambda: None) -> float:
        """Seconds from `since` until the word is committed."""
        while self.about(file_id) is None:
            meanwhile()
            if time.perf_counter() - since > _PATIENCE:
                raise UnsoundError(f"{file_id} does not come through the bridge")
        return self.seen[file_id] - since
