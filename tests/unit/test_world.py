"""The world is the same every time, adds up, and is told in the shapes the rooms agreed on."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from decimal import Decimal
from urllib.parse import parse_qsl

import orjson
import pytest

from settlement.references import ReferenceKind, kind_of, normalise_utr
from sftp_bridge.banks import load_banks
from webhook_intake import checksum, payu, razorpay
from world.generate import generate
from world.model import ARRIVES_LATE, BANK_OF, CUTOFFS, IS_CORRECTED, NEVER_ARRIVES, NOT_DUE_YET, World
from world.plan import plan
from world.reports import early_reports, late_reports, reports
from world.rows import COLUMNS, TRANSACTIONS, last_rows
from world.signing import Secrets
from world.statements import correction, same_again, statements
from world.truth import truth
from world.webhooks import posts

SECRETS = Secrets("whsec", "payukey", "payusalt", "MID00000000000000001", "0123456789abcdef")


@pytest.fixture(scope="module")
def world() -> World:
    return generate(7, 0.02)


def fingerprint(world: World) -> str:
    found = hashlib.sha256()
    told = posts(world, SECRETS)
    for post in (*told.genuine, *told.forged):
        found.update(post.path.encode() + post.headers + post.body)
    for statement in (*statements(world).values(), correction(world), same_again(world)):
        found.update(statement.name.encode() + statement.data)
    for made in (early_reports(world), late_reports(world)):
        found.update(orjson.dumps(made))
    for rows in last_rows(world).values():
        found.update(repr(rows).encode())
    found.update(repr(truth(world)).encode())
    return found.hexdigest()


def test_same_seed_same_bytes(world: World) -> None:
    assert fingerprint(world) == fingerprint(generate(7, 0.02))
    assert fingerprint(world) != fingerprint(generate(8, 0.02))


def test_a_world_of_that_seed_is_what_it_always_was() -> None:
    # A changed hash means: whoever keeps figures of this world has to take them anew.
    expected = "3040b4a76e69479cd0c279b3d2032e5cf1644c3fea76e4564b64090d0a949168"
    assert fingerprint(generate(7, 0.005)) == expected


def test_default_scale_is_large_enough() -> None:
    numbers = plan(1.0)
    gone = numbers.counts["deleted_captured"] + numbers.counts["deleted_quietly"]
    assert numbers.sales - gone >= 100_000
    assert numbers.merchants == 15_000


@pytest.mark.parametrize("scale", [0, -1, 101])
def test_absurd_scales_are_refused(scale: float) -> None:
    with pytest.raises(ValueError, match="scale"):
        plan(scale)


@pytest.mark.parametrize("scale", [0.0001, 0.004, 0.02])
@pytest.mark.parametrize("seed", [1, 7, 99])
def test_every_kind_of_difference_is_there(seed: int, scale: float) -> None:
    expected = {("PAYMENT", outcome) for outcome in plan(scale).outcomes} | {
        ("SETTLEMENT", outcome) for outcome in plan(scale).payouts
    }
    expected |= {("SETTLEMENT", "AWAITING_BANK_FILE"), ("SETTLEMENT", "BANK_FILE_LATE")}
    expected |= {("PAYMENT", "MATCHED"), ("SETTLEMENT", "MATCHED")}
    assert set(truth(generate(seed, scale))) == expected


def test_truth_adds_up(world: World) -> None:
    sums = truth(world)
    payments = sum(line.rows for (level, _), line in sums.items() if level == "PAYMENT")
    silent = sum(1 for sale in world.sales if sale.outcome is None)
    assert payments == len(world.sales) + len(world.unknown) - silent
    settlements = sum(line.rows for (level, _), line in sums.items() if level == "SETTLEMENT")
    assert settlements == len(world.payouts) + len(world.strays)
    for (_, outcome), line in sums.items():
        assert line.difference == line.found - line.expected
        if outcome in ("MATCHED", "DATE_MISMATCH", "MERCHANT_MISMATCH"):
            assert line.difference == 0
    captured = sum(c.paise for s in world.sales for c in s.captures if c.ok)
    captured += sum(c.paise for c in world.unknown)
    assert captured == sum(line.gross for p in world.payouts for line in p.lines if line.kind == "PAYMENT")


def test_files_hold_what_the_truth_says_was_found(world: World) -> None:
    arrived = Counter[str]()
    for key, lines in world.files.items():
        if key == NEVER_ARRIVES or key in NOT_DUE_YET:
            continue
        for line in lines:
            arrived[line.utr] += line.paise if line.direction == "CR" else -line.paise
    told = {p.utr: p.found for p in world.payouts if p.found} | {
        line.utr: line.paise for line in world.strays
    }
    assert {utr: paise for utr, paise in arrived.items() if paise} == told


def test_several_payments_lie_behind_one_utr(world: World) -> None:
    assert max(len(p.lines) for p in world.payouts) > 3
    assert all(p.net > 0 for p in world.payouts)
    utrs = [p.utr for p in world.payouts if p.utr]
    assert len(utrs) == len(set(utrs))
    groups = {(p.gateway, p.merchant.merchant_id, p.on) for p in world.payouts}
    assert len(groups) == len(world.payouts)


def test_references_have_real_forms(world: World) -> None:
    kinds = {kind_of(p.utr) for p in world.payouts if p.utr}
    assert kinds <= {ReferenceKind.NEFT, ReferenceKind.RTGS, ReferenceKind.RRN}
    assert any(p.raw_utr != p.utr for p in world.payouts if p.utr)
    assert all(normalise_utr(p.raw_utr) == p.utr for p in world.payouts if p.utr)


def test_an_adjustment_without_utr_belongs_to_a_settlement(world: World) -> None:
    told = reports(world)
    bare = [i for i in told["razorpay"] if i["type"] == "adjustment" and i["settlement_utr"] is None]
    assert bare
    known = {i["settlement_id"] for i in told["razorpay"] if i["settlement_utr"]}
    assert {i["settlement_id"] for i in bare} <= known


def test_the_first_revision_is_wrong_in_every_way(world: World) -> None:
    first, last = world.first_revision, world.files[IS_CORRECTED]
    assert len(first) > len(last)
    by_reference = {line.reference: line for line in first}
    changed = [(by_reference[line.reference], line) for line in last if by_reference[line.reference] != line]
    assert any(old.paise != new.paise and old.utr == new.utr for old, new in changed)
    assert any(old.utr != new.utr and old.paise == new.paise for old, new in changed)
    assert correction(world).name.endswith("_R2.csv")
    assert ARRIVES_LATE in statements(world)


def test_banks_and_cutoffs_are_the_agreed_ones() -> None:
    banks = load_banks()
    assert {name: tuple(bank.files.cutoffs) for name, bank in banks.items()} == CUTOFFS
    assert set(BANK_OF.values()) == set(banks)


def test_statements_have_the_banks_headers(world: World) -> None:
    banks = load_banks()
    for statement in (*statements(world).values(), correction(world)):
        text = statement.data.decode()
        described = banks[statement.key[0]].format
        assert described is not None
        assert text.splitlines()[0].split(",") == list(described.columns)
        assert text.splitlines()[-1].startswith("TRAILER,")


def test_the_intake_accepts_what_the_gateways_sign(world: World) -> None:
    told = posts(world, SECRETS)
    seen: dict[str, int] = defaultdict(int)
    for post in told.genuine:
        headers = dict(line.split(": ", 1) for line in post.headers.decode().strip().split("\r\n"))
        json_body = headers["Content-Type"].startswith("application/json")
        if post.path.endswith("razorpay"):
            assert razorpay.sign(post.body, SECRETS.razorpay_secret) == headers["X-Razorpay-Signature"]
        elif post.path.endswith("payu") and not json_body:
            fields = dict(parse_qsl(post.body.decode(), keep_blank_values=True))
            assert payu.reverse_hash(fields, SECRETS.payu_salt) == fields["hash"]
        elif post.path.endswith("payu"):
            fields = orjson.loads(post.body)
            assert payu.refund_hash(fields, SECRETS.payu_salt) == fields["hash"]
        elif json_body:
            text = post.body.decode()
            signature = orjson.loads(post.body)["head"]["signature"]
            signed = text[text.index('"body":') + 7 : -1]
            assert checksum.verify_text(signed, signature, SECRETS.paytm_key)
        else:
            fields = dict(parse_qsl(post.body.decode(), keep_blank_values=True))
            text = checksum.form_text(fields)
            assert checksum.verify_text(text, fields["CHECKSUMHASH"], SECRETS.paytm_key)
        seen[f"{post.path} {'json' if json_body else 'form'}"] += 1
    assert len(seen) == 5
    assert told.copies > 0
    assert told.out_of_order > 0
    assert told.forged


def test_rows_are_what_the_tables_want(world: World) -> None:
    rows = last_rows(world)
    for table, columns in COLUMNS.items():
        assert all(len(row) == len(columns) for row in rows[table])
        assert len({row[0] for row in rows[table]}) == len(rows[table])
    amounts = [row[COLUMNS[TRANSACTIONS].index("amount")] for row in rows[TRANSACTIONS]]
    assert all(isinstance(amount, Decimal) and amount.as_tuple().exponent == -2 for amount in amounts)
