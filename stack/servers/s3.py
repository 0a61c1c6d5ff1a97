"""The S3 server: S3Proxy over a folder, with signed requests only."""

from __future__ import annotations

from typing import TYPE_CHECKING

import boto3
from botocore.config import Config

from stack import artifacts
from stack.environment import BUCKETS
from stack.server import HEALTH_SECONDS, Command, Context, Server, java

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

HEAP = "192m"


def client(context: Context) -> S3Client:
    """The stack's own S3, asked once and briefly."""
    return boto3.session.Session().client(
        "s3",
        endpoint_url=context.ports.url("s3"),
        aws_access_key_id=context.secrets["s3_access_key"],
        aws_secret_access_key=context.secrets["s3_secret_key"],
        region_name="us-east-1",
        config=Config(
            connect_timeout=HEALTH_SECONDS,
            read_timeout=HEALTH_SECONDS,
            retries={"total_max_attempts": 1},
            s3={"addressing_style": "path"},
        ),
    )


class S3(Server):
    name = "s3"
    title = "S3"
    ports = ("s3",)

    def __init__(self) -> None:
        self._kept: S3Client | None = (
            None  # reading boto3's service description costs half a second each time
        )

    def prepare(self, context: Context) -> None:
        secret = context.secrets
        context.write(
            "s3/s3proxy.conf",
            f"""\
s3proxy.endpoint={context.ports.url("s3")}
s3proxy.authorization=aws-v2-or-v4
s3proxy.identity={secret["s3_access_key"]}
s3proxy.credential={secret["s3_secret_key"]}
jclouds.provider=filesystem-nio2
jclouds.filesystem.basedir={context.folder("s3")}
""",
        )

    def command(self, context: Context) -> Command:
        jar = artifacts.jars("s3")[0]
        config = str(context.home.run / "s3" / "s3proxy.conf")
        flags = ("-DLOG_LEVEL=warn", "-jar", str(jar), "--properties", config)
        return Command(java(*flags, heap=HEAP, serial=True))

    def check(self, context: Context) -> None:
        self._client(context).list_buckets()

    def after_start(self, context: Context) -> None:
        s3 = self._client(context)
        there = {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]}
        for bucket in BUCKETS:
            if bucket not in there:
                s3.create_bucket(Bucket=bucket)

    def _client(self, context: Context) -> S3Client:
        if self._kept is not None:
            return self._kept
        self._kept = client(context)
        return self._kept
