"""The payment company's own tables: how their rows begin and how they end.

Column order is that of world/source.sql. Where a row goes through several states, the first is what the
INSERT writes and the last is what both Postgres and the warehouse must hold in the end.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from world.model import SALE_DAYS, Sale, World, at_ist, rupees

if TYPE_CHECKING:
    from collections.abc import Iterator

    from world.model import Merchant

MERCHANTS: Final = "merchant_data"
TRANSACTIONS: Final = "transactions_to_settle"
RESPONSES: Final = "payment_gateway_response"

COLUMNS: Final = {
    MERCHANTS: ("merchant_id", "merchant_name", "settlement_cycle", "status", "account_number", "updated_at"),
    TRANSACTIONS: (
        "transaction_id",
        "merchant_id",
        "order_ref",
        "gateway",
        "method",
        "amount",
        "currency",
        "status",
        "refunded_amount",
        "paid_at",
        "updated_at",
        "note",
    ),
    RESPONSES: (
        "response_id",
        "transaction_id",
        "gateway",
        "gateway_txn_id",
        "response_code",
        "response_message",
        "bank_ref",
        "received_at",
    ),
}

Row = tuple[Any, ...]

_SIGNED_UP: Final = at_ist(SALE_DAYS[0], 0) - timedelta(days=200)
_RENAMED: Final = at_ist(SALE_DAYS[1], 15 * 3600, 250_000)
_ANSWERS: Final = {
    "SUCCESS": ("00", "Approved"),
    "FAILED": ("U30", "Debit has failed"),
    "PENDING": ("U67", "Awaited"),
}


def first_merchants(world: World) -> Iterator[Row]:
    """Before anybody is renamed."""
    for merchant in world.merchants:
        yield _merchant(merchant, merchant.name, _SIGNED_UP)


def last_merchants(world: World) -> Iterator[Row]:
    """As they are called in the end."""
    for merchant in world.merchants:
        if merchant.later_name is None:
            yield _merchant(merchant, merchant.name, _SIGNED_UP)
        else:
            yield _merchant(merchant, merchant.later_name, _RENAMED)


def _merchant(merchant: Merchant, name: str, at: datetime) -> Row:
    return merchant.merchant_id, name, merchant.cycle, "ACTIVE", merchant.account, at


def first_transaction(sale: Sale) -> Row:
    """As the sale is first written down: pending, under the key it is born with."""
    return _transaction(sale, sale.born_as or sale.transaction_id, "PENDING", 0, sale.paid_at)


def decided_transaction(sale: Sale) -> Row:
    """As it stands once the sale is decided, before refunds, deletes and changed keys."""
    at = sale.paid_at if sale.status == "PENDING" else sale.decided_at
    return _transaction(sale, sale.born_as or sale.transaction_id, sale.status, 0, at)


def last_transactions(world: World) -> Iterator[Row]:
    """What is left in the end."""
    for sale in world.sales:
        if not sale.deleted:
            yield _transaction(sale, sale.transaction_id, sale.status, sale.refunded, sale.updated_at)


def _transaction(sale: Sale, key: str, status: str, refunded: int, at: datetime) -> Row:
    return (
        key,
        sale.merchant.merchant_id,
        sale.order_ref,
        sale.merchant.gateway,
        sale.method,
        rupees(sale.paise),
        "INR",
        status,
        rupees(refunded),
        sale.paid_at,
        at,
        sale.note,
    )


def responses(world: World) -> Iterator[tuple[Sale, Row]]:
    """The gateways' answers to us at the time of sale, never changed afterwards; UPI has none to store."""
    for number, sale in enumerate(world.sales, 1):
        if sale.method == "upi" and sale.status == "SUCCESS":
            continue
        code, message = _ANSWERS[sale.status]
        capture = sale.captures[0] if sale.captures else None
        yield (
            sale,
            (
                number,
                sale.transaction_id,
                sale.merchant.gateway,
                capture.entity_id if capture else None,
                code,
                message,
                capture.rrn if capture else None,
                sale.decided_at,
            ),
        )


def last_rows(world: World) -> dict[str, list[Row]]:
    """Every source table as it must be in the end, in Postgres and in the warehouse's mirror alike."""
    return {
        MERCHANTS: list(last_merchants(world)),
        TRANSACTIONS: list(last_transactions(world)),
        RESPONSES: [row for _, row in responses(world)],
    }
