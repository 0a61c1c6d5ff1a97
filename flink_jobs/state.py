"""The newest retained state of a job: found by looking into the store, so no note of it can be lost."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from flink_jobs.errors import StateUnreadableError
from flink_jobs.settings import JobsSettings, StoreSettings

# The file that Flink writes last: a checkpoint or savepoint without it never completed.
_LAST_FILE = "_metadata"


def newest(name: str, settings: JobsSettings, store: StoreSettings | None = None) -> str | None:
    """The folder of the job's newest complete checkpoint or savepoint, None where it has none."""
    found = [
        state
        for base in (settings.checkpoint_uri, settings.savepoint_uri)
        for state in _complete(f"{base}/{name}", store or StoreSettings())
    ]
    return max(found)[1] if found else None


def _complete(folder: str, store: StoreSettings) -> list[tuple[Any, str]]:
    place = urlsplit(folder)
    try:
        pages = _client(store).get_paginator("list_objects_v2")
        listed = pages.paginate(Bucket=place.netloc, Prefix=place.path.lstrip("/") + "/")
        objects = [one for page in listed for one in page.get("Contents", [])]
    except (BotoCoreError, ClientError) as error:
        raise StateUnreadableError(f"cannot list {folder}: {error}") from error
    return [
        (one["LastModified"], f"s3://{place.netloc}/{one['Key'].removesuffix('/' + _LAST_FILE)}")
        for one in objects
        if one["Key"].endswith("/" + _LAST_FILE)
    ]


def _client(store: StoreSettings) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=store.endpoint,
        aws_access_key_id=store.access_key,
        aws_secret_access_key=store.secret_key.get_secret_value() if store.secret_key else None,
        region_name="us-east-1" if store.endpoint else None,
        config=Config(connect_timeout=5, read_timeout=20, retries={"max_attempts": 3}),
    )
