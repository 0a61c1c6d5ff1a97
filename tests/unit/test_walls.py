"""The walls between rooms hold, and the check would see a hole."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
CONFIG: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"][
    "importlinter"
]


def lint(root: Path) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        "-c",
        "from importlinter.cli import lint_imports_command as run; run()",
        "--no-cache",
    ]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=120, check=False)


def test_the_walls_stand() -> None:
    done = lint(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_room_is_inside_the_walls() -> None:
    rooms = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests"}
    assert rooms == set(CONFIG["root_packages"])


@pytest.mark.parametrize(
    ("room", "line"),
    [
        ("settlement", "import bus"),
        ("settlement", "import requests"),
        ("bus", "import settlement"),
        ("sftp_bridge", "import webhook_intake"),
        ("snowflake_loader", "import stack"),
        ("webhook_intake", "import confluent_kafka"),
        ("stack", "import settle"),
    ],
)
def test_a_hole_is_seen(tmp_path: Path, room: str, line: str) -> None:
    for name in CONFIG["root_packages"]:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("", encoding="utf-8")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / room / "hole.py").write_text(f"{line}\n", encoding="utf-8")
    done = lint(tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"{room}.hole" in done.stdout
