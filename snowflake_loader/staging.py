"""The stage on S3 as the loader sees it: which files are finished, and what each says about itself."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow.fs import FileSelector, FileType, S3FileSystem

from snowflake_loader.errors import BrokenFile, StageUnreachable

if TYPE_CHECKING:
    from datetime import datetime

    from snowflake_loader.settings import StageSettings

log = logging.getLogger("loader")


@dataclass(frozen=True, slots=True, order=True)
class StagedFile:
    """A finished file; `name` is its path below the bucket and its identity for ever."""

    modified: datetime
    name: str
    size: int

    @property
    def dataset(self) -> str:
        return self.name.split("/", 1)[0]

    @property
    def inside(self) -> str:
        """The name below the dataset's folder, as COPY wants it."""
        return self.name.split("/", 1)[1]


@dataclass(frozen=True, slots=True)
class Footer:
    """What a Parquet file says about itself without being read: how many rows, which columns."""

    rows: int
    columns: dict[str, pa.DataType]


class Stage:
    """The bucket. Listing is one flat request for each thousand files, whatever the number of datasets."""

    def __init__(self, settings: StageSettings, bucket: str) -> None:
        self._bucket = bucket
        options: dict[str, Any] = {"region": settings.region, "connect_timeout": 5, "request_timeout": 20}
        if settings.endpoint:
            address = urlsplit(settings.endpoint)
            options |= {"endpoint_override": address.netloc, "scheme": address.scheme}
        if settings.access_key and settings.secret_key:
            options |= {
                "access_key": settings.access_key,
                "secret_key": settings.secret_key.get_secret_value(),
            }
        self._s3 = S3FileSystem(**options)

    def files(self) -> list[StagedFile]:
        """Finished files, oldest first. Names that start with _ or . are their writers' own business."""
        try:
            found = self._s3.get_file_info(FileSelector(self._bucket, recursive=True, allow_not_found=True))
        except OSError as error:
            raise StageUnreachable(f"cannot list s3://{self._bucket}: {error}") from error
        prefix = len(self._bucket) + 1
        files = []
        for info in found:
            name = info.path[prefix:]
            if info.type == FileType.File and info.mtime and is_finished(name):
                files.append(StagedFile(info.mtime, name, info.size or 0))
        return sorted(files)

    def footer(self, file: StagedFile) -> Footer:
        """Read the last bytes of a file; what is not Parquet there is broken, not busy."""
        try:
            with self._s3.open_input_file(f"{self._bucket}/{file.name}") as source:
                metadata = pq.read_metadata(source)
                schema = metadata.schema.to_arrow_schema()
        except pa.ArrowInvalid as error:
            raise BrokenFile(f"{file.name}: {error}") from error
        except FileNotFoundError as error:
            raise BrokenFile(f"{file.name}: listed, then gone") from error
        except OSError as error:
            if "thrift" in str(error).lower():
                raise BrokenFile(f"{file.name}: {error}") from error
            raise StageUnreachable(f"cannot read {file.name}: {error}") from error
        return Footer(metadata.num_rows, {field.name.upper(): field.type for field in schema})


def is_finished(name: str) -> bool:
    """A file in a dataset's folder that no part of its path marks as still being written."""
    parts = name.split("/")
    return len(parts) > 1 and not any(part.startswith(("_", ".")) for part in parts)
