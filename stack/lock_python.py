"""Resolve what pyproject.toml wants and write requirements.txt: `python -m stack.lock --python`.

1. uv resolves for every platform at once. Versions that are locked stay unless they no longer fit, or unless
   newer ones are asked for.
2. What pyproject.toml overrides away goes, with everything that only it needs: uv still lists it, under
   a marker that holds nowhere.
3. Only versions and hashes get in. An address does not: whoever installs says where from.
4. The old lock is replaced, whole.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from stack.errors import LockError
from stack.home import CHECKOUT

LOCK = CHECKOUT / "requirements.txt"
PYTHON = "3.11"  # the oldest that pyproject.toml allows; markers cover the newer ones
# The marker of [tool.uv] override-dependencies.
NEVER = "sys_platform == 'never'"
LINE = re.compile(r"[a-z0-9][a-z0-9.-]*==[\w.+!]+( ; [^:/]+)?( \\)?|    --hash=sha256:[0-9a-f]{64}( \\)?")


def relock(*, upgrade: bool = False, lock: Path = LOCK) -> None:
    uv = shutil.which("uv")
    if uv is None:
        raise LockError("uv is not on PATH: `pip install uv` into an environment of its own gives it.")
    with tempfile.TemporaryDirectory(dir=lock.parent, prefix=".lock-") as scratch:
        draft = Path(scratch) / lock.name
        shutil.copy(lock, draft)
        # 1.
        _resolve(uv, draft, upgrade=upgrade)
        # 2.
        text = without_never(draft.read_text())
        # 3.
        for number, line in enumerate(text.splitlines(), 1):
            if not LINE.fullmatch(line):
                raise LockError(f"{lock.name} stays as it was: line {number} is neither a version nor a hash")
        draft.write_text(text)
        # 4.
        draft.replace(lock)


def _resolve(uv: str, draft: Path, *, upgrade: bool) -> None:
    command = [uv, "pip", "compile", "--universal", "--python-version", PYTHON, "--python", sys.executable]
    command += ["--generate-hashes", "--no-header", "--no-annotate", "--no-emit-index-url"]
    command += ["--upgrade"] if upgrade else []
    command += ["--group", "dev", "pyproject.toml", "-o", str(draft)]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise LockError(f"uv failed:\n{done.stderr.strip()}")


def without_never(text: str) -> str:
    """The lock without the requirements that hold nowhere; each is a line and its indented hashes."""
    requirements = re.split(r"^(?=\S)", text, flags=re.MULTILINE)
    return "".join(requirement for requirement in requirements if not _holds_nowhere(requirement))


def _holds_nowhere(requirement: str) -> bool:
    _, _, marker = requirement.partition("\n")[0].partition(" ; ")
    # uv writes markers as alternatives of conditions.
    return bool(marker) and all(NEVER in alternative for alternative in marker.split(" or "))
