"""The limit on requests a minute: alone, shared by processes, without its store; and who a client is."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from webhook_intake.clients import Clients, networks
from webhook_intake.errors import UnavailableError
from webhook_intake.ratelimit import RateLimit

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

LIMIT = 1000


class Clock:
    """Time that moves when told."""

    def __init__(self) -> None:
        self.now = 60_000_000.0

    def __call__(self) -> float:
        return self.now


class Store:
    """Leases as the ledger gives them, and how often it was asked."""

    def __init__(self) -> None:
        self.used: dict[tuple[str, int], int] = {}
        self.asked = 0
        self.away = False

    async def lease(self, sources: Sequence[str], minute: int, *, share: int, limit: int) -> dict[str, int]:
        await asyncio.sleep(0)
        self.asked += 1
        if self.away:
            raise UnavailableError("Postgres")
        granted = {}
        for source in sources:
            used = self.used.get((source, minute), 0)
            granted[source] = max(0, min(limit - used, max(1, min(share, (limit - used) // 4))))
            self.used[source, minute] = used + granted[source]
        return granted

    async def forget_leases(self, before: int) -> None:
        self.used = {key: count for key, count in self.used.items() if key[1] >= before}


def run(coroutine: Coroutine[None, None, None]) -> None:
    asyncio.run(coroutine)


async def let_in(limit: RateLimit, source: str, requests: int) -> int:
    """How many of so many requests at the same moment come in."""
    pauses = await asyncio.gather(*(limit.pause(source) for _ in range(requests)))
    return pauses.count(0)


def test_a_source_may_send_so_many_a_minute_and_is_told_when_again() -> None:
    async def story() -> None:
        clock, store = Clock(), Store()
        limit = RateLimit(store, LIMIT, clock)
        clock.now += 20
        assert await let_in(limit, "payu 192.0.2.1", 3 * LIMIT) == LIMIT
        assert await limit.pause("payu 192.0.2.1") == 40
        clock.now += 39.5
        assert await limit.pause("payu 192.0.2.1") == 1
        clock.now += 0.5
        assert await let_in(limit, "payu 192.0.2.1", 2 * LIMIT) == LIMIT

    run(story())


def test_sources_do_not_count_against_each_other() -> None:
    async def story() -> None:
        limit = RateLimit(Store(), LIMIT, Clock())
        counts = await asyncio.gather(*(let_in(limit, f"payu 192.0.2.{n}", LIMIT + 5) for n in range(4)))
        assert counts == [LIMIT] * 4

    run(story())


@pytest.mark.parametrize("limit", [1, 7, LIMIT])
def test_two_processes_share_one_limit(limit: int) -> None:
    async def story() -> None:
        clock, store = Clock(), Store()
        one, two = RateLimit(store, limit, clock), RateLimit(store, limit, clock)
        counts = await asyncio.gather(*(let_in(process, "payu x", limit) for process in (one, two)))
        assert sum(counts) == limit
        assert await one.pause("payu x") == await two.pause("payu x") == 60

    run(story())


def test_what_lies_unused_in_one_process_is_little() -> None:
    async def story() -> None:
        clock, store = Clock(), Store()
        idle, busy = RateLimit(store, LIMIT, clock), RateLimit(store, LIMIT, clock)
        assert await idle.pause("payu x") == 0
        assert await let_in(busy, "payu x", 2 * LIMIT) >= LIMIT * 0.95

    run(story())


def test_the_store_is_asked_rarely_and_not_at_all_once_the_minute_is_spent() -> None:
    async def story() -> None:
        store = Store()
        limit = RateLimit(store, LIMIT, Clock())
        await let_in(limit, "payu x", LIMIT)
        assert store.asked <= 60
        before = store.asked
        assert await let_in(limit, "payu x", 50 * LIMIT) == 0
        assert store.asked <= before + 1
        store.asked = 0
        await asyncio.gather(*(limit.pause(f"payu {n}") for n in range(10_000)))
        assert store.asked <= 2

    run(story())


def test_without_the_store_each_process_holds_the_limit_alone() -> None:
    async def story() -> None:
        clock, store = Clock(), Store()
        limit = RateLimit(store, LIMIT, clock)
        assert await let_in(limit, "payu x", 100) == 100
        store.away = True
        assert await let_in(limit, "payu x", 2 * LIMIT) == LIMIT - 100

    run(story())


def test_one_who_goes_away_takes_no_answer_from_the_others() -> None:
    async def story() -> None:
        limit = RateLimit(Store(), LIMIT, Clock())
        first, second = (asyncio.create_task(limit.pause("payu x")) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        assert await second == 0

    run(story())


def test_a_clock_set_back_opens_no_minute_again() -> None:
    async def story() -> None:
        clock = Clock()
        limit = RateLimit(Store(), LIMIT, clock)
        await let_in(limit, "payu x", LIMIT)
        clock.now -= 61
        assert await limit.pause("payu x") > 60

    run(story())


def test_a_minute_that_ends_while_its_share_is_asked_for_costs_nobody_an_answer() -> None:
    async def story() -> None:
        clock, store = Clock(), Store()
        limit = RateLimit(store, LIMIT, clock)
        clock.now += 59
        waiting = [asyncio.create_task(limit.pause("payu x")) for _ in range(LIMIT)]
        await asyncio.sleep(0)
        clock.now += 2
        assert await asyncio.gather(*waiting) == [0] * LIMIT
        assert store.used == {("payu x", int(clock.now // 60)): LIMIT}
        assert await limit.pause("payu x") == 59

    run(story())


PROXIES = networks("10.0.0.0/8, 2001:db8:1::/48")


@pytest.mark.parametrize(
    ("peer", "forwarded", "address", "site"),
    [
        ("192.0.2.1", "", "192.0.2.1", "192.0.2.1"),
        ("192.0.2.1", "198.51.100.7", "192.0.2.1", "192.0.2.1"),
        ("10.0.0.1", "198.51.100.7", "198.51.100.7", "198.51.100.7"),
        ("10.0.0.1", "203.0.113.9, 198.51.100.7", "198.51.100.7", "198.51.100.7"),
        ("10.0.0.1", "203.0.113.9,198.51.100.7, 10.9.9.9", "198.51.100.7", "198.51.100.7"),
        ("10.0.0.1", "198.51.100.7:4711", "198.51.100.7", "198.51.100.7"),
        ("10.0.0.1", "nonsense", "10.0.0.1", "10.0.0.1"),
        ("10.0.0.1", "198.51.100.7, nonsense, 10.0.0.2", "10.0.0.2", "10.0.0.2"),
        ("10.0.0.1", "", "10.0.0.1", "10.0.0.1"),
        ("::ffff:10.0.0.1", "198.51.100.7", "198.51.100.7", "198.51.100.7"),
        ("2001:db8:1::5", "[2001:db8:7:8::9]:443", "2001:db8:7:8::9", "2001:db8:7:8::/64"),
        ("2001:db8:7:8::a", "", "2001:db8:7:8::a", "2001:db8:7:8::/64"),
        ("", "198.51.100.7", "", ""),
    ],
)
def test_a_client_is_who_the_nearest_trusted_proxy_heard(
    peer: str, forwarded: str, address: str, site: str
) -> None:
    assert Clients(PROXIES).of(peer, forwarded) == (address, site)
