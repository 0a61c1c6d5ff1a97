"""The project's own long-running parts, and the stand-ins for gateways and Snowflake."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import snowflake.connector

from stack.server import (
    HEALTH_SECONDS,
    LOOPBACK,
    Command,
    Context,
    Server,
    http_get,
    python_environment,
    settle,
)

if TYPE_CHECKING:
    from snowflake.connector import SnowflakeConnection


class Ours(Server):
    """`python -m MODULE` in this checkout, with the stack's environment."""

    module: str

    def command(self, context: Context) -> Command:
        return Command([sys.executable, "-m", self.module], python_environment(context))

    def check(self, context: Context) -> None:
        http_get(context, self.ports[0], "/health")


class Gateways(Ours):
    name = "gateways"
    title = "Gateways (stand-in)"
    module = "stack.gateways"
    ports = ("gateways",)


class Warehouse(Ours):
    name = "warehouse"
    title = "Warehouse"
    module = "stack.warehouse"
    needs = ("s3",)
    ports = ("warehouse",)

    def __init__(self) -> None:
        self._session: SnowflakeConnection | None = None  # one login, then one statement each time

    def check(self, context: Context) -> None:
        try:
            if self._session is None:
                self._session = self._log_in(context)
            self._session.cursor().execute("SELECT 1", timeout=HEALTH_SECONDS)
        except Exception:
            self._session = None
            raise

    def after_start(self, context: Context) -> None:
        """Tables before anybody loads into one."""
        settle(context, "warehouse", "apply")

    def _log_in(self, context: Context) -> SnowflakeConnection:
        variables = context.environment
        return snowflake.connector.connect(
            account=variables["SETTLE_LOADER_SNOWFLAKE_ACCOUNT"],
            user=variables["SETTLE_LOADER_SNOWFLAKE_USER"],
            password=variables["SETTLE_LOADER_SNOWFLAKE_PASSWORD"],
            host=LOOPBACK,
            port=context.ports["warehouse"],
            protocol="http",
            login_timeout=HEALTH_SECONDS,
            network_timeout=HEALTH_SECONDS,
            session_parameters={"CLIENT_OUT_OF_BAND_TELEMETRY_ENABLED": False},
        )


class Bridge(Ours):
    name = "bridge"
    title = "Bank file bridge"
    module = "sftp_bridge"
    needs = ("postgres", "kafka", "registry", "s3", "sftp")
    ports = ("bridge",)


class Intake(Ours):
    name = "intake"
    title = "Webhook intake"
    module = "webhook_intake"
    needs = ("postgres", "kafka", "registry", "gateways")
    ports = ("webhooks",)


class Loader(Ours):
    name = "loader"
    title = "Warehouse loader"
    module = "snowflake_loader"
    needs = ("s3", "warehouse")
    ports = ("loader",)
