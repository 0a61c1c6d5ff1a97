"""How this room reaches its neighbours: SETTLE_BRIDGE_* in the environment.

Where a bridge variable is not set, the one that all rooms share on a machine (SETTLE_OPS_DSN,
SETTLE_S3_*) is taken; the defaults are the local stack's.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal, Self

from pydantic import AliasChoices, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from sftp_bridge.banks import BANKS_DIR
from sftp_bridge.errors import BridgeSettingsError

_CHECKOUT = Path(__file__).resolve().parent.parent


def _shared(own: str, shared: str) -> AliasChoices:
    return AliasChoices(f"SETTLE_BRIDGE_{own}", shared)


def _home() -> Path:
    return Path(os.environ.get("SETTLE_HOME") or _CHECKOUT / ".settle")


def _local_keys() -> Path:
    return _home() / "secrets" / "sftp"


def _local_spool() -> Path:
    return _home() / "data" / "bridge"


class BridgeSettings(BaseSettings):
    """Addresses, credentials and pace of the bridge."""

    model_config = SettingsConfigDict(env_prefix="SETTLE_BRIDGE_", extra="ignore", populate_by_name=True)

    dsn: SecretStr = Field(
        default=SecretStr("postgresql://settle@127.0.0.1:5442/settle_ops"),
        validation_alias=_shared("DSN", "SETTLE_OPS_DSN"),
    )

    # Unset endpoint and keys: boto3's own chain, as in production.
    s3_endpoint: str | None = Field(
        default=None, validation_alias=_shared("S3_ENDPOINT", "SETTLE_S3_ENDPOINT")
    )
    s3_access_key: str | None = Field(
        default=None, validation_alias=_shared("S3_ACCESS_KEY", "SETTLE_S3_ACCESS_KEY")
    )
    s3_secret_key: SecretStr | None = Field(
        default=None, validation_alias=_shared("S3_SECRET_KEY", "SETTLE_S3_SECRET_KEY")
    )
    s3_bucket: str = "settle-raw"
    # How the store is told to encrypt what the archive keeps: the raw files have card numbers in them. Unset,
    # the bucket's own default counts.
    s3_sse: Literal["AES256", "aws:kms", "aws:kms:dsse"] | None = None
    # The KMS key's ARN or id; unset, the account's own key for S3.
    s3_kms_key: str | None = None

    banks_dir: Path = BANKS_DIR
    keys_dir: Path = Field(default_factory=_local_keys)
    # Where large files lie while they are worked on, and from where a broken transfer goes on.
    spool_dir: Path = Field(default_factory=_local_spool)
    # Set on one machine: every bank's server stands here, on this port plus the bank's local_port_offset.
    sftp_host: str | None = None
    sftp_port: int | None = Field(default=None, ge=1, le=65000)

    # wall: the bridge itself publishes business time. ticks: it only follows calendar.ticks.
    clock: Literal["wall", "ticks"] = "wall"
    poll_seconds: float = Field(default=60.0, gt=0, le=3600)
    # Hour in India at which yesterday is closed: gateways have then had their night to settle and report.
    close_hour: int = Field(default=12, ge=0, le=23)
    health_port: int = Field(default=5106, ge=0, le=65535)

    # Put before every topic and transactional id, so that tests beside a running bridge keep to themselves.
    topic_prefix: str = Field(default="", pattern=r"^[\w.-]*$")
    # Tests only: the process kills itself when it reaches this step; see crash_points.
    crash_at: str | None = None

    @model_validator(mode="after")
    def _whole_pairs(self) -> Self:
        if (self.sftp_host is None) != (self.sftp_port is None):
            raise ValueError("SETTLE_BRIDGE_SFTP_HOST and SETTLE_BRIDGE_SFTP_PORT belong together")
        if (self.s3_access_key is None) != (self.s3_secret_key is None):
            raise ValueError("the S3 access key and secret key belong together")
        if self.s3_kms_key is not None and self.s3_sse in (None, "AES256"):
            raise ValueError(
                "SETTLE_BRIDGE_S3_KMS_KEY needs SETTLE_BRIDGE_S3_SSE to be aws:kms or aws:kms:dsse"
            )
        return self

    @property
    def stored_with(self) -> dict[str, str]:
        """What every upload asks the store for."""
        asked = {"ServerSideEncryption": self.s3_sse, "SSEKMSKeyId": self.s3_kms_key}
        return {name: value for name, value in asked.items() if value is not None}

    @property
    def encryption(self) -> str:
        """How the archive is encrypted, for people."""
        if self.s3_sse is None:
            return "encrypted as the bucket's own default says"
        return f"encrypted with {self.s3_sse}" + (f" by {self.s3_kms_key}" if self.s3_kms_key else "")

    def topic(self, name: str) -> str:
        """The topic's full name."""
        return f"{self.topic_prefix}{name}"


def load_settings() -> BridgeSettings:
    """Read the environment now; the error names the variables, never a secret's value."""
    try:
        return BridgeSettings()
    except ValidationError as error:
        said = "; ".join(
            f"{'.'.join(str(part) for part in found['loc'])} {found['msg']}".strip()
            for found in error.errors(include_input=False, include_url=False)
        )
        raise BridgeSettingsError(f"SETTLE_BRIDGE_*: {said}") from None
