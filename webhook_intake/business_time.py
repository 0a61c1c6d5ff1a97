"""What today is for the poller, and which days to ask for."""

from __future__ import annotations

import uuid
from datetime import UTC, date, datetime, timedelta

from bus.consumer import Consumer, read_topic
from settlement.calendar import ist_date

TICKS = "calendar.ticks"
_DAY = timedelta(days=1)


def days_to_ask(since: date | None, today: date | None, overlap: int, first: date | None) -> list[date]:
    """From `since` (the cursor, or where business time began) less the overlap, up to today.

    Never before the configured first day; with it and nothing read so far, from that day.
    """
    if today is None:
        return []
    # A cursor ahead of today was written under another clock: what it skipped is read again.
    begin = max(first or date.min, min(since or first or today, today) - overlap * _DAY)
    return [begin + _DAY * step for step in range(max(0, (today - begin).days + 1))]


class Wall:
    """Business time as the wall clock tells it in India."""

    def days(self) -> tuple[date | None, date | None]:
        """The day business time began, where it has a beginning, and today."""
        return None, ist_date(datetime.now(UTC))

    def moments(self) -> tuple[datetime | None, datetime | None]:
        """When business time began, where it has a beginning, and now."""
        return None, datetime.now(UTC)

    def close(self) -> None:
        """Nothing to let go."""


class Ticks:
    """Business time as calendar.ticks tells it: from the first tick's day to the greatest `at` so far."""

    def __init__(self) -> None:
        self._consumer: Consumer | None = None
        self._first: date | None = None
        self._latest: date | None = None

    def days(self) -> tuple[date | None, date | None]:
        """The first tick's day, and that of the greatest `at`."""
        if self._consumer is None:
            records = list(read_topic(TICKS))
            # A group of its own, so that every process hears every tick.
            self._consumer = Consumer([TICKS], group=f"webhook_intake-clock-{uuid.uuid4().hex[:12]}")
        else:
            records = self._consumer.poll(0.0)
        for record in records:
            day = ist_date(record.value["at"])
            self._first = min(self._first or day, day, record.value["business_date"])
            self._latest = max(self._latest or day, day)
        return self._first, self._latest

    def moments(self) -> tuple[datetime | None, datetime | None]:
        """The least and the greatest `at`, read anew.

        Asked for every few minutes: a consumer that is silent so long loses its place in its group.
        """
        found = [record.value["at"] for record in read_topic(TICKS)]
        return min(found, default=None), max(found, default=None)

    def close(self) -> None:
        """Leave the topic."""
        if self._consumer is not None:
            self._consumer.close()
            self._consumer = None
