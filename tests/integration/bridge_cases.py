"""Files as no bank should send them, and some good ones between them; what must become of each."""

from __future__ import annotations

import gzip
import hashlib
import io
import random
import zipfile
from dataclasses import dataclass
from datetime import timedelta

import openpyxl
import pysequoia

from settlement.masking import luhn
from sftp_bridge.revisions import State
from tests.integration.bridge_world import AXIS, CHECKOUT, DAY, axis

DATA = CHECKOUT / "tests" / "data"
# Megabytes that may come out of one layer of a packed file here.
LIMIT = 8
# Each case is a business file of its own: of a cutoff an hour, on some days.
CUTOFFS = [f"{hour:02}:00" for hour in range(24)]
PLACES = [f"{DAY + timedelta(days)} {cutoff}" for days in range(5) for cutoff in CUTOFFS]

OURS = pysequoia.Tsk.generate("settlement@example.invalid")
THEIRS = pysequoia.Tsk.generate("files@bank.invalid")
STRANGER = pysequoia.Tsk.generate("somebody@example.invalid")


def line(
    amount: str = "1.00",
    *,
    day: str = "06/01/2026",
    text: str = "NEFT/AXISCN1153863727/PAYU PAYMENTS/4711",
    sign: str = "CR",
) -> str:
    """One row of AXIS'."""
    return f"1,06/01/2026,{day},{text},{amount},{sign},1.00,,X\n"


def csv(*lines: str, trailer: str = "TRAILER,1,1.00,0.00\n") -> bytes:
    return (AXIS + "".join(lines) + trailer).encode()


def good(number: int) -> bytes:
    """Two credits of their own."""
    return axis((f"AXISCN9{number:09d}", "1.25"), (f"AXISCN8{number:09d}", "2.50"))


def zipped(*members: tuple[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return packed.getvalue()


def locked(content: bytes) -> bytes:
    """A zip that says its file has a password."""
    packed = bytearray(zipped(("a.csv", content)))
    packed[packed.index(b"PK\x01\x02") + 8] |= 1
    return bytes(packed)


def encrypted(
    content: bytes, to: pysequoia.Tsk = OURS, signer: pysequoia.Tsk | None = THEIRS, *, armor: bool = False
) -> bytes:
    return pysequoia.encrypt(
        content,
        recipients=[to.extract_certificate()],
        signer=signer.signer() if signer else None,
        armor=armor,
    )


def flipped(content: bytes, at: int) -> bytes:
    """With one bit changed on the way."""
    changed = bytearray(content)
    changed[at] ^= 1
    return bytes(changed)


def sheet(*rows: tuple[object, ...]) -> bytes:
    book = openpyxl.Workbook()
    assert book.active is not None
    book.active.title = "Settlements"
    for row in (("Settle Date", "UTR", "Net Amount", "Description"), *rows):
        book.active.append(row)
    written = io.BytesIO()
    book.save(written)
    return written.getvalue()


def golden(name: str, *changes: tuple[str, str]) -> bytes:
    content = (DATA / "golden" / "bank_files" / name).read_bytes()
    for old, new in changes:
        assert old.encode() in content
        content = content.replace(old.encode(), new.encode(), 1)
    return content


def sums_of(content: bytes, form: str = "{0}  name.csv\n") -> bytes:
    return form.format(hashlib.sha256(content).hexdigest()).encode()


def card(number: int) -> str:
    """A card number that nobody has, and no other test either."""
    body = f"4{random.Random(number).randrange(10**14):014d}"
    return next(body + last for last in "0123456789" if luhn(body + last))


PLAIN, SPACED, GLUED, IN_REFERENCE, REFUSED, IN_HEADER, IN_NAME = (card(number) for number in range(1, 8))
CARDS = [PLAIN, SPACED, GLUED, IN_REFERENCE, REFUSED, IN_HEADER, IN_NAME]


def spaced(number: str) -> str:
    return " ".join(number[at : at + 4] for at in range(0, 16, 4))


@dataclass(frozen=True)
class Case:
    """A file and what must become of it."""

    bank: str
    what: str
    content: bytes
    # None: refused, and why, and where.
    records: int | None
    says: str = ""
    line: int | None = None
    column: str | None = None
    checksum: bytes | None = None

    @property
    def state(self) -> State:
        return State.QUARANTINED if self.records is None else State.LOADED


def loaded(bank: str, what: str, content: bytes, records: int, checksum: bytes | None = None) -> Case:
    return Case(bank, what, content, records, checksum=checksum)


def refused(
    bank: str,
    what: str,
    content: bytes,
    says: str,
    line: int | None = None,
    column: str | None = None,
    *,
    checksum: bytes | None = None,
) -> Case:
    return Case(bank, what, content, None, says, line, column, checksum)


def with_utr(utr: str) -> bytes:
    return with_text(f"NEFT/{utr}/P/1")


def with_text(text: str) -> bytes:
    return csv(line(text=text))


def worth(amount: str) -> bytes:
    return csv(line(amount))


def dated(day: str) -> bytes:
    return csv(line(day=day))


def recoded(content: bytes, encoding: str) -> bytes:
    return content.decode().encode(encoding)


def with_cells(utr: object, amount: object) -> bytes:
    return sheet(("06/01/2026", utr, amount, "X"), ("TOTAL", 1, amount, 0))


def statement(*changes: tuple[str, str], signer: pysequoia.Tsk | None = THEIRS) -> bytes:
    """A camt.053, zipped, signed and encrypted."""
    return encrypted(zipped(("iso.xml", golden("camt053.xml", *changes))), signer=signer, armor=True)


AMOUNT, DATE, TEXT = "Amount(INR)", "Value Date", "Particulars"
CASES = [
    loaded("csv", "good, first in the folder", good(1), 2),
    refused("csv", "empty", b"", "the file is empty"),
    refused("csv", "blank lines alone", b"\r\n\r\n", "the file is empty"),
    refused("csv", "header only", AXIS.encode(), "the trailer is missing", 1),
    refused("csv", "no trailer", csv(line(), trailer=""), "the trailer is missing", 2),
    refused("csv", "cut within a row", good(2)[:-50], "4 cells where the header has 9", 3),
    refused("csv", "count wrong", csv(line(), trailer="TRAILER,2,1.00,0.00\n"), "says 2 in movements", 3),
    refused("csv", "sum wrong", csv(line(), trailer="TRAILER,1,1.01,0.00\n"), "says 1.01 in credits", 3),
    refused("csv", "more behind the trailer", csv(line()) + line().encode(), "follows the trailer", 4),
    loaded("csv", "with a byte order mark", b"\xef\xbb\xbf" + good(3), 2),
    refused("csv", "UTF-16", recoded(good(4), "utf-16"), "looks like utf-16", 1),
    refused("csv", "UTF-16 without a mark", recoded(good(4), "utf-16-le"), "looks like utf-16-le", 1),
    refused("csv", "Latin-1", recoded(with_text("CAFÉ"), "latin-1"), "it looks like cp1252", 2),
    refused("csv", "NUL bytes", with_text("a\0b"), "NUL bytes", 2),
    loaded("csv", "lines end with CR alone", good(5).replace(b"\n", b"\r"), 2),
    refused("csv", "a quotation mark without its other", with_text('"open'), "not well-formed", 2),
    loaded("csv", "good, in the middle", good(6), 2),
    refused("csv", "a UTR as a number", with_utr("1.23457E+15"), "digits are lost", 2, TEXT),
    refused("csv", "a UTR without its zeros", with_utr("22206890934"), "leading zeros", 2, TEXT),
    refused("csv", "a UTR rounded", with_utr("123456789012300000"), "rounded", 2, TEXT),
    refused("csv", "a UTR with a fraction", with_utr("322206890934.0"), "no fraction", 2, TEXT),
    refused("csv", "a UTR with a hidden mark", with_utr("AXISCN115386\u202e3727"), "English", 2, TEXT),
    loaded("csv", "1,00,000.50", csv(line('"1,00,000.50"'), trailer="TRAILER,1,100000.50,0.00\n"), 1),
    *(
        refused("csv", f"amount {amount}", worth(amount), "not an amount", 2, AMOUNT)
        for amount in ("(100.00)", "100-", '"1.234,56"', "NaN", "Infinity", "1e5", '"=SUM(E2:E9)"', "१००", "")
    ),
    refused("csv", "20 digits", worth("12345678901234567890"), "not an amount", 2, AMOUNT),
    refused("csv", "half a paisa", worth("0.005"), "not an amount", 2, AMOUNT),
    refused("csv", "a negative credit", worth("-100.00"), "is negative", 2, AMOUNT),
    refused("csv", "nothing moved", worth("0.00"), "a movement of nothing", 2, AMOUNT),
    *(
        refused("csv", f"date {day}", dated(day), says, 2, DATE)
        for day, says in (
            ("31/02/2026", "is no date"),
            ("06/01/26", "is no date"),
            ("2026-01-06", "is no date"),
            ("46028", "is no date"),
            ("01/06/2026", "day and month may be swapped"),
            ("06/01/2024", "not near the business date"),
        )
    ),
    refused("csv", "neither credit nor debit", csv(line(sign="XX")), "neither CR nor DR", 2, "Debit/Credit"),
    refused(
        "csv",
        "a column renamed",
        csv(line()).replace(b"Value Date", b"Valuta"),
        "unknown ['Valuta']",
        1,
        DATE,
    ),
    loaded("csv", "cards in the narration", with_text(f"POS {PLAIN} {spaced(SPACED)} X POS{GLUED} SHOP"), 1),
    loaded(
        "csv",
        "a card where the reference stands",
        with_text(f"NEFT/{spaced(IN_REFERENCE)}/P/{IN_REFERENCE}"),
        1,
    ),
    refused(
        "csv", "a card in a refused line", csv(line("NaN", text=f"POS{REFUSED}")), "not an amount", 2, AMOUNT
    ),
    refused("csv", "a card for a date", dated(REFUSED), "is no date", 2, DATE),
    refused(
        "csv",
        "a card for a column's name",
        csv(line()).replace(b"S.No", IN_HEADER.encode(), 1),
        "unknown",
        1,
        "S.No",
    ),
    loaded("csv", "good, last in the folder", good(7), 2),
    loaded("fix", "good", golden("fixed_width.txt"), 3),
    refused(
        "fix",
        "a record too long",
        golden("fixed_width.txt", ("SMS CHARGES", "SMS CHARGES ")),
        "81 bytes where 80",
        4,
    ),
    refused(
        "fix", "count wrong", golden("fixed_width.txt", ("T00000003", "T00000004")), "says 4 in movements", 5
    ),
    refused("fix", "cut short", golden("fixed_width.txt")[:244], "the trailer is missing", 3),
    loaded("xlsx", "good", with_cells("SHEEN26010600001", 100000.5), 1),
    refused("xlsx", "a UTR as a number", with_cells(22206890934, 1), "leading zeros", 2, "UTR"),
    refused(
        "xlsx",
        "a UTR of more digits than a number keeps",
        with_cells(1234567890123456, 1),
        "15 digits",
        2,
        "UTR",
    ),
    refused(
        "xlsx", "a formula without its value", with_cells(None, "=1+1"), "not an amount", 2, "Net Amount"
    ),
    refused("xlsx", "a formula that failed", with_cells("#REF!", 1), "letters and digits", 2, "UTR"),
    refused("xlsx", "cut short", sheet(("TOTAL", 0, 0, 0))[:-200], "no workbook, damaged or cut short"),
    refused("xlsx", "a CSV file", good(8), "no workbook"),
    loaded("swift", "good", golden("mt940.sta"), 2),
    refused(
        "swift",
        "closing balance wrong",
        golden("mt940.sta", ("INR100881,50", "INR100881,51")),
        "make 100881.50",
        11,
        "62M",
    ),
    refused("swift", "cut short", golden("mt940.sta")[:305], "no balance", 11, "62M"),
    loaded("iso", "good, signed, encrypted and zipped", statement(), 2),
    refused(
        "iso",
        "closing balance wrong",
        statement((">100982.80<", ">100982.81<")),
        "said to be 100982.81",
        3,
        "CLBD",
    ),
    refused(
        "iso",
        "entities that grow",
        statement(("<Document", '<!DOCTYPE d [<!ENTITY a "b">]><Document')),
        "declares a document type",
    ),
    refused("iso", "cut short", encrypted(zipped(("iso.xml", golden("camt053.xml")[:-40]))), "cut short", 3),
    refused("iso", "a zip that is not signed", statement(signer=None), "not signed"),
    loaded("bai", "good", golden("bai2.bai"), 2),
    refused(
        "bai",
        "control total wrong",
        golden("bai2.bai", ("49,30201920,6", "49,30201921,6")),
        "control total is said to be 30201921",
        8,
        "49",
    ),
    refused("bai", "cut short", golden("bai2.bai")[:-20], "the file trailer 99 is missing", 9),
    loaded("gz", "good", gzip.compress(good(10)), 2),
    refused("gz", "not packed", good(11), "gzip: not such a file"),
    refused("gz", "cut short", gzip.compress(good(12))[:-6], "damaged or cut short"),
    refused(
        "gz", "a bomb", gzip.compress(csv(line(text="OPENING BALANCE") * 150_000)), f"more than {LIMIT} MB"
    ),
    loaded("zip", "good", zipped(("a.csv", good(20))), 2),
    refused("zip", "a bomb", zipped(("a.csv", bytes((LIMIT + 1) * 1024 * 1024))), f"more than {LIMIT} MB"),
    refused("zip", "a zip within", zipped(("inner.zip", zipped(("a.csv", good(21))))), "a file named like"),
    refused(
        "zip",
        "a zip within that says it is none",
        zipped(("a.csv", zipped(("a.csv", good(21))))),
        "not utf-8",
        1,
    ),
    refused(
        "zip", "two files", zipped(("a.csv", good(22)), ("b.csv", good(23))), "found 2: 'a.csv', 'b.csv'"
    ),
    refused(
        "zip",
        "a path that leads out",
        zipped(("../../etc/cron.d/a.csv", good(24))),
        "'../../etc/cron.d/a.csv'",
    ),
    refused("zip", "with a password", locked(good(25)), "has a password"),
    refused("zip", "nothing in it", zipped(), "found 0"),
    refused("zip", "cut short", zipped(("a.csv", good(26)))[:-30], "damaged or cut short"),
    loaded("pgp", "good", encrypted(good(30)), 2),
    loaded("pgp", "good, in letters", encrypted(good(31), armor=True), 2),
    refused(
        "pgp", "not signed", encrypted(good(32), signer=None), "not signed though a signature by theirs.asc"
    ),
    refused(
        "pgp",
        "signed by somebody else",
        encrypted(good(33), signer=STRANGER),
        "which is no key of theirs.asc",
    ),
    refused(
        "pgp",
        "signed before it was wrapped",
        encrypted(pysequoia.sign(THEIRS.signer(), good(34)), signer=None),
        "not signed",
    ),
    refused("pgp", "changed on the way", flipped(encrypted(good(35)), -60), "damaged"),
    refused("pgp", "cut short", encrypted(good(36))[:-80], "damaged"),
    refused("pgp", "to another key", encrypted(good(37), STRANGER), "encrypted to another key than ours.asc"),
    refused(
        "pgp",
        "with a passphrase",
        pysequoia.encrypt(good(38), passwords=["guess"]),
        "another key than ours.asc",
    ),
    refused("pgp", "not encrypted", good(39), "not encrypted though encryption was agreed"),
    loaded("sum", "good", good(40), 2, checksum=sums_of(good(40))),
    loaded("sum", "good, in capitals and bare", good(41), 2, checksum=sums_of(good(41), "{0}").upper()),
    refused(
        "sum", "of other bytes", good(42), hashlib.sha256(good(43)).hexdigest(), checksum=sums_of(good(43))
    ),
    refused("sum", "no checksum in it", good(44), "'call us'", checksum=b"call us\n"),
    refused(
        "sum",
        "right, of a wrong file",
        worth("NaN"),
        "not an amount",
        2,
        AMOUNT,
        checksum=sums_of(worth("NaN")),
    ),
]
