"""What is downloaded is what was locked, and a file under its final name is always whole."""

from __future__ import annotations

import hashlib
import io
from typing import TYPE_CHECKING, Any

import pytest
import requests
from rich.console import Console

from stack import artifacts
from stack.artifacts import Locked
from stack.errors import FetchError
from stack.versions import BUNDLES, KAFKA, POSTGRES_PLATFORMS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CONTENT = b"jar" * 1000
GOOD = Locked("kafka", hashlib.sha256(CONTENT).hexdigest(), len(CONTENT), "org/example/1/example-1.jar")


class Answer:
    def __init__(self, content: bytes, breaks: bool = False) -> None:
        self._content, self._breaks = content, breaks

    def __enter__(self) -> Answer:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def raise_for_status(self) -> None:
        return None

    def iter_content(self, _size: int) -> Iterator[bytes]:
        yield self._content[: len(self._content) // 2]
        if self._breaks:
            raise requests.ConnectionError("cut off")
        yield self._content[len(self._content) // 2 :]


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Any]:
    """What the repository will answer, one after the other; the last one stays."""
    queue: list[Any] = []

    def get(url: str, **_: object) -> Any:
        assert url.endswith(GOOD.where)
        answer = queue.pop(0) if len(queue) > 1 else queue[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setenv("SETTLE_CACHE", str(tmp_path))
    monkeypatch.setattr(requests, "get", get)
    monkeypatch.setattr(artifacts, "locked", lambda: [GOOD])
    return queue


def fetch() -> int:
    return artifacts.fetch(Console(file=io.StringIO()))


def test_what_has_come_is_not_fetched_again(answers: list[Any]) -> None:
    answers.append(Answer(CONTENT))
    assert fetch() == 1
    answers[:] = [AssertionError("no second download")]
    assert fetch() == 0
    assert GOOD.path.read_bytes() == CONTENT


def test_a_cut_off_download_is_begun_again(answers: list[Any]) -> None:
    answers += [Answer(CONTENT, breaks=True), Answer(CONTENT)]
    assert fetch() == 1
    assert GOOD.path.read_bytes() == CONTENT
    assert list(GOOD.path.parent.iterdir()) == [GOOD.path]


def test_other_bytes_than_the_locked_ones_are_refused(answers: list[Any]) -> None:
    answers.append(Answer(CONTENT[:-1] + b"!"))
    with pytest.raises(FetchError, match="sha256"):
        fetch()
    assert not GOOD.path.exists()


def test_no_network_says_what_to_do(answers: list[Any]) -> None:
    answers.append(requests.ConnectionError("name resolution"))
    with pytest.raises(FetchError, match="Check the network"):
        fetch()


def test_a_full_disk_says_what_to_do(answers: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    answers.append(Answer(CONTENT))
    monkeypatch.setattr("tempfile.mkstemp", full)
    with pytest.raises(FetchError, match=r"No space left.*SETTLE_CACHE"):
        fetch()


def test_the_lock_holds_every_coordinate_of_the_versions() -> None:
    paths = {item.where for item in artifacts.locked()}
    for bundle in BUNDLES:
        for coordinate in bundle.coordinates:
            group, name, version, *_ = coordinate.split(":")
            start = f"{group.replace('.', '/')}/{name}/{version}/"
            assert any(path.startswith(start) for path in paths), coordinate


def test_kafka_is_of_one_version() -> None:
    """The resolver takes the nearest version; an old client once came in that way."""
    mixed = [i.where for i in artifacts.locked() if i.where.startswith("org/apache/kafka/")]
    assert mixed
    assert all(f"/{KAFKA}/" in where for where in mixed)


def test_the_lock_names_no_host_and_every_platform() -> None:
    bundles = {item.bundle for item in artifacts.locked()}
    assert all(f"postgres-{platform}" in bundles for platform in POSTGRES_PLATFORMS)
    assert all("//" not in item.where and len(item.sha256) == 64 for item in artifacts.locked())
