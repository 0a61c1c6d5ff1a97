"""The raw archive on S3: original bytes under their own hash, never changed, and what was made of them.

    bank/<bank>/<business date>/<sha256>.raw                          the bytes as they came
    published/<bank>/<business date>/<cutoff>.r<revision>.jsonl.gz    the movements as published

The second is what a correction is compared with: parsing the old bytes again could, with a newer
description, name other records than those that were published.
"""

from __future__ import annotations

import gzip
import hashlib
import tempfile
from datetime import date
from decimal import Decimal
from typing import IO, TYPE_CHECKING, Any, BinaryIO, cast

import boto3
import orjson
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from sftp_bridge.errors import ArchiveUnavailableError
from sftp_bridge.movements import Movement

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sftp_bridge.settings import BridgeSettings

# Bytes held in memory before a file goes to disk: most bank files are under 1 MB, some are 800 MB.
SPOOL_BYTES = 8 * 1024 * 1024
# One bank's upload uses little memory and no extra threads; banks run beside each other anyway.
_TRANSFER = TransferConfig(multipart_threshold=32 * 1024 * 1024, use_threads=False)
_MISSING = {"404", "NoSuchKey", "NotFound"}


class Spool:
    """Bytes on their way to the archive: hashed as they pass, kept for the parser."""

    def __init__(self) -> None:
        self.file = cast("BinaryIO", tempfile.SpooledTemporaryFile(max_size=SPOOL_BYTES))  # noqa: SIM115
        self.size = 0
        self._hash = hashlib.sha256()

    def take(self, chunk: bytes) -> None:
        """The next bytes."""
        self._hash.update(chunk)
        self.file.write(chunk)
        self.size += len(chunk)

    @property
    def sha256(self) -> str:
        """Of everything taken so far."""
        return self._hash.hexdigest()

    def rewound(self) -> BinaryIO:
        """From the first byte."""
        self.file.seek(0)
        return self.file

    def close(self) -> None:
        """Free the memory or the disk."""
        self.file.close()


class Archive:
    """The bucket, as far as this room uses it; one thread uses it at a time."""

    def __init__(self, settings: BridgeSettings) -> None:
        self._bucket = settings.s3_bucket
        self._stored_with = settings.stored_with
        secret = settings.s3_secret_key
        self._s3 = boto3.session.Session().client(
            "s3",
            endpoint_url=settings.s3_endpoint,
            aws_access_key_id=settings.s3_access_key,
            aws_secret_access_key=secret.get_secret_value() if secret else None,
            region_name="us-east-1" if settings.s3_endpoint else None,
            config=Config(
                connect_timeout=5,
                read_timeout=60,
                retries={"max_attempts": 3, "mode": "standard"},
                s3={"addressing_style": "path"} if settings.s3_endpoint else None,
            ),
        )

    def keep_raw(self, bank: str, business_date: date, spool: Spool) -> str:
        """Store the bytes under their hash; what is there already is never written again."""
        key = f"bank/{bank}/{business_date.isoformat()}/{spool.sha256}.raw"
        try:
            if self._size(key) != spool.size:
                self._s3.upload_fileobj(
                    cast("IO[Any]", _Unclosed(spool.rewound())),
                    self._bucket,
                    key,
                    ExtraArgs=self._stored_with,
                    Config=_TRANSFER,
                )
                stored = self._size(key)
                if stored != spool.size:
                    raise ArchiveUnavailableError(f"{key}: {stored} bytes stored of {spool.size}")
        except (BotoCoreError, ClientError) as error:
            raise ArchiveUnavailableError(f"storing {key}: {error}") from error
        return f"s3://{self._bucket}/{key}"

    def fetch_raw(self, raw_key: str) -> Spool:
        """The bytes again; raises when they are not the ones their name says."""
        spool = Spool()
        try:
            body = self._s3.get_object(Bucket=self._bucket, Key=self._key(raw_key))["Body"]
            for chunk in body.iter_chunks(1024 * 1024):
                spool.take(chunk)
        except (BotoCoreError, ClientError) as error:
            raise ArchiveUnavailableError(f"reading {raw_key}: {error}") from error
        if spool.sha256 not in raw_key:
            raise ArchiveUnavailableError(f"{raw_key}: the archive gave other bytes ({spool.sha256})")
        return spool

    def published_key(self, bank: str, business_date: date, cutoff: str, revision: int) -> str:
        """Where one revision's movements are kept."""
        name = f"{cutoff.replace(':', '')}.r{revision}.jsonl.gz"
        return f"s3://{self._bucket}/published/{bank}/{business_date.isoformat()}/{name}"

    def keep_published(self, lines_key: str, written: PublishedLines) -> None:
        """Store a revision's movements; called before they are committed."""
        try:
            self._s3.upload_fileobj(
                cast("IO[Any]", _Unclosed(written.finished())),
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
            with gzip.open(cast("BinaryIO", kept), "rb") as lines:
                for line in lines:
                    yield movement_of(orjson.loads(line))

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


class PublishedLines:
    """Movements being written down while they are sent; compressed, so that they need little room."""

    def __init__(self) -> None:
        self._file = cast("BinaryIO", tempfile.SpooledTemporaryFile(max_size=SPOOL_BYTES))  # noqa: SIM115
        # mtime=0: the same movements give the same bytes.
        self._gzip = gzip.GzipFile(fileobj=self._file, mode="wb", compresslevel=3, mtime=0)

    def add(self, movement: Movement) -> None:
        """The next line."""
        self._gzip.write(
            orjson.dumps(
                [
                    movement.line_no,
                    movement.utr,
                    movement.utr_raw,
                    movement.settlement_ref,
                    movement.direction,
                    str(movement.amount),
                    movement.value_date,
                    movement.narration,
                    movement.identity,
                ],
                option=orjson.OPT_APPEND_NEWLINE,
            )
        )

    def finished(self) -> BinaryIO:
        """Everything, from the first byte."""
        self._gzip.close()
        self._file.seek(0)
        return self._file

    def close(self) -> None:
        """Free the memory or the disk."""
        self._gzip.close()
        self._file.close()


class _Unclosed:
    """boto3 closes what it uploads; the spool is read again afterwards."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def read(self, size: int = -1) -> bytes:
        return self._file.read(size)

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def close(self) -> None:
        """Not yet."""


def movement_of(row: list[Any]) -> Movement:
    """The movement that was written down so."""
    # What was published before lines had an identity ends with the narration.
    line_no, utr, utr_raw, settlement_ref, direction, amount, value_date, narration, *identity = row
    return Movement(
        line_no,
        utr,
        utr_raw,
        settlement_ref,
        direction,
        Decimal(amount),
        date.fromisoformat(value_date),
        narration,
        identity[0] if identity else None,
    )
