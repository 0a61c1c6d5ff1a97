"""`settle test`: everything that must hold, the same for people and for CI."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import click
from rich.console import Console

from stack.home import CHECKOUT

console = Console(stderr=True)

STEPS = (
    ("format", ("-m", "ruff", "format", "--check", "--quiet", ".")),
    ("lint", ("-m", "ruff", "check", "--quiet", ".")),
    ("types", ("-m", "mypy")),
    ("walls", ("-c", "from importlinter.cli import lint_imports_command; lint_imports_command()")),
)


@click.command(context_settings={"ignore_unknown_options": True})
@click.option("--fast", is_flag=True, help="Without the servers.")
@click.argument("pytest_arguments", nargs=-1, type=click.UNPROCESSED)
def test(fast: bool, pytest_arguments: tuple[str, ...]) -> None:
    """Check format, lint, types and walls, then run the tests.

    What is not known here goes to pytest; then only pytest runs: `settle test -k bridge`.
    """
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT), "PYTHONDONTWRITEBYTECODE": "1"}
    steps = [] if pytest_arguments else list(STEPS)
    where = ["tests/unit"] if fast else []
    steps.append(("tests", ("-m", "pytest", *where, *pytest_arguments)))
    failed = []
    for name, arguments in steps:
        console.rule(name)
        began = time.monotonic()
        done = subprocess.run([sys.executable, *arguments], cwd=CHECKOUT, env=environment, check=False)
        console.print(
            f"{name}: {'ok' if done.returncode == 0 else 'FAILED'} in {time.monotonic() - began:.0f} s"
        )
        if done.returncode != 0:
            failed.append(name)
    if failed:
        raise click.ClickException(f"failed: {', '.join(failed)}")
