"""What the gateways pay out and what the banks show of it: the SETTLEMENT level by construction.

1. Captured payments and refunds become lines of payouts: one per gateway, merchant and day.
2. Every payout belongs to one statement file; the files with a story get enough payouts for it.
3. A file that never arrives, or is not due yet, decides the outcome of its payouts.
4. Known differences are given to payouts of arriving files; each payout has one story at most.
5. The statements are written, then the corrected file's first, wrong revision.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

from world.model import (
    ARRIVES_LATE,
    BANK_OF,
    CUTOFFS,
    IS_CORRECTED,
    NEVER_ARRIVES,
    NOT_DUE_YET,
    PAYOUT_DAYS,
    SALE_DAYS,
    BankLine,
    Capture,
    FileKey,
    Merchant,
    Payout,
    PayoutLine,
    Plan,
    Sale,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date
    from random import Random

    from world.references import References

# Per ten thousand of the amount; the tax on it is 18 %.
_FEES: Final = {"razorpay": 200, "payu": 180, "paytm": 150}
_WEIGHTS: Final = {"AXIS": (4, 2, 4), "HDFC": (4, 2, 2, 1), "ICICI": (5, 3)}
# Days on which some file of that bank is missing in the end, so a missing credit is not yet missing money.
_INCOMPLETE: Final = {key[:2] for key in (NEVER_ARRIVES, *NOT_DUE_YET)}


class Payouts:
    """Makes the payouts and statements of one world."""

    def __init__(self, rng: Random, ids: References, plan: Plan) -> None:
        self._rng, self._ids, self._plan = rng, ids, plan
        self.payouts: list[Payout] = []
        self.strays: list[BankLine] = []
        self.files: dict[FileKey, list[BankLine]] = {
            (bank, day, cutoff): []
            for day in PAYOUT_DAYS
            for bank, cutoffs in CUTOFFS.items()
            for cutoff in cutoffs
        }
        self.first_revision: list[BankLine] = []
        self._told: set[str] = set()  # settlement ids that have a story

    def make(self, merchants: list[Merchant], sales: list[Sale], unknown: list[Capture]) -> None:
        """All of them, numbered as in the module's docstring."""
        # 1.
        self._gather(merchants, [c for sale in sales for c in sale.captures] + unknown)
        # 2.
        self._fill_special_files()
        self._adjust()
        # 3.
        for payout in self.payouts:
            payout.found = payout.net
            if payout.file == NEVER_ARRIVES:
                payout.outcome, payout.found = "BANK_FILE_LATE", 0
            elif payout.file in NOT_DUE_YET:
                payout.outcome, payout.found = "AWAITING_BANK_FILE", 0
        self._spell_references()
        # 4.
        correction = self._correction()
        shuffled = self.payouts[:]
        self._rng.shuffle(shuffled)
        self._tell(shuffled)
        # 5.
        for payout in self.payouts:
            if payout.outcome not in ("BANK_FILE_LATE", "AWAITING_BANK_FILE", "MISSING_IN_BANK"):
                self._credit(payout)
        self._write_strays()
        self._write_first_revision(*correction)

    def _gather(self, merchants: list[Merchant], captures: list[Capture]) -> None:
        by_id = {merchant.merchant_id: merchant for merchant in merchants}
        groups: dict[tuple[str, int], list[Capture]] = defaultdict(list)
        for capture in captures:
            if capture.ok:
                # A sale is settled with the day it was made on; the two days have the two parities.
                groups[capture.merchant_id, int(capture.transaction_id[3:9]) % 2].append(capture)
        for (merchant_id, odd), mine in groups.items():
            merchant = by_id[merchant_id]
            day = PAYOUT_DAYS[(0 if odd else 1) + merchant.cycle - 1]
            bank = BANK_OF[merchant.gateway]
            cutoff = self._rng.choices(CUTOFFS[bank], _WEIGHTS[bank])[0]
            lines = [line for capture in mine for line in (self._payment(capture),)]
            net = sum(line.net for line in lines)
            for capture in mine:
                # A refund larger than the day's sales waits for another day's.
                if capture.refund and capture.refund.paise < net - 10_000:
                    net -= capture.refund.paise
                    paise = capture.refund.paise
                    lines.append(PayoutLine("REFUND", capture.refund.refund_id, capture, paise, 0, 0, -paise))
            settlement_id = self._settlement_id(merchant.gateway, day)
            utr = self._ids.utr(day, net)
            self.payouts.append(
                Payout(merchant.gateway, merchant, day, settlement_id, utr, (bank, day, cutoff), lines)
            )

    def _payment(self, capture: Capture) -> PayoutLine:
        fee = (capture.paise * _FEES[capture.gateway] + 5_000) // 10_000
        tax = (fee * 18 + 50) // 100
        net = capture.paise - fee - tax
        return PayoutLine("PAYMENT", capture.entity_id, capture, capture.paise, fee, tax, net)

    def _settlement_id(self, gateway: str, day: date) -> str:
        if gateway == "razorpay":
            return self._ids.razorpay("setl")
        return f"{'PU' if gateway == 'payu' else 'PT'}{day:%y%m%d}{self._ids.number():07d}"

    def _fill_special_files(self) -> None:
        counts = self._plan.counts
        corrected = counts["corrected_amounts"] + counts["corrected_utrs"] + counts["dropped_credits"] + 2
        wanted = {
            NEVER_ARRIVES: 1,
            ARRIVES_LATE: 2,
            IS_CORRECTED: corrected,
            NOT_DUE_YET[0]: 2,
            NOT_DUE_YET[1]: 1,
        }
        for key, least in wanted.items():
            there = sum(1 for payout in self.payouts if payout.file == key)
            for payout in self.payouts:
                if there >= least:
                    break
                if payout.file[:2] == key[:2] and payout.file not in wanted:
                    payout.file = key
                    there += 1
            if there < least:
                raise ValueError(
                    f"this world is too small: {'|'.join(map(str, key))} has {there} of {least} credits"
                )

    def _adjust(self) -> None:
        counts = self._plan.counts
        chosen = self._rng.sample(self.payouts, counts["adjustments"])
        for number, payout in enumerate(chosen):
            size = 1 + payout.net // 50
            paise = size if number % 3 == 2 else -size
            entity = {
                "razorpay": self._ids.razorpay("adj"),
                "payu": str(900_000_000 + self._ids.number()),
                "paytm": f"ADJ{self._ids.number():012d}",
            }[payout.gateway]
            without = number < counts["adjustments_without_utr"]
            payout.lines.append(PayoutLine("ADJUSTMENT", entity, None, abs(paise), 0, 0, paise, not without))

    def _spell_references(self) -> None:
        counts = self._plan.counts
        waiting = [p for p in self.payouts if p.outcome == "AWAITING_BANK_FILE"]
        for payout in waiting[: min(counts["no_utr_yet"], len(waiting) - 1)]:
            payout.utr = None
        lower = counts["lower_case_utr"]
        for payout in self.payouts:
            payout.raw_utr = payout.utr or ""
            if lower and payout.gateway == "razorpay" and payout.utr:
                payout.raw_utr = payout.utr.lower()
                lower -= 1

    def _correction(self) -> tuple[list[Payout], list[Payout], list[Payout]]:
        """Whose amount and whose reference the first revision gets wrong, and what it should not hold."""
        counts = self._plan.counts
        there = [p for p in self.payouts if p.file == IS_CORRECTED]
        self._told.update(p.settlement_id for p in there)
        one = counts["corrected_amounts"]
        two = one + counts["corrected_utrs"]
        three = two + counts["dropped_credits"]
        for payout in there[two:three]:
            payout.outcome, payout.found = "MISSING_IN_BANK", 0
        return there[:one], there[one:two], there[two:three]

    def _tell(self, shuffled: list[Payout]) -> None:
        wants = self._plan.payouts
        counts = self._plan.counts

        def take(count: int, fits: Callable[[Payout], bool]) -> list[Payout]:
            taken: list[Payout] = []
            for payout in shuffled:
                if len(taken) == count:
                    return taken
                plain = payout.outcome == "MATCHED" and payout.settlement_id not in self._told
                if plain and payout.file != ARRIVES_LATE and fits(payout):
                    self._told.add(payout.settlement_id)
                    taken.append(payout)
            if len(taken) < count:
                raise ValueError(
                    f"this world is too small: {count - len(taken)} payouts are wanting for their story"
                )
            return taken

        for payout in take(wants["MISSING_IN_BANK"], lambda p: p.file[:2] not in _INCOMPLETE):
            payout.outcome, payout.found = "MISSING_IN_BANK", 0
        for payout in take(wants["DATE_MISMATCH"], lambda p: p.on != PAYOUT_DAYS[-1]):
            payout.outcome = "DATE_MISMATCH"
        for number, payout in enumerate(take(wants["AMOUNT_MISMATCH"], lambda _: True)):
            payout.outcome = "AMOUNT_MISMATCH"
            short = 1 + int(self._rng.random() * min(9_999, payout.net // 2))
            payout.found = payout.net + (short if number % 4 == 3 else -short)
        for payout in take(wants["DUPLICATE_IN_BANK"], lambda _: True):
            payout.outcome, payout.found = "DUPLICATE_IN_BANK", 2 * payout.net
        self._reversed = {p.settlement_id for p in take(counts["reversed_credits"], lambda _: True)}
        for payout in take(counts["utr_later"], lambda _: True):
            payout.utr_later = True

    def _credit(self, payout: Payout) -> None:
        """The statement lines of one payout."""
        bank, day, _ = payout.file
        key, value_date = payout.file, day
        if payout.outcome == "DATE_MISMATCH":
            value_date = PAYOUT_DAYS[PAYOUT_DAYS.index(day) + 1]
            key = (bank, value_date, CUTOFFS[bank][0])
        utr = payout.utr or ""
        file = self.files[key]

        def line(direction: str, paise: int) -> None:
            file.append(BankLine(utr, payout.settlement_id, payout.gateway, direction, paise, value_date))

        if payout.outcome == "DUPLICATE_IN_BANK":
            line("CR", payout.net)
            line("CR", payout.net)
        elif payout.settlement_id in self._reversed:
            # A wrong credit, taken back, and the right one: in sum it fits.
            line("CR", payout.net + 100_00)
            line("DR", payout.net + 100_00)
            line("CR", payout.net)
        else:
            line("CR", payout.found)

    def _stray(self, key: FileKey) -> BankLine:
        bank, day, _ = key
        gateway = next(g for g, b in BANK_OF.items() if b == bank)
        paise = 100_000 + int(self._rng.random() * 900_000)
        return BankLine(
            self._ids.utr(day, paise), self._settlement_id(gateway, day), gateway, "CR", paise, day
        )

    def _write_strays(self) -> None:
        arriving = [
            k for k in self.files if k not in (NEVER_ARRIVES, ARRIVES_LATE, IS_CORRECTED, *NOT_DUE_YET)
        ]
        for _ in range(self._plan.payouts["MISSING_IN_GATEWAY"]):
            key = self._rng.choice(arriving)
            stray = self._stray(key)
            self.strays.append(stray)
            self.files[key].append(stray)

    def _write_first_revision(self, amounts: list[Payout], utrs: list[Payout], dropped: list[Payout]) -> None:
        wrong_amounts = {p.settlement_id for p in amounts}
        wrong_utrs = {p.settlement_id for p in utrs}
        day = IS_CORRECTED[1]
        lines = []
        for line in self.files[IS_CORRECTED]:
            if line.reference in wrong_amounts:
                lines.append(line._replace(paise=line.paise + 1 + int(self._rng.random() * 90_000)))
            elif line.reference in wrong_utrs:
                lines.append(line._replace(utr=self._ids.utr(day, line.paise)))
            else:
                lines.append(line)
        extra = [self._stray(IS_CORRECTED) for _ in range(self._plan.counts["dropped_strays"])]
        extra += [BankLine(p.utr or "", p.settlement_id, p.gateway, "CR", p.net, day) for p in dropped]
        for line in extra:
            # Anywhere but at the end, so that the lines after it move up in the second revision.
            lines.insert(int(self._rng.random() * len(lines)), line)
        self.first_revision = lines


assert SALE_DAYS[0].day % 2 == 1  # noqa: S101 - `_gather` tells the days apart by their parity
