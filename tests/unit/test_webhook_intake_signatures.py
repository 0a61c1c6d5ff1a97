"""Signatures: vectors made with openssl, the other hand in world/signing.py, and what forgers try."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import pytest

from webhook_intake import checksum, paytm, payu, razorpay
from webhook_intake.errors import ForgedError, MalformedError
from world import signing

if TYPE_CHECKING:
    from webhook_intake.records import Checked

FORM = {"content-type": "application/x-www-form-urlencoded"}
JSON = {"content-type": "application/json; charset=utf-8"}
EVENT = b'{"entity":"event","created_at":1767600000}'
EVENT_SIGNATURE = "bea390028ae65ff56ca351cc159f104539471c20fbb36d4418a7039150d79798"
PAYU = {
    "status": "success",
    "udf1": "M1",
    "email": "a@b.in",
    "firstname": "Asha",
    "productinfo": "plan",
    "amount": "10.00",
    "txnid": "TXN1",
    "key": "KEY1",
}
PAYTM = {"MID": "MID1", "ORDERID": "ORD1", "TXNAMOUNT": "10.00", "CURRENCY": "INR"}
PAYTM_KEY = "k" * 16
PAYTM_CHECKSUM = (
    "60RaqOYmhAsLPz3REAu1I8o9jXMzS90Htz2jmoAuw4rXfHGeWu18ze1i"
    "a/M7IRNQyOdZVY6LLd3rkBGYELpuBSD42dl30EbZ/BLIxqAqVh4="
)


def sha(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def check_razorpay(body: bytes, signature: str, *secrets: str, event_id: str = "ev1") -> Checked:
    headers = {"x-razorpay-signature": signature, "x-razorpay-event-id": event_id}
    return razorpay.check(headers, body, sha(body), secrets)


def check_payu(fields: dict[str, str], *salts: str, key: str = "KEY1") -> Checked:
    body = urlencode(fields).encode()
    return payu.check(FORM, body, sha(body), key, salts)


def check_paytm(body: bytes, headers: dict[str, str], *keys: str) -> Checked:
    return paytm.check(headers, body, sha(body), "MID1", keys)


class TestRazorpay:
    def test_vector(self) -> None:
        assert razorpay.sign(EVENT, "whsec_1") == EVENT_SIGNATURE
        assert signing.razorpay_signature(EVENT, b"whsec_1") == EVENT_SIGNATURE
        assert check_razorpay(EVENT, EVENT_SIGNATURE, "whsec_1").document == json.loads(EVENT)

    def test_previous_secret_still_counts(self) -> None:
        assert check_razorpay(EVENT, EVENT_SIGNATURE, "new", "whsec_1").problem is None

    @pytest.mark.parametrize(
        "signature", ["", "0" * 64, EVENT_SIGNATURE.upper(), EVENT_SIGNATURE[:-1], "é" * 64]
    )
    def test_forged(self, signature: str) -> None:
        with pytest.raises(ForgedError):
            check_razorpay(EVENT, signature, "whsec_1", "old")

    def test_the_same_json_encoded_anew_is_forged(self) -> None:
        again = json.dumps(json.loads(EVENT)).encode()
        assert json.loads(again) == json.loads(EVENT)
        with pytest.raises(ForgedError):
            check_razorpay(again, EVENT_SIGNATURE, "whsec_1")

    def test_signed_but_unreadable_is_kept_with_its_problem(self) -> None:
        body = b"{not json"
        checked = check_razorpay(body, razorpay.sign(body, "s"), "s")
        assert checked.document is None
        assert "not JSON" in (checked.problem or "")

    def test_an_unsigned_event_id_cannot_hide_another_body(self) -> None:
        other = b'{"entity":"event","created_at":1767600001}'
        one = check_razorpay(EVENT, EVENT_SIGNATURE, "whsec_1").event_key
        assert one == check_razorpay(EVENT, EVENT_SIGNATURE, "whsec_1").event_key
        assert one != check_razorpay(other, razorpay.sign(other, "whsec_1"), "whsec_1").event_key


class TestPayu:
    @pytest.mark.parametrize(
        ("more", "expected"),
        [
            ({}, "335d6aa28c388df35daf7ea321238e9b6b1448d540c93b293189475b07cf674c"),
            (
                {"additional_charges": "1.50"},
                "4b2173ab136c75996325814b8714aec5b6969e5c0bb22a1a7e121cd3fb9dfb7f",
            ),
            (
                {"additionalCharges": "1.50"},
                "4b2173ab136c75996325814b8714aec5b6969e5c0bb22a1a7e121cd3fb9dfb7f",
            ),
            (
                {"splitInfo": '{"type":"absolute"}'},
                "8ede96396db4d0999685cb2294db3f5dc951c28737244cba7bf5aa84f15d626c",
            ),
        ],
    )
    def test_vectors(self, more: dict[str, str], expected: str) -> None:
        assert payu.reverse_hash({**PAYU, **more}, "SALT1").startswith(expected)

    def test_the_other_hand_agrees(self) -> None:
        assert signing.payu_hash(PAYU, "SALT1") == payu.reverse_hash(PAYU, "SALT1")

    def test_current_and_previous_salt(self) -> None:
        signed = {**PAYU, "mihpayid": "403", "hash": payu.reverse_hash(PAYU, "SALT1")}
        assert check_payu(signed, "SALT1").about == "payu:403"
        assert check_payu(signed, "SALT2", "SALT1").event_key.startswith("payu:403:payment:success:")
        with pytest.raises(ForgedError):
            check_payu(signed, "SALT2", "SALT3")

    @pytest.mark.parametrize(
        "change",
        [
            {"amount": "99.00"},
            {"status": "failure"},
            {"udf1": "M2"},
            {"additional_charges": "5"},
            {"hash": ""},
        ],
    )
    def test_a_changed_field_is_forged(self, change: dict[str, str]) -> None:
        with pytest.raises(ForgedError):
            check_payu({**PAYU, "hash": payu.reverse_hash(PAYU, "SALT1"), **change}, "SALT1")

    def test_somebody_elses_key_is_forged(self) -> None:
        with pytest.raises(ForgedError):
            check_payu({**PAYU, "hash": payu.reverse_hash(PAYU, "SALT1")}, "SALT1", key="KEY2")

    def test_a_field_given_twice_is_malformed(self) -> None:
        body = urlencode({**PAYU, "hash": payu.reverse_hash(PAYU, "SALT1")}).encode() + b"&status=failure"
        with pytest.raises(MalformedError):
            payu.check(FORM, body, sha(body), "KEY1", ["SALT1"])

    @pytest.mark.parametrize("body", [b"", b"\xff\xfe", b"a" * 100, b"&" * 100_000])
    def test_no_form_is_malformed(self, body: bytes) -> None:
        with pytest.raises(MalformedError):
            payu.check(FORM, body, sha(body), "KEY1", ["SALT1"])

    def test_a_card_number_is_refused_and_a_masked_one_is_not(self) -> None:
        signed = {**PAYU, "mihpayid": "403", "hash": payu.reverse_hash(PAYU, "SALT1")}
        assert check_payu({**signed, "card_no": "411111XXXXXX1111"}, "SALT1")
        with pytest.raises(MalformedError, match="card number"):
            check_payu({**signed, "card_no": "4111111111111111"}, "SALT1")

    def test_refund_notice_is_json(self) -> None:
        fields = {"action": "refund", "mihpayid": "403", "merchantTxnId": "TXN1", "request_id": "R1"}
        fields |= {"amt": "4.00", "status": "success", "key": "KEY1"}
        body = json.dumps({**fields, "hash": payu.refund_hash(fields, "SALT1"), "remark": None}).encode()
        assert payu.check(JSON, body, sha(body), "KEY1", ["SALT1"]).event_key.startswith(
            "payu:403:refund:R1:"
        )
        forged = body.replace(b"4.00", b"9.00")
        with pytest.raises(ForgedError):
            payu.check(JSON, forged, sha(forged), "KEY1", ["SALT1"])


class TestPaytm:
    def test_vector(self) -> None:
        assert checksum.sign_form(PAYTM, PAYTM_KEY, "abcd") == PAYTM_CHECKSUM
        assert signing.paytm_form_checksum(PAYTM, PAYTM_KEY, "abcd") == PAYTM_CHECKSUM
        assert checksum.verify_form(PAYTM, PAYTM_CHECKSUM, PAYTM_KEY)

    @pytest.mark.parametrize("length", [16, 24, 32])
    def test_every_key_length_and_every_salt(self, length: int) -> None:
        key = "q" * length
        one, other = checksum.sign_text("text ₹", key), checksum.sign_text("text ₹", key)
        assert one != other
        assert checksum.verify_text("text ₹", one, key)
        assert checksum.verify_text("text ₹", other, key)
        assert not checksum.verify_text("text", one, key)

    @pytest.mark.parametrize(
        "signature",
        ["", "x", "!" * 108, "A" * 108, PAYTM_CHECKSUM[:-4] + "AAA=", PAYTM_CHECKSUM + "AAAA", "é" * 108],
    )
    def test_what_forgers_send_never_raises(self, signature: str) -> None:
        assert not checksum.verify_form(PAYTM, signature, PAYTM_KEY)

    def test_null_becomes_empty_and_the_caller_keeps_his_fields(self) -> None:
        fields: dict[str, str | None] = {**PAYTM, "BANKNAME": None, "CHECKSUMHASH": "old"}
        kept = dict(fields)
        assert checksum.form_text(fields) == "|INR|MID1|ORD1|10.00"
        checksum.verify_form(fields, checksum.sign_form(fields, PAYTM_KEY), PAYTM_KEY)
        assert fields == kept

    def test_form_with_current_and_previous_key(self) -> None:
        body = urlencode({**PAYTM, "TXNID": "T1", "STATUS": "TXN_SUCCESS"} | {"CHECKSUMHASH": ""})
        fields = {**PAYTM, "TXNID": "T1", "STATUS": "TXN_SUCCESS"}
        body = urlencode({**fields, "CHECKSUMHASH": checksum.sign_form(fields, PAYTM_KEY)})
        assert check_paytm(body.encode(), FORM, PAYTM_KEY).about == "paytm:T1"
        assert check_paytm(body.encode(), FORM, "n" * 32, PAYTM_KEY).about == "paytm:T1"
        with pytest.raises(ForgedError):
            check_paytm(body.encode(), FORM, "n" * 16)
        with pytest.raises(ForgedError):
            check_paytm(body.replace("10.00", "99.00").encode(), FORM, PAYTM_KEY)

    def test_json_is_signed_over_the_text_of_its_body(self) -> None:
        text = '{ "mid":"MID1",  "txnId":"T1", "refundId":"R1", "note":"a\\"}{" }'
        whole = '{"head": {"version":"v1", "signature":"%s"},\n "body" : %s}'
        signed = (whole % (checksum.sign_text(text, PAYTM_KEY), text)).encode()
        assert check_paytm(signed, JSON, PAYTM_KEY).event_key.startswith("paytm:T1:refund:R1:")
        said = json.loads(signed)
        again = json.dumps(said).encode()
        with pytest.raises(ForgedError):
            check_paytm(again, JSON, PAYTM_KEY)

    def test_another_merchants_notice_is_forged(self) -> None:
        fields = {**PAYTM, "MID": "MID2"}
        body = urlencode({**fields, "CHECKSUMHASH": checksum.sign_form(fields, PAYTM_KEY)}).encode()
        with pytest.raises(ForgedError):
            check_paytm(body, FORM, PAYTM_KEY)

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"[]",
            b'{"head":{}}',
            b'{"head":{"signature":1},"body":{}}',
            b'{"head":{"signature":"x"}}',
            b'{"body":{},"body":{},"head":{"signature":"x"}}',
            b"[" * 100_000,
        ],
    )
    def test_json_without_signature_or_body_is_malformed(self, body: bytes) -> None:
        with pytest.raises(MalformedError):
            check_paytm(body, JSON, PAYTM_KEY)
