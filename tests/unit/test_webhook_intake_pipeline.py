"""The order that makes a 2xx worth something, with a ledger and a topic that write down what happens when."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, date, datetime, timedelta, timezone
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import psycopg
import pytest
from psycopg.adapt import AdaptersMap, PyFormat, Transformer

from bus.errors import BrokerUnavailableError
from webhook_intake import arrays
from webhook_intake.errors import UnavailableError
from webhook_intake.ledger import DEAD, PUBLISHED, Kept, Mark
from webhook_intake.metrics import Metrics
from webhook_intake.pipeline import Pipeline
from webhook_intake.records import Event

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Sequence

NOW = datetime(2026, 1, 6, 6, 30, tzinfo=UTC)


class Story:
    """Ledger and producer in one, so that there is one order of what happened."""

    def __init__(self) -> None:
        self.happened: list[str] = []
        self.events: dict[str, tuple[Event, int]] = {}
        self.batches = 0
        self.marked: set[int] = set()
        self.ends: dict[str, Mark] = {}
        self.kept = asyncio.Event()
        self.go_on = asyncio.Event()
        self.go_on.set()
        self.broken: Exception | None = None

    async def keep(self, events: Sequence[Event]) -> Kept:
        self.batches += 1
        new = [event for event in events if event.event_key not in self.events]
        self.events |= {event.event_key: (event, self.batches) for event in new}
        self.happened.append(f"kept {len(new)} of {len(events)}")
        self.kept.set()
        await self.go_on.wait()
        return Kept(self.batches, len(new))

    async def ended(self, keys: Iterable[str], marking: Iterable[int]) -> set[str]:
        known = self.marked | set(marking)
        return {key for key in keys if key in self.ends or self.events[key][1] in known}

    async def end(self, marks: Sequence[Mark]) -> None:
        self.happened.append("ended " + ", ".join(f"{one.event_key} {one.outcome}" for one in marks))
        self.ends |= {one.event_key: one for one in marks}

    async def mark(self, batches: Sequence[int]) -> None:
        self.happened.append(f"marked {list(batches)}")
        self.marked |= set(batches)

    async def unpublished(self, _: float, limit: int) -> tuple[int, list[Event]] | None:
        for batch in {batch for _, batch in self.events.values()} - self.marked:
            left = [e for e, of in self.events.values() if of == batch and e.event_key not in self.ends]
            return batch, left[:limit]
        return None

    def encode(self, _: str, record: Any) -> Any:
        return record

    def encode_object(self, _: str, record: Any, otherwise: Callable[[], Any]) -> Any:  # noqa: ARG002
        return otherwise()

    async def deliver(self, topic: str, records: Sequence[tuple[str, Any]]) -> None:
        await asyncio.sleep(0)
        if self.broken is not None:
            raise self.broken
        if records:
            self.happened.append(f"{topic} {len(records)}")


def event(name: str, **change: Any) -> Event:
    payment = {
        "id": name,
        "amount": 100,
        "currency": "INR",
        "status": "captured",
        "created_at": 1_767_600_000,
    }
    said = {"payload": {"payment": {"entity": payment}}, "created_at": 1_767_600_000, **change}
    return Event(name, "razorpay", NOW, "s", "application/json", "{}", json.dumps(said).encode())


def run(tell: Callable[[Story, Pipeline], Coroutine[Any, Any, None]]) -> Story:
    async def whole() -> Story:
        story = Story()
        pipeline = Pipeline(cast("Any", story), cast("Any", story), Metrics())
        await tell(story, pipeline)
        await pipeline.drain()
        return story

    return asyncio.run(whole())


def test_kept_then_published_then_answered_then_marked() -> None:
    async def tell(story: Story, pipeline: Pipeline) -> None:
        await asyncio.gather(*(pipeline.submit(event(name)) for name in "abc"))
        story.happened.append("answered")

    assert run(tell).happened == ["kept 3 of 3", "pg.transactions 3", "answered", "marked [1]"]


def test_an_event_that_comes_twice_while_it_is_under_way_is_one() -> None:
    async def tell(story: Story, pipeline: Pipeline) -> None:
        story.go_on.clear()
        both = [asyncio.create_task(pipeline.submit(event("a")))]
        await story.kept.wait()
        both.append(asyncio.create_task(pipeline.submit(event("a"))))
        await asyncio.sleep(0)
        story.go_on.set()
        await asyncio.gather(*both)

    assert run(tell).happened == ["kept 1 of 1", "pg.transactions 1", "marked [1]"]


def test_one_that_comes_again_before_its_mark_changes_nothing() -> None:
    async def tell(story: Story, pipeline: Pipeline) -> None:
        await pipeline.submit(event("a"))
        await pipeline.submit(event("a"))
        assert story.marked == set()

    assert run(tell).happened == ["kept 1 of 1", "pg.transactions 1", "kept 0 of 1", "marked [1, 2]"]


def test_a_dead_one_is_written_down_before_its_batch_is_marked() -> None:
    async def tell(_: Story, pipeline: Pipeline) -> None:
        await asyncio.gather(pipeline.submit(event("a")), pipeline.submit(event("b", created_at="when")))

    story = run(tell)
    assert story.happened == [
        "kept 2 of 2",
        "pg.transactions 1",
        "pg.dead 1",
        f"ended b {DEAD}",
        "marked [1]",
    ]
    assert "created_at" in (story.ends["b"].reason or "")


def test_without_kafka_it_is_kept_refused_and_published_when_it_comes_again() -> None:
    async def tell(story: Story, pipeline: Pipeline) -> None:
        story.broken = BrokerUnavailableError("no broker")
        with pytest.raises(UnavailableError, match="no broker"):
            await pipeline.submit(event("a"))
        # At once, without asking anybody: an outage is not a queue of slow failures.
        with pytest.raises(UnavailableError, match="no broker"):
            await pipeline.submit(event("b"))
        assert pipeline.problem is not None
        story.broken, pipeline._refusing_until = None, 0.0
        await pipeline.submit(event("a"))
        assert pipeline.problem is None

    story = run(tell)
    assert story.happened == [
        "kept 1 of 1",
        "kept 0 of 1",
        "pg.transactions 1",
        f"ended a {PUBLISHED}",
        "marked [2]",
    ]


def test_what_a_crash_left_is_swept_though_it_is_more_than_is_read_at_once() -> None:
    async def tell(story: Story, pipeline: Pipeline) -> None:
        story.events = {f"e{n:04}": (event(f"e{n:04}"), 7) for n in range(900)}
        assert await pipeline.sweep() == 900
        assert await pipeline.sweep() == 0

    story = run(tell)
    assert [said for said in story.happened if not said.startswith("ended")] == [
        "pg.transactions 400",
        "pg.transactions 400",
        "pg.transactions 100",
        "marked [7]",
    ]


def test_under_load_batches_grow_and_only_so_many_are_under_way() -> None:
    async def tell(story: Story, pipeline: Pipeline) -> None:
        story.go_on.clear()
        tasks = []
        for n in range(1000):
            tasks.append(asyncio.create_task(pipeline.submit(event(f"e{n}"))))
            if n % 100 == 0:
                await asyncio.sleep(0.01)
        assert len(story.happened) <= 4
        story.go_on.set()
        await asyncio.gather(*tasks)
        assert len(story.events) == 1000

    run(tell)


MOMENTS = [NOW, datetime(1970, 1, 1, 0, 0, 0, 7, timezone(timedelta(hours=5, minutes=30)))]


@pytest.mark.parametrize(
    ("ours", "values"),
    [
        (arrays.texts, ["a", "", "₹", "x" * 70_000]),
        (arrays.blobs, [b"", b"\0\xff", b"x" * 70_000]),
        (arrays.moments, MOMENTS),
        (arrays.dates, [date(2026, 1, 6), date(1999, 12, 31)]),
    ],
)
def test_a_column_is_what_the_driver_would_send(ours: Callable[[Any], bytes], values: list[Any]) -> None:
    theirs = Transformer(None).get_dumper(values, PyFormat.BINARY).dump(values)
    # The third number says whether there are nulls; ours says there may be.
    assert theirs is not None
    assert ours(values)[8:] == bytes(theirs)[8:]
    assert ours(values)[:4] == bytes(theirs)[:4]


def test_nothing_is_a_null() -> None:
    assert arrays.texts([None, "a"])[20:] == b"\xff\xff\xff\xff\0\0\0\1a"
    assert arrays.dates([None])[20:] == b"\xff\xff\xff\xff"


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        (arrays.texts([]), "text"),
        (arrays.blobs([]), "bytea"),
        (arrays.moments([]), "timestamptz"),
        (arrays.dates([]), "date"),
    ],
)
def test_every_column_says_its_type(column: bytes, kind: str) -> None:
    connection = SimpleNamespace(adapters=AdaptersMap(psycopg.adapters))
    arrays.register(cast("Any", connection))
    dumper = connection.adapters.get_dumper(type(column), PyFormat.BINARY)
    assert dumper.oid == psycopg.adapters.types[kind].array_oid
    assert int.from_bytes(column[8:12], "big") == psycopg.adapters.types[kind].oid
