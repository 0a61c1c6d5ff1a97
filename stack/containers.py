"""What docker-compose.yml runs in this project's own image: `python -m stack.containers COMMAND`.

artifacts FOLDER   the jars that other images need, from stack/artifacts.lock
s3 FOLDER          the S3 server
buckets            make the buckets
ours               bridge, intake, loader and the stand-ins, in one container
check-s3, check-ours   for the health checks
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path

import boto3
import requests
from botocore.config import Config

from stack import artifacts, install
from stack.environment import BUCKETS
from stack.ports import BASE_PORTS, LOOPBACK
from stack.server import java
from stack.servers.s3 import HEAP
from stack.versions import CONFLUENT_CONVERTER, DEBEZIUM

MODULES = (
    "stack.sftp",
    "stack.gateways",
    "stack.warehouse",
    "sftp_bridge",
    "webhook_intake",
    "snowflake_loader",
)
# Ours listen on loopback only, wherever they run. A container is reached from outside through these.
PUBLISHED = tuple(
    BASE_PORTS[name]
    for name in (
        *("sftp_axis", "sftp_hdfc", "sftp_icici"),
        *("bridge", "webhooks", "loader", "gateways", "warehouse"),
    )
)
PUBLISHED_BY = 10_000  # added to the port inside the container
HEALTH = tuple(BASE_PORTS[name] for name in ("gateways", "warehouse", "bridge", "webhooks", "loader"))


def copy_artifacts(folder: Path) -> None:
    for name in (f"debezium-{DEBEZIUM}", f"avro-converter-{CONFLUENT_CONVERTER}"):
        source = install.connect_plugins() / name
        shutil.copytree(source, folder / "connect-plugins" / name, dirs_exist_ok=True)
    for bundle in ("flink", "flink-s3"):
        (folder / bundle).mkdir(exist_ok=True)
        for jar in artifacts.jars(bundle):
            shutil.copy(jar, folder / bundle)


def run_s3(folder: Path) -> None:
    with tempfile.NamedTemporaryFile("w", suffix=".conf", delete=False) as config:
        config.write(
            f"s3proxy.endpoint=http://0.0.0.0:{BASE_PORTS['s3']}\n"
            "s3proxy.authorization=aws-v2-or-v4\n"
            f"s3proxy.identity={os.environ['SETTLE_S3_ACCESS_KEY']}\n"
            f"s3proxy.credential={os.environ['SETTLE_S3_SECRET_KEY']}\n"
            "jclouds.provider=filesystem-nio2\n"
            f"jclouds.filesystem.basedir={folder}\n"
        )
    jar = artifacts.jars("s3")[0]
    argv = java("-jar", str(jar), "--properties", config.name, heap=HEAP, serial=True)
    os.execv(argv[0], argv)  # noqa: S606 - no shell is the point


def buckets(endpoint: str, *, make: bool) -> None:
    client = boto3.session.Session().client(
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id=os.environ["SETTLE_S3_ACCESS_KEY"],
        aws_secret_access_key=os.environ["SETTLE_S3_SECRET_KEY"],
        region_name="us-east-1",
        config=Config(s3={"addressing_style": "path"}),
    )
    there = {bucket["Name"] for bucket in client.list_buckets()["Buckets"]}
    for bucket in BUCKETS if make else ():
        if bucket not in there:
            client.create_bucket(Bucket=bucket)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    writer.close()


async def _publish(port: int) -> asyncio.Server:
    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            inner_reader, inner_writer = await asyncio.open_connection(LOOPBACK, port)
        except OSError:
            writer.close()
            return
        await asyncio.gather(_copy(reader, inner_writer), _copy(inner_reader, writer))

    return await asyncio.start_server(forward, "0.0.0.0", port + PUBLISHED_BY)  # noqa: S104 - in a container


async def run_ours() -> int:
    """All of them, until one ends or somebody says so; Docker restarts the container."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    # 1. The warehouse's tables need its server; the loader waits for them by itself.
    children = [await asyncio.create_subprocess_exec(sys.executable, "-m", module) for module in MODULES]
    servers = [await _publish(port) for port in PUBLISHED]
    tables = await asyncio.create_subprocess_exec(sys.executable, "-m", "settle", "warehouse", "apply")
    waits = [asyncio.create_task(child.wait()) for child in children]
    # 2.
    await asyncio.wait([*waits, asyncio.create_task(stop.wait())], return_when=asyncio.FIRST_COMPLETED)
    for server in servers:
        server.close()
    for child in [*children, tables]:
        with contextlib.suppress(ProcessLookupError):
            child.terminate()
    await asyncio.gather(*waits, tables.wait())
    return 0 if stop.is_set() else 1


def main(arguments: list[str]) -> int:
    match arguments:
        case ["artifacts", folder]:
            copy_artifacts(Path(folder))
        case ["s3", folder]:
            run_s3(Path(folder))
        case ["buckets"]:
            buckets(os.environ["SETTLE_S3_ENDPOINT"], make=True)
        case ["check-s3"]:
            buckets(f"http://{LOOPBACK}:{BASE_PORTS['s3']}", make=False)
        case ["ours"]:
            return asyncio.run(run_ours())
        case ["check-ours"]:
            for port in HEALTH:
                requests.get(f"http://{LOOPBACK}:{port}/health", timeout=5).raise_for_status()
        case _:
            sys.stderr.write(__doc__ or "")
            return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
