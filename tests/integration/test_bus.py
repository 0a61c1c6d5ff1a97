"""The bus against a real broker and a real registry."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from confluent_kafka.admin import AdminClient

from bus.cli import topics as topics_cli
from bus.cluster import Cluster
from bus.consumer import Consumer, read_topic
from bus.errors import (
    BrokerUnavailableError,
    BusError,
    ProducerFencedError,
    RecordRefusedError,
    RegistryUnavailableError,
    SchemaIncompatibleError,
    SchemaMissingError,
    UnknownTopicError,
)
from bus.loop_producer import LoopProducer
from bus.plan import CreateTopic, RegisterSchema, SetCompatibility
from bus.producer import Producer, TransactionalProducer
from bus.registry import Registry
from bus.settings import BusSettings, bus_settings
from bus.topics import Topic, load_schema, topics

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.stack

AT = datetime(2026, 1, 6, 4, 30, tzinfo=UTC)


def tick(n: int, **change: Any) -> dict[str, Any]:
    return {
        "tick_id": f"IN|{n}",
        "calendar": "IN",
        "business_date": AT.date(),
        "is_business_day": True,
        "closed": False,
        "at": AT,
        "op": "u",
        "version": n,
        "position": 0,
        **change,
    }


@pytest.fixture
def settings(stack: Any) -> BusSettings:
    return bus_settings()


@pytest.fixture
def topic(settings: BusSettings) -> Iterator[str]:
    """A topic of this test's own, taken away afterwards."""
    wanted = Topic(
        name=f"test.{uuid.uuid4().hex}",
        schema="calendar.ticks",
        key="tick_id",
        partitions=2,
        retention_days=1,
        cleanup="delete",
    )
    cluster = Cluster(settings)
    cluster.apply(cluster.plan([wanted]))
    yield wanted.name
    admin = AdminClient({**settings.client()})
    for future in admin.delete_topics([wanted.name]).values():
        future.result(30)


def numbers(topic: str, settings: BusSettings) -> list[int]:
    return sorted(record.value["version"] for record in read_topic(topic, settings=settings))


def transactional(topic: str, settings: BusSettings, name: str = "") -> TransactionalProducer:
    return TransactionalProducer(name or uuid.uuid4().hex, settings, schemas={topic: "calendar.ticks"})


def test_what_is_sent_is_read_back_with_its_key_and_headers(topic: str, settings: BusSettings) -> None:
    with Producer(settings, schemas={topic: "calendar.ticks"}) as producer:
        delivery = producer.send(topic, "IN|₹", tick(1), headers=[("settle.origin", "test")]).result(30)
    [record] = read_topic(topic, settings=settings)
    assert (record.key, record.value, record.headers) == ("IN|₹", tick(1), {"settle.origin": b"test"})
    assert record.place == f"{topic}-{delivery.partition}@{delivery.offset}"


def test_a_transaction_is_visible_whole_or_never(topic: str, settings: BusSettings) -> None:
    with transactional(topic, settings) as producer:
        with producer.transaction():
            for n in range(10):
                producer.send(topic, f"{n}", tick(n))
        with pytest.raises(ZeroDivisionError), producer.transaction():
            for n in range(10, 2000):
                producer.send(topic, f"{n}", tick(n))
            raise ZeroDivisionError
        assert numbers(topic, settings) == list(range(10))
        with producer.transaction():
            producer.send(topic, "10", tick(10))
    assert numbers(topic, settings) == list(range(11))


def test_an_open_transaction_shows_nothing_and_holds_no_reader_up(topic: str, settings: BusSettings) -> None:
    with transactional(topic, settings) as producer, producer.transaction():
        for n in range(500):
            producer.send(topic, f"{n}", tick(n))
        producer._client.flush(30)
        assert numbers(topic, settings) == []
    assert numbers(topic, settings) == list(range(500))


def test_a_record_that_does_not_fit_takes_its_transaction_along(topic: str, settings: BusSettings) -> None:
    with transactional(topic, settings) as producer:
        with pytest.raises(RecordRefusedError), producer.transaction():
            producer.send(topic, "1", tick(1))
            producer.send(topic, "2", tick(2, closed=None))
        with producer.transaction():
            producer.send(topic, "3", tick(3))
    assert numbers(topic, settings) == [3]


def test_a_newer_process_fences_the_older_and_ends_its_transaction(topic: str, settings: BusSettings) -> None:
    name = uuid.uuid4().hex
    with transactional(topic, settings, name) as older, transactional(topic, settings, name) as newer:
        with pytest.raises(ProducerFencedError), older.transaction():
            older.send(topic, "1", tick(1))
            older._client.flush(30)
            newer.start()
            older.send(topic, "2", tick(2))
        with newer.transaction():
            newer.send(topic, "3", tick(3))
    assert numbers(topic, settings) == [3]


def test_thousands_in_flight_are_awaited_from_an_event_loop(topic: str, settings: BusSettings) -> None:
    async def send() -> int:
        with Producer(settings, schemas={topic: "calendar.ticks"}) as producer:
            producer.prepare([topic])
            sent = [producer.send_async(topic, f"{n}", tick(n)) for n in range(5000)]
            return len({(one.partition, one.offset) for one in await asyncio.gather(*sent)})

    assert asyncio.run(send()) == 5000
    assert numbers(topic, settings) == list(range(5000))


def test_what_a_loop_delivers_lies_where_any_producer_would_put_it(topic: str, settings: BusSettings) -> None:
    async def deliver() -> None:
        producer = LoopProducer(settings, schemas={topic: "calendar.ticks"})
        try:
            records = [(f"key {n}", producer.encode(topic, tick(n))) for n in range(2000)]
            await asyncio.gather(
                *(producer.deliver(topic, records[at : at + 500]) for at in range(0, 2000, 500))
            )
        finally:
            await asyncio.to_thread(producer.close)

    asyncio.run(deliver())
    assert numbers(topic, settings) == list(range(2000))
    with Producer(settings, schemas={topic: "calendar.ticks"}) as producer:
        for n in range(2000):
            producer.send_then(topic, f"key {n}", tick(n), lambda _delivery, _error: None)
        producer.flush()
    places: dict[str, set[str]] = {}
    for record in read_topic(topic, settings=settings):
        places.setdefault(str(record.key), set()).add(record.place.partition("@")[0])
    assert {len(one) for one in places.values()} == {1}
    assert len(set().union(*places.values())) > 1


def test_a_loop_hears_that_its_topic_is_not_there(settings: BusSettings) -> None:
    async def deliver() -> None:
        missing = f"test.{uuid.uuid4().hex}"
        producer = LoopProducer(settings, schemas={missing: "calendar.ticks"})
        try:
            with pytest.raises(BusError, match=missing):
                await producer.deliver(missing, [("1", producer.encode(missing, tick(1)))])
        finally:
            await asyncio.to_thread(producer.close, 1.0)

    asyncio.run(deliver())


def test_a_callback_that_fails_does_not_stop_the_others(topic: str, settings: BusSettings) -> None:
    def fail(_delivery: Any, _error: Any) -> None:
        raise ZeroDivisionError

    with Producer(settings, schemas={topic: "calendar.ticks"}) as producer:
        for n in range(50):
            producer.send_then(topic, f"{n}", tick(n), fail)
        assert producer.send(topic, "50", tick(50)).result(30).offset >= 0
        assert [producer.send(topic, f"{n}", tick(n)).result(30).topic for n in range(51, 55)] == [topic] * 4
    assert numbers(topic, settings) == list(range(55))


def test_one_partition_keeps_the_order_of_a_key(topic: str, settings: BusSettings) -> None:
    with Producer(settings, schemas={topic: "calendar.ticks"}) as producer:
        for n in range(3000):
            producer.send_then(topic, f"key {n % 7}", tick(n), lambda _delivery, _error: None)
        producer.flush()
    places: dict[str, set[int]] = {}
    seen: dict[str, list[int]] = {}
    for record in read_topic(topic, settings=settings):
        places.setdefault(record.key, set()).add(record.partition)
        seen.setdefault(record.key, []).append(record.value["version"])
    assert all(len(partitions) == 1 for partitions in places.values())
    assert all(order == sorted(order) for order in seen.values())


def test_the_broker_is_killed_while_records_flow_and_none_is_lost_or_doubled(
    topic: str, settings: BusSettings, stack: Any
) -> None:
    """Acknowledged is written, retried is not doubled: SIGKILL on the broker in the middle."""
    import signal

    with Producer(settings, schemas={topic: "calendar.ticks"}) as producer:
        sent = [producer.send(topic, f"{n}", tick(n)) for n in range(2000)]
        sent[-1].result(60)
        sent += [producer.send(topic, f"{n}", tick(n)) for n in range(2000, 20_000)]
        stack.kill("kafka", signal.SIGKILL)
        sent += [producer.send(topic, f"{n}", tick(n)) for n in range(20_000, 22_000)]
        stack.wait_healthy("kafka")
        producer.flush(120)
        assert all(one.exception(0) is None for one in sent)
    assert numbers(topic, settings) == list(range(22_000))


def test_a_consumer_goes_on_where_it_committed(topic: str, settings: BusSettings) -> None:
    group = uuid.uuid4().hex

    def read(count: int) -> list[int]:
        got: list[int] = []
        deadline = time.monotonic() + 60
        with Consumer([topic], group=group, settings=settings) as consumer:
            while len(got) < count and time.monotonic() < deadline:
                got += [record.value["version"] for record in consumer.poll(1.0)]
            consumer.commit()
        return sorted(got)

    with Producer(settings, schemas={topic: "calendar.ticks"}) as producer:
        for n in range(20):
            producer.send(topic, f"{n}", tick(n))
        producer.flush()
        assert read(20) == list(range(20))
        for n in range(20, 25):
            producer.send(topic, f"{n}", tick(n))
        producer.flush()
        assert read(5) == list(range(20, 25))


def test_topics_apply_twice_leaves_an_empty_plan(settings: BusSettings) -> None:
    cluster = Cluster(settings)
    cluster.apply(cluster.plan(topics().values()))
    assert cluster.plan(topics().values()).steps == ()


def test_a_plan_from_nothing_then_more_partitions(settings: BusSettings) -> None:
    cluster = Cluster(settings)
    wanted = Topic(
        name=f"test.{uuid.uuid4().hex}",
        schema="calendar.ticks",
        key="tick_id",
        partitions=1,
        retention_days=1,
        cleanup="delete",
    )
    steps = cluster.plan([wanted]).steps
    assert [type(step) for step in steps] == [CreateTopic, RegisterSchema, SetCompatibility]
    assert cluster.look([wanted]).topics == {}  # a plan changes nothing
    cluster.apply(cluster.plan([wanted]))
    more = wanted.model_copy(update={"partitions": 3, "retention_days": 2})
    assert [type(step).__name__ for step in cluster.plan([more]).steps] == ["RaisePartitions", "ChangeConfig"]
    cluster.apply(cluster.plan([more]))
    assert cluster.plan([more]).steps == ()
    fewer = cluster.plan([more.model_copy(update={"partitions": 2})])
    assert fewer.steps == ()
    assert "3 partitions" in fewer.refused[0]


def test_an_incompatible_schema_is_refused_by_the_registry(topic: str, settings: BusSettings) -> None:
    registry = Registry(settings)
    schema = load_schema("calendar.ticks")
    assert registry.compatibility(f"{topic}-value") == "BACKWARD_TRANSITIVE"
    broken = {**schema, "fields": [*schema["fields"], {"name": "branch", "type": "string"}]}
    with pytest.raises(SchemaIncompatibleError, match=topic):
        registry.register(f"{topic}-value", broken)
    widened = {
        **schema,
        "fields": [*schema["fields"], {"name": "branch", "type": ["null", "string"], "default": None}],
    }
    first = registry.register(f"{topic}-value", schema)
    second = registry.register(f"{topic}-value", widened)
    assert second != first
    assert registry.register(f"{topic}-value", schema) == first
    assert registry.schema(second)["fields"][-1]["name"] == "branch"
    with pytest.raises(SchemaMissingError):
        registry.schema(2_000_000_000)


def test_a_topic_that_is_not_there_is_named(settings: BusSettings) -> None:
    missing = f"test.{uuid.uuid4().hex}"
    with pytest.raises(UnknownTopicError, match=missing):
        list(read_topic(missing, settings=settings))
    with (
        pytest.raises(UnknownTopicError, match=missing),
        Producer(settings, schemas={missing: "calendar.ticks"}) as producer,
    ):
        producer.send(missing, "1", tick(1))
        producer.flush(60)


def test_servers_that_are_not_there_are_transient(settings: BusSettings) -> None:
    gone = settings.model_copy(
        update={"bootstrap_servers": "127.0.0.1:1", "registry_url": "http://127.0.0.1:1"}
    )
    with pytest.raises(RegistryUnavailableError):
        Registry(gone).schema(1)
    producer = TransactionalProducer(uuid.uuid4().hex, gone, schemas={"t": "calendar.ticks"})
    with pytest.raises(BrokerUnavailableError):
        producer.start(timeout=2)


def test_what_people_see(topic: str, settings: BusSettings) -> None:
    with Producer(settings, schemas={topic: "calendar.ticks"}) as producer:
        for n in range(3):
            producer.send(topic, f"{n}", tick(n))
    run = CliRunner().invoke
    shown = run(topics_cli, ["tail", topic, "--from-start", "--until-end", "--json"])
    assert shown.exit_code == 0, shown.output
    rows = [json.loads(line) for line in shown.output.splitlines()]
    assert sorted(row["value"]["version"] for row in rows) == [0, 1, 2]
    assert rows[0]["value"]["business_date"] == "2026-01-06"
    one = run(topics_cli, ["tail", topic, "--from-start", "--max", "1"])
    assert (one.exit_code, len(one.output.splitlines())) == (0, 1)
    assert f"{topic}-" in one.output
    missing = run(topics_cli, ["tail", f"{topic}.missing", "--until-end"])
    assert missing.exit_code == 1
    assert missing.output.startswith("Error: the broker knows no topic")
    assert run(topics_cli, ["apply"]).exit_code == 0
    checked = run(topics_cli, ["plan", "--check"])
    assert (checked.exit_code, checked.output) == (0, "nothing to do\n")
    assert json.loads(run(topics_cli, ["plan", "--json"]).output) == {"steps": [], "refused": []}


def test_money_comes_back_to_the_paisa(settings: BusSettings) -> None:
    """Through the real wire and registry: the largest and the smallest amounts a column can hold."""
    wanted = Topic(
        name=f"test.{uuid.uuid4().hex}",
        schema="recon.results",
        key="recon_key",
        partitions=1,
        retention_days=1,
        cleanup="delete",
    )
    cluster = Cluster(settings)
    cluster.apply(cluster.plan([wanted]))
    amounts = [Decimal(text) for text in ("9999999999999999.99", "-9999999999999999.99", "0.01", "0.00")]
    producer = TransactionalProducer(uuid.uuid4().hex, settings, schemas={wanted.name: "recon.results"})
    with producer, producer.transaction():
        for n, amount in enumerate(amounts):
            row: dict[str, Any] = {field["name"]: None for field in load_schema("recon.results")["fields"]}
            row.update(recon_key=f"PAYMENT:{n}", level="PAYMENT", match_key=f"{n}", outcome="MATCHED")
            row.update(reason="-", expected_amount=amount, found_amount=amount, difference=amount)
            row.update(system_rows=1, gateway_rows=1, bank_rows=0, rules_version=1)
            row.update(op="u", version=n, position=0)
            producer.send(wanted.name, row["recon_key"], row)
    found = [record.value["difference"] for record in read_topic(wanted.name, settings=settings)]
    assert found == amounts
