"""What people and consoles read of the bridge in the operational Postgres, beside its ledger.

sp_v2_bank_configs             the descriptions, as a bridge runs them; written at its start
sp_v2_sftp_connector_health    each bank's last poll; written behind it
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from psycopg.types.json import Jsonb

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from sftp_bridge.counts import Counts
    from sftp_bridge.database import Database


def put_configs(database: Database, folder: Path, banks: Sequence[Mapping[str, Any]]) -> None:
    """The folder's descriptions; a bank that was described there and is no more, is inactive.

    Other folders' banks are another bridge's.
    """
    with database.transaction() as connection:
        # In one order, so that two bridges that start at once do not wait for each other.
        for bank in sorted(banks, key=lambda one: str(one["bank"])):
            connection.execute(
                "INSERT INTO sp_v2_bank_configs AS kept (bank, server, host, port, account, key, host_key,"
                " outbox, processed, names, cutoffs, time_zone, grace_minutes, complete, checksum, unpack,"
                " unpack_keys, formats, sha256, folder, files_per_cutoff, early_minutes, calendar)"
                " VALUES (%(bank)s, %(server)s, %(host)s, %(port)s, %(account)s, %(key)s, %(host_key)s,"
                " %(outbox)s, %(processed)s, %(names)s, %(cutoffs)s, %(time_zone)s, %(grace_minutes)s,"
                " %(complete)s, %(checksum)s, %(unpack)s, %(unpack_keys)s, %(formats)s, %(sha256)s,"
                " %(folder)s, %(files_per_cutoff)s, %(early_minutes)s, %(calendar)s)"
                " ON CONFLICT (bank) DO UPDATE SET server = excluded.server, host = excluded.host,"
                " port = excluded.port, account = excluded.account, key = excluded.key,"
                " host_key = excluded.host_key, outbox = excluded.outbox, processed = excluded.processed,"
                " names = excluded.names, cutoffs = excluded.cutoffs, time_zone = excluded.time_zone,"
                " grace_minutes = excluded.grace_minutes, complete = excluded.complete,"
                " checksum = excluded.checksum,"
                " unpack = excluded.unpack, unpack_keys = excluded.unpack_keys,"
                " formats = excluded.formats, sha256 = excluded.sha256,"
                " files_per_cutoff = excluded.files_per_cutoff, early_minutes = excluded.early_minutes,"
                " calendar = excluded.calendar,"
                " since = CASE WHEN kept.active AND kept.sha256 = excluded.sha256 THEN kept.since"
                " ELSE now() END,"
                " active = true, folder = excluded.folder, updated_at = now()",
                {
                    **bank,
                    "formats": Jsonb(bank["formats"]),
                    "calendar": Jsonb(bank["calendar"]),
                    "folder": str(folder.resolve()),
                },
            )
        connection.execute(
            "UPDATE sp_v2_bank_configs SET active = false, updated_at = now()"
            " WHERE active AND folder = %s AND bank <> ALL(%s)",
            (str(folder.resolve()), [bank["bank"] for bank in banks]),
        )


def put_health(database: Database, bank: str, server: str, counts: Counts) -> None:
    """One bank's last poll. What this process has not seen yet, such as a success, stays as it was told."""
    database.execute(
        "INSERT INTO sp_v2_sftp_connector_health AS kept (bank, server, state, problem, last_poll,"
        " last_success, failures_in_a_row, last_error, last_error_at, outbox_waiting, outbox_unrecognised)"
        " VALUES (%(bank)s, %(server)s, %(state)s, %(problem)s, %(last_poll)s, %(last_success)s,"
        " %(failures_in_a_row)s, %(last_error)s, %(last_error_at)s, %(outbox_waiting)s,"
        " %(outbox_unrecognised)s)"
        " ON CONFLICT (bank) DO UPDATE SET server = excluded.server, state = excluded.state,"
        " problem = excluded.problem, last_poll = excluded.last_poll,"
        " last_success = coalesce(excluded.last_success, kept.last_success),"
        " failures_in_a_row = excluded.failures_in_a_row,"
        " last_error = coalesce(excluded.last_error, kept.last_error),"
        " last_error_at = coalesce(excluded.last_error_at, kept.last_error_at),"
        " outbox_waiting = excluded.outbox_waiting, outbox_unrecognised = excluded.outbox_unrecognised,"
        " updated_at = now()",
        {"bank": bank, "server": server, **counts.health()},
    )
