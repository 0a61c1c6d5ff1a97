"""Reading what gateways write: text, times without a zone, forms, and JSON without floats."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl

from settlement.calendar import IST
from settlement.errors import SettlementError
from settlement.money import parse_amount, quantize
from settlement.references import normalise_utr
from webhook_intake.errors import MalformedError, UnreadableError

# A form of ours has under a hundred fields; a body of a million "&" would otherwise cost a second of parsing.
_MOST_FIELDS = 500


def text(row: dict[str, Any], name: str) -> str:
    """A field that must be there."""
    found = maybe(row, name)
    if found is None:
        raise UnreadableError(f"{name} is missing")
    return found


def maybe(row: dict[str, Any], name: str) -> str | None:
    """A field that may be missing, null or empty."""
    found = row.get(name)
    if found is None or found == "":
        return None
    if isinstance(found, str):
        if "\0" in found:
            # Postgres keeps no such text, and no gateway means it.
            raise UnreadableError(f"{name} holds a NUL character")
        return found.strip() or None
    if isinstance(found, int | Decimal) and not isinstance(found, bool):
        return str(found)
    raise UnreadableError(f"{name} is {type(found).__name__}, expected text")


def rupees(row: dict[str, Any], name: str, *, places: int = 2, missing: Decimal | None = None) -> Decimal:
    """An amount in rupees; `missing` stands in for one that is not there."""
    found = row.get(name)
    if (found is None or found == "") and missing is not None:
        return missing
    try:
        return parse_amount(found, places=places)
    except SettlementError as error:
        raise UnreadableError(f"{name}: {error}") from error


def rounded(amount: Decimal) -> Decimal:
    """To the paisa."""
    return quantize(amount)


def normal_utr(raw: str | None) -> str | None:
    """A UTR as it is matched; None where there is none."""
    try:
        return normalise_utr(raw)
    except SettlementError as error:
        raise UnreadableError(str(error)) from error


def moment(row: dict[str, Any], name: str) -> datetime:
    """A time in one of ISO's spellings; without a zone it is Indian time."""
    said = text(row, name)
    try:
        at = datetime.fromisoformat(said)
    except ValueError as error:
        raise UnreadableError(f"{name}: {said!r} is not a time") from error
    return at if at.tzinfo else at.replace(tzinfo=IST)


def from_epoch(row: dict[str, Any], name: str) -> datetime:
    """A time in seconds since 1970."""
    found = row.get(name)
    if isinstance(found, bool) or not isinstance(found, int):
        raise UnreadableError(f"{name}: {found!r} is not a time in seconds")
    try:
        return datetime.fromtimestamp(found, UTC)
    except (OverflowError, ValueError, OSError) as error:
        raise UnreadableError(f"{name}: {found!r} is not a time in seconds") from error


def form(body: bytes) -> dict[str, str]:
    """A form's fields; one that says a name twice is refused, since a signature stands over one value."""
    if not body:
        raise MalformedError("the form is empty")
    try:
        pairs = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=True,
            max_num_fields=_MOST_FIELDS,
            errors="strict",
        )
    except ValueError as error:
        raise MalformedError(f"not a form: {type(error).__name__}") from None
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise MalformedError("a field is given twice")
    return fields


def json_object(body: bytes) -> dict[str, Any]:
    """A JSON object whose fractions are Decimal."""
    try:
        found = json.loads(body, parse_float=Decimal)
    except (ValueError, RecursionError) as error:
        raise MalformedError(f"not JSON: {type(error).__name__}") from None
    if not isinstance(found, dict):
        raise MalformedError("not a JSON object")
    return found


def is_json(content_type: str) -> bool:
    """Does the sender call it JSON? PayU and Paytm send forms and JSON to one address."""
    return content_type.split(";", 1)[0].strip().lower().endswith("json")
