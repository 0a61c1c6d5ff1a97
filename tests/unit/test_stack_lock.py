"""Python's lock is what uv says, without what holds nowhere and without addresses."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest

from stack.errors import LockError
from stack.lock_python import LOCK, NEVER, relock, without_never

if TYPE_CHECKING:
    from pathlib import Path

KEPT = """\
colorama==0.4.6 ; sys_platform == 'win32' \\
    --hash=sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa \\
    --hash=sha256:abababababababababababababababababababababababababababababababab
duckdb==1.4.0 \\
    --hash=sha256:babababababababababababababababababababababababababababababababa
numpy==2.0 ; python_full_version < '3.12' or sys_platform == 'never' \\
    --hash=sha256:cacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacaca
"""
DROPPED = """\
apache-beam==2.77.0 ; sys_platform == 'never' \\
    --hash=sha256:dadadadadadadadadadadadadadadadadadadadadadadadadadadadadadadada \\
    --hash=sha256:dbdbdbdbdbdbdbdbdbdbdbdbdbdbdbdbdbdbdbdbdbdbdbdbdbdbdbdbdbdbdbdb
dill==0.3 ; (python_full_version < '3.12' and sys_platform == 'never') or (python_full_version >= '3.12' and \
sys_platform == 'never') \\
    --hash=sha256:eaeaeaeaeaeaeaeaeaeaeaeaeaeaeaeaeaeaeaeaeaeaeaeaeaeaeaeaeaeaeaea
"""


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    lock = tmp_path / "requirements.txt"
    lock.write_text(f"duckdb==1.3.0 \\\n    --hash=sha256:{64 * '0'}\n")
    return lock


@pytest.fixture
def uv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program of that name: notes its arguments and the lock it found, and writes `answer`."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "uv"
    program.write_text(
        f"#!{sys.executable}\n"
        "import json, pathlib, sys\n"
        "here, out = pathlib.Path(__file__).parent, pathlib.Path(sys.argv[-1])\n"
        "(here / 'asked').write_text(json.dumps([*sys.argv[1:], out.read_text()]))\n"
        "answer = here / 'answer'\n"
        "if not answer.exists():\n"
        "    sys.exit('no such package')\n"
        "out.write_text(answer.read_text())\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))
    return folder


def test_what_holds_nowhere_is_left_out() -> None:
    assert without_never(DROPPED + KEPT) == KEPT
    assert without_never(KEPT + DROPPED) == KEPT


def test_the_committed_lock_is_of_this_kind() -> None:
    text = LOCK.read_text()
    assert without_never(text) == text
    assert "://" not in text
    assert NEVER in (LOCK.parent / "pyproject.toml").read_text()


@pytest.mark.parametrize("upgrade", [False, True])
def test_the_lock_is_replaced_by_uvs_answer(lock: Path, uv: Path, upgrade: bool) -> None:
    before = lock.read_text()
    (uv / "answer").write_text(DROPPED + KEPT)
    relock(upgrade=upgrade, lock=lock)
    assert lock.read_text() == KEPT
    *arguments, found = json.loads((uv / "asked").read_text())
    assert ("--upgrade" in arguments) is upgrade
    assert found == before  # what is locked is where uv begins
    assert {path.name for path in lock.parent.iterdir()} == {"bin", "requirements.txt"}


@pytest.mark.parametrize(
    "line",
    [
        "--index-url https://packages.example/simple",
        "--find-links /wheels",
        "a @ https://b.example/a.whl",
        "a==1 ; extra == 'https://b.example'",
        "    # from https://packages.example/simple",
    ],
)
def test_an_address_does_not_get_in(lock: Path, uv: Path, line: str) -> None:
    before = lock.read_text()
    (uv / "answer").write_text(f"{line}\n{KEPT}")
    with pytest.raises(LockError, match="line 1 is neither"):
        relock(lock=lock)
    assert lock.read_text() == before


def test_uvs_own_reason_is_told(lock: Path, uv: Path) -> None:
    with pytest.raises(LockError, match="no such package"):
        relock(lock=lock)


def test_without_uv_it_says_so(lock: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LockError, match="uv is not on PATH"):
        relock(lock=lock)
