"""ISO 20022 camt.053, versions 02 to 13: one movement per booked entry, read as a stream.

A document type declaration is refused before anything in it counts, so no entity is ever expanded. Lines mean
nothing in XML: `line` is the number of the entry.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, BinaryIO
from xml.etree.ElementTree import ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import iterparse

from settlement.money import ZERO
from sftp_bridge.errors import FileRefusedError
from sftp_bridge.movements import Movement, Totals
from sftp_bridge.readers.reader import Reader, Words, balance_agrees, plain_amount, same_currency

if TYPE_CHECKING:
    from collections.abc import Iterator
    from decimal import Decimal
    from xml.etree.ElementTree import Element

    from sftp_bridge.formats import Camt053

# Other messages, such as the camt.052 of the same bank, would give a file without a single entry.
_ROOT = re.compile(r"\{urn:iso:std:iso:20022:tech:xsd:camt\.053\.001\.(0[2-9]|1[0-3])\}Document", re.ASCII)
_DIRECTIONS = {"CRDT": "CR", "DBIT": "DR"}
# What stands in a reference that nobody gave.
_NOTHING = "NOTPROVIDED"
_BOOKED = "BOOK"
# Bytes from one entry's end to the next one's. An entry is held whole; one of ten thousand transactions has
# some ten megabytes, and without a limit a single element could take all the memory there is.
_ENTRY_BYTES = 16 * 1024 * 1024


@dataclass(slots=True)
class _Stmt:
    """One statement of the document, as far as it was read."""

    balances: dict[str, Decimal] = field(default_factory=dict)
    booked: Totals = field(default_factory=Totals)
    # Booked or not: what the summary counts.
    listed: Totals = field(default_factory=Totals)
    summary: dict[str, Decimal | int] = field(default_factory=dict)


class _Fed:
    """The file as the parser reads it, never too much of it between two entries."""

    def __init__(self, raw: BinaryIO) -> None:
        self._raw = raw
        self.since_entry = 0

    def read(self, size: int) -> bytes:
        """The next bytes."""
        chunk = self._raw.read(size)
        self.since_entry += len(chunk)
        if self.since_entry > _ENTRY_BYTES:
            raise FileRefusedError(f"more than {_ENTRY_BYTES} bytes without the end of an entry")
        return chunk


class Camt053Reader(Reader):
    """Entries are dropped from memory as soon as they are movements."""

    def __init__(self, raw: BinaryIO, layout: Camt053, business_date: date) -> None:
        super().__init__()
        self._fed = _Fed(raw)
        self._layout = layout
        self._words = Words(layout, layout.columns, business_date)
        self._stmt = _Stmt()
        self._statements = 0

    def close(self) -> None:
        """Nothing is held."""

    def _movements(self) -> Iterator[Movement]:
        try:
            yield from self._document()
        except DefusedXmlException as error:
            raise FileRefusedError(
                "the file declares a document type or entities; a bank statement has no use for either",
                line=self.line or None,
            ) from error
        except ParseError as error:
            raise FileRefusedError(
                f"not well-formed, or cut short: {error}", line=self.line or None
            ) from error
        except (LookupError, ValueError) as error:
            raise FileRefusedError(f"not readable as XML: {error}", line=self.line or None) from error

    def _document(self) -> Iterator[Movement]:
        above: list[Element] = []
        for event, element in iterparse(self._fed, events=("start", "end"), forbid_dtd=True):
            if event == "start":
                if not above and not _ROOT.fullmatch(element.tag):
                    raise FileRefusedError(f"{element.tag} where a camt.053 document was agreed", line=1)
                above.append(element)
                continue
            above.pop()
            name = _name(element)
            if _DEPTH.get(name) != len(above):
                continue
            self._fed.since_entry = 0
            if name == "Ntry":
                yield from self._entry(element)
            elif name == "Bal":
                self._balance(element)
            elif name == "TxsSummry":
                self._summary(element)
            elif name == "Stmt":
                self._close()
            above[-1].remove(element)
        if not self._statements:
            raise FileRefusedError("no statement in it", line=self.line)

    def _entry(self, entry: Element) -> Iterator[Movement]:
        self.line += 1
        self.excerpt = " ".join(text.strip() for text in entry.itertext() if text.strip())[:500]
        direction, amount = self._money(entry)
        day = _text(entry, "ValDt/Dt") or _text(entry, "ValDt/DtTm") or _text(entry, "BookgDt/Dt")
        value_date = self._day(day or _text(entry, "BookgDt/DtTm"))
        cells = _cells(entry, self._layout)
        movement = self._words.movement(cells, self.line, direction, amount, value_date)
        self._stmt.listed.add(movement)
        if (_text(entry, "Sts/Cd") or _text(entry, "Sts")) != _BOOKED:
            return
        self._stmt.booked.add(movement)
        self._words.near(value_date, self.line, "ValDt")
        if not self._words.skips(cells):
            yield movement

    def _balance(self, balance: Element) -> None:
        direction, amount = self._money(balance)
        kind = _text(balance, "Tp/CdOrPrtry/Cd")
        self._stmt.balances.setdefault(kind, amount if direction == "CR" else -amount)

    def _summary(self, summary: Element) -> None:
        for name in ("TtlNtries", "TtlCdtNtries", "TtlDbtNtries"):
            if count := _text(summary, f"{name}/NbOfNtries"):
                self._stmt.summary[f"{name}/NbOfNtries"] = int(count)
            if total := _text(summary, f"{name}/Sum"):
                self._stmt.summary[f"{name}/Sum"] = plain_amount(total, self.line, f"{name}/Sum")

    def _close(self) -> None:
        """Balances, and what the statement says it holds, beside what was read."""
        stmt, self._stmt = self._stmt, _Stmt()
        self._statements += 1
        opening = stmt.balances.get("OPBD", stmt.balances.get("PRCD"))
        closing = stmt.balances.get("CLBD")
        if opening is None or closing is None:
            raise FileRefusedError(
                f"an opening (OPBD or PRCD) and a closing balance (CLBD) were expected, found"
                f" {sorted(stmt.balances)}",
                line=self.line,
                column="Bal",
            )
        balance_agrees(opening, stmt.booked, closing, self.line, "CLBD")
        listed = stmt.listed
        parsed = {
            "TtlNtries/NbOfNtries": listed.count,
            "TtlNtries/Sum": listed.credit_total + listed.debit_total,
            "TtlCdtNtries/NbOfNtries": listed.credit_count,
            "TtlCdtNtries/Sum": listed.credit_total,
            "TtlDbtNtries/NbOfNtries": listed.debit_count,
            "TtlDbtNtries/Sum": listed.debit_total,
        }
        for name, claimed in stmt.summary.items():
            if claimed != parsed[name]:
                raise FileRefusedError(
                    f"the summary says {claimed}, the entries say {parsed[name]}", line=self.line, column=name
                )

    def _money(self, element: Element) -> tuple[str, Decimal]:
        amount = _find(element, "Amt")
        direction = _text(element, "CdtDbtInd")
        if amount is None or direction not in _DIRECTIONS:
            raise FileRefusedError(
                "an amount without Amt or CdtDbtInd", line=self.line, column=_name(element)
            )
        same_currency(amount.get("Ccy", ""), self._layout, self.line, "Amt")
        return _DIRECTIONS[direction], plain_amount((amount.text or "").strip(), self.line, "Amt") + ZERO

    def _day(self, text: str) -> date:
        try:
            return date.fromisoformat(text[:10])
        except ValueError as error:
            raise FileRefusedError(f"{text!r} is no date", line=self.line, column="ValDt") from error


# How many elements stand above each that is looked at: Document, BkToCstmrStmt, Stmt.
_DEPTH = {"Stmt": 2, "Bal": 3, "TxsSummry": 3, "Ntry": 3}


def _cells(entry: Element, layout: Camt053) -> list[str]:
    """The entry's own words first; a transaction's where the entry holds exactly one."""
    details = [one for part in entry if _name(part) == "NtryDtls" for one in part if _name(one) == "TxDtls"]
    single = details[0] if len(details) == 1 else None
    cells = []
    for column in layout.columns:
        texts = [_text(entry, column)]
        if single is not None:
            texts += [_text(single, f"Refs/{column}"), _text(single, column)]
        if column == "Ustrd" and single is not None:
            remittance = _find(single, "RmtInf")
            texts = [
                " ".join(
                    (one.text or "").strip()
                    for one in (remittance if remittance is not None else ())
                    if _name(one) == "Ustrd"
                )
            ]
        cells.append(next((text for text in texts if text and text != _NOTHING), ""))
    return cells


def _name(element: Element) -> str:
    return element.tag.rpartition("}")[2]


def _find(element: Element, path: str) -> Element | None:
    found: Element | None = element
    for step in path.split("/"):
        found = next((one for one in found if _name(one) == step), None) if found is not None else None
    return found


def _text(element: Element, path: str) -> str:
    found = _find(element, path)
    return (found.text or "").strip() if found is not None else ""
