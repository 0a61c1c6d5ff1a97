"""Addresses and secrets of the local stack as the environment variables that every part reads.

In production the platform sets these; nothing else differs.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from stack import install, secrets
from stack.ports import LOOPBACK, Ports

if TYPE_CHECKING:
    from stack.home import Home

BUCKETS = ("settle-raw", "settle-stage", "settle-flink")


def variables(home: Home, ports: Ports) -> dict[str, str]:
    secret = secrets.load(home)
    postgres = ports.address("postgres")
    ops = f"postgresql://settle:{secret['settle_password']}@{postgres}/settle_ops"
    s3 = {
        "ENDPOINT": ports.url("s3"),
        "ACCESS_KEY": secret["s3_access_key"],
        "SECRET_KEY": secret["s3_secret_key"],
    }
    rooms = ("SETTLE_S3", "SETTLE_BRIDGE_S3")
    warehouse = {
        "ACCOUNT": "local",
        "USER": "settle",
        "PASSWORD": secret["warehouse_password"],
        "HOST": LOOPBACK,
        "PORT": str(ports["warehouse"]),
        "PROTOCOL": "http",
        "DATABASE": "SETTLE",
        "SCHEMA": "PUBLIC",
        "WAREHOUSE": "SETTLE",
        "ROLE": "SETTLE",
    }
    return {
        "SETTLE_BUS_BOOTSTRAP_SERVERS": ports.address("kafka"),
        "SETTLE_BUS_REGISTRY_URL": f"{ports.url('registry')}/apis/ccompat/v7",
        "SETTLE_BUS_REPLICATION": "1",
        "SETTLE_OPS_DSN": ops,
        "SETTLE_BRIDGE_DSN": ops,
        "SETTLE_INTAKE_DSN": ops,
        "SETTLE_SOURCE_DSN": f"postgresql://payments:{secret['payments_password']}@{postgres}/sabpaisa",
        "SETTLE_SOURCE_HOST": LOOPBACK,
        "SETTLE_SOURCE_PORT": str(ports["postgres"]),
        "SETTLE_SOURCE_DATABASE": "sabpaisa",
        "SETTLE_DEBEZIUM_USER": "debezium",
        "SETTLE_DEBEZIUM_PASSWORD": secret["debezium_password"],
        **{f"{room}_{key}": value for room in rooms for key, value in s3.items()},
        "SETTLE_BRIDGE_SFTP_HOST": LOOPBACK,
        "SETTLE_BRIDGE_SFTP_PORT": str(ports["sftp_axis"]),
        "SETTLE_BRIDGE_KEYS_DIR": str(home.secrets / "sftp"),
        "SETTLE_BRIDGE_POLL_SECONDS": "1",
        # On one machine the day is played, not lived through.
        "SETTLE_BRIDGE_CLOCK": "ticks",
        "SETTLE_INTAKE_CLOCK": "ticks",
        "SETTLE_BRIDGE_HEALTH_PORT": str(ports["bridge"]),
        "SETTLE_INTAKE_PORT": str(ports["webhooks"]),
        "SETTLE_INTAKE_RAZORPAY_WEBHOOK_SECRET": secret["razorpay_webhook_secret"],
        "SETTLE_INTAKE_RAZORPAY_KEY_ID": secret["razorpay_key_id"],
        "SETTLE_INTAKE_RAZORPAY_KEY_SECRET": secret["razorpay_key_secret"],
        "SETTLE_INTAKE_PAYU_KEY": secret["payu_key"],
        "SETTLE_INTAKE_PAYU_SALT": secret["payu_salt"],
        "SETTLE_INTAKE_PAYTM_MERCHANT_KEY": secret["paytm_merchant_key"],
        "SETTLE_INTAKE_PAYTM_MID": secret["paytm_mid"],
        "SETTLE_INTAKE_RAZORPAY_API_URL": f"{ports.url('gateways')}/razorpay",
        "SETTLE_INTAKE_PAYU_API_URL": f"{ports.url('gateways')}/payu",
        "SETTLE_INTAKE_PAYTM_API_URL": f"{ports.url('gateways')}/paytm",
        "SETTLE_INTAKE_POLL_SECONDS": "2",
        # The demo is three gateways' whole day from one address, sent as fast as it is taken.
        "SETTLE_INTAKE_RATE_PER_MINUTE": "1000000",
        "SETTLE_GATEWAYS_PORT": str(ports["gateways"]),
        "SETTLE_GATEWAYS_URL": ports.url("gateways"),
        "SETTLE_GATEWAYS_DATA": str(home.data / "gateways"),
        "SETTLE_JOBS_FLINK_URL": ports.url("flink"),
        "SETTLE_JOBS_FLINK_HOME": str(install.flink_home()),
        "SETTLE_JOBS_CHECKPOINT_SECONDS": "5",
        # On two cores a second instance of everything is only more to switch between.
        "SETTLE_JOBS_PARALLELISM": "1",
        "SETTLE_JOBS_STAGE_URI": "s3://settle-stage",
        "FLINK_HOME": str(install.flink_home()),
        "FLINK_CONF_DIR": str(home.run / "flink"),
        "JAVA_HOME": str(install.JAVA_HOME),
        **{f"SETTLE_LOADER_SNOWFLAKE_{key}": value for key, value in warehouse.items()},
        "SETTLE_WAREHOUSE_PORT": str(ports["warehouse"]),
        "SETTLE_WAREHOUSE_DATA": str(home.data / "warehouse"),
        "SETTLE_LOADER_STAGE_BUCKET": "settle-stage",
        "SETTLE_LOADER_HEALTH_PORT": str(ports["loader"]),
        "SETTLE_LOADER_POLL_SECONDS": "1",
        "SETTLE_CONNECT_URL": ports.url("connect"),
        "SETTLE_HOME": str(home.path),
    }


def known_offset(home: Home) -> int | None:
    """The port offset this home was last started with; None when it never was."""
    try:
        offset: int = json.loads((home.run / "stack.json").read_text())["port_offset"]
    except FileNotFoundError:
        return None
    return offset


def adopt(home: Home) -> None:
    """Point this process at the local stack, leaving alone what the user has set on purpose."""
    offset = known_offset(home)
    if offset is not None:
        for name, value in variables(home, Ports(offset)).items():
            os.environ.setdefault(name, value)
