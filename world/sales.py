"""What was sold, what became of it, and what the gateways captured: the PAYMENT level by construction.

1. Every merchant sells on both days; the rest of the sales fall where chance puts them.
2. Every known difference is given to sales of its own, chosen by chance, so no sale has two stories.
3. What is left succeeds, or fails, and agrees.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from world.model import SALE_DAYS, Capture, Merchant, Plan, Refund, Sale, at_ist

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime
    from random import Random

    from world.references import References

_METHODS: Final = ("upi", "upi", "upi", "upi", "card", "card", "netbanking", "wallet")
# Sales of an ordinary day: from six in the morning, and done before anything could cross midnight.
_OPEN: Final = 6 * 3600
_OPEN_FOR: Final = 16 * 3600 + 2400
# Of the sales that are free to fall where they like: what streams costs every room more than what the
# connector finds as its snapshot, and two cores are to be done within three minutes.
_SECOND_DAY: Final = 0.15
_MINUTE_BEFORE_MIDNIGHT: Final = 24 * 3600 - 60


class Sales:
    """Makes the sales of one world."""

    def __init__(self, rng: Random, ids: References, plan: Plan, merchants: list[Merchant]) -> None:
        self._rng, self._ids, self._plan, self._merchants = rng, ids, plan, merchants
        self.unknown: list[Capture] = []
        self.sales: list[Sale] = []

    def make(self) -> None:
        """All of them, numbered as in the module's docstring."""
        # 1.
        count = len(self._merchants)
        for number in range(self._plan.sales):
            who = number // 2 if number < 2 * count else int(self._rng.random() * count)
            day = number % 2 if number < 2 * count else int(self._rng.random() < _SECOND_DAY)
            self.sales.append(self._sale(number, self._merchants[who], day))
        # 2. The sales that make sure every merchant has a payout on both days stay plain where possible.
        free = self._free(2 * count if self._plan.sales > 4 * count else 0)
        self._differences(free)
        self._happenings(free)
        # 3.
        for sale in self.sales:
            if sale.status == "SUCCESS" and not sale.captures and sale.outcome == "MATCHED":
                sale.captures.append(self._capture(sale))
        self._notices()
        for _ in range(self._plan.outcomes["MISSING_IN_SYSTEM"]):
            self._unknown()

    def _free(self, first: int) -> dict[int, Iterator[Sale]]:
        chosen = self.sales[first:]
        self._rng.shuffle(chosen)
        return {day: iter([sale for sale in chosen if sale.day == day]) for day in (0, 1)}

    def _sale(self, number: int, merchant: Merchant, day: int) -> Sale:
        rng = self._rng
        chance = rng.random()
        if chance < 0.8:
            paise = 10_000 + int(rng.random() * 490_000)
        elif chance < 0.99:
            paise = 500_000 + int(rng.random() * 4_500_000)
        else:
            paise = 5_000_000 + int(rng.random() * 45_000_000)
        on = SALE_DAYS[day]
        paid_at = at_ist(on, _OPEN + int(rng.random() * _OPEN_FOR), int(rng.random() * 1000) * 1000)
        return Sale(
            transaction_id=f"TXN{on:%y%m%d}{number + 1:07d}",
            merchant=merchant,
            order_ref=f"ORD-{merchant.merchant_id[3:]}-{number + 1:07d}",
            method=_METHODS[int(chance * 8)],
            paise=paise,
            day=day,
            paid_at=paid_at,
            status="SUCCESS",
            outcome="MATCHED",
            decided_at=paid_at
            + timedelta(seconds=5 + int(rng.random() * 85), microseconds=int(rng.random() * 1e6)),
        )

    def _capture(self, sale: Sale, *, ok: bool = True, seconds: int | None = None) -> Capture:
        lag = 1 + int(self._rng.random() * 4) if seconds is None else seconds
        return Capture(
            gateway=sale.merchant.gateway,
            entity_id=self._entity(sale.merchant.gateway, sale.day),
            transaction_id=sale.transaction_id,
            merchant_id=sale.merchant.merchant_id,
            order_ref=sale.order_ref,
            method=sale.method,
            paise=sale.paise,
            at=sale.paid_at.replace(microsecond=0) + timedelta(seconds=lag),
            ok=ok,
            rrn=self._ids.rrn(SALE_DAYS[sale.day]),
        )

    def _entity(self, gateway: str, day: int) -> str:
        if gateway == "razorpay":
            return self._ids.razorpay("pay")
        return self._ids.payu() if gateway == "payu" else self._ids.paytm(SALE_DAYS[day])

    def _differences(self, free: dict[int, Iterator[Sale]]) -> None:
        stories: dict[str, Callable[[Sale, int], None]] = {
            "AMOUNT_MISMATCH": self._amount,
            "DATE_MISMATCH": self._date,
            "MERCHANT_MISMATCH": self._merchant,
            "STATUS_MISMATCH": self._status,
            "DUPLICATE_IN_GATEWAY": self._duplicate,
            "MISSING_IN_GATEWAY": self._silent,
            "AWAITING_GATEWAY": self._awaited,
        }
        # The first day is closed in the end, the second is not; and a payment of 23:59 needs a next day.
        days = {"MISSING_IN_GATEWAY": 0, "AWAITING_GATEWAY": 1, "DATE_MISMATCH": 0}
        for outcome, story in stories.items():
            for number in range(self._plan.outcomes[outcome]):
                sale = next(free[days.get(outcome, number % 2)])
                sale.outcome = outcome
                story(sale, number)

    def _amount(self, sale: Sale, number: int) -> None:
        capture = self._capture(sale)
        if number % 3 == 2:  # a refund that the gateway never heard of
            sale.refunded = sale.paise // 4
            sale.refunded_at = self._later(sale)
        else:
            capture.paise += (1 if number % 2 else -1) * (1 + int(self._rng.random() * 5000))
        sale.captures.append(capture)

    def _date(self, sale: Sale, number: int) -> None:  # noqa: ARG002 - every story is told alike
        sale.paid_at = at_ist(SALE_DAYS[0], _MINUTE_BEFORE_MIDNIGHT + int(self._rng.random() * 50))
        sale.decided_at = sale.paid_at + timedelta(seconds=75)
        sale.captures.append(self._capture(sale, seconds=70))

    def _merchant(self, sale: Sale, number: int) -> None:  # noqa: ARG002
        capture = self._capture(sale)
        alike = [
            m for m in self._merchants[:200] if m.gateway == sale.merchant.gateway and m != sale.merchant
        ]
        capture.merchant_id = self._rng.choice(alike).merchant_id
        sale.captures.append(capture)

    def _status(self, sale: Sale, number: int) -> None:
        kind = number % 3
        if kind == 0:  # we say paid, the gateway failed
            sale.captures.append(self._capture(sale, ok=False))
        else:
            sale.status = ("FAILED", "PENDING")[kind - 1]
            sale.captures.append(self._capture(sale))

    def _duplicate(self, sale: Sale, number: int) -> None:  # noqa: ARG002
        sale.captures += [self._capture(sale), self._capture(sale, seconds=40)]

    def _silent(self, sale: Sale, number: int) -> None:
        pass

    def _awaited(self, sale: Sale, number: int) -> None:
        if number % 2:  # neither side knows yet how it ends
            sale.status = "PENDING"

    def _happenings(self, free: dict[int, Iterator[Sale]]) -> None:
        """Failures, refunds, deletes, changed keys, long notes: they agree in the end."""
        counts = self._plan.counts
        for number in range(counts["failed"]):
            sale = next(free[number % 2])
            sale.status = "FAILED"
            if number % 5 < 3:  # payment.failed may never come; nothing is owed either way
                sale.captures.append(self._capture(sale, ok=False))
        for number in range(counts["refunds"]):
            sale = next(free[number % 2])
            sale.refunded = (
                sale.paise if number % 10 < 3 else 100 + int(self._rng.random() * (sale.paise - 200))
            )
            sale.refunded_at = self._later(sale)
            capture = self._capture(sale)
            capture.refund = self._refund(sale)
            sale.captures.append(capture)
        for number in range(counts["deleted_captured"]):
            sale = next(free[number % 2])
            sale.deleted, sale.outcome = True, "MISSING_IN_SYSTEM"
            sale.captures.append(self._capture(sale))
        for number in range(counts["deleted_quietly"]):
            sale = next(free[number % 2])
            sale.deleted, sale.outcome, sale.status = True, None, "FAILED"
        for number in range(counts["key_changes"]):
            sale = next(free[number % 2])
            sale.born_as = sale.transaction_id.replace("TXN", "TMP")
        for number in range(counts["long_notes"]):
            # Too long and too random to be kept in the row: Postgres moves it out (TOAST), and an update
            # of another column does not repeat it in the log.
            sale = next(free[number % 2])
            sale.note = "₹ " + "".join(f"{self._rng.getrandbits(64):016x}" for _ in range(600))

    def _refund(self, sale: Sale) -> Refund:
        at = sale.refunded_at or sale.decided_at
        number = self._ids.number()
        entity = {"razorpay": self._ids.razorpay("rfnd"), "payu": str(130_000_000 + number)}
        return Refund(
            entity.get(sale.merchant.gateway, f"RF{number:012d}"), sale.refunded, at.replace(microsecond=0)
        )

    def _later(self, sale: Sale) -> datetime:
        """Some hours after the sale."""
        seconds = 600 + int(self._rng.random() * 40_000)
        return sale.decided_at + timedelta(seconds=seconds)

    def _notices(self) -> None:
        """How the gateways' notices travel: with a step before, out of order, twice."""
        captured = [c for s in self.sales for c in s.captures if c.ok]
        counts = self._plan.counts
        # Only Razorpay tells an authorization apart from a capture.
        for capture in self._rng.sample(
            [c for c in captured if c.gateway == "razorpay"], counts["authorized_first"]
        ):
            capture.authorized_first = True
        authorized = [c for c in captured if c.authorized_first]
        refunded = [c for c in captured if c.refund]
        half = counts["out_of_order"] // 2
        for capture in authorized[: counts["out_of_order"] - half] + refunded[:half]:
            capture.out_of_order = True
        for capture in self._rng.sample(captured, counts["twice"]):
            capture.twice = True

    def _unknown(self) -> None:
        """Captured at the gateway; our side never wrote it down."""
        rng = self._rng
        merchant = self._merchants[int(rng.random() * len(self._merchants))]
        number = self._ids.number()
        day = int(rng.random() * 2)
        sale = self._sale(9_000_000 - 1 + number, merchant, day)
        self.unknown.append(self._capture(sale))
