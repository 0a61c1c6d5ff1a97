"""How to reach everything and what to trust: SETTLE_INTAKE_* in the environment."""

from __future__ import annotations

from datetime import date  # noqa: TC003 - pydantic reads it
from functools import lru_cache
from typing import Literal, Self

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from webhook_intake.clients import Network, networks
from webhook_intake.errors import IntakeSettingsError

PREFIX = "SETTLE_INTAKE_"


class IntakeSettings(BaseSettings):
    """Addresses, secrets and the poll's rhythm; the defaults are the local stack's."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="ignore")

    dsn: SecretStr = SecretStr("postgresql://settle@127.0.0.1:5442/settle_ops")
    host: str = "127.0.0.1"
    port: int = Field(default=5111, ge=1, le=65535)

    # Requests a minute from one source: a gateway's route and the client's address. The next get 429.
    rate_per_minute: int = Field(default=1000, ge=1)
    # Networks of the proxies in front, with commas between them: only they are believed X-Forwarded-For.
    trusted_proxies: str = ""

    # A gateway without a secret is not served: its route answers 404.
    razorpay_webhook_secret: SecretStr = SecretStr("")
    razorpay_webhook_secret_previous: SecretStr = SecretStr("")
    payu_key: str = ""
    payu_salt: SecretStr = SecretStr("")
    payu_salt_previous: SecretStr = SecretStr("")
    paytm_mid: str = ""
    paytm_merchant_key: SecretStr = SecretStr("")
    paytm_merchant_key_previous: SecretStr = SecretStr("")

    # A gateway without an address is not polled.
    razorpay_api_url: str = ""
    razorpay_key_id: str = ""
    razorpay_key_secret: SecretStr = SecretStr("")
    payu_api_url: str = ""
    paytm_api_url: str = ""

    # Seconds between two looks at the gateways' reports; 0 turns the poller off.
    poll_seconds: float = Field(default=300, ge=0)
    # A day that brought nothing new is asked for again after twice the time, up to this many seconds.
    reread_seconds: float = Field(default=3600, ge=0)
    # How many days before the cursor are read again: gateways change lines of past days.
    poll_overlap_days: int = Field(default=3, ge=0, le=60)
    # The first day ever asked for; without it a first poll begins `poll_overlap_days` ago.
    poll_from: date | None = None
    # Seconds between two looks at the gateways' lists of payments and refunds; 0 turns them off.
    gap_seconds: float = Field(default=300, ge=0)
    # Payments younger than this are left to their webhooks, which may be on the way.
    gap_grace_seconds: float = Field(default=300, ge=0)
    # Seconds before the last look that are read again each time; the days of `poll_overlap_days` are read
    # again every `reread_seconds`: gateways list by creation, and a payment may be captured days later.
    gap_overlap_seconds: float = Field(default=3600, ge=0)
    # What "today" is for the poller: the wall clock, or the greatest `at` on calendar.ticks.
    clock: Literal["wall", "ticks"] = "wall"
    # Rows per page; the gateways' own limits are 1000, 50000 and 20.
    razorpay_page_size: int = Field(default=1000, ge=1, le=1000)
    payu_page_size: int = Field(default=5000, ge=1, le=50_000)
    paytm_page_size: int = Field(default=20, ge=1, le=20)

    @model_validator(mode="after")
    def _pairs_fit(self) -> Self:
        pairs = [
            ("PAYU_KEY", bool(self.payu_key), "PAYU_SALT", _set(self.payu_salt)),
            ("PAYTM_MID", bool(self.paytm_mid), "PAYTM_MERCHANT_KEY", _set(self.paytm_merchant_key)),
            (
                "RAZORPAY_KEY_ID",
                bool(self.razorpay_key_id),
                "RAZORPAY_KEY_SECRET",
                _set(self.razorpay_key_secret),
            ),
        ]
        for one, has_one, other, has_other in pairs:
            if has_one != has_other:
                raise ValueError(f"{PREFIX}{one} and {PREFIX}{other} belong together: set both or none")
        for name, key in (
            ("PAYTM_MERCHANT_KEY", self.paytm_merchant_key),
            ("PAYTM_MERCHANT_KEY_PREVIOUS", self.paytm_merchant_key_previous),
        ):
            if _set(key) and len(key.get_secret_value().encode()) not in (16, 24, 32):
                raise ValueError(f"{PREFIX}{name} must be 16, 24 or 32 bytes: it is an AES key")
        return self

    @field_validator("trusted_proxies")
    @classmethod
    def _are_networks(cls, value: str) -> str:
        networks(value)
        return value

    def proxies(self) -> tuple[Network, ...]:
        """The networks whose X-Forwarded-For is believed."""
        return networks(self.trusted_proxies)

    def secrets(self, name: str) -> tuple[str, ...]:
        """The secret called `name`, current first, then the previous one where it is still accepted."""
        both: tuple[SecretStr, SecretStr] = (getattr(self, name), getattr(self, f"{name}_previous"))
        return tuple(one.get_secret_value() for one in both if _set(one))


def _set(secret: SecretStr) -> bool:
    return bool(secret.get_secret_value())


@lru_cache(maxsize=1)
def intake_settings() -> IntakeSettings:
    """This process's settings, read once."""
    return load_settings()


def load_settings() -> IntakeSettings:
    """Read the environment now; the error names the variables, never a secret's value."""
    try:
        return IntakeSettings()
    except ValidationError as error:
        said = "; ".join(
            f"{'.'.join(PREFIX + str(part).upper() for part in found['loc'])} {found['msg']}".strip()
            for found in error.errors()
        )
        raise IntakeSettingsError(said) from None
