"""Tolerances per gateway and bank: rules.yaml, and the SQL maps that stand in the views for them."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from flink_jobs.errors import JobFileError
from flink_jobs.sql import literal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

RULES_FILE = Path(__file__).parent / "rules.yaml"
DEFAULT = "default"


class Tolerances(BaseModel):
    """How far two stories may lie apart."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    amount: Decimal = Field(default=Decimal("0.00"), ge=0, decimal_places=2)
    percent: Decimal = Field(default=Decimal(0), ge=0, le=100, decimal_places=4)
    days: int = Field(default=0, ge=0, le=31)

    @field_validator("amount", "percent", mode="before")
    @classmethod
    def _no_floats(cls, value: object) -> object:
        if isinstance(value, float):
            # pydantic turns this one, and no TypeError, into an error that names the key.
            raise ValueError(  # noqa: TRY004
                "write amounts and percentages in quotes: a bare 0.1 is not exactly a tenth"
            )
        return value


class Rules(BaseModel):
    """One version of the rules."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: int = Field(ge=1, le=10**6)
    gateways: dict[str, Tolerances]
    banks: dict[str, Tolerances]

    @field_validator("gateways", "banks")
    @classmethod
    def _has_default(cls, value: dict[str, Tolerances]) -> dict[str, Tolerances]:
        if DEFAULT not in value:
            raise ValueError(f"needs an entry named {DEFAULT}")
        return value


def load_rules(path: Path = RULES_FILE) -> Rules:
    """Read the rules; the error names the file and the key."""
    try:
        return Rules.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, yaml.YAMLError) as error:
        raise JobFileError(f"{path}: {error}") from error
    except ValidationError as error:
        said = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        raise JobFileError(f"{path}: {said}") from error


def placeholders(rules: Rules) -> dict[str, str]:
    """What the rules put into the SQL.

    Maps, not a table: a join with a handful of rows would gather every payment of a gateway on one machine.
    """
    values = {"rules_version": str(rules.version)}
    for name, given in (("gateway", rules.gateways), ("bank", rules.banks)):
        usual = given[DEFAULT]
        values |= {
            f"{name}_amounts": _map(given, "amount"),
            f"{name}_percents": _map(given, "percent"),
            f"{name}_days": _map(given, "days"),
            f"default_{name}_amount": _amount(usual.amount),
            f"default_{name}_percent": _percent(usual.percent),
            f"default_{name}_days": str(usual.days),
        }
    return values


def _map(given: Mapping[str, Tolerances], field: str) -> str:
    writers: dict[str, Callable[[Any], str]] = {"amount": _amount, "percent": _percent, "days": str}
    write = writers[field]
    entries = (f"{literal(name)}, {write(getattr(one, field))}" for name, one in sorted(given.items()))
    return f"MAP[{', '.join(entries)}]"


def _amount(value: Decimal) -> str:
    return f"CAST('{value:.2f}' AS DECIMAL(18, 2))"


def _percent(value: Decimal) -> str:
    return f"CAST('{value:.4f}' AS DECIMAL(7, 4))"
