"""Which results of ended jobs are removed before a JobManager starts, and which are not."""

from __future__ import annotations

import io
import json
import logging
from typing import TYPE_CHECKING, Any, cast

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from stack.home import Home
from stack.ports import Ports
from stack.server import Context
from stack.servers import flink, flink_results
from stack.servers.flink_results import refused, remove_refused

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mypy_boto3_s3 import S3Client

HERE = "ha/job-result-store/settlestream"


def result(**fields: object) -> bytes:
    """As FileSystemJobResultStore of Flink 2.3 writes it."""
    told = {"id": "0" * 32, "name": "reconcile", "application-status": "FAILED", **fields}
    return json.dumps({"result": told, "version": 1}).encode()


NAMELESS = result()
CANCELLED = result(**{"application-status": "CANCELED", "application-id": "1" * 32})


class Bucket:
    """What is asked of an S3 client here; pages of two."""

    def __init__(self, objects: dict[str, bytes], error: Exception | None = None) -> None:
        self.objects = objects
        self.error = error

    def get_paginator(self, _: str) -> Bucket:
        return self

    def paginate(self, Bucket: str, Prefix: str) -> Iterator[dict[str, Any]]:  # noqa: N803 - boto3's names
        assert Bucket == "settle-flink"
        if self.error:
            raise self.error
        keys = sorted(key for key in self.objects if key.startswith(Prefix))
        for at in range(0, len(keys), 2):
            yield {"Contents": [{"Key": key} for key in keys[at : at + 2]]}
        yield {}

    def get_object(self, Bucket: str, Key: str) -> dict[str, Any]:  # noqa: ARG002, N803
        return {"Body": io.BytesIO(self.objects[Key])}

    def delete_object(self, Bucket: str, Key: str) -> None:  # noqa: ARG002, N803
        del self.objects[Key]


def remove(bucket: Bucket) -> None:
    remove_refused(cast("S3Client", bucket))


def test_a_result_without_an_application_is_refused() -> None:
    assert refused({f"{HERE}/a_DIRTY.json": NAMELESS}) == [f"{HERE}/a_DIRTY.json"]
    assert refused({f"{HERE}/a_DIRTY.json": result(**{"application-id": None})}) == [f"{HERE}/a_DIRTY.json"]


@pytest.mark.parametrize(
    ("key", "content"),
    [
        pytest.param(f"{HERE}/a_DIRTY.json", CANCELLED, id="without it the cancelled job would start again"),
        pytest.param(f"{HERE}/a.json", NAMELESS, id="cleaned up"),
        pytest.param("ha/job-result-store/another/a_DIRTY.json", NAMELESS, id="another cluster's"),
        pytest.param("ha/settlestream/a_DIRTY.json", NAMELESS, id="no result"),
        pytest.param("checkpoints/ha/job-result-store/settlestream/a_DIRTY.json", NAMELESS, id="elsewhere"),
        pytest.param(f"{HERE}/a_DIRTY.json", b"", id="empty"),
        pytest.param(f"{HERE}/a_DIRTY.json", b"[1]", id="something else"),
        pytest.param(f"{HERE}/a_DIRTY.json", b'{"result": "x"}', id="something else inside"),
        pytest.param(f"{HERE}/a_DIRTY.json", b"\xff\xfe", id="no text"),
    ],
)
def test_everything_else_stays(key: str, content: bytes) -> None:
    assert refused({key: content}) == []


def test_what_is_refused_is_removed_and_named(caplog: pytest.LogCaptureFixture) -> None:
    others = {
        "checkpoints/1/_metadata": b"",
        f"{HERE}/b_DIRTY.json": CANCELLED,
        f"{HERE}/c.json": NAMELESS,
    }
    bucket = Bucket({f"{HERE}/{name}_DIRTY.json": NAMELESS for name in "adefg"} | others)
    remove(bucket)
    assert bucket.objects == others
    assert len(caplog.messages) == 1
    assert f"{HERE}/a_DIRTY.json, {HERE}/d_DIRTY.json" in caplog.text
    remove(bucket)
    assert len(caplog.messages) == 1


def test_no_bucket_yet_is_nothing_to_remove(caplog: pytest.LogCaptureFixture) -> None:
    remove(Bucket({}, ClientError({"Error": {"Code": "NoSuchBucket"}}, "ListObjectsV2")))
    assert not caplog.messages


def test_an_s3_that_is_away_does_not_keep_the_jobmanager_from_starting(
    caplog: pytest.LogCaptureFixture,
) -> None:
    remove(Bucket({}, EndpointConnectionError(endpoint_url="http://127.0.0.1:8334")))
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


def test_it_is_done_before_every_start_with_the_folder_of_the_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = Bucket({f"{HERE}/a_DIRTY.json": NAMELESS})
    monkeypatch.setattr("stack.servers.s3.client", lambda _: bucket)
    home = Home(tmp_path)
    home.make()
    flink.JobManager().prepare(Context(home, Ports()))
    assert bucket.objects == {}
    config = json.loads((home.run / "flink" / "config.yaml").read_text())
    storage, cluster = config["high-availability.storageDir"], config["high-availability.cluster-id"]
    assert f"{storage}/job-result-store{cluster}/" == f"s3://{flink_results.BUCKET}/{flink_results.RESULTS}"
