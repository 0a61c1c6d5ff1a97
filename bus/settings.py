"""How to reach the brokers and the schema registry: SETTLE_BUS_* in the environment."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from bus.errors import BusSettingsError


class BusSettings(BaseSettings):
    """Addresses and credentials; the defaults are the local stack's."""

    model_config = SettingsConfigDict(env_prefix="SETTLE_BUS_", extra="ignore")

    bootstrap_servers: str = "127.0.0.1:9192"
    registry_url: str = "http://127.0.0.1:8281/apis/ccompat/v7"
    replication: int = Field(default=1, ge=1, le=7)

    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = ""
    sasl_username: str = ""
    sasl_password: SecretStr = SecretStr("")
    ssl_ca_location: str = ""
    registry_username: str = ""
    registry_password: SecretStr = SecretStr("")

    @model_validator(mode="after")
    def _credentials_fit_the_protocol(self) -> Self:
        wants_sasl = self.security_protocol.startswith("SASL_")
        has_sasl = bool(self.sasl_mechanism and self.sasl_username and self.sasl_password.get_secret_value())
        if wants_sasl and not has_sasl:
            raise ValueError(
                f"SETTLE_BUS_SECURITY_PROTOCOL={self.security_protocol} needs SETTLE_BUS_SASL_MECHANISM, "
                "SETTLE_BUS_SASL_USERNAME and SETTLE_BUS_SASL_PASSWORD"
            )
        if not wants_sasl and (self.sasl_mechanism or self.sasl_username):
            raise ValueError(
                "SETTLE_BUS_SASL_* are set but "
                f"SETTLE_BUS_SECURITY_PROTOCOL={self.security_protocol} would not use them"
            )
        return self

    @property
    def min_insync_replicas(self) -> int:
        """Two copies before an acknowledgement wherever there are three."""
        return 2 if self.replication >= 3 else 1

    def client(self) -> dict[str, str]:
        """What every Kafka client needs to connect."""
        config = {
            "bootstrap.servers": self.bootstrap_servers,
            "security.protocol": self.security_protocol,
        }
        if self.sasl_mechanism:
            config |= {
                "sasl.mechanism": self.sasl_mechanism,
                "sasl.username": self.sasl_username,
                "sasl.password": self.sasl_password.get_secret_value(),
            }
        if self.ssl_ca_location:
            config["ssl.ca.location"] = self.ssl_ca_location
        return config


def bus_settings() -> BusSettings:
    """What the environment says now; the error names the variables, never a secret's value."""
    try:
        return BusSettings()
    except ValidationError as error:
        said = "; ".join(
            f"{'.'.join(('SETTLE_BUS_' + str(part).upper()) for part in found['loc'])} "
            f"{found['msg'].removeprefix('Value error, ')}".strip()
            for found in error.errors()
        )
        raise BusSettingsError(said) from None
