"""A bridge of a test's own: its banks, their real servers, its topics, and what can be seen of it all."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import urllib.request
import uuid
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

import tests.conftest
from bus.consumer import read_topic
from sftp_bridge.ledger import FileRow, Ledger
from stack.home import Home
from stack.sftp import keys_dir, logged_in, upload_target

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping

    import asyncssh

    from sftp_bridge.revisions import State

CHECKOUT = Path(__file__).resolve().parents[2]
DAY = date(2026, 1, 6)
TOPICS = ("bank.records", "bank.files.received", "bank.cutoffs", "bank.dead", "calendar.ticks")
PATIENCE = 180.0  # seconds; a guard against hanging, not a claim about speed


AXIS = (
    "S.No,Transaction Date,Value Date,Particulars,Amount(INR),Debit/Credit,Balance(INR),"
    "Cheque Number,Branch Name(SOL)\n"
)


def axis(*lines: tuple[str, str], day: str = "06/01/2026") -> bytes:
    """A statement of these credits: (UTR, amount)."""
    rows = "".join(
        f'{at},{day},{day},NEFT/{utr}/PAYU PAYMENTS/{at},"{amount}",CR,1.00,,X\n'
        for at, (utr, amount) in enumerate(lines, 1)
    )
    total = sum((Decimal(amount) for _, amount in lines), Decimal("0.00"))
    return f"{AXIS}{rows}TRAILER,{len(lines)},{total},0.00\n".encode()


def wait_for(condition: Callable[[], bool], what: str) -> None:
    tests.conftest.wait_for(condition, what, PATIENCE)


@dataclass
class World:
    """Some banks, their servers, and a bridge that can be started and killed."""

    folder: Path
    tag: str
    port: int
    health_port: int
    ledger: Ledger
    environment: dict[str, str] = field(default_factory=dict)
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def home(self) -> Home:
        return Home(self.folder)

    @property
    def banks_dir(self) -> Path:
        return Path(self.environment["SETTLE_BRIDGE_BANKS_DIR"])

    def bank(self, name: str) -> str:
        return f"{name}{self.tag}".upper()

    def file_id(self, name: str, place: str) -> str:
        """Of a cutoff of the one day, or of a day and a cutoff."""
        day, _, cutoff = place.rpartition(" ")
        return f"{self.bank(name)}|{day or DAY.isoformat()}|{cutoff}"

    def folder_of(self, bank: str, folder: str = "outbox") -> Path:
        """Where the bank's server keeps it."""
        return self.home.data / "sftp" / self.bank(bank).lower() / folder

    def remote(self, bank: str, folder: str = "outbox") -> set[str]:
        return {one.name for one in self.folder_of(bank, folder).iterdir()}

    def log(self, module: str = "sftp_bridge") -> Path:
        return self.folder / f"{module}.log"

    def start(self, module: str, **extra: str) -> subprocess.Popen[bytes]:
        log = self.log(module).open("ab")
        process = subprocess.Popen(
            [sys.executable, "-m", module],
            env={**os.environ, **self.environment, **extra, "PYTHONPATH": str(CHECKOUT)},
            cwd="/",
            stdout=log,
            stderr=log,
        )
        self.processes.append(process)
        return process

    @contextmanager
    def bridge(self, **extra: str) -> Iterator[subprocess.Popen[bytes]]:
        process = self.start("sftp_bridge", **extra)
        try:
            yield process
        finally:
            process.terminate()
            process.wait(PATIENCE)

    @asynccontextmanager
    async def upload(self, bank: str) -> AsyncIterator[asyncssh.SFTPClient]:
        target = upload_target(self.bank(bank), self.home)
        async with logged_in(target) as sftp:
            yield sftp

    def drop(self, bank: str, files: Mapping[str, bytes]) -> None:
        """As a bank does it: every file as a part first, then renamed; in the order given."""

        async def go() -> None:
            async with self.upload(bank) as sftp:
                for name, content in files.items():
                    async with sftp.open(f"/outbox/{name}.part", "wb") as file:
                        await file.write(content)
                    await sftp.posix_rename(f"/outbox/{name}.part", f"/outbox/{name}")

        asyncio.run(go())

    def files(self, bank: str, place: str | None = None) -> list[FileRow]:
        """Oldest first; of a cutoff, or of a day and a cutoff."""
        rows = self.ledger.files(self.bank(bank), limit=1000)
        return sorted(
            (row for row in rows if place in (None, row.cutoff, place_of(row))), key=lambda row: row.seq
        )

    def states(self, file_id: str) -> list[str]:
        rows = self.ledger.files(file_id.split("|")[0])
        return [row.state for row in rows if row.file_id == file_id and row.remote_done_at]

    def settled(self, bank: str, place: str, *states: State) -> list[FileRow]:
        """Wait until the business file's arrivals have exactly these states and are out of the outbox."""
        wanted = [str(state) for state in states]

        def done() -> bool:
            rows = self.files(bank, place)
            return [row.state for row in rows] == wanted and all(row.remote_done_at for row in rows)

        wait_for(done, f"{bank} {place} to be {wanted}, it is {[r.state for r in self.files(bank, place)]}")
        return self.files(bank, place)

    def records(self, topic: str, file_id: str | None = None) -> list[dict[str, Any]]:
        """What a read_committed reader sees, of one business file."""
        values = [one.value for one in read_topic(f"{self.tag}.{topic}")]
        key = "cutoff_id" if topic == "bank.cutoffs" else "file_id"
        return [value for value in values if file_id is None or value[key] == file_id]

    def page(self, path: str = "/") -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.health_port}{path}", timeout=5) as answer:
            return str(answer.read().decode())

    def health(self) -> dict[str, Any]:
        state: dict[str, Any] = json.loads(self.page("/health"))
        return state

    def health_of(self, bank: str) -> dict[str, Any]:
        told: dict[str, Any] = self.health()["banks"][self.bank(bank)]
        return told

    def state_of(self, bank: str) -> str:
        return str(self.health_of(bank)["state"])

    def polled(self) -> bool:
        """Does the bridge run, and has it asked somebody?"""
        try:
            return bool(self.health()["status"] != "starting")
        except OSError:
            return False

    def settle(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "settle", *words],
            env={**os.environ, **self.environment, "PYTHONPATH": str(CHECKOUT)},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )


@contextmanager
def world_of(
    folder: Path, describe: Callable[[str], Mapping[str, str]], spare_ports: int = 1
) -> Iterator[World]:
    """`describe` gives the banks' descriptions by slug, for a tag that makes their names this test's own.

    Their servers run; above their ports there are some to spare, which nobody listens on.
    """
    tag = f"t{uuid.uuid4().hex[:8]}"
    banks = folder / "banks"
    banks.mkdir()
    descriptions = describe(tag)
    for slug, text in descriptions.items():
        (banks / f"{slug}.yaml").write_text(text, encoding="utf-8")
    port = free_ports(len(descriptions) + 1 + spare_ports)
    ledger = Ledger(os.environ["SETTLE_BRIDGE_DSN"])
    ledger.apply_schema()
    world = World(folder, tag, port, port + len(descriptions), ledger)
    world.environment = {
        "SETTLE_HOME": str(folder),
        "SETTLE_BRIDGE_BANKS_DIR": str(banks),
        "SETTLE_BRIDGE_KEYS_DIR": str(keys_dir(world.home)),
        "SETTLE_BRIDGE_SFTP_HOST": "127.0.0.1",
        "SETTLE_BRIDGE_SFTP_PORT": str(port),
        "SETTLE_BRIDGE_HEALTH_PORT": str(world.health_port),
        "SETTLE_BRIDGE_TOPIC_PREFIX": f"{tag}.",
        "SETTLE_BRIDGE_CLOCK": "ticks",
        "SETTLE_BRIDGE_POLL_SECONDS": "0.2",
    }
    admin = AdminClient({"bootstrap.servers": os.environ["SETTLE_BUS_BOOTSTRAP_SERVERS"]})
    names = [f"{tag}.{topic}" for topic in TOPICS]
    for future in admin.create_topics([NewTopic(name, 1, 1) for name in names]).values():
        future.result(30)
    here = {name: os.environ.get(name) for name in ("SETTLE_BRIDGE_BANKS_DIR", "SETTLE_BRIDGE_SFTP_PORT")}
    os.environ.update({name: world.environment[name] for name in here})
    try:
        world.start("stack.sftp")
        for at in range(len(descriptions)):
            wait_for(lambda at=at: _answers(port + at), "the banks' servers")  # type: ignore[misc]
        yield world
    finally:
        for name, value in here.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
        for process in world.processes:
            process.kill()
            process.wait()
        for topic in admin.delete_topics(names).values():
            topic.result(30)
        ledger.close()


def place_of(row: FileRow) -> str:
    """Its day and its cutoff."""
    return f"{row.business_date} {row.cutoff}"


def free_ports(count: int) -> int:
    """The first of so many free neighbours."""
    for base in range(21000, 29000, 11):
        with contextmanager(_all_bound)(range(base, base + count)) as free:
            if free:
                return base
    raise AssertionError("no free ports")


def _all_bound(ports: range) -> Iterator[bool]:
    taken = []
    try:
        for port in ports:
            one = socket.socket()
            taken.append(one)
            one.bind(("127.0.0.1", port))
        yield True
    except OSError:
        yield False
    finally:
        for one in taken:
            one.close()


def _answers(port: int) -> bool:
    with socket.socket() as line:
        return line.connect_ex(("127.0.0.1", port)) == 0


def store() -> Any:
    """The stack's S3."""
    return boto3.client(
        "s3",
        endpoint_url=os.environ["SETTLE_BRIDGE_S3_ENDPOINT"],
        aws_access_key_id=os.environ["SETTLE_BRIDGE_S3_ACCESS_KEY"],
        aws_secret_access_key=os.environ["SETTLE_BRIDGE_S3_SECRET_KEY"],
        region_name="us-east-1",
    )


def archived(address: str) -> bytes:
    bucket, _, key = address.removeprefix("s3://").partition("/")
    content: bytes = store().get_object(Bucket=bucket, Key=key)["Body"].read()
    return content
