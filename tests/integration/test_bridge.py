"""Bank files through the real SFTP server, S3, Postgres and Kafka, with a bridge of the test's own."""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import shutil
import signal
import socket
import urllib.request
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncssh
import pytest

from settlement.calendar import IST
from sftp_bridge import calendar_ticks
from sftp_bridge.crash_points import STEPS
from sftp_bridge.revisions import State
from stack.sftp import keys_dir
from tests.integration.bridge_world import CHECKOUT, DAY, PATIENCE, World, archived, axis, wait_for, world_of

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.stack

HDFC = "Date,Narration,Chq./Ref.No.,Value Dt,Withdrawal Amt.,Deposit Amt.,Closing Balance\n"
ICICI = (
    "S No.,Value Date,Transaction Date,Cheque Number,Transaction Remarks,"
    "Withdrawal Amount (INR ),Deposit Amount (INR ),Balance (INR )\n"
)


def many(count: int, day: str) -> bytes:
    return axis(*((f"AXISCN{at:010d}", f"{at}.25") for at in range(1, count + 1)), day=day)


def drop(world: World, bank: str, name: str, content: bytes) -> None:
    """With HDFC's marker behind it."""
    world.drop(bank, {name: content} | ({f"{name}.done": b""} if bank == "hdfc" else {}))


def name_of(bank: str, cutoff: str, tail: str = ".csv") -> str:
    stem = "AXIS_STMT" if bank == "axis" else bank.upper()
    return f"{stem}_20260106_{cutoff.replace(':', '')}{tail}"


def described(tag: str) -> dict[str, str]:
    """The shipped descriptions, under names of the test's own."""
    texts = {}
    for source in (CHECKOUT / "sftp_bridge" / "banks").glob("*.yaml"):
        slug = source.stem
        text = source.read_text()
        for old, new in (
            (f"bank: {slug.upper()}\n", f"bank: {slug.upper()}{tag.upper()}\n"),
            (f"account: {slug}", f"account: {slug}{tag}"),
            (f"key: {slug}_ed25519", f"key: {slug}{tag}_ed25519"),
            (f"host_key: {slug}.pub", f"host_key: {slug}{tag}.pub"),
        ):
            assert old in text
            text = text.replace(old, new)
        texts[slug] = text
    return texts


@pytest.fixture(scope="module")
def world(stack: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world_of(tmp_path_factory.mktemp("bridge"), described) as world:
        yield world


def test_three_banks_each_by_its_own_custom(world: World) -> None:
    with world.bridge():
        drop(world, "axis", name_of("axis", "11:30"), axis(("AXISCN1153863727", "100.50")))
        hdfc = (
            HDFC + "06/01/26,NEFT CR-setl_9-RAZORPAY,HDFCN26010600001,06/01/26,,5.00,5.00\nTRAILER,1,5.00,0\n"
        )
        drop(world, "hdfc", name_of("hdfc", "10:00"), hdfc.encode())
        remarks = "NEFT/ICICN26010600001/PAYTM PAYMENTS/P1"
        icici = ICICI + f"1,06/01/2026,06/01/2026,,{remarks},,7.25,7.25\nTRAILER,1,7.25,0.00\n"
        drop(world, "icici", name_of("icici", "09:30"), icici.encode())
        (first,) = world.settled("axis", "11:30", State.LOADED)
        world.settled("hdfc", "10:00", State.LOADED)
        world.settled("icici", "09:30", State.LOADED)

        (record,) = world.records("bank.records", world.file_id("axis", "11:30"))
        assert record["record_id"] == f"{world.file_id('axis', '11:30')}|2|AXISCN1153863727"
        assert (record["utr"], record["amount"], record["direction"], record["op"]) == (
            "AXISCN1153863727",
            Decimal("100.50"),
            "CR",
            "u",
        )
        assert (record["version"], record["position"], record["business_date"]) == (202601060001, 2, DAY)
        (word,) = world.records("bank.files.received", world.file_id("axis", "11:30"))
        assert (word["record_count"], word["credit_total"], word["sha256"]) == (
            1,
            Decimal("100.50"),
            first.sha256,
        )
        (cutoff,) = world.records("bank.cutoffs", world.file_id("axis", "11:30"))
        assert (cutoff["status"], cutoff["files_received"], cutoff["cutoffs_in_day"]) == ("RECEIVED", 1, 3)
        assert world.records("bank.records", world.file_id("hdfc", "10:00"))[0]["settlement_ref"] == "setl_9"
        assert world.records("bank.records", world.file_id("icici", "09:30"))[0]["settlement_ref"] == "P1"

        assert world.remote("axis") == world.remote("hdfc") == world.remote("icici") == set()
        assert world.remote("hdfc", "processed") == {"HDFC_20260106_1000.csv", "HDFC_20260106_1000.csv.done"}
        assert archived(first.raw_key) == axis(("AXISCN1153863727", "100.50"))

        for bank in ("axis", "hdfc", "icici"):
            wait_for(lambda bank=bank: world.state_of(bank) == "ok", f"{bank} to be well")  # type: ignore[misc]
        metrics = (
            urllib.request.urlopen(f"http://127.0.0.1:{world.health_port}/metrics", timeout=5).read().decode()
        )
        assert f'settle_bridge_files_total{{bank="{world.bank("axis")}",state="LOADED"}} 1' in metrics


def test_the_same_bytes_again_are_a_recorded_no_op(world: World) -> None:
    content = axis(("AXISCN2000000001", "1.00"), ("AXISCN2000000002", "2.00"))
    with world.bridge():
        drop(world, "axis", name_of("axis", "15:30"), content)
        world.settled("axis", "15:30", State.LOADED)
        drop(world, "axis", name_of("axis", "15:30", "_R2.csv"), content)
        first, again = world.settled("axis", "15:30", State.LOADED, State.DUPLICATE)
    assert again.duplicate_of == first.seq
    assert len(world.records("bank.records", world.file_id("axis", "15:30"))) == 2
    assert len(world.records("bank.files.received", world.file_id("axis", "15:30"))) == 1


def test_a_correction_takes_back_what_is_gone(world: World) -> None:
    name, file_id = name_of("axis", "20:00"), world.file_id("axis", "20:00")
    with world.bridge():
        drop(world, "axis", name, axis(("AXISCN3000000001", "1.00"), ("AXISCN3000000002", "2.00")))
        world.settled("axis", "20:00", State.LOADED)
        # New bytes under the old name, then under a name with its revision.
        drop(world, "axis", name, axis(("AXISCN3000000001", "1.50"), ("AXISCN3000000003", "2.00")))
        world.settled("axis", "20:00", State.SUPERSEDED, State.LOADED)
        drop(world, "axis", name_of("axis", "20:00", "_R3.csv"), axis(("AXISCN3000000001", "1.50")))
        rows = world.settled("axis", "20:00", State.SUPERSEDED, State.SUPERSEDED, State.LOADED)
    assert [(row.revision, row.record_count, row.retracted_count) for row in rows] == [
        (1, 2, 0),
        (2, 2, 1),
        (3, 1, 1),
    ]
    assert rows[2].supersedes == rows[1].sha256
    latest: dict[str, dict[str, Any]] = {}
    for record in world.records("bank.records", file_id):
        known = latest.get(record["record_id"])
        if known is None or (record["version"], record["position"]) > (known["version"], known["position"]):
            latest[record["record_id"]] = record
    assert {key.rsplit("|", 1)[1]: (one["op"], one["amount"]) for key, one in latest.items()} == {
        "AXISCN3000000001": ("u", Decimal("1.50")),
        "AXISCN3000000002": ("d", Decimal("2.00")),
        "AXISCN3000000003": ("d", Decimal("2.00")),
    }
    assert [word["version"] for word in world.records("bank.files.received", file_id)] == [
        202601060001,
        202601060002,
        202601060003,
    ]


def test_a_refused_file_is_quarantined_whole_and_can_be_replayed(world: World) -> None:
    file_id = world.file_id("hdfc", "14:00")
    text = HDFC + "06/01/26,X,HDFCN26010600002,06-Jan-26,,5.00,5.00\nTRAILER,1,5.00,0.00\n"
    with world.bridge():
        drop(world, "hdfc", name_of("hdfc", "14:00"), text.encode())
        drop(world, "hdfc", name_of("hdfc", "18:00"), text.replace("06-Jan-26", "06/01/26").encode())
        (row,) = world.settled("hdfc", "14:00", State.QUARANTINED)
        world.settled("hdfc", "18:00", State.LOADED)
    assert (row.reason_line, row.reason_column) == (2, "Value Dt")
    assert world.records("bank.records", file_id) == []
    (letter,) = [one for one in world.records("bank.dead") if one["source"] == world.bank("hdfc")]
    assert letter["place"] == f"{row.raw_key}:2"
    assert b"06-Jan-26" in letter["payload"]

    listed = world.settle("files", "quarantine", "--json")
    assert row.seq in [one["no"] for one in json.loads(listed.stdout)]
    again = world.settle("files", "replay", str(row.seq))
    assert again.returncode == 1
    assert "06-Jan-26" in again.stderr
    # The fix: what the bank writes is declared.
    description = Path(world.environment["SETTLE_BRIDGE_BANKS_DIR"]) / "hdfc.yaml"
    as_it_was = description.read_text()
    assert '"%d/%m/%y", ' in as_it_was
    description.write_text(as_it_was.replace('"%d/%m/%y", ', '"%d/%m/%y", "%d-%b-%y", '))
    try:
        fixed = world.settle("files", "replay", file_id.replace("|", "/"), "--json")
    finally:
        description.write_text(as_it_was)
    assert [one["state"] for one in json.loads(fixed.stdout)] == ["LOADED"]
    assert len(world.records("bank.records", file_id)) == 1
    assert world.settle("files", "replay", str(row.seq)).returncode == 2


def test_a_file_refused_on_its_last_line_publishes_nothing(world: World) -> None:
    content = many(300, "08/01/2026").replace(b"TRAILER,300", b"TRAILER,301")
    with world.bridge():
        drop(world, "axis", "AXIS_STMT_20260108_1130.csv", content)
        file_id = f"{world.bank('axis')}|2026-01-08|11:30"
        wait_for(lambda: world.states(file_id) == [State.QUARANTINED], "the file to be refused")
    assert world.records("bank.records", file_id) == []


def test_claimed_parsed_and_published_stand_side_by_side(world: World) -> None:
    bank, day = world.bank("axis"), date(2026, 1, 23)

    def told() -> dict[str, dict[str, Any]]:
        rows = world.ledger.select(
            "SELECT * FROM sp_v2_bank_files_ingested WHERE bank = %s AND business_date = %s", (bank, day)
        )
        return {row["cutoff"]: row for row in rows}

    whole = axis(("AXISCN6000000001", "1.00"), ("AXISCN6000000002", "2.00"), day="23/01/2026")
    one_short = whole.replace(b"TRAILER,2", b"TRAILER,3").replace(b"AXISCN600", b"AXISCN601")
    with world.bridge():
        drop(world, "axis", "AXIS_STMT_20260123_1130.csv", whole)
        drop(world, "axis", "AXIS_STMT_20260123_1530.csv", one_short)
        wait_for(lambda: {one["state"] for one in told().values()} == {"LOADED", "QUARANTINED"}, "both files")
    loaded, refused = told()["11:30"], told()["15:30"]
    counts = ("claimed_count", "parsed_count", "published_count", "retracted_count")
    sums = ("claimed_credit", "parsed_credit", "published_credit", "published_debit")
    assert [loaded[name] for name in counts] == [2, 2, 2, 0]
    assert [loaded[name] for name in sums] == [Decimal(3), Decimal(3), Decimal(3), Decimal(0)]
    assert [refused[name] for name in counts] == [3, 2, 0, None]
    assert [refused[name] for name in sums] == [Decimal(3), Decimal(3), Decimal(0), Decimal(0)]
    assert loaded["received_at"] <= loaded["loaded_at"]
    assert refused["loaded_at"] is None
    assert "says 3 in movements" in refused["reason"]
    assert (loaded["file_name"], loaded["size_bytes"]) == ("AXIS_STMT_20260123_1130.csv", len(whole))


def test_a_growing_file_is_not_taken_early(world: World) -> None:
    name = name_of("icici", "21:30")
    row = "{0},06/01/2026,06/01/2026,,NEFT/ICICN2601060{0:04d}/PAYTM PAYMENTS/P1,,1.00,1.00\n"
    parts = [ICICI, *(row.format(at) for at in (1, 2, 3)), "TRAILER,3,3.00,0.00\n"]

    def polls() -> int:
        return int(world.health()["banks"][world.bank("icici")]["polls"])

    async def append(part: str) -> None:
        async with world.upload("icici") as sftp, sftp.open(f"/outbox/{name}", "ab") as file:
            await file.write(part.encode())

    with world.bridge():
        wait_for(lambda: world.polled(), "the first poll")
        for part in parts:
            assert world.files("icici", "21:30") == []
            asyncio.run(append(part))
            if part is not parts[-1]:
                # Long enough to look quiet: only the missing trailer says that more will come.
                seen = polls()
                wait_for(lambda seen=seen: polls() > seen + 15, "some polls")  # type: ignore[misc]
        (loaded,) = world.settled("icici", "21:30", State.LOADED)
    assert (loaded.revision, loaded.record_count) == (1, 3)


@pytest.mark.parametrize("step", STEPS)
def test_a_bridge_killed_at_any_step_loses_nothing_and_doubles_nothing(world: World, step: str) -> None:
    # Enough that most of it is read in columns.
    count = 2000 + STEPS.index(step)
    day = f"202601{10 + STEPS.index(step)}"
    name = f"AXIS_STMT_{day}_1130.csv"
    file_id = f"{world.bank('axis')}|{day[:4]}-{day[4:6]}-{day[6:]}|11:30"
    drop(world, "axis", name, many(count, f"{day[6:]}/01/2026"))
    dying = world.start("sftp_bridge", SETTLE_BRIDGE_CRASH_AT=step)
    assert dying.wait(PATIENCE) == -signal.SIGKILL
    with world.bridge():
        wait_for(lambda: name not in world.remote("axis"), f"{name} to be moved away")
        wait_for(lambda: world.states(file_id) == [State.LOADED], f"{file_id} to be loaded")
    records = world.records("bank.records", file_id)
    assert len(records) == count
    assert len({record["record_id"] for record in records}) == count
    assert sum(record["amount"] for record in records) == sum(
        Decimal(f"{at}.25") for at in range(1, count + 1)
    )
    assert len(world.records("bank.files.received", file_id)) == 1
    assert name in world.remote("axis", "processed")


def test_a_transfer_that_broke_off_goes_on_where_it_was(world: World, tmp_path: Path) -> None:
    piece = random.Random(7).randbytes(1024 * 1024)
    content = b"".join(b"%d" % number + piece for number in range(256))
    name = "AXIS_STMT_20260124_1130.csv"
    drop(world, "axis", name, content)

    def came() -> int:
        return sum(part.stat().st_size for part in tmp_path.glob("*.part"))

    dying = world.start("sftp_bridge", SETTLE_BRIDGE_SPOOL_DIR=str(tmp_path))
    # Looked for all the time: it takes a second altogether.
    while came() < 16 * 1024 * 1024 and dying.poll() is None:
        pass
    dying.kill()
    dying.wait(PATIENCE)
    assert 0 < came() < len(content)
    # What it was killed in the middle of may be half there; the bank's file is what counts.
    (part,) = tmp_path.glob("*.part")
    with part.open("ab") as torn:
        torn.write(b"torn" * 1000)
    for said in ("is not what began to come", "goes on at"):
        with world.bridge(
            SETTLE_BRIDGE_SPOOL_DIR=str(tmp_path), SETTLE_BRIDGE_CRASH_AT="registered"
        ) as next_:
            assert next_.wait(PATIENCE) == -signal.SIGKILL
        assert said in world.log().read_text()
    with world.bridge(SETTLE_BRIDGE_SPOOL_DIR=str(tmp_path)):
        wait_for(lambda: name in world.remote("axis", "processed"), "the file to be done with")
    (row,) = [row for row in world.files("axis") if row.remote_name == name]
    assert (row.state, row.sha256) == (State.QUARANTINED, hashlib.sha256(content).hexdigest())
    assert archived(row.raw_key) == content
    assert came() == 0


def test_a_changed_host_key_is_not_told_anything(world: World) -> None:
    slug = world.bank("axis").lower()
    pinned = keys_dir(world.home) / f"{slug}.pub"
    agreed = pinned.read_bytes()
    name = "AXIS_STMT_20260120_1130.csv"
    content = axis(("AXISCN4000000001", "1.00"), day="20/01/2026")
    pinned.write_bytes(asyncssh.generate_private_key("ssh-ed25519").export_public_key())
    try:
        (world.home.data / "sftp" / slug / "outbox" / name).write_bytes(content)
        with world.bridge():
            wait_for(lambda: world.polled(), "the first polls")
            wait_for(lambda: world.state_of("axis") == "degraded", "the bank to be in trouble")
            wait_for(lambda: world.state_of("hdfc") == "ok", "its neighbour to be well")
            problem = world.health()["banks"][world.bank("axis")]["problem"]
            assert "host key" in problem
            assert "nothing was read" in problem
            check = world.settle("banks", "check", world.bank("axis"))
            assert check.returncode == 1
            assert "host key" in check.stdout
        assert name in world.remote("axis")
        assert [row for row in world.files("axis") if row.remote_name == name] == []
    finally:
        pinned.write_bytes(agreed)
    # And the right key is enough: by hand, without a bridge.
    polled = world.settle("banks", "poll", world.bank("axis"), "--json")
    assert [one["state"] for one in json.loads(polled.stdout)] == ["LOADED"]


def test_a_server_that_hangs_holds_up_its_own_bank_only(world: World) -> None:
    banks = world.folder / "banks-one-hangs"
    shutil.copytree(world.environment["SETTLE_BRIDGE_BANKS_DIR"], banks)
    hdfc = banks / "hdfc.yaml"
    hdfc.write_text(hdfc.read_text().replace("local_port_offset: 1", "local_port_offset: 4"))
    with socket.socket() as silent:
        # Takes the connection and never says a word.
        silent.bind(("127.0.0.1", world.port + 4))
        silent.listen()
        with world.bridge(SETTLE_BRIDGE_BANKS_DIR=str(banks)):
            content = axis(("AXISCN5000000001", "1.00"), day="21/01/2026")
            drop(world, "axis", "AXIS_STMT_20260121_1130.csv", content)
            file_id = f"{world.bank('axis')}|2026-01-21|11:30"
            wait_for(lambda: world.states(file_id) == [State.LOADED], "the file of the bank that answers")
            assert world.state_of("hdfc") != "ok"


def test_consoles_see_the_descriptions_that_are_run(world: World) -> None:
    banks = world.folder / "banks-one-leaves"
    shutil.copytree(world.environment["SETTLE_BRIDGE_BANKS_DIR"], banks)

    def told() -> dict[str, dict[str, Any]]:
        names = [world.bank(name) for name in ("axis", "hdfc", "icici")]
        rows = world.ledger.select("SELECT * FROM sp_v2_bank_configs WHERE bank = ANY(%s)", (names,))
        return {row["bank"]: row for row in rows}

    def run(folder: Path) -> dict[str, dict[str, Any]]:
        with world.bridge(SETTLE_BRIDGE_BANKS_DIR=str(folder)):
            wait_for(lambda: world.polled(), "the first poll")
        return told()

    before = run(banks)
    axis_row, hdfc, icici = (before[world.bank(name)] for name in ("axis", "hdfc", "icici"))
    for listed in json.loads(world.settle("banks", "list", "--json").stdout):
        row = before[listed["bank"]]
        assert {word: row[word] for word in listed} == listed
    assert axis_row["folder"] == str(banks.resolve())
    assert hdfc["key"] == f"{world.bank('hdfc').lower()}_ed25519"

    (banks / "hdfc.yaml").unlink()
    description = banks / "axis.yaml"
    description.write_text(description.read_text().replace("grace_minutes: 30", "grace_minutes: 45"))
    after = run(banks)
    assert {row["bank"] for row in after.values() if not row["active"]} == {hdfc["bank"]}
    now = after[axis_row["bank"]]
    assert now["grace_minutes"] == 45
    assert now["sha256"] != axis_row["sha256"]
    assert now["since"] > axis_row["since"]
    assert after[icici["bank"]]["since"] == icici["since"]
    # Another folder's bridge has nothing to say about who is gone from this one; its own banks are active.
    again = run(Path(world.environment["SETTLE_BRIDGE_BANKS_DIR"]))
    assert all(row["active"] for row in again.values())


def test_consoles_see_how_the_last_poll_went(world: World) -> None:
    bank = world.bank("icici")
    pinned = keys_dir(world.home) / f"{bank.lower()}.pub"
    stranger = world.home.data / "sftp" / bank.lower() / "outbox" / "stranger.txt"

    def told() -> dict[str, Any]:
        rows = world.ledger.select("SELECT * FROM sp_v2_sftp_connector_health WHERE bank = %s", (bank,))
        return rows[0] if rows else {}

    agreed = pinned.read_bytes()
    pinned.write_bytes(asyncssh.generate_private_key("ssh-ed25519").export_public_key())
    try:
        with world.bridge():
            wait_for(lambda: told().get("failures_in_a_row", 0) > 1, "two polls that fail")
            row, page = told(), world.health()["banks"][bank]
            for word in ("server", "state", "problem", "last_error"):
                assert row[word] == page[word]
            assert row["state"] == "degraded"
            assert "host key" in row["problem"]
            pinned.write_bytes(agreed)
            stranger.write_bytes(b"?")
            wait_for(lambda: told()["outbox_unrecognised"] == 1, "the bank to be well and the stranger seen")
            row = told()
            assert (row["state"], row["problem"], row["failures_in_a_row"]) == ("ok", None, 0)
            assert "host key" in row["last_error"]
            assert row["last_success"] == row["last_poll"] > row["last_error_at"]
    finally:
        pinned.write_bytes(agreed)
        stranger.unlink(missing_ok=True)


def test_the_banks_servers_keep_everybody_in_their_room(world: World) -> None:
    own_key = keys_dir(world.home) / f"{world.bank('icici').lower()}_ed25519"

    async def go() -> None:
        # A bank's own account is let in at its own port only.
        with pytest.raises(asyncssh.PermissionDenied):
            await asyncssh.connect(
                "127.0.0.1",
                world.port,
                username=world.bank("icici").lower(),
                client_keys=[str(own_key)],
                known_hosts=None,
                config=None,
            )
        async with world.upload("axis") as sftp:
            assert await sftp.realpath("../../..") == "/"
            assert set(await sftp.listdir("/")) >= {"outbox", "processed"}
            with pytest.raises(asyncssh.SFTPPermissionDenied):
                await sftp.symlink("/etc", "/outbox/link")
            async with sftp.open("/outbox/../../../../escape", "wb") as file:
                await file.write(b"out")
            assert (world.home.data / "sftp" / world.bank("axis").lower() / "escape").read_bytes() == b"out"

    asyncio.run(go())


def test_business_time_comes_from_ticks_alone(world: World) -> None:
    topic = f"{world.tag}.calendar.ticks"
    day = date(2026, 2, 3)

    def statuses() -> dict[str, str]:
        rows = world.ledger.expectations(world.bank("icici"), day)
        return {row["cutoff"]: row["status"] for row in rows}

    def tick(at: str, open_day: date | None = None, close_day: date | None = None) -> None:
        moment = datetime.fromisoformat(at).replace(tzinfo=IST)
        calendar_ticks.publish(moment, open_day, close_day, topic=topic)

    with world.bridge():
        assert statuses() == {}
        tick("2026-02-03T00:00", open_day=day)
        wait_for(lambda: statuses() == {"09:30": "DUE", "21:30": "DUE"}, "the day to open")
        tick("2026-02-03T10:01")
        wait_for(lambda: statuses() == {"09:30": "LATE", "21:30": "DUE"}, "the morning to be late")
        empty = (ICICI + "TRAILER,0,0.00,0.00\n").encode()
        drop(world, "icici", "ICICI_20260203_0930.csv", empty)
        wait_for(lambda: statuses()["09:30"] == "RECEIVED", "the late file")
        drop(world, "icici", "ICICI_20260203_2130.csv", empty)
        wait_for(lambda: statuses()["21:30"] == "RECEIVED", "the early file, empty as well")
        tick("2026-02-04T00:00", close_day=day)
    words = [
        (word["cutoff"], word["status"], word["at"].astimezone(IST).strftime("%H:%M"))
        for word in world.records("bank.cutoffs")
        if word["business_date"] == day and word["bank"] == world.bank("icici")
    ]
    assert words == [
        ("09:30", "DUE", "00:00"),
        ("21:30", "DUE", "00:00"),
        ("09:30", "LATE", "10:01"),
        ("09:30", "RECEIVED", "10:01"),
        ("21:30", "RECEIVED", "10:01"),
    ]
    # A bridge that starts again hears every tick again and says nothing new.
    with world.bridge():
        wait_for(lambda: world.polled() and world.health()["business_time"] is not None, "business time")
        wait_for(lambda: world.health()["business_time"].startswith("2026-02-03T18:30"), "the last tick")
    words_of_all = [
        (one["cutoff_id"], one["status"])
        for one in world.records("bank.cutoffs")
        if one["business_date"] == day
    ]
    assert len(words_of_all) == len(set(words_of_all)) == 9 + 8 + 2
    listed = json.loads(world.settle("files", "expectations", "--date", "2026-02-03", "--json").stdout)
    assert {one["status"] for one in listed if one["bank"] == world.bank("icici")} == {"RECEIVED"}
