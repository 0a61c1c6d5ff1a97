"""Where the jobs run and what they are given: SETTLE_JOBS_*, or the properties of a managed application."""

from __future__ import annotations

import json
import os
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from flink_jobs.errors import JobsSettingsError

# Managed Service for Apache Flink puts the application's properties here; nowhere else does the file exist.
APPLICATION_PROPERTIES = Path("/etc/flink/application_properties.json")
PROPERTY_GROUP = "settle.jobs"


class JobsSettings(BaseSettings):
    """The defaults are the local stack's."""

    model_config = SettingsConfigDict(env_prefix="SETTLE_JOBS_", extra="ignore")

    flink_url: str = "http://127.0.0.1:8081"
    # Empty: the client that comes with the apache-flink package, which lacks the connectors.
    flink_home: str = ""
    checkpoint_seconds: int = Field(default=5, ge=1, le=3600)
    parallelism: int = Field(default=2, ge=1, le=1024)
    # Writers per dataset: every writer leaves one file per checkpoint, and many small files slow the loader.
    stage_writers: int = Field(default=1, ge=1, le=256)
    stage_uri: str = "s3://settle-stage"
    checkpoint_uri: str = "s3://settle-flink/checkpoints"
    savepoint_uri: str = "s3://settle-flink/savepoints"
    # Further properties of every Kafka client, NAME=VALUE, comma separated; for MSK the IAM login module.
    kafka_properties: str = ""
    # Above the longest checkpoint plus the longest outage to survive, below the broker's own limit
    # (transaction.max.timeout.ms, 15 minutes by default): past it the broker drops what a job that is away
    # had written and not yet committed.
    transaction_timeout_seconds: int = Field(default=600, ge=60, le=3600)

    @field_validator("flink_url", "stage_uri", "checkpoint_uri", "savepoint_uri")
    @classmethod
    def _no_slash(cls, value: str) -> str:
        return value.rstrip("/")

    def kafka_extra(self) -> dict[str, str]:
        """`kafka_properties` as pairs."""
        pairs = [one.partition("=") for one in self.kafka_properties.split(",") if one.strip()]
        return {name.strip(): value.strip() for name, _, value in pairs}


class StoreSettings(BaseSettings):
    """The object store that holds checkpoints; unset means the platform's own credentials."""

    model_config = SettingsConfigDict(env_prefix="SETTLE_S3_", extra="ignore")

    endpoint: str | None = None
    access_key: str | None = None
    secret_key: SecretStr | None = None


@lru_cache(maxsize=1)
def jobs_settings() -> JobsSettings:
    """This process's settings, read once."""
    return load_settings()


def load_settings(properties: Path = APPLICATION_PROPERTIES) -> JobsSettings:
    """Properties of the managed application where there are any, the environment otherwise."""
    try:
        return JobsSettings(**application_properties(properties))
    except ValidationError as error:
        said = "; ".join(
            f"{'.'.join('SETTLE_JOBS_' + str(part).upper() for part in one['loc'])}: {one['msg']}"
            for one in error.errors()
        )
        raise JobsSettingsError(said) from None


def application_properties(path: Path = APPLICATION_PROPERTIES) -> dict[str, Any]:
    """The group settle.jobs of application_properties.json; empty where there is no such file.

    Names of other rooms' settings (SETTLE_BUS_…) may stand in the same group: they go to the environment,
    which is where those rooms look.
    """
    try:
        groups = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise JobsSettingsError(f"{path}: {error}") from error
    try:
        found = {group["PropertyGroupId"]: group["PropertyMap"] for group in groups}
    except (KeyError, TypeError) as error:
        raise JobsSettingsError(f"{path}: expected a list of PropertyGroupId and PropertyMap") from error
    given: dict[str, str] = found.get(PROPERTY_GROUP, {})
    ours = {name: value for name, value in given.items() if not name.startswith("SETTLE_")}
    os.environ.update({name: value for name, value in given.items() if name.startswith("SETTLE_")})
    unknown = set(ours) - set(JobsSettings.model_fields)
    if unknown:
        raise JobsSettingsError(f"{path}: {PROPERTY_GROUP} has no {', '.join(sorted(unknown))}")
    return ours
