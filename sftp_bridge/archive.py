"""The raw archive on S3: original bytes under their own hash, never changed, and what was made of them.

    bank/<bank>/<business date>/<sha256>.raw                          the bytes as they came
    published/<bank>/<business date>/<cutoff>.r<revision>.arrow       the movements as published

The second is what a correction is compared with: parsing the old bytes again could, with a newer
description, name other records than those that were published.
"""

from __future__ import annotations

import tempfile
from functools import lru_cache
from typing import IO, TYPE_CHECKING, Any, BinaryIO, cast

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from sftp_bridge.errors import ArchiveUnavailableError
from sftp_bridge.published_lines import movements_in
from sftp_bridge.spool import SPOOL_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date

    from mypy_boto3_s3.client import S3Client

    from sftp_bridge.movements import Movement
    from sftp_bridge.published_lines import PublishedLines
    from sftp_bridge.settings import BridgeSettings
    from sftp_bridge.spool import Spool

# One bank's upload uses little memory and no extra threads; banks run beside each other anyway.
_TRANSFER = TransferConfig(multipart_threshold=32 * 1024 * 1024, use_threads=False)
# Connections that are kept; banks at work at the same time.
_CONNECTIONS = 32
_MISSING = {"404", "NoSuchKey", "NotFound"}


class Archive:
    """The bucket, as far as this room uses it."""

    def __init__(self, settings: BridgeSettings) -> None:
        self._stored_with = settings.stored_with
        secret = settings.s3_secret_key
        self._bucket = settings.s3_bucket
        self._s3 = _client(
            settings.s3_endpoint, settings.s3_access_key, secret.get_secret_value() if secret else None
        )

    def raw_key(self, bank: str, business_date: date, sha256: str) -> str:
        """Where bytes with this hash are kept."""
        return f"s3://{self._bucket}/bank/{bank}/{business_date.isoformat()}/{sha256}.raw"

    def has_raw(self, raw_key: str, size: int) -> bool:
        """Are they there, whole?"""
        try:
            return self._size(self._key(raw_key)) == size
        except (BotoCoreError, ClientError) as error:
            raise ArchiveUnavailableError(f"looking for {raw_key}: {error}") from error

    def keep_raw(self, raw_key: str, spool: Spool) -> None:
        """Store the bytes under their hash; what is there already is never written again."""
        if self.has_raw(raw_key, spool.size):
            return
        try:
            with spool.opened() as raw:
                self._s3.upload_fileobj(
                    cast("IO[Any]", raw),
                    self._bucket,
                    self._key(raw_key),
                    ExtraArgs=self._stored_with,
                    Config=_TRANSFER,
                )
        except (BotoCoreError, ClientError) as error:
            raise ArchiveUnavailableError(f"storing {raw_key}: {error}") from error
        if not self.has_raw(raw_key, spool.size):
            raise ArchiveUnavailableError(f"{raw_key}: less was stored than the {spool.size} bytes sent")

    def fetch_raw(self, raw_key: str, spool: Spool) -> None:
        """The bytes again; raises when they are not the ones their name says."""
        try:
            body = self._s3.get_object(Bucket=self._bucket, Key=self._key(raw_key))["Body"]
            for chunk in body.iter_chunks(1024 * 1024):
                spool.take(chunk)
        except (BotoCoreError, ClientError) as error:
            raise ArchiveUnavailableError(f"reading {raw_key}: {error}") from error
        if spool.sha256 not in raw_key:
            raise ArchiveUnavailableError(f"{raw_key}: the archive gave other bytes ({spool.sha256})")

    def published_key(
        self, bank: str, business_date: date, cutoff: str, revision: int, part: int | None = None
    ) -> str:
        """Where one revision's movements are kept."""
        file = cutoff.replace(":", "") + (f"-{part}" if part is not None else "")
        name = f"{file}.r{revision}.arrow"
        return f"s3://{self._bucket}/published/{bank}/{business_date.isoformat()}/{name}"

    def keep_published(self, lines_key: str, written: PublishedLines) -> None:
        """Store a revision's movements; called before they are committed."""
        try:
            self._s3.upload_fileobj(
                cast("IO[Any]", written.finished()),
                self._bucket,
                self._key(lines_key),
                ExtraArgs=self._stored_with,
                Config=_TRANSFER,
            )
        except (BotoCoreError, ClientError) as error:
            raise ArchiveUnavailableError(f"storing {lines_key}: {error}") from error

    def published(self, lines_key: str, *, required: bool) -> Iterator[Movement]:
        """A revision's movements in the order of their lines; nothing where none had to be kept."""
        try:
            body = self._s3.get_object(Bucket=self._bucket, Key=self._key(lines_key))["Body"]
        except ClientError as error:
            if error.response["Error"]["Code"] in _MISSING and not required:
                return
            raise ArchiveUnavailableError(f"reading {lines_key}: {error}") from error
        except BotoCoreError as error:
            raise ArchiveUnavailableError(f"reading {lines_key}: {error}") from error
        with tempfile.SpooledTemporaryFile(max_size=SPOOL_BYTES) as kept:
            try:
                for chunk in body.iter_chunks(1024 * 1024):
                    kept.write(chunk)
            except BotoCoreError as error:
                raise ArchiveUnavailableError(f"reading {lines_key}: {error}") from error
            kept.seek(0)
            yield from movements_in(cast("BinaryIO", kept))

    def check(self) -> None:
        """Does the bucket answer?"""
        try:
            self._s3.head_bucket(Bucket=self._bucket)
        except (BotoCoreError, ClientError) as error:
            raise ArchiveUnavailableError(f"bucket {self._bucket}: {error}") from error

    def _size(self, key: str) -> int | None:
        try:
            return int(self._s3.head_object(Bucket=self._bucket, Key=key)["ContentLength"])
        except ClientError as error:
            if error.response["Error"]["Code"] in _MISSING:
                return None
            raise

    def _key(self, address: str) -> str:
        return address.removeprefix(f"s3://{self._bucket}/")


@lru_cache(maxsize=4)
def _client(endpoint: str | None, access_key: str | None, secret_key: str | None) -> S3Client:
    """One for all banks: it may be used by many threads, and each takes 10 MB."""
    return boto3.session.Session().client(
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
        region_name="us-east-1" if endpoint else None,
        config=Config(
            connect_timeout=5,
            read_timeout=60,
            retries={"max_attempts": 3, "mode": "standard"},
            s3={"addressing_style": "path"} if endpoint else None,
            max_pool_connections=_CONNECTIONS,
        ),
    )
