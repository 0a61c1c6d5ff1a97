"""The one place that speaks to Snowflake's connector: sessions, statements, and names for errors."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Any, NamedTuple

from snowflake_loader.errors import WarehouseRefused, WarehouseUnreachable
from snowflake_loader.settings import SnowflakeSettings, load

if TYPE_CHECKING:
    from collections.abc import Sequence

    from snowflake.connector import SnowflakeConnection

# The connector asks the clouds' metadata addresses at each login which of them it runs on; outside a cloud
# that costs seconds and tells nothing.
os.environ.setdefault("SNOWFLAKE_DISABLE_PLATFORM_DETECTION", "true")

# The connector repeats a request that got no answer until this many seconds have passed, and its own default
# is for ever: a warehouse that is away must become an error that the loop can wait for.
NETWORK_TIMEOUT_SECONDS = 120
LOGIN_TIMEOUT_SECONDS = 20

# Answers of the kind "not now": session gone, table locked, statement cancelled, stage not answering.
_COME_BACK = {390104, 390111, 390112, 390114, 390195, 604, 625, 57014, 91003}


class Answer(NamedTuple):
    """What a statement returned: rows with the column names in lower case, and the id to find it by."""

    rows: list[dict[str, Any]]
    query_id: str


def connect(
    settings: SnowflakeSettings | None = None, *, query_tag: str = "settlestream"
) -> SnowflakeConnection:
    """Open a session with the account that the SNOWFLAKE_* variables name; placeholders are `?`."""
    import snowflake.connector  # half a second of imports that other commands need not pay

    logging.getLogger("snowflake.connector").setLevel(logging.ERROR)
    settings = settings or load(SnowflakeSettings)
    options: dict[str, Any] = {
        "account": settings.account,
        "user": settings.user,
        "database": settings.database,
        "schema": settings.schema_name,
        "warehouse": settings.warehouse,
        "role": settings.role,
        "paramstyle": "qmark",
        "login_timeout": LOGIN_TIMEOUT_SECONDS,
        "network_timeout": NETWORK_TIMEOUT_SECONDS,
        "application": "settlestream",
        "session_parameters": {
            "QUERY_TAG": query_tag,
            "TIMEZONE": "UTC",
            "CLIENT_OUT_OF_BAND_TELEMETRY_ENABLED": False,
            "CLIENT_TELEMETRY_ENABLED": False,
        },
    }
    if settings.host:
        options |= {"host": settings.host, "port": settings.port, "protocol": settings.protocol}
    if settings.private_key_file:
        options |= {"authenticator": "SNOWFLAKE_JWT", "private_key_file": str(settings.private_key_file)}
        if settings.private_key_passphrase:
            options["private_key_file_pwd"] = settings.private_key_passphrase.get_secret_value()
    elif settings.password:
        options["password"] = settings.password.get_secret_value()
    try:
        return snowflake.connector.connect(**options)
    except snowflake.connector.errors.Error as error:
        where = settings.host or settings.account
        raise _named(error, f"cannot log in to {where} as {settings.user}") from error


def run(session: SnowflakeConnection, sql: str, values: Sequence[Any] = ()) -> Answer:
    """Run one statement to its end; every error leaves here under this room's own name."""
    import snowflake.connector

    try:
        with session.cursor() as cursor:
            cursor.execute(sql, tuple(values) or None)
            names = [column.name.lower() for column in cursor.description or ()]
            rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
            return Answer(rows, cursor.sfqid or "")
    except snowflake.connector.errors.Error as error:
        raise _named(error, sql.strip().split("\n", 1)[0][:80]) from error
    except (OSError, EOFError) as error:
        raise WarehouseUnreachable(f"the warehouse went away: {error}") from error


def _named(error: Any, doing: str) -> WarehouseRefused | WarehouseUnreachable:
    """Decide here, and only here, whether waiting helps."""
    import snowflake.connector.errors as foreign

    text = f"{doing}: {str(error.msg or error).strip()[:2000]}"
    transient = (
        foreign.OperationalError,
        foreign.InterfaceError,
        foreign.InternalServerError,
        foreign.HttpError,
    )
    if error.errno in _COME_BACK or isinstance(error, transient):
        return WarehouseUnreachable(text)
    return WarehouseRefused(text)
