"""The way in: one command line, rooms loaded when asked for, set-up that explains itself."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from settle import __main__ as command_line
from settle.__main__ import COMMANDS, settle
from stack import bootstrap

ROOT = Path(__file__).parents[2]


def test_alone_it_lists_every_command() -> None:
    said = CliRunner().invoke(settle, ["--help"]).output
    for name in COMMANDS:
        assert f"  {name}" in said
    assert "cannot be loaded" not in said


def test_one_broken_room_does_not_take_the_others_along(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(command_line.COMMANDS, "jobs", "no_such_room.cli:jobs")
    runner = CliRunner()
    broken = runner.invoke(settle, ["jobs"])
    assert broken.exit_code == 1
    assert "`settle jobs` cannot be loaded from no_such_room.cli" in broken.output
    assert runner.invoke(settle, ["status", "--help"]).exit_code == 0
    assert runner.invoke(settle, ["--help"]).exit_code == 0


def test_an_unknown_word_is_refused() -> None:
    done = CliRunner().invoke(settle, ["reconsile"])
    assert done.exit_code == 2
    assert "No such command" in done.output


def test_an_unknown_server_is_named() -> None:
    done = CliRunner().invoke(settle, ["up", "--only", "kafka,oracle"])
    assert done.exit_code == 2
    assert "no server oracle" in done.output
    assert "kafka" in done.output


def test_logs_of_what_never_ran(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SETTLE_HOME", str(tmp_path))
    done = CliRunner().invoke(settle, ["logs", "kafka"])
    assert done.exit_code == 1
    assert "There is no log of kafka" in done.output


def test_nothing_is_ours_to_reset_without_a_yes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SETTLE_HOME", str(tmp_path))
    (tmp_path / "data").mkdir()
    assert CliRunner().invoke(settle, ["reset"], input="n\n").exit_code == 1
    assert (tmp_path / "data").exists()
    assert CliRunner().invoke(settle, ["reset", "--yes"]).exit_code == 0
    assert not (tmp_path / "data").exists()


def test_every_command_says_what_it_is_for() -> None:
    context = click.Context(settle)
    for name in COMMANDS:
        command = settle.get_command(context, name)
        assert command is not None
        assert command.get_short_help_str(), name


# Setting up, before anything is installed.


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(ROOT / "run"), *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_without_a_usable_python_it_says_which_it_wants(tmp_path: Path) -> None:
    # A shim as version managers leave them: there, executable, and failing.
    for name in ("python3.11", "python3.12", "python3", "python"):
        shim = tmp_path / name
        shim.write_text("#!/bin/sh\nexit 127\n")
        shim.chmod(0o755)
    done = run("status", PATH=f"{tmp_path}:/usr/bin:/bin", SETTLE_PYTHON=str(tmp_path / "python3"))
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "Python 3.11 or 3.12" in done.stderr


def test_alone_and_not_set_up_it_says_what_it_can_do_and_downloads_nothing(tmp_path: Path) -> None:
    done = run(SETTLE_CACHE=str(tmp_path / "cache"), SETTLE_PYTHON=sys.executable)
    assert done.returncode == 0
    assert "./run demo" in done.stdout
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    ("output", "sentence"),
    [
        ("OSError: [Errno 28] No space left on device", "No space left under"),
        ("NewConnectionError: Failed to establish", "no way to the package index"),
        ("ERROR: Could not find a version (from versions: none)", "no way to the package index"),
        ("THESE PACKAGES DO NOT MATCH THE HASHES", "THESE PACKAGES DO NOT MATCH THE HASHES"),
    ],
)
def test_what_stopped_the_set_up_is_one_sentence(
    output: str,
    sentence: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("SETTLE_CACHE", str(tmp_path))
    with pytest.raises(SystemExit):
        bootstrap.explain(output, "The packages could not be installed")
    said = capsys.readouterr().err
    assert sentence in said
    assert said.count("\n") == 1


def test_a_changed_lock_makes_another_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    before = bootstrap.place()
    changed = tmp_path / "requirements.txt"
    changed.write_text(bootstrap.LOCKED.read_text() + "# changed\n")
    monkeypatch.setattr(bootstrap, "LOCKED", changed)
    assert bootstrap.place() != before


def test_what_an_interrupted_set_up_left_is_made_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SETTLE_CACHE", str(tmp_path))
    target = bootstrap.place()
    (target / "lib").mkdir(parents=True)
    (target / "lib" / "half").write_text("half a package")
    monkeypatch.setattr(bootstrap, "install", lambda *_: None)
    bootstrap.make(target)
    assert (target / "complete").exists()
    assert not (target / "lib" / "half").exists()


def test_the_locks_name_no_address() -> None:
    for name in ("requirements.txt", "requirements-build.txt", "stack/converter-requirements.txt"):
        text = (ROOT / name).read_text()
        assert "://" not in text
        assert "--index" not in text
        assert "--hash=sha256:" in text
