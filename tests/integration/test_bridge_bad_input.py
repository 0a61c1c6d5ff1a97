"""Whole outboxes of files as no bank should send them, through the real SFTP server.

Each ends LOADED once or QUARANTINED whole, with a reason that says where, and its neighbours go on.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import hashlib
import json
import os
import re
import shutil
import stat
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import asyncssh
import pysequoia
import pytest
import yaml
from confluent_kafka import Consumer, TopicPartition

from sftp_bridge.revisions import State
from stack.sftp import keys_dir
from tests.integration.bridge_cases import (
    CARDS,
    CASES,
    CUTOFFS,
    DATA,
    GLUED,
    IN_NAME,
    LIMIT,
    OURS,
    PLACES,
    PLAIN,
    SPACED,
    THEIRS,
    Case,
    encrypted,
    golden,
    good,
    line,
    spaced,
    sums_of,
    zipped,
)
from tests.integration.bridge_world import (
    AXIS,
    CHECKOUT,
    TOPICS,
    World,
    archived,
    place_of,
    store,
    wait_for,
    world_of,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

pytestmark = pytest.mark.stack

LOADED, QUARANTINED = State.LOADED, State.QUARANTINED


def describe(tag: str) -> dict[str, str]:
    """A bank of each format and packing, each the size of one file of configuration."""
    shipped, examples = CHECKOUT / "sftp_bridge" / "banks", DATA / "banks"
    pgp = {"how": "pgp", "key": "ours.asc", "signed_by": "theirs.asc"}
    checksum = {"checksum": {"suffix": ".sha256", "algorithm": "sha256"}}
    quiet = {"how": "stable", "listings": 2, "quiet_seconds": 0.5, "patience_seconds": 900}
    banks: list[tuple[str, Path, str, list[dict[str, str]], dict[str, Any]]] = [
        ("csv", shipped / "axis.yaml", "csv", [], {}),
        ("fix", examples / "fixed_width.yaml", "txt", [], {}),
        ("xlsx", examples / "xlsx.yaml", "xlsx", [], {}),
        ("swift", examples / "mt940.yaml", "sta", [], {}),
        ("iso", examples / "camt053.yaml", "xml.zip.pgp", [pgp, {"how": "zip", "member": r"\w+\.xml"}], {}),
        ("bai", examples / "bai2.yaml", "bai", [], {}),
        ("gz", shipped / "axis.yaml", "csv.gz", [{"how": "gzip"}], {}),
        ("zip", shipped / "axis.yaml", "zip", [{"how": "zip", "member": r"\w+\.csv"}], {}),
        ("pgp", shipped / "axis.yaml", "csv.pgp", [pgp], {}),
        ("sum", shipped / "axis.yaml", "csv", [], checksum),
        ("quiet", shipped / "axis.yaml", "csv", [], {"complete": quiet}),
    ]
    texts = {}
    for at, (slug, source, ending, unpack, more) in enumerate(banks):
        described = yaml.safe_load(source.read_text(encoding="utf-8"))
        described.pop("checksum", None)
        name = f"{slug}{tag}"
        described |= {
            "bank": name.upper(),
            "sftp": {
                "host": "sftp.bank.invalid",
                "account": name,
                "key": f"{name}_ed25519",
                "host_key": f"{name}.pub",
                "local_port_offset": at,
            },
            "files": {
                "name": f"{slug.upper()}_{{business_date}}_{{cutoff}}[_R{{revision}}].{ending}",
                "time_zone": "Asia/Kolkata",
                "cutoffs": CUTOFFS,
                "grace_minutes": 30,
                "unpack": unpack,
                "unpacked_limit_mb": LIMIT,
            },
            **more,
        }
        texts[slug] = yaml.safe_dump(described)
    return texts


def name_of(world: World, bank: str, place: str) -> str:
    day, _, cutoff = place.partition(" ")
    described = yaml.safe_load((world.banks_dir / f"{bank}.yaml").read_text())
    name: str = described["files"]["name"].replace("[_R{revision}]", "")
    return name.replace("{business_date}", day.replace("-", "")).replace("{cutoff}", cutoff.replace(":", ""))


@pytest.fixture(scope="module")
def world(stack: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world_of(tmp_path_factory.mktemp("bad-input"), describe, spare_ports=2) as world:
        keys = keys_dir(world.home)
        (keys / "ours.asc").write_text(str(pysequoia.Tsk.from_bytes(bytes(OURS))))
        (keys / "theirs.asc").write_text(str(THEIRS.extract_certificate()))
        yield world


@dataclass
class Day:
    """What became of all the cases after one poll of every bank."""

    # Case by the number of its file.
    cases: dict[int, Case] = field(default_factory=dict)
    rows: dict[int, Any] = field(default_factory=dict)
    letters: dict[str, dict[str, Any]] = field(default_factory=dict)
    # What people see.
    quarantine: dict[int, dict[str, Any]] = field(default_factory=dict)
    told: list[str] = field(default_factory=list)


STRANGERS = {
    f"CSV_20260106_0000{tail}"
    for tail in (".csv\n", "\u202evsc.csv", ".csv;rm -rf", " .csv", ".CSV", "_R0.csv", "_R2.csv.exe")
} | {f"CSV_{IN_NAME}.csv"}


@pytest.fixture(scope="module")
def day(world: World) -> Day:
    """Every case, uploaded before anybody looks, then one poll."""
    day = Day()
    placed: dict[tuple[str, str], Case] = {}
    uploads: dict[str, dict[str, bytes]] = {}
    for case in CASES:
        files = uploads.setdefault(case.bank, {})
        place = PLACES[sum(one.bank == case.bank for one in placed.values())]
        placed[case.bank, place] = case
        name = name_of(world, case.bank, place)
        files[name] = case.content
        if case.checksum is not None:
            files[f"{name}.sha256"] = case.checksum
    for name in STRANGERS:
        uploads["csv"][name] = good(0)
    for bank, files in uploads.items():
        world.drop(bank, files)
    outbox = world.folder_of("csv")
    # A link to another of its files and one out of the server, both with names of the bank's.
    (outbox / name_of(world, "csv", PLACES[98])).symlink_to(outbox / name_of(world, "csv", PLACES[0]))
    (outbox / name_of(world, "csv", PLACES[99])).symlink_to("/etc/passwd")
    (outbox / name_of(world, "csv", PLACES[97])).mkdir()
    (outbox / f"{name_of(world, 'csv', PLACES[96])}.part").write_bytes(good(99)[:100])
    (world.folder_of("sum") / name_of(world, "sum", PLACES[96])).write_bytes(good(98))
    with open(bytes(outbox) + b"/caf\xe9.csv", "wb"):  # noqa: PTH123
        pass

    def done() -> bool:
        rows = {bank: world.files(bank) for bank in uploads}
        wanted = {bank: sum(case.bank == bank for case in CASES) for bank in uploads}
        return all(
            len(rows[bank]) == wanted[bank] and all(row.remote_done_at for row in rows[bank])
            for bank in uploads
        )

    # A minute between polls: what is done before the second was done by the first.
    with world.bridge(SETTLE_BRIDGE_POLL_SECONDS="60"):
        wait_for(done, "every file to be done with")
        wait_for(
            lambda: all(world.health_of(bank)["state"] != "starting" for bank in uploads), "the poll's end"
        )
        assert {bank: world.health_of(bank)["polls"] for bank in uploads} == dict.fromkeys(uploads, 1)
        day.told += [world.page(path) for path in ("/", "/health", "/metrics")]
    for (bank, place), case in placed.items():
        (row,) = world.files(bank, place)
        day.cases[row.seq], day.rows[row.seq] = case, row
    for letter in world.records("bank.dead"):
        assert letter["place"] not in day.letters
        day.letters[letter["place"]] = letter
    said = world.settle("files", "quarantine", "--json").stdout
    day.told += [said, world.settle("files", "list", "--limit", "500").stdout]
    day.quarantine = {one["no"]: one for one in json.loads(said)}
    return day


def test_every_file_ends_loaded_once_or_quarantined_whole(world: World, day: Day) -> None:
    records: dict[str, int] = {}
    for record in world.records("bank.records"):
        records[record["file_id"]] = records.get(record["file_id"], 0) + 1
    words = [word["file_id"] for word in world.records("bank.files.received")]
    wrong = []
    for seq, case in day.cases.items():
        row = day.rows[seq]
        became = (
            row.state,
            records.get(row.file_id),
            words.count(row.file_id),
            row.remote_name in world.remote(case.bank),
        )
        wanted = (case.state, case.records, 1 if case.state is LOADED else 0, False)
        if became != wanted:
            wrong.append(f"{case.bank}, {case.what}: {became} where {wanted} was expected; {row.reason}")
    assert not wrong, "\n".join(wrong)
    for bank in {case.bank for case in CASES}:
        names = {row.remote_name for seq, row in day.rows.items() if day.cases[seq].bank == bank}
        assert names <= world.remote(bank, "processed")


def test_every_refusal_says_what_and_where(world: World, day: Day) -> None:
    wrong = []
    for seq, case in day.cases.items():
        row = day.rows[seq]
        if case.state is not QUARANTINED:
            assert seq not in day.quarantine
            continue
        shown, place = day.quarantine[seq], (case.line, case.column)
        letter = day.letters.pop(f"{row.raw_key}:{row.reason_line or 0}", None)
        if not (
            case.says in row.reason
            and (row.reason_line, row.reason_column) == place
            and (shown["reason"], shown["line"], shown["column"]) == (row.reason, *place)
            and letter is not None
            and letter["source"] == world.bank(case.bank)
            and row.remote_name in letter["reason"]
            and case.says in letter["reason"]
        ):
            wrong.append(
                f"{case.bank}, {case.what}: {place} {row.reason_line} {row.reason_column} {row.reason}"
            )
        # As it came, for whoever looks into it, and for a replay.
        assert archived(row.raw_key) == case.content
    assert not wrong, "\n".join(wrong)
    assert day.letters == {}


def test_what_is_no_file_of_the_banks_is_shown_and_let_be(world: World, day: Day) -> None:
    left = world.remote("csv")
    assert left >= STRANGERS
    assert len(left) == len(STRANGERS) + 5
    page, health, _ = day.told[:3]
    told = json.loads(health)["banks"][world.bank("csv")]
    assert told["outbox_unrecognised"] == len(STRANGERS) + 1
    assert "CSV_20260106_0000\\u202evsc.csv" in told["unrecognised"]
    assert "CSV_20260106_0000.csv\\n" in told["unrecognised"]
    assert "caf\\xe9.csv" in told["unrecognised"]
    assert "\u202e" not in page + health
    assert told["state"] == "ok"
    # Uploaded, and without its checksum.
    waits = json.loads(health)["banks"][world.bank("sum")]["waiting"]
    assert waits == [name_of(world, "sum", PLACES[96])]


def test_a_card_number_is_in_the_raw_archive_alone(world: World, day: Day) -> None:
    forms = [form.encode() for number in CARDS for form in (number, spaced(number))]
    places = {f"topic {topic}": b"\n".join(raw_records(f"{world.tag}.{topic}")) for topic in TOPICS}
    places |= {f"log of {one}": world.log(one).read_bytes() for one in ("sftp_bridge",)}
    places |= {f"seen by people {at}": text.encode() for at, text in enumerate(day.told)}
    tables = world.ledger.select(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
    )
    assert {"bank_files", "sp_v2_sftp_connector_health"} <= {one["table_name"] for one in tables}
    for table in tables:
        rows = world.ledger.select(f'SELECT t::text AS said FROM public."{table["table_name"]}" t')
        places[f"table {table['table_name']}"] = "\n".join(str(row["said"]) for row in rows).encode()
    raw = []
    for bucket in store().list_buckets()["Buckets"]:
        for listed in store().get_paginator("list_objects_v2").paginate(Bucket=bucket["Name"]):
            for one in listed.get("Contents", ()):
                content = store().get_object(Bucket=bucket["Name"], Key=one["Key"])["Body"].read()
                if one["Key"].startswith("bank/"):
                    raw.append(content)
                    continue
                if content[:2] == b"\x1f\x8b":
                    content = gzip.decompress(content)
                places[f"object {one['Key']}"] = content + one["Key"].encode()
    found = [place for place, content in places.items() if any(form in content for form in forms)]
    assert found == []
    assert any(place.startswith("object published/") for place in places)
    # In the archive they are, so the search can find them.
    for number in CARDS:
        if number != IN_NAME:
            assert any(number.encode() in content or spaced(number).encode() in content for content in raw), (
                number
            )
    narrations = [record["narration"] for record in world.records("bank.records")]
    assert f"POS {masked(PLAIN)} {masked(SPACED)} X POS{masked(GLUED)} SHOP" in narrations


def masked(number: str) -> str:
    return f"XXXXXXXXXXXX{number[-4:]}"


def raw_records(topic: str) -> list[bytes]:
    """Keys and values as they lie on the broker, of aborted transactions too."""
    bootstrap = os.environ["SETTLE_BUS_BOOTSTRAP_SERVERS"]
    reader = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": topic,
            "isolation.level": "read_uncommitted",
            "enable.auto.commit": False,
        }
    )
    try:
        _, end = reader.get_watermark_offsets(TopicPartition(topic, 0), timeout=10)
        reader.assign([TopicPartition(topic, 0, 0)])
        found: list[bytes] = []
        # The last offset may be a transaction's marker, behind which nothing comes.
        patience = 10.0
        while end and reader.position([TopicPartition(topic, 0)])[0].offset < end:
            if (one := reader.poll(patience)) is None:
                break
            patience = 0.5
            found += [part for part in (one.key(), one.value()) if isinstance(part, bytes)]
        return found
    finally:
        reader.close()


def test_what_is_too_large_does_not_fill_the_memory(world: World) -> None:
    huge = 100 * 1024 * 1024
    bombs = {
        "csv": AXIS.encode() + b"1," + b"x" * huge + b"\n",
        "gz": gzip.compress(bytes(3 * huge), 1),
        "zip": zipped(("a.csv", bytes(3 * huge))),
    }
    place, small = PLACES[90], PLACES[91]
    with world.bridge() as bridge:
        for bank, content in (
            ("csv", good(50)),
            ("gz", gzip.compress(good(51))),
            ("zip", zipped(("a.csv", good(52)))),
        ):
            world.drop(bank, {name_of(world, bank, small): content})
            world.settled(bank, small, LOADED)
        before = peak_of(bridge.pid)
        for bank, content in bombs.items():
            world.drop(bank, {name_of(world, bank, place): content})
        (line_row,) = world.settled("csv", place, QUARANTINED)
        (gz_row,) = world.settled("gz", place, QUARANTINED)
        (zip_row,) = world.settled("zip", place, QUARANTINED)
        grown = peak_of(bridge.pid) - before
    assert (line_row.reason_line, line_row.size_bytes) == (2, len(bombs["csv"]))
    said = [str(row.reason) for row in (line_row, gz_row, zip_row)]
    assert [said[0], said[1]] == ["the line is longer than 65536 characters"] * 2
    assert "more than 8 MB" in said[2]
    # Less than what any of them would have taken.
    assert grown < 80 * 1024 * 1024, f"{grown >> 20} MB more than {before >> 20} MB"


def peak_of(pid: int) -> int:
    """The most memory that the process ever had, in bytes."""
    found = re.search(r"^VmHWM:\s+(\d+) kB$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024


def test_a_file_that_grows_while_it_is_read_is_taken_when_it_stands_still(world: World) -> None:
    name = name_of(world, "csv", PLACES[92])
    # Lines that the description skips, long enough that reading the file takes longer than it stands still.
    filler = f"0,06/01/2026,06/01/2026,OPENING BALANCE,,,1.00,,{'x' * 60_000}\n".encode()

    def polls() -> int:
        return int(world.health_of("csv")["polls"])

    with world.bridge(), (world.folder_of("csv") / f"{name}.part").open("ab", buffering=0) as file:
        wait_for(world.polled, "the first poll")
        file.write(AXIS.encode() + filler * 300)
        Path(file.name).rename(world.folder_of("csv") / name)
        seen = polls()
        until = time.monotonic() + 60
        while polls() < seen + 5 and time.monotonic() < until:
            for _ in range(200):
                file.write(filler[:50] + filler[-1:])
                time.sleep(0.001)
        assert polls() >= seen + 5
        assert world.files("csv", PLACES[92]) == []
        file.write(line(text="NEFT/AXISCN9000000092/P/1").encode() + b"TRAILER,1,1.00,0.00\n")
        (row,) = world.settled("csv", PLACES[92], LOADED)
    assert (row.revision, row.record_count) == (1, 1)
    assert "changed while it was read" in world.log().read_text()


def test_an_upload_that_breaks_off_and_begins_again_is_one_file(world: World) -> None:
    content, name = good(60), name_of(world, "quiet", PLACES[0])
    path = world.folder_of("quiet") / name

    def polls() -> int:
        return int(world.health_of("quiet")["polls"])

    with world.bridge():
        wait_for(world.polled, "the first poll")
        for length in (len(content) - 40, 0, 200, len(content)):
            assert world.files("quiet") == []
            path.write_bytes(content[:length])
            if length < len(content):
                seen = polls()
                # Long enough to look quiet: only the missing trailer says that more will come.
                wait_for(lambda seen=seen: polls() > seen + 6, "some polls")  # type: ignore[misc]
                assert world.health_of("quiet")["waiting"] == [name]
        (row,) = world.settled("quiet", PLACES[0], LOADED)
    assert (row.revision, row.record_count, row.sha256) == (1, 2, hashlib.sha256(content).hexdigest())


def test_a_checksum_that_was_wrong_can_be_mended(world: World, day: Day) -> None:
    alone, again, by_phone = (PLACES[at] for at in (80, 81, 82))
    contents = {place: good(70 + at) for at, place in enumerate((alone, again, by_phone))}
    names = {place: name_of(world, "sum", place) for place in contents}
    wrong = sums_of(b"something else")
    with world.bridge():
        world.drop(
            "sum",
            {name: contents[place] for place, name in names.items()}
            | {f"{name}.sha256": wrong for name in names.values()},
        )
        for place in contents:
            (row,) = world.settled("sum", place, QUARANTINED)
            assert f"bytes that came is {row.sha256}" in str(row.reason)
            assert (row.checksum_claimed, row.checksum_computed) == (wrong.split()[0].decode(), row.sha256)
        # The bank sends the checksum again, first another wrong one.
        world.drop("sum", {f"{names[alone]}.sha256": sums_of(b"wrong too")})
        wait_for(lambda: f"{names[alone]}.sha256" in world.health_of("sum")["waiting"], "it to be seen")
        assert [row.state for row in world.files("sum", alone)] == [QUARANTINED]
        world.drop("sum", {f"{names[alone]}.sha256": sums_of(contents[alone])})
        (row,) = world.settled("sum", alone, LOADED)
        assert row.checksum_claimed == row.sha256
        wait_for(lambda: f"{names[alone]}.sha256" not in world.remote("sum"), "the checksum to be moved away")
        # The bank sends the same file again, beside the right checksum.
        world.drop("sum", {f"{names[again]}.sha256": sums_of(contents[again]), names[again]: contents[again]})
        (row,) = world.settled("sum", again, LOADED)
        assert (row.revision, row.record_count) == (1, 2)
        # The file that had waited for its checksum since the first poll.
        late = name_of(world, "sum", PLACES[96])
        world.drop("sum", {f"{late}.sha256": sums_of(good(98))})
        world.settled("sum", PLACES[96], LOADED)
    # Somebody asks the bank; without a bridge running.
    (row,) = world.files("sum", by_phone)
    assert world.settle("files", "replay", str(row.seq)).returncode == 1
    other = world.settle("files", "replay", str(row.seq), "--checksum", "ab" * 32)
    assert other.returncode == 2
    assert row.sha256 in other.stderr
    mended = world.settle("files", "replay", str(row.seq), "--checksum", row.sha256.upper(), "--json")
    assert [one["state"] for one in json.loads(mended.stdout)] == ["LOADED"]
    shown = world.settle("files", "show", str(row.seq)).stdout
    assert "checksum claimed" in shown
    for place in contents:
        assert len(world.records("bank.records", world.file_id("sum", place))) == 2
        assert len(world.records("bank.files.received", world.file_id("sum", place))) == 1
    # Of the same name, the later ones are moved beside the earlier.
    assert {one for one in world.remote("sum", "processed") if one.endswith(f"{names[alone]}.sha256")}


def test_a_key_of_ours_that_does_not_open_is_not_the_files_fault(world: World) -> None:
    place = PLACES[90]
    key = keys_dir(world.home) / "ours.asc"
    ours = key.read_bytes()
    key.write_text("no key")
    try:
        with world.bridge():
            wait_for(world.polled, "the first poll")
            world.drop("pgp", {name_of(world, "pgp", place): encrypted(good(80))})
            wait_for(
                lambda: "ours.asc cannot be used" in (world.health_of("pgp")["problem"] or ""), "the trouble"
            )
            assert world.health_of("pgp")["needs_somebody"] is True
            assert [row.state for row in world.files("pgp", place)] == [State.RECEIVED]
            check = world.settle("banks", "check", world.bank("pgp"), "--json")
            assert check.returncode == 1
            wrong = [one["what"] for one in json.loads(check.stdout) if not one["well"]]
            assert wrong == ["pgp key"]
            key.write_bytes(ours)
            world.settled("pgp", place, LOADED)
            wait_for(lambda: world.state_of("pgp") == "ok", "the bank to be well")
    finally:
        key.write_bytes(ours)
    check = world.settle("banks", "check", world.bank("pgp"))
    assert check.returncode == 0, check.stdout


def test_trouble_with_a_server_is_told_in_words(world: World) -> None:
    keys = keys_dir(world.home)
    outbox, processed = world.folder_of("fix"), world.folder_of("fix", "processed")
    own = keys / f"{world.bank('fix').lower()}_ed25519"

    def problem() -> str:
        return str(world.health_of("fix")["problem"] or "")

    def wrong() -> dict[str, str]:
        check = world.settle("banks", "check", world.bank("fix"), "--json")
        assert check.returncode == 1
        return {one["what"]: one["says"] for one in json.loads(check.stdout) if not one["well"]}

    with world.bridge():
        wait_for(world.polled, "the first poll")
        # The outbox is gone.
        outbox.rename(outbox.with_name("elsewhere"))
        wait_for(lambda: "there is no folder /outbox" in problem(), "the missing outbox to be told")
        assert "outbox" in wrong()
        assert "1 of 11 banks in trouble" in world.page()
        outbox.with_name("elsewhere").rename(outbox)
        wait_for(lambda: world.state_of("fix") == "ok", "the bank to be well")
        # Files cannot be moved away: each is loaded all the same, and the bank is not well meanwhile.
        processed.rename(processed.with_name("aside"))
        processed.write_bytes(b"no folder")
        files = {
            name_of(world, "fix", PLACES[at]): golden("fixed_width.txt", ("SMS", f"X{at}")) for at in (50, 51)
        }
        world.drop("fix", files)
        for at in (50, 51):
            wait_for(
                lambda at=at: [row.state for row in world.files("fix", PLACES[at])] == [LOADED],  # type: ignore[misc]
                "the file to be loaded",
            )
        wait_for(lambda: "there is no folder /processed" in problem(), "the trouble to be told")
        seen = world.health_of("fix")["polls"]
        wait_for(lambda: world.health_of("fix")["polls"] > seen + 3, "some polls")
        assert "there is no folder /processed" in problem()
        assert "processed" in wrong()
        processed.unlink()
        processed.with_name("aside").rename(processed)
        wait_for(lambda: set(files) <= world.remote("fix", "processed"), "both files to be moved away")
        wait_for(lambda: world.state_of("fix") == "ok", "the bank to be well")
    # The server does not know our key.
    ours = own.read_bytes()
    own.write_bytes(asyncssh.generate_private_key("ssh-ed25519").export_private_key())
    try:
        with world.bridge():
            wait_for(world.polled, "the first poll")
            wait_for(lambda: "Permission denied" in problem(), "the refused login to be told")
            assert world.health_of("fix")["needs_somebody"] is True
            assert "Permission denied" in wrong()["server"]
    finally:
        own.write_bytes(ours)


class Hostile(asyncssh.SFTPServer):
    """Lists what no file system could, and remembers what it was asked for."""

    names: ClassVar[list[tuple[bytes, int]]] = []
    asked: ClassVar[list[bytes]] = []
    root: ClassVar[Path]

    def __init__(self, channel: asyncssh.SSHServerChannel[bytes]) -> None:
        super().__init__(channel, chroot=bytes(self.root))

    async def scandir(self, path: bytes) -> AsyncIterator[asyncssh.SFTPName]:  # noqa: ARG002
        for name, kind in self.names:
            attributes = asyncssh.SFTPAttrs(
                size=len(good(90)), mtime=1_700_000_000, atime=0, permissions=kind | 0o644
            )
            yield asyncssh.SFTPName(name, b"", attributes)

    def open(self, path: bytes, pflags: int, attrs: asyncssh.SFTPAttrs) -> object:
        self.asked.append(path)
        return super().open(path, pflags, attrs)


class Door(asyncssh.SSHServer):
    """Lets everybody in, and remembers who said who they are."""

    named: ClassVar[list[str]] = []

    def begin_auth(self, username: str) -> bool:
        self.named.append(username)
        return False


@contextlib.contextmanager
def served(port: int, host_key: Path) -> Iterator[None]:
    """A server of the test's own in a thread."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def listen() -> asyncssh.SSHAcceptor:
        return await asyncssh.listen(
            "127.0.0.1", port, server_host_keys=[str(host_key)], server_factory=Door, sftp_factory=Hostile
        )

    acceptor = asyncio.run_coroutine_threadsafe(listen(), loop).result(30)
    try:
        yield
    finally:
        loop.call_soon_threadsafe(acceptor.close)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(30)


@pytest.fixture
def elsewhere(world: World) -> Iterator[tuple[int, Path]]:
    """The csv bank's description alone, its server at a port to spare; what that server shows."""
    at = world.health_port + 1 - world.port
    banks = world.folder / f"banks-{at}-{time.monotonic_ns()}"
    banks.mkdir()
    described = yaml.safe_load((world.banks_dir / "csv.yaml").read_text())
    described["sftp"]["local_port_offset"] = at
    (banks / "csv.yaml").write_text(yaml.safe_dump(described))
    root = world.folder / "hostile"
    shutil.rmtree(root, ignore_errors=True)
    for folder in ("outbox", "processed"):
        (root / folder).mkdir(parents=True)
    Hostile.root, Hostile.names, Hostile.asked, Door.named = root, [], [], []
    before = world.environment["SETTLE_BRIDGE_BANKS_DIR"]
    world.environment["SETTLE_BRIDGE_BANKS_DIR"] = str(banks)
    yield world.port + at, root
    world.environment["SETTLE_BRIDGE_BANKS_DIR"] = before


def test_names_that_lead_out_of_the_outbox_are_never_asked_for(
    world: World, elsewhere: tuple[int, Path]
) -> None:
    port, root = elsewhere
    whole, linked, folder = (name_of(world, "csv", PLACES[at]) for at in (93, 94, 95))
    (root / "outbox" / whole).write_bytes(good(90))
    os.utime(root / "outbox" / whole, (0, 1_700_000_000))
    evil = [
        f"../{linked}",
        f"/outbox/{linked}",
        "/etc/passwd",
        f"..\\{linked}",
        f"./{linked}",
        f"{linked}\n",
        f"{linked}\0",
        f"\u202e{linked}",
        f"x/../{linked}",
        "",
        ".",
    ]
    Hostile.names = [(name.encode(), stat.S_IFREG) for name in (*evil, whole)]
    Hostile.names += [
        (linked.encode(), stat.S_IFLNK),
        (folder.encode(), stat.S_IFDIR),
        (b"\xff\xfe.csv", stat.S_IFREG),
    ]
    host_key = keys_dir(world.home) / f"{world.bank('csv').lower()}_host_ed25519"
    with served(port, host_key), world.bridge():
        (row,) = world.settled("csv", PLACES[93], LOADED)
        wait_for(lambda: world.polled() and world.health_of("csv")["polls"] > 1, "another poll")
        told = world.health_of("csv")
    assert row.record_count == 2
    assert set(Hostile.asked) == {f"/outbox/{whole}".encode()}
    # And the one that is no text at all.
    assert len(told["unrecognised"]) == len(evil) + 1
    assert [row for row in world.files("csv") if place_of(row) in PLACES[94:96]] == []
    assert {one.name for one in (root / "processed").iterdir()} == {whole}


def test_to_a_changed_host_key_not_a_word_is_said(world: World, elsewhere: tuple[int, Path]) -> None:
    port, root = elsewhere
    name = name_of(world, "csv", PLACES[95])
    (root / "outbox" / name).write_bytes(good(91))
    Hostile.names = [(name.encode(), stat.S_IFREG)]
    other = world.folder / "other_host_ed25519"
    other.write_bytes(asyncssh.generate_private_key("ssh-ed25519").export_private_key())
    with served(port, other):
        with world.bridge():
            wait_for(lambda: world.polled() and world.health_of("csv")["polls"] > 2, "some polls")
            told = world.health_of("csv")
        check = world.settle("banks", "check", world.bank("csv"), "--json")
    assert "the server's host key is not the one in" in told["problem"]
    assert (told["state"], told["needs_somebody"]) == ("degraded", True)
    says = {one["what"]: one["says"] for one in json.loads(check.stdout) if not one["well"]}
    assert list(says) == ["server"]
    assert "nothing was read" in says["server"]
    # Neither who we are nor what we want.
    assert (Door.named, Hostile.asked) == ([], [])
    assert world.files("csv", PLACES[95]) == []
