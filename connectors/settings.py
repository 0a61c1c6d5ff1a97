"""Where Connect and the source database are: SETTLE_CONNECT_URL and SETTLE_SOURCE_DSN."""

from __future__ import annotations

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from connectors.errors import ConfigError


class ConnectorsSettings(BaseSettings):
    """Addresses; the defaults are the local stack's."""

    model_config = SettingsConfigDict(env_prefix="SETTLE_CONNECT_", extra="ignore")

    url: str = Field(default="http://127.0.0.1:8083", pattern=r"^https?://")
    # The slot is looked at from outside Connect: a connector that hangs cannot be asked how it is.
    source_dsn: SecretStr = Field(default=SecretStr(""), validation_alias="SETTLE_SOURCE_DSN")


def load_settings() -> ConnectorsSettings:
    """Read the environment now; the error names the variable, never its value."""
    try:
        return ConnectorsSettings()
    except ValidationError as error:
        said = "; ".join(f"SETTLE_CONNECT_{str(e['loc'][0]).upper()}: {e['msg']}" for e in error.errors())
        raise ConfigError(said) from None
