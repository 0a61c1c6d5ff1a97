"""What Flink remembers of ended jobs, and the one kind of memory with which a JobManager refuses to start.

A job's result is kept as `<job id>_DIRTY.json` until everything else about the job is cleaned up. Flink 2.3
writes the result of a job that failed while it was being restored without the id of its application, and
a JobManager that starts and finds such a result ends itself, every time.
"""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypy_boto3_s3 import S3Client

log = logging.getLogger("jobmanager")

BUCKET, FOLDER, CLUSTER = "settle-flink", "ha", "settlestream"
# Where Flink puts them under its high-availability.storageDir: FileSystemJobResultStore.
RESULTS = f"{FOLDER}/job-result-store/{CLUSTER}/"
UNFINISHED = "_DIRTY.json"


def refused(objects: Mapping[str, bytes]) -> list[str]:
    """The keys of unfinished results that name no application.

    Those that name one stay: Flink takes them for what they are, and without them it would start a job
    again that has been cancelled.
    """
    return [key for key, content in objects.items() if _is_ours(key) and _names_no_application(content)]


def _is_ours(key: str) -> bool:
    return key.startswith(RESULTS) and key.endswith(UNFINISHED)


def _names_no_application(content: bytes) -> bool:
    try:
        result = json.loads(content)["result"]
        return result.get("application-id") is None
    except (ValueError, LookupError, TypeError, AttributeError):
        return False  # whatever it is, it is not what we know how to judge


def remove_refused(client: S3Client) -> None:
    """Delete what would keep a JobManager from starting.

    Never in its way: where S3 does not answer, the JobManager is started all the same, ends if it must, and
    this is tried again before its next start.
    """
    try:
        keys = refused(_unfinished(client))
        for key in keys:
            client.delete_object(Bucket=BUCKET, Key=key)
    except (BotoCoreError, ClientError) as error:
        if not _is_new(error):
            log.warning("%s/%s could not be looked through: %s", BUCKET, RESULTS, error)
        return
    if keys:
        log.warning("removed from %s, since Flink refuses to start with it: %s", BUCKET, ", ".join(keys))


def _is_new(error: BotoCoreError | ClientError) -> bool:
    """There is no bucket yet, so nothing in it."""
    return isinstance(error, ClientError) and error.response["Error"]["Code"] == "NoSuchBucket"


def _unfinished(client: S3Client) -> dict[str, bytes]:
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=RESULTS)
    keys = [entry["Key"] for page in pages for entry in page.get("Contents", ()) if _is_ours(entry["Key"])]
    return {key: client.get_object(Bucket=BUCKET, Key=key)["Body"].read() for key in keys}
