"""What people and machines see of the bridge from outside, without any server."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import sys
import threading
import time
import urllib.error
import urllib.request
from datetime import UTC, date, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, ClassVar

import asyncssh
import pysequoia
import pytest
from click.testing import CliRunner
from rich.console import Console

from settlement.calendar import IST
from sftp_bridge import cli, crash_points
from sftp_bridge.__main__ import Masked
from sftp_bridge.archive import Archive
from sftp_bridge.banks import BANKS_DIR, load_bank, load_banks
from sftp_bridge.bridge import SENTENCE, sentence
from sftp_bridge.business_time import BusinessTime
from sftp_bridge.counts import TOLD_EVERY, Counts, Transfer
from sftp_bridge.descriptions import digest
from sftp_bridge.errors import BridgeSettingsError, RemoteUnavailableError
from sftp_bridge.health import Health
from sftp_bridge.ingest import BankFiles
from sftp_bridge.published_lines import PublishedLines
from sftp_bridge.revisions import State
from sftp_bridge.settings import BridgeSettings, load_settings
from sftp_bridge.spool import Spool

if TYPE_CHECKING:
    from pathlib import Path

    import click


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No stack and nobody's settings: an address that answers to nobody."""
    monkeypatch.setenv("SETTLE_BRIDGE_DSN", "postgresql://nobody:s3cret@127.0.0.1:1/none")
    monkeypatch.setenv("SETTLE_BRIDGE_KEYS_DIR", str(tmp_path))
    for name in ("SFTP_HOST", "SFTP_PORT", "S3_ACCESS_KEY", "S3_SECRET_KEY", "S3_SSE", "BANKS_DIR"):
        monkeypatch.delenv(f"SETTLE_BRIDGE_{name}", raising=False)
        monkeypatch.delenv(f"SETTLE_{name}", raising=False)
    monkeypatch.setenv("SETTLE_BRIDGE_S3_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setenv("SETTLE_BRIDGE_S3_ACCESS_KEY", "nobody")
    monkeypatch.setenv("SETTLE_BRIDGE_S3_SECRET_KEY", "s3cret")


def run(command: click.Command, *words: str) -> tuple[int, str]:
    result = CliRunner().invoke(command, words)
    assert not (result.exception and not isinstance(result.exception, SystemExit)), result.exception
    return result.exit_code, result.output


def test_banks_are_listed_without_any_server() -> None:
    code, said = run(cli.banks, "list", "--json")
    assert code == 0
    assert [(one["bank"], one["complete"], len(one["cutoffs"])) for one in json.loads(said)] == [
        ("AXIS", "rename", 3),
        ("HDFC", "marker", 4),
        ("ICICI", "stable", 2),
    ]


def test_a_bank_is_told_as_it_is_run_and_never_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SETTLE_BRIDGE_SFTP_HOST", "127.0.0.1")
    monkeypatch.setenv("SETTLE_BRIDGE_SFTP_PORT", "2222")
    code, said = run(cli.banks, "list", "--json")
    assert code == 0
    hdfc = json.loads(said)[1]
    assert (hdfc["server"], hdfc["host"], hdfc["port"]) == ("127.0.0.1:2223", "127.0.0.1", 2223)
    assert (hdfc["key"], hdfc["host_key"], hdfc["outbox"]) == ("hdfc_ed25519", "hdfc.pub", "/outbox")
    assert (hdfc["formats"], hdfc["unpack"]) == ([{"kind": "delimited", "from": None}], [])
    assert hdfc["sha256"] == digest(load_banks()["HDFC"])


def test_a_digest_is_of_what_a_description_says(tmp_path: Path) -> None:
    text = (BANKS_DIR / "axis.yaml").read_text(encoding="utf-8")

    def of(written: str) -> str:
        path = tmp_path / "axis.yaml"
        path.write_text(written, encoding="utf-8")
        return digest(load_bank(path))

    assert of(text) == of(f"# Another word about it.\n{text}") == digest(load_banks()["AXIS"])
    assert of(text) != of(text.replace("grace_minutes: 30", "grace_minutes: 31"))


def test_an_error_is_remembered_when_it_is_over() -> None:
    counts = Counts()
    assert counts.health()["state"] == "starting"
    for at in (1.0, 2.0):
        counts.polled(at)
        counts.went_wrong("away", terminal=False)
    told = counts.health()
    assert (told["state"], told["problem"], told["failures_in_a_row"]) == ("degraded", "away", 2)
    assert told["last_success"] is None
    counts.polled(3.0)
    counts.went_well()
    told = counts.health()
    assert (told["state"], told["problem"], told["failures_in_a_row"]) == ("ok", None, 0)
    assert (told["last_error"], told["last_error_at"]) == ("away", datetime.fromtimestamp(2, UTC))
    assert told["last_success"] == told["last_poll"] == datetime.fromtimestamp(3, UTC)
    assert (counts.polls, counts.failures) == (3, 2)


def test_an_error_is_one_line_that_anybody_may_read() -> None:
    assert sentence(RemoteUnavailableError("away\n  since 1")) == "away since 1"
    assert sentence(ValueError("card 4111 1111 1111 1111")) == "ValueError: card XXXXXXXXXXXX1111"
    assert "\x00" not in sentence(ValueError("a\x00b"))
    assert len(sentence(ValueError("x" * 9999))) == SENTENCE


def test_expected_errors_are_one_line_and_an_exit_code() -> None:
    code, said = run(cli.banks, "poll", "SBI")
    assert code == 2
    assert "no bank SBI; known: AXIS, HDFC, ICICI" in said
    code, said = run(cli.files, "list")
    assert code == 1
    assert "Postgres" in said
    assert "s3cret" not in said
    code, said = run(cli.calendar, "tick", "--at", "yesterday")
    assert code == 2


def test_settings_that_contradict_each_other_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SETTLE_BRIDGE_SFTP_HOST", "127.0.0.1")
    with pytest.raises(BridgeSettingsError, match="SETTLE_BRIDGE_SFTP_PORT"):
        load_settings()
    monkeypatch.delenv("SETTLE_BRIDGE_SFTP_HOST")
    monkeypatch.setenv("SETTLE_BRIDGE_S3_SECRET_KEY", "s3cret")
    monkeypatch.delenv("SETTLE_BRIDGE_S3_ACCESS_KEY")
    with pytest.raises(BridgeSettingsError) as caught:
        load_settings()
    assert "s3cret" not in str(caught.value)


def test_a_crash_point_must_exist() -> None:
    with pytest.raises(ValueError, match="no step nowhere"):
        crash_points.arm("nowhere")
    crash_points.arm(None)
    crash_points.reached("loaded")


def test_the_pages_tell_what_was_counted() -> None:
    settings = BridgeSettings()
    business_time = BusinessTime(settings)

    async def go() -> dict[str, tuple[int, str]]:
        banks = [BankFiles(bank, settings, business_time) for bank in load_banks().values()]
        first, second, third = (one.counts for one in banks)
        health = Health(banks, business_time)
        assert health.state()["status"] == "starting"
        first.polls = second.polls = third.polls = 1
        first.file(State.LOADED)
        second.failures_in_a_row = 4
        second.problem = "<b>the server's host key</b>"
        second.terminal = True
        third.unrecognised = ("evil\u202e\n.csv", "card 4111111111111111.csv")
        third.waiting = tuple(f"ICICI_{at}.csv" for at in range(20))
        third.asks(time.time() - 90)
        first.transferring = Transfer("AXIS_STMT_20260106_1130.csv", 800_000_000, time.time() - 100)
        first.transferring.took(200_000_000)
        business_time.problem = "no holiday list for 2031"
        port = await health.start(0)
        found = {}
        for path in ("/health", "/metrics", "/", "/nothing"):
            found[path] = await asyncio.to_thread(get, port, path)
        await health.close()
        for one in banks:
            await one.close()
        return found

    def get(port: int, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    found = asyncio.run(go())
    code, text = found["/health"]
    state = json.loads(text)
    # One bank's trouble is shown, and the bridge itself is well.
    assert (code, state["status"], state["banks"]["HDFC"]["state"]) == (200, "degraded", "degraded")
    assert state["banks"]["HDFC"]["failures_in_a_row"] == 4
    assert state["banks"]["ICICI"]["outbox_unrecognised"] == 2
    assert state["banks"]["AXIS"]["transfer"]["bytes"] == 200_000_000
    assert state["banks"]["AXIS"]["transfer"]["seconds_left"] == pytest.approx(300, abs=5)
    assert state["banks"]["AXIS"]["files"] == {"LOADED": 1}
    assert 'settle_bridge_files_total{bank="AXIS",state="LOADED"} 1' in found["/metrics"][1]
    for line in (
        'settle_bridge_outbox_unrecognised{bank="ICICI"} 2',
        'settle_bridge_transfer_bytes{bank="AXIS"} 200000000',
        'settle_bridge_transfer_size_bytes{bank="AXIS"} 800000000',
        'settle_bridge_degraded{bank="HDFC"} 1',
        'settle_bridge_degraded{bank="AXIS"} 0',
        "settle_bridge_clock_stopped 1",
    ):
        assert line in found["/metrics"][1].splitlines()
    page = found["/"][1]
    assert "<b>the server" not in page
    assert "\u202e" not in page
    assert "4111111111111111" not in "".join(text for _, text in found.values())
    for said in (
        "1 of 3 banks in trouble, the clock stands still",
        "no holiday list for 2031",
        "190.7 of 762.9 MB (25 %), 1.9 MB/s, 300 s left",
        "settle banks check HDFC",
        "and 12 more",
        "evil\\u202e\\n.csv",
        "being asked for 90 seconds",
    ):
        assert said in page
    assert page.index("HDFC") < page.index("AXIS")
    assert found["/nothing"][0] == 404


def test_a_long_transfer_says_how_far_it_is(caplog: pytest.LogCaptureFixture) -> None:
    counts = Counts()
    with caplog.at_level(logging.INFO, "bridge"), counts.transfer("AXIS.csv", 4 * 1024 * 1024) as transfer:
        transfer.goes_on(1024 * 1024)
        assert caplog.messages == []
        transfer.began -= 2 * TOLD_EVERY
        transfer._told -= TOLD_EVERY
        transfer.took(1024 * 1024)
        transfer.took(1024 * 1024)
        assert [said.rpartition(",")[0] for said in caplog.messages] == [
            "AXIS.csv: 2.0 of 4.0 MB (50 %), 0.0 MB/s"
        ]
        assert transfer.done == 3 * 1024 * 1024
    assert counts.transferring is None


def checked(*words: str) -> tuple[int, dict[str, tuple[bool, str]]]:
    code, said = run(cli.banks, "check", *words, "--json")
    return code, {one["what"]: (one["well"], one["says"]) for one in json.loads(said)}


def test_a_check_tries_everything_the_description_names(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SETTLE_BRIDGE_SFTP_HOST", "127.0.0.1")
    monkeypatch.setenv("SETTLE_BRIDGE_SFTP_PORT", "1")
    text = (BANKS_DIR / "hdfc.yaml").read_text(encoding="utf-8")
    steps = "[{how: pgp, key: ours.asc, passphrase: ours.word, signed_by: theirs.asc}, {how: gzip}]"
    text = text.replace("  grace_minutes: 30", f"  grace_minutes: 30\n  unpack: {steps}")
    text += "\nchecksum: {suffix: .sha256, algorithm: sha256}\n"
    (tmp_path / "banks").mkdir()
    (tmp_path / "banks" / "hdfc.yaml").write_text(text, encoding="utf-8")
    monkeypatch.setenv("SETTLE_BRIDGE_BANKS_DIR", str(tmp_path / "banks"))
    code, found = checked("hdfc")
    assert code == 1
    wrong = {what for what, (well, _) in found.items() if not well}
    assert wrong == {"ssh key", "host key", "pgp key", "bank's pgp key", "server", "archive", "ledger"}
    assert "ours.word: No such file" in found["pgp key"][1]
    name = f"HDFC_{datetime.now(IST):%Y%m%d}_1000.csv"
    assert found["names"][1] == f"such as {name} with {name}.done with {name}.sha256"
    assert found["format"][1] == "pgp, inside it gzip, inside it delimited"
    assert "s3cret" not in str(found)

    key = asyncssh.generate_private_key("ssh-ed25519")
    (tmp_path / "hdfc_ed25519").write_bytes(key.export_private_key())
    (tmp_path / "hdfc.pub").write_bytes(key.export_public_key())
    ours = pysequoia.Tsk.generate("us@example.invalid")
    old = pysequoia.Tsk.generate("old@bank.invalid", validity_seconds=1).extract_certificate()
    (tmp_path / "ours.asc").write_text(str(ours))
    (tmp_path / "ours.word").write_text("open sesame\n")
    (tmp_path / "theirs.asc").write_bytes(bytes(old))
    # A passphrase for a key that has none opens nothing either.
    assert checked("hdfc")[1]["pgp key"][0] is False
    (tmp_path / "banks" / "hdfc.yaml").write_text(text.replace(" passphrase: ours.word,", ""))
    until = old.expiration
    assert until is not None
    while datetime.now(UTC) <= until:
        time.sleep(0.05)
    _, found = checked("hdfc")
    assert found["host key"] == (True, key.get_fingerprint())
    assert key.get_fingerprint() in found["ssh key"][1]
    assert found["pgp key"][0]
    assert found["bank's pgp key"][0] is False
    assert f"expired on {until:%Y-%m-%d}" in found["bank's pgp key"][1]
    # The bank's new key, beside the old one until the bank has stopped signing with that.
    new = pysequoia.Tsk.generate("new@bank.invalid").extract_certificate()
    (tmp_path / "theirs.asc").write_bytes(bytes(old) + bytes(new))
    assert new.fingerprint.upper() in checked("hdfc")[1]["bank's pgp key"][1]
    assert "WRONG" in run(cli.banks, "check", "hdfc")[1]


def test_a_format_that_is_still_to_come_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    text = (BANKS_DIR / "axis.yaml").read_text(encoding="utf-8")
    head, _, tail = text.partition("\nformat:\n")
    first, *rest = tail.splitlines()
    (tmp_path / "banks").mkdir()
    dated = ["formats:", "  - from: 2999-01-01", *(f"  {line}" for line in (first, *rest))]
    (tmp_path / "banks" / "axis.yaml").write_text("\n".join([head, *dated]), encoding="utf-8")
    monkeypatch.setenv("SETTLE_BRIDGE_BANKS_DIR", str(tmp_path / "banks"))
    assert checked()[1]["format"] == (False, "the first format is from 2999-01-01, after today")


class Store(BaseHTTPRequestHandler):
    """Takes objects as S3 does, and remembers how each was to be stored."""

    kept: ClassVar[dict[str, tuple[int, dict[str, str]]]] = {}

    def do_HEAD(self) -> None:
        size, _ = self.kept.get(self.path, (None, {}))
        self.send_response(404 if size is None else 200)
        self.send_header("Content-Length", str(size or 0))
        self.end_headers()

    def do_PUT(self) -> None:
        asked = {name.lower(): value for name, value in self.headers.items()}
        # botocore sends what it streams in chunks with a checksum behind.
        size = int(asked.get("x-amz-decoded-content-length") or asked["content-length"])
        self.rfile.read(int(asked["content-length"]))
        self.kept[self.path] = (size, asked)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nobody listens."""


@pytest.mark.parametrize(
    ("sse", "key"), [(None, None), ("AES256", None), ("aws:kms", "arn:aws:kms:ap-south-1:1:key/raw")]
)
def test_the_store_is_asked_to_encrypt(
    sse: str | None, key: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Store)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("SETTLE_BRIDGE_S3_ENDPOINT", f"http://127.0.0.1:{server.server_address[1]}")
    for name, value in (("SSE", sse), ("KMS_KEY", key)):
        if value is not None:
            monkeypatch.setenv(f"SETTLE_BRIDGE_S3_{name}", value)
    Store.kept.clear()
    archive, spool, lines = Archive(load_settings()), Spool(), PublishedLines()
    try:
        spool.take(b"card 4111111111111111")
        address = archive.raw_key("axis", date(2026, 1, 6), spool.sha256)
        archive.keep_raw(address, spool)
        archive.keep_published(archive.published_key("axis", date(2026, 1, 6), "11:30", 1), lines)
    finally:
        server.shutdown()
        server.server_close()
        spool.close()
        lines.close()
    assert address.endswith(f"{spool.sha256}.raw")
    assert len(Store.kept) == 2
    for _, asked in Store.kept.values():
        assert asked.get("x-amz-server-side-encryption") == sse
        assert asked.get("x-amz-server-side-encryption-aws-kms-key-id") == key


def test_a_key_needs_an_encryption_that_takes_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SETTLE_BRIDGE_S3_KMS_KEY", "alias/raw")
    for sse in (None, "AES256"):
        if sse:
            monkeypatch.setenv("SETTLE_BRIDGE_S3_SSE", sse)
        with pytest.raises(BridgeSettingsError, match="SETTLE_BRIDGE_S3_SSE"):
            load_settings()


def test_a_trace_in_the_log_shows_no_card() -> None:
    try:
        int("4111111111111111 is no number")
    except ValueError:
        record = logging.LogRecord("bridge", logging.ERROR, __file__, 1, "stumbled", None, sys.exc_info())
    said = Masked("%(message)s").format(record)
    assert "XXXXXXXXXXXX1111" in said
    assert "4111111111111111" not in said
    assert (
        Masked().format(logging.LogRecord("b", 20, "", 1, "800000000 bytes", None, None)) == "800000000 bytes"
    )


def test_whoever_waits_at_the_terminal_sees_how_far_a_file_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "SHOWN_EVERY", 0.001)
    counts, shown = Counts(), Console(file=io.StringIO()).status("fetching from AXIS …")

    async def until(said: str) -> None:
        for _ in range(10_000):
            if said in str(shown.status):
                return
            await asyncio.sleep(0.001)
        pytest.fail(f"{shown.status} where {said} was expected")

    async def go() -> None:
        showing = asyncio.create_task(cli.show_transfer(counts, shown))
        with counts.transfer("AXIS.csv", 4 * 1024 * 1024) as transfer:
            transfer.took(1024 * 1024)
            await until("fetching AXIS.csv: 1.0 of 4.0 MB (25 %)")
        await until("fetching from AXIS …")
        showing.cancel()

    asyncio.run(go())
