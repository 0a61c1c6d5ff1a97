"""Where the warehouse and the stage are, and how the loader behaves; all of it from the environment."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - pydantic reads the annotation at run time
from typing import Self, TypeVar

from pydantic import AliasChoices, AliasGenerator, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from snowflake_loader.errors import SettingsError

_Group = TypeVar("_Group", bound=BaseSettings)


def _names(*prefixes: str) -> AliasGenerator:
    """This room's own variable first, then the one that other tools use for the same thing."""
    return AliasGenerator(
        validation_alias=lambda field: AliasChoices(
            *(f"{prefix}{field.removesuffix('_name').upper()}" for prefix in prefixes)
        )
    )


class SnowflakeSettings(BaseSettings):
    """The account. A key file (production) or a password (the local warehouse), never both."""

    model_config = SettingsConfigDict(
        alias_generator=_names("SETTLE_LOADER_SNOWFLAKE_", "SNOWFLAKE_"), populate_by_name=True
    )

    account: str = "settle"
    user: str = "settle"
    password: SecretStr | None = None
    private_key_file: Path | None = None
    private_key_passphrase: SecretStr | None = None
    # Empty in production, where the connector makes the address from the account.
    host: str | None = None
    port: int = 443
    protocol: str = "https"
    database: str = "SETTLE"
    schema_name: str = "PUBLIC"
    warehouse: str | None = None
    role: str | None = None

    @model_validator(mode="after")
    def _one_way_in(self) -> Self:
        if (self.password is None) == (self.private_key_file is None):
            raise ValueError("set SETTLE_LOADER_SNOWFLAKE_PASSWORD or …_PRIVATE_KEY_FILE, one of the two")
        return self


class StageSettings(BaseSettings):
    """S3. Without an endpoint and keys the AWS client's own chain of credentials is used."""

    model_config = SettingsConfigDict(
        alias_generator=_names("SETTLE_LOADER_S3_", "SETTLE_S3_"), populate_by_name=True
    )

    endpoint: str | None = None
    access_key: str | None = None
    secret_key: SecretStr | None = None
    region: str = "us-east-1"


class LoaderSettings(BaseSettings):
    """How eagerly files are taken. The defaults suit a warehouse that bills by the second it is awake."""

    model_config = SettingsConfigDict(env_prefix="SETTLE_LOADER_")

    stage_bucket: str = "settle-stage"
    # The external stage's name in the warehouse; it points at the bucket.
    stage: str = "SETTLE_STAGE"
    # Who may read the bucket in the account's name; made once, see deploy/.
    storage_integration: str = "SETTLE_S3"
    # Pause between two listings when nothing was found.
    poll_seconds: float = Field(60.0, gt=0)
    # A file younger than this may wait for company, so that one merge serves many files; 0 loads at once.
    gather_seconds: float = Field(0.0, ge=0)
    # One COPY takes at most 1,000 named files in Snowflake.
    max_files: int = Field(1000, ge=1, le=1000)
    # Snowflake's own advice is 100 to 250 MB for each load; more makes a failed batch dear to repeat.
    max_bytes: int = Field(250_000_000, ge=1)
    # Landing tables of this size keep one merge within the memory of a small warehouse.
    max_rows: int = Field(2_000_000, ge=1)
    # Datasets loaded at the same time. Two overlap one's S3 reads with the other's merge.
    parallel: int = Field(2, ge=1, le=16)
    # A file that fails alone this often is parked until somebody says `settle load retry`.
    attempts: int = Field(3, ge=1)
    health_port: int = Field(5112, ge=0, le=65535)
    # Test hook: the name of the step after which the process kills itself; see snowflake_loader/crash.py.
    crash_at: str | None = None

    @property
    def stage_url(self) -> str:
        return f"s3://{self.stage_bucket}/"


def load(kind: type[_Group]) -> _Group:
    """Read one group of settings, or say in one sentence which variable is wrong."""
    try:
        return kind()
    except ValidationError as error:
        prefix = kind.model_config.get("env_prefix", "")
        faults = "; ".join(
            " ".join([*(f"{prefix}{part}:".upper() for part in fault["loc"]), fault["msg"]])
            for fault in error.errors(include_input=False, include_url=False)
        )
        raise SettingsError(f"environment: {faults}") from None
