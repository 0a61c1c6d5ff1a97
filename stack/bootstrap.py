"""Makes the Python environment from the locked, hashed requirements, and prints where it is.

Runs before anything is installed, on the standard library alone. The environment's name carries a hash of
everything it is made of, so a changed lock makes a new one and an old checkout finds its own again.

1. Wait for whoever else is making it. 2. Remove what an interrupted run left. 3. venv, then the tools that
build the one source package, then everything else. 4. The marker, last: without it the next run starts over.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
BUILD = CHECKOUT / "requirements-build.txt"
LOCKED = CHECKOUT / "requirements.txt"
# What pip says when it cannot reach its index, in the words of its several layers.
NO_NETWORK = re.compile(
    r"NewConnectionError|NameResolution|name resolution|ConnectTimeout|ReadTimeout|ProxyError"
    r"|Network is unreachable|Connection refused|Connection to .* timed out|RemoteDisconnected|Errno -[23]\b"
    r"|from versions: none"  # what is locked exists, so an index that has nothing was not reached
)


def cache() -> Path:
    told = os.environ.get("SETTLE_CACHE")
    if told:
        return Path(told).expanduser().resolve()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser().resolve() / "settlestream"


def place() -> Path:
    digest = hashlib.sha256()
    for part in (BUILD.read_bytes(), LOCKED.read_bytes(), platform.machine().encode(), sys.version.encode()):
        digest.update(part)
    return cache() / f"python{sys.version_info.major}.{sys.version_info.minor}-{digest.hexdigest()[:12]}"


def say(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()


def fail(reason: str) -> None:
    say(f"{reason}\n")
    raise SystemExit(1)


def make(target: Path) -> None:
    cache().mkdir(parents=True, exist_ok=True)
    with (cache() / "set-up.lock").open("a") as lock:
        # 1.
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("Another set-up is running; waiting for it.\n")
            fcntl.flock(lock, fcntl.LOCK_EX)
        if (target / "complete").exists():
            return
        # 2.
        shutil.rmtree(target, ignore_errors=True)
        # 3.
        say(f"Setting up Python {platform.python_version()} in {target}\n")
        done = subprocess.run(
            [sys.executable, "-m", "venv", str(target)], capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            explain(done.stdout + done.stderr, "The Python environment could not be made")
        install(target, BUILD, "build tools")
        install(target, LOCKED, "packages")
        # 4.
        (target / "complete").touch()


def install(target: Path, requirements: Path, what: str) -> None:
    total = len(re.findall(r"^[A-Za-z0-9]", requirements.read_text(), re.MULTILINE))
    command = [str(target / "bin" / "python"), "-m", "pip", "install", "--no-deps", "--require-hashes"]
    command += ["--no-build-isolation", "--disable-pip-version-check", "--progress-bar", "off"]
    command += ["--cache-dir", str(cache() / "pip"), "--requirement", str(requirements)]
    # pip unpacks beside its result; a small /tmp must not stop a set-up whose cache has room.
    scratch = target / "tmp"
    scratch.mkdir(exist_ok=True)
    said: list[str] = []
    came = 0
    pip = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "TMPDIR": str(scratch)},
    )
    assert pip.stdout is not None  # noqa: S101 - for the type checker
    try:
        for line in pip.stdout:
            said.append(line)
            if line.startswith("Collecting "):
                came += 1
                progress(
                    f"{what}: {came} of {total}  {line.split()[1].partition('=')[0]}",
                    came == total or came % 20 == 1,
                )
            elif line.startswith("Installing collected"):
                progress(f"{what}: unpacking {total}", always=True)
    except BaseException:
        pip.terminate()
        pip.wait()
        raise
    if sys.stderr.isatty():
        say("\r\033[K")
    shutil.rmtree(scratch, ignore_errors=True)
    if pip.wait() != 0:
        explain("".join(said), f"The {what} could not be installed")


def progress(text: str, always: bool) -> None:
    if sys.stderr.isatty():
        say(f"\r\033[K  {text}")
    elif always:
        say(f"  {text}\n")


def explain(output: str, what: str) -> None:
    (cache() / "set-up.log").write_text(output)
    if "No space left" in output:
        fail(f"No space left under {cache()}: free about 3 GB, or point SETTLE_CACHE elsewhere.")
    if NO_NETWORK.search(output):
        fail(f"{what}: no way to the package index. Check the network (or HTTPS_PROXY) and run it again.")
    last = (output.strip().splitlines() or ["no reason given"])[-1]
    fail(f"{what}: {last} (all of it in {cache() / 'set-up.log'})")


def main(arguments: list[str]) -> None:
    target = place()
    complete = (target / "complete").exists()
    if arguments == ["--check"]:
        raise SystemExit(0 if complete else 1)
    if not complete:
        try:
            make(target)
        except KeyboardInterrupt:
            say("\nInterrupted; run it again to go on, what has been downloaded is kept.\n")
            raise SystemExit(130) from None
        except OSError as exc:
            fail(
                f"{cache()} cannot be used: {exc.strerror}. Free some space, or point SETTLE_CACHE elsewhere."
            )
    sys.stdout.write(str(target))


if __name__ == "__main__":
    main(sys.argv[1:])
