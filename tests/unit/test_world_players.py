"""The demo's players and its comparison, each against a stand-in small enough to read."""

from __future__ import annotations

import asyncio
import io
import json
import threading
from collections import Counter
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from rich.console import Console

from world import cli, story
from world.compare import Comparison, Line, Mirror, Warehouse
from world.errors import DoorError, OtherWorldError
from world.generate import generate
from world.model import PAYOUT_DAYS, World, money
from world.parallel import together
from world.play_http import deliver
from world.ready import Ready, make_ready
from world.rows import COLUMNS, MERCHANTS, TRANSACTIONS, last_rows
from world.screen import Screen
from world.showing import comparison_table, mirror_table
from world.story import Outcome, Story, as_data
from world.truth import Sums, absent, verdicts
from world.webhooks import Post, Posts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


NO_NOTICES = Posts([], [], 0, 0)


@pytest.fixture(scope="module")
def world() -> World:
    return generate(7, 0.005)


class Door:
    """Answers POSTs as `decide` says; None closes the connection without an answer."""

    def __init__(self, decide: Callable[[bytes, int], int | None]) -> None:
        self._decide = decide
        self.seen: Counter[bytes] = Counter()
        self.port = 0
        self._loop = asyncio.new_event_loop()
        ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(ready,), daemon=True)
        self._thread.start()
        ready.wait(10)

    def _run(self, ready: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        ready.set()
        self._loop.run_forever()

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            try:
                head = await reader.readuntil(b"\r\n\r\n")
            except (asyncio.IncompleteReadError, ConnectionError):
                break
            at = head.lower().index(b"content-length:")
            body = await reader.readexactly(int(head[at + 15 :].split(b"\r\n")[0]))
            self.seen[body] += 1
            status = self._decide(body, self.seen[body])
            if status is None:
                break
            writer.write(b"HTTP/1.1 %d Said\r\ncontent-length: 2\r\n\r\nok" % status)
        writer.close()


@pytest.fixture
def door() -> Iterator[Callable[[Callable[[bytes, int], int | None]], Door]]:
    made: list[Door] = []

    def make(decide: Callable[[bytes, int], int | None]) -> Door:
        made.append(Door(decide))
        return made[-1]

    yield make
    for one in made:
        one.close()


def some_posts(count: int) -> list[Post]:
    return [Post("/webhook/x", b"Content-Type: a/b\r\n", b"%d" % number) for number in range(count)]


def test_every_notice_gets_its_answer(door: Any) -> None:
    there = door(lambda _body, _times: 200)
    told: list[int] = []
    done = deliver(some_posts(1000), "127.0.0.1", there.port, told.append)
    assert done.statuses == {200: 1000}
    assert set(there.seen.values()) == {1}
    assert told[-1] == 1000


def test_later_means_again(door: Any) -> None:
    there = door(lambda body, times: 503 if times == 1 and body.endswith(b"7") else 200)
    done = deliver(some_posts(100), "127.0.0.1", there.port)
    assert done.statuses == {200: 100}
    assert done.again == 10


def test_a_broken_connection_loses_no_notice(door: Any) -> None:
    there = door(lambda body, times: None if times == 1 and body == b"50" else 200)
    done = deliver(some_posts(300), "127.0.0.1", there.port)
    assert done.accepted == 300
    assert len(there.seen) == 300


def test_refusals_are_counted_not_repeated(door: Any) -> None:
    there = door(lambda _body, _times: 401)
    done = deliver(some_posts(5), "127.0.0.1", there.port)
    assert done.statuses == {401: 5}
    assert done.accepted == 0


def test_the_first_failure_ends_the_waiting() -> None:
    never = threading.Event()

    def fail() -> None:
        raise DoorError("closed")

    with pytest.raises(DoorError, match="closed"):
        together(never.wait, fail)
    together(lambda: None, lambda: None)


class Remembering(Warehouse):
    """A warehouse that answers from memory."""

    def __init__(self, world: World, rows: list[dict[str, Any]]) -> None:
        super().__init__(world)
        self.rows = rows

    def _rows(self, query: str) -> list[dict[str, Any]]:  # noqa: ARG002 - one answer is enough
        return self.rows


def results(world: World) -> list[dict[str, Any]]:
    return [
        {
            "recon_key": key,
            "level": verdict.level,
            "outcome": verdict.outcome,
            "expected_amount": Decimal(money(verdict.expected)),
            "found_amount": Decimal(money(verdict.found)),
            "difference": Decimal(money(verdict.found - verdict.expected)),
        }
        for key, verdict in verdicts(world).items()
    ]


def test_what_was_planned_is_equal(world: World) -> None:
    assert Remembering(world, results(world)).compare().equal


@pytest.mark.parametrize("field", ["expected_amount", "found_amount", "difference"])
def test_a_paisa_is_a_difference(world: World, field: str) -> None:
    rows = results(world)
    rows[3][field] += Decimal("0.01")
    found = Remembering(world, rows).compare()
    assert not found.equal
    assert found.wrong_count == 1
    assert rows[3]["recon_key"] in found.wrong[0]


def test_two_errors_that_cancel_out_are_two_errors(world: World) -> None:
    rows = results(world)
    same = [row for row in rows if row["outcome"] == "MATCHED" and row["level"] == "PAYMENT"]
    for row, paise in ((same[0], "0.01"), (same[1], "-0.01")):
        row["expected_amount"] += Decimal(paise)
        row["found_amount"] += Decimal(paise)
    found = Remembering(world, rows).compare()
    assert all(line.equal for line in found.lines)
    assert found.wrong_count == 2
    assert not found.equal


def test_missing_rows_and_rows_that_must_not_be(world: World) -> None:
    rows = results(world)
    gone = rows.pop()
    unwanted = sorted(absent(world))[0]
    rows.append({**rows[0], "recon_key": unwanted})
    rows.append({**rows[0], "recon_key": "PAYMENT:of somebody else"})
    found = Remembering(world, rows).compare()
    assert found.wrong_count == 2
    assert found.foreign == 1
    assert any(gone["recon_key"] in line for line in found.wrong)


def test_keys_that_vanish_are_none_that_stay(world: World) -> None:
    assert not absent(world) & verdicts(world).keys()
    assert any(key.startswith("PAYMENT:TMP") for key in absent(world))


def test_mirrors_are_compared_masked_and_in_every_column(world: World) -> None:
    rows = last_rows(world)[MERCHANTS]
    at = COLUMNS[MERCHANTS].index("account_number")
    copies = [
        dict(zip(COLUMNS[MERCHANTS], (*row[:at], "*" * 12, *row[at + 1 :]), strict=True)) for row in rows
    ]
    assert Remembering(world, copies).mirror(MERCHANTS, rows, rows).equal
    copies[0]["merchant_name"] += " "
    assert not Remembering(world, copies).mirror(MERCHANTS, rows, rows).equal


def test_a_mirror_tells_nothing_from_the_empty_text(world: World) -> None:
    rows = last_rows(world)[TRANSACTIONS]
    copies = [dict(zip(COLUMNS[TRANSACTIONS], row, strict=True)) for row in rows]
    assert Remembering(world, copies).mirror(TRANSACTIONS, rows, rows).equal
    copies[0]["note"] = ""
    assert not Remembering(world, copies).mirror(TRANSACTIONS, rows, rows).equal


def test_a_source_that_is_not_as_planned_is_not_equal(world: World) -> None:
    rows = last_rows(world)[TRANSACTIONS]
    copies = [dict(zip(COLUMNS[TRANSACTIONS], row, strict=True)) for row in rows[1:]]
    assert not Remembering(world, copies).mirror(TRANSACTIONS, rows[1:], rows).equal


class Source:
    """The payment company's database as far as the claim asks it."""

    def __init__(self, *, fresh: bool) -> None:
        self._fresh = fresh

    def prepare(self) -> bool:
        return self._fresh


class Home:
    def __init__(self, path: Path) -> None:
        self.path = self.data = path


def claim(world: World, folder: Path, *, fresh: bool) -> None:
    made = Story(Ready(world, NO_NOTICES, []), Home(folder), None, Screen(Console(file=io.StringIO())), 10)  # type: ignore[arg-type]
    made._check_time = lambda: None  # type: ignore[method-assign]
    made._claim(Source(fresh=fresh))  # type: ignore[arg-type]


def test_one_home_holds_one_world(world: World, tmp_path: Path) -> None:
    claim(world, tmp_path, fresh=True)
    claim(world, tmp_path, fresh=False)
    with pytest.raises(OtherWorldError, match=r"--seed 7 --scale 0.005.*--fresh"):
        claim(generate(8, 0.005), tmp_path, fresh=False)


def test_rows_of_nobody_knows_which_world_are_refused(world: World, tmp_path: Path) -> None:
    with pytest.raises(OtherWorldError, match="other data"):
        claim(world, tmp_path, fresh=False)


def outcome(*, equal: bool = True) -> Outcome:
    one = Sums(2, Decimal("2.00"), Decimal("1.50"), Decimal("-0.50"))
    other = one if equal else one._replace(rows=1)
    lines = [Line("PAYMENT", "AMOUNT_MISMATCH", one, other), Line("SETTLEMENT", "MATCHED", one, one)]
    return Outcome(Comparison(lines), [Mirror("merchant_data", 1, 1, "a" * 64, "a" * 64, planned=True)])


def test_the_table_shows_both_sides_and_the_sign() -> None:
    text = io.StringIO()
    console = Console(file=text, width=140)
    console.print(comparison_table(outcome(equal=False).comparison or Comparison([])))
    console.print(mirror_table(outcome().mirrors))
    assert "-₹0.50" in text.getvalue()
    assert "✗" in text.getvalue()
    assert "✓" in text.getvalue()


def test_the_result_as_data_is_json_without_floats_for_money() -> None:
    data = json.loads(json.dumps(as_data(outcome())))
    assert data["equal"] is True
    assert data["lines"][0]["found"] == {
        "rows": 2,
        "expected": "2.00",
        "found": "1.50",
        "difference": "-0.50",
    }


def test_plain_lines_where_nobody_watches() -> None:
    text = io.StringIO()
    with Screen(Console(file=text, width=40)) as screen, screen.phase("A phase") as phase:
        phase.tell("a long note that would not fit into forty columns")
    lines = text.getvalue().splitlines()
    assert len(lines) == 3
    assert lines[0].endswith("A phase …")


@pytest.mark.parametrize("scale", ["0", "-1", "1000"])
def test_absurd_scales_end_with_a_sentence(scale: str) -> None:
    found = CliRunner().invoke(cli.demo, ["--scale", scale])
    assert found.exit_code == 2
    assert "--scale" in found.output


@pytest.mark.parametrize(("equal", "code"), [(True, 0), (False, 1)])
def test_exit_codes(monkeypatch: pytest.MonkeyPatch, world: World, equal: bool, code: int) -> None:
    screen = Screen(Console(file=io.StringIO()))
    stopped: list[object] = []
    monkeypatch.setattr(cli, "_start", lambda *_: Ready(world, NO_NOTICES, []))
    monkeypatch.setattr(cli, "_play", lambda *_: (outcome(equal=equal), screen, None))
    monkeypatch.setattr("stack.state.is_running", lambda _: True)
    monkeypatch.setattr(cli, "stop", stopped.append)
    found = CliRunner().invoke(cli.demo, ["--exit", "--json"])
    assert found.exit_code == code
    assert json.loads(found.stdout)["equal"] is equal
    assert len(stopped) == 1


def test_everything_is_ready_before_the_doors_open(world: World) -> None:
    names = ("razorpay_webhook_secret", "payu_key", "payu_salt", "paytm_mid", "paytm_merchant_key")
    ready = make_ready(7, 0.005, dict.fromkeys(names, "0123456789abcdef"))
    assert len(ready.notices.genuine) > len(world.sales) * 0.9
    assert {parcel.gateway for parcel in ready.reports} == {"razorpay", "payu", "paytm"}
    assert all(json.loads(parcel.body)["items"] for parcel in ready.reports)


def test_business_time_of_the_story_is_in_order() -> None:
    assert list(PAYOUT_DAYS) == sorted(PAYOUT_DAYS)
    assert story.Story.__doc__
