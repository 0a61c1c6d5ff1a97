"""Downloads what the servers are made of, once, into the cache.

For each locked file: 1. skip it when it is there with its size; 2. download to a temporary name in the same
folder; 3. compare sha256; 4. rename. A file under its final name is therefore always whole and right, and an
interrupted download is simply begun again.
"""

from __future__ import annotations

import errno
import hashlib
import os
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import jgo.maven as maven
import requests
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from stack.errors import FetchError
from stack.home import cache, platform_name
from stack.lock import LOCK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from rich.console import Console

PARALLEL = 6  # more does not fill a line faster and looks like abuse to a repository
CHUNK = 1 << 18
TRIES = 4


@dataclass(frozen=True, slots=True)
class Locked:
    bundle: str
    sha256: str
    size: int
    where: str  # path below a Maven repository

    @property
    def path(self) -> Path:
        return cache() / "maven" / self.where


def locked() -> list[Locked]:
    lines = [line.split() for line in LOCK.read_text().splitlines() if line and line[0] != "#"]
    return [Locked(bundle, digest, int(size), where) for bundle, digest, size, where in lines]


def jars(bundle: str) -> list[Path]:
    """The files of one bundle, in the lock's order, whether fetched yet or not."""
    return [item.path for item in locked() if item.bundle == bundle]


def wanted() -> list[Locked]:
    """Everything this machine needs: all bundles but the other platforms' Postgres."""
    mine = f"postgres-{platform_name()}"
    return [i for i in locked() if i.bundle == mine or not i.bundle.startswith("postgres-")]


def is_there(item: Locked) -> bool:
    try:
        return item.path.stat().st_size == item.size
    except FileNotFoundError:
        return False


def fetch(console: Console) -> int:
    """Bring everything that is missing; returns how many files came over the network."""
    missing = list({i.where: i for i in wanted() if not is_there(i)}.values())
    if not missing:
        return 0
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=console) as progress, ThreadPoolExecutor(PARALLEL) as pool:
        task = progress.add_task(f"servers ({len(missing)} files)", total=sum(i.size for i in missing))
        futures = [
            pool.submit(download, item, lambda n: progress.advance(task, n))
            for item in sorted(missing, key=lambda i: -i.size)
        ]
        try:
            for future in futures:
                future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return len(missing)


def download(item: Locked, advance: Callable[[int], None]) -> None:
    last: Exception | None = None
    for _ in range(TRIES):
        came = 0
        try:
            for repository in maven.MavenContext().remote_repos.values():
                for count in _store(f"{repository}/{item.where}", item):
                    came += count
                    advance(count)
                return
        except (requests.RequestException, FetchError) as exc:
            advance(-came)
            last = exc
        except OSError as exc:
            if exc.errno == errno.ENOSPC:
                raise FetchError(
                    f"No space left under {cache()}: free some, or point SETTLE_CACHE elsewhere."
                ) from exc
            raise
    if isinstance(last, requests.ConnectionError | requests.Timeout):
        raise FetchError(
            f"{item.path.name} could not be downloaded: no way to the Maven repository. "
            "Check the network (or HTTPS_PROXY) and run it again; what has come is kept."
        ) from last
    raise FetchError(f"{item.path.name} could not be downloaded: {last}") from last


def _store(url: str, item: Locked) -> Iterable[int]:
    item.path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=item.path.parent, prefix=".part-")
    part = Path(name)
    digest = hashlib.sha256()
    try:
        with os.fdopen(handle, "wb") as file, requests.get(url, stream=True, timeout=60) as answer:
            answer.raise_for_status()
            for chunk in answer.iter_content(CHUNK):
                file.write(chunk)
                digest.update(chunk)
                yield len(chunk)
        if digest.hexdigest() != item.sha256:
            raise FetchError("its sha256 is not the locked one")
        part.chmod(0o644)
        part.rename(item.path)
    finally:
        part.unlink(missing_ok=True)
