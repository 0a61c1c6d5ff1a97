"""The limit: a reader of a replication slot that does nothing but count what comes.

It does what `pg_recvlogical` does (the embedded binaries lack it): START_REPLICATION over libpq, take each
message, look at its first byte, answer keep-alives. No decoding, no conversion, no sending on. What it
reaches is what the server can give through one slot on this machine.
"""

from __future__ import annotations

import select
import struct
import time
from dataclasses import dataclass
from typing import Final

from psycopg import pq
from psycopg.conninfo import make_conninfo

from bench.errors import UnsoundError

_INSERT, _UPDATE, _DELETE = b"IUD"
# Bytes of an XLogData message before what the plugin wrote: 'w', two positions, a time.
_HEADER: Final = 25
_EPOCH_2000: Final = 946_684_800


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read and how long it took, from the first change to the last."""

    changes: int
    bytes: int
    seconds: float

    @property
    def rate(self) -> float:
        """Changes a second."""
        return self.changes / self.seconds if self.seconds else 0.0


def read_slot(dsn: str, slot: str, publication: str, changes: int, silence: float = 60.0) -> Reading:
    """Read from the slot until that many changes came; the slot keeps its position.

    1. Connect for replication and start at the slot's own position.
    2. Count inserts, updates and deletes; answer keep-alives without confirming anything.
    3. Stop at the expected number; too long a silence before it is an error.
    """
    conn = pq.PGconn.connect(make_conninfo(dsn, replication="database").encode())
    try:
        if conn.status != pq.ConnStatus.OK:
            raise UnsoundError(f"the bare reader cannot connect: {conn.get_error_message()}")
        started = conn.exec_(  # 1
            f'START_REPLICATION SLOT "{slot}" LOGICAL 0/0 '
            f"(proto_version '1', publication_names '{publication}')".encode()
        )
        if started.status != pq.ExecStatus.COPY_BOTH:
            raise UnsoundError(f"the bare reader cannot read {slot}: {started.get_error_message()}")
        return _count(conn, changes, silence)
    finally:
        conn.finish()


def _count(conn: pq.abc.PGconn, changes: int, silence: float) -> Reading:
    count = size = 0
    first = last = time.perf_counter()
    get, clock = conn.get_copy_data, time.perf_counter
    while count < changes:  # 3
        length, data = get(1)
        if length > 0:
            if data[0] == 119:  # 'w'
                kind = data[_HEADER]
                if kind in (_INSERT, _UPDATE, _DELETE):  # 2
                    if not count:
                        first = clock()
                    count += 1
                    size += length
            elif data[17]:  # 'k' that wants an answer
                conn.put_copy_data(_alive())
                conn.flush()
        elif length == 0:
            if not select.select([conn.socket], [], [], silence)[0]:
                raise UnsoundError(f"the slot gave {count} of {changes} changes and fell silent")
            conn.consume_input()
        else:
            raise UnsoundError(f"the slot ended after {count} of {changes}: {conn.get_error_message()}")
    last = clock()
    return Reading(count, size, last - first)


def _alive() -> bytes:
    """A status update that confirms nothing, so that the same backlog can be read again."""
    return struct.pack(">cQQQQb", b"r", 0, 0, 0, int((time.time() - _EPOCH_2000) * 1e6), 0)
