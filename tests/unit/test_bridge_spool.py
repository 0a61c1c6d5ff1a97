"""What came of a file before its transfer broke off is not fetched again."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from sftp_bridge.remote import Listed
from sftp_bridge.spool import OVERLAP, SPOOL_BYTES, Spool, SpoolFolder

if TYPE_CHECKING:
    from pathlib import Path

LARGE = Listed("AXIS_STMT_20260106_1130.csv", SPOOL_BYTES + 1, 1767675600)


def test_goes_on_where_it_was_but_for_its_end(tmp_path: Path) -> None:
    data = bytes(range(256)) * (OVERLAP // 64)
    first = SpoolFolder(tmp_path, "axis").spool(LARGE)
    assert first.resume() == b""
    first.take(data[: OVERLAP + 1000])
    first.close()
    second = SpoolFolder(tmp_path, "axis").spool(LARGE)
    assert second.resume() == data[1000 : OVERLAP + 1000]
    assert second.size == 1000
    second.take(data[1000:])
    assert second.sha256 == hashlib.sha256(data).hexdigest()
    with second.opened() as one, second.opened() as other:
        assert one.read(10) == data[:10]
        assert other.read() == data
    second.discard()
    assert not list(tmp_path.iterdir())


def test_begins_again_when_it_is_told_to(tmp_path: Path) -> None:
    spool = SpoolFolder(tmp_path, "axis").spool(LARGE)
    spool.take(b"x" * (OVERLAP + 5))
    spool.restart()
    spool.take(b"abc")
    assert (spool.size, spool.sha256) == (3, hashlib.sha256(b"abc").hexdigest())
    with spool.opened() as file:
        assert file.read() == b"abc"
    spool.discard()


def test_a_changed_file_is_another_and_what_nobody_lists_is_swept(tmp_path: Path) -> None:
    folder, other = SpoolFolder(tmp_path, "axis"), SpoolFolder(tmp_path, "hdfc")
    changed = Listed(LARGE.name, LARGE.size, LARGE.mtime + 1)
    for one in (folder.spool(LARGE), folder.spool(changed), folder.temporary(LARGE.size), other.spool(LARGE)):
        one.take(b"x")
        one.close()
    assert len(list(tmp_path.iterdir())) == 4
    folder.sweep([LARGE])
    kept = folder.spool(LARGE)
    assert kept.resume() == b"x"
    kept.close()
    assert sorted(path.name[:5] for path in tmp_path.iterdir()) == ["axis-", "hdfc-"]


def test_small_files_leave_nothing(tmp_path: Path) -> None:
    small = SpoolFolder(tmp_path, "axis").spool(Listed("x", 10, 1))
    small.take(b"0123456789")
    assert small.opened().read() == b"0123456789"
    small.discard()
    assert not list(tmp_path.iterdir())
    assert Spool().resume() == b""
