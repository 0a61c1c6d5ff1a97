"""Settings that contradict each other stop the start, and no error shows a secret."""

from __future__ import annotations

import logging

import pytest
from confluent_kafka import KafkaError, KafkaException

from bus.client_log import QUIET, OnceInAWhile
from bus.errors import (
    BrokerUnavailableError,
    BusError,
    BusSettingsError,
    BusTerminalError,
    BusTransientError,
    NotPermittedError,
    ProducerFencedError,
    RecordRefusedError,
    TransactionAbortedError,
    UnknownTopicError,
    from_kafka,
)
from bus.settings import bus_settings


@pytest.fixture(autouse=True)
def _only_the_tests_own_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in list(os.environ):
        if name.startswith("SETTLE_BUS_"):
            monkeypatch.delenv(name)


def test_the_defaults_are_the_local_stacks() -> None:
    settings = bus_settings()
    assert settings.client() == {"bootstrap.servers": "127.0.0.1:9192", "security.protocol": "PLAINTEXT"}
    assert settings.min_insync_replicas == 1


def test_production_settings_reach_the_client(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "BOOTSTRAP_SERVERS": "b-1:9096,b-2:9096",
        "SECURITY_PROTOCOL": "SASL_SSL",
        "SASL_MECHANISM": "SCRAM-SHA-512",
        "SASL_USERNAME": "settle",
        "SASL_PASSWORD": "hush",
        "SSL_CA_LOCATION": "/etc/ca.pem",
        "REPLICATION": "3",
    }.items():
        monkeypatch.setenv(f"SETTLE_BUS_{name}", value)
    settings = bus_settings()
    assert settings.client() == {
        "bootstrap.servers": "b-1:9096,b-2:9096",
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": "settle",
        "sasl.password": "hush",
        "ssl.ca.location": "/etc/ca.pem",
    }
    assert settings.min_insync_replicas == 2
    assert "hush" not in repr(settings)


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ({"SECURITY_PROTOCOL": "SASL_SSL", "SASL_PASSWORD": "hush"}, "SETTLE_BUS_SASL_MECHANISM"),
        ({"SASL_USERNAME": "settle", "SASL_PASSWORD": "hush"}, "SETTLE_BUS_SECURITY_PROTOCOL"),
        ({"REPLICATION": "0", "SASL_PASSWORD": "hush"}, "SETTLE_BUS_REPLICATION"),
        ({"SECURITY_PROTOCOL": "TLS", "SASL_PASSWORD": "hush"}, "SETTLE_BUS_SECURITY_PROTOCOL"),
    ],
)
def test_contradictions_are_named(monkeypatch: pytest.MonkeyPatch, given: dict[str, str], names: str) -> None:
    for name, value in given.items():
        monkeypatch.setenv(f"SETTLE_BUS_{name}", value)
    with pytest.raises(BusSettingsError, match=names) as raised:
        bus_settings()
    assert "hush" not in str(raised.value)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (KafkaError._FENCED, ProducerFencedError),
        (KafkaError.PRODUCER_FENCED, ProducerFencedError),
        (KafkaError.INVALID_PRODUCER_EPOCH, ProducerFencedError),
        (KafkaError.UNKNOWN_TOPIC_OR_PART, UnknownTopicError),
        (KafkaError.MSG_SIZE_TOO_LARGE, RecordRefusedError),
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, NotPermittedError),
        (KafkaError._AUTHENTICATION, NotPermittedError),
        (KafkaError._TRANSPORT, BrokerUnavailableError),
        (KafkaError._MSG_TIMED_OUT, BrokerUnavailableError),
        (KafkaError.NOT_ENOUGH_REPLICAS, BrokerUnavailableError),
    ],
)
def test_the_clients_errors_get_their_names(code: int, kind: type[BusError]) -> None:
    assert type(from_kafka(KafkaException(KafkaError(code)), "sending")) is kind
    assert "sending" in str(from_kafka(KafkaError(code), "sending"))


def test_an_abortable_error_and_a_fatal_one() -> None:
    assert isinstance(
        from_kafka(KafkaError(KafkaError.UNKNOWN, txn_requires_abort=True), "x"), TransactionAbortedError
    )
    assert isinstance(from_kafka(KafkaError(KafkaError.UNKNOWN, fatal=True), "x"), BusTerminalError)


def test_every_error_is_either_terminal_or_transient() -> None:
    def below(kind: type[BusError]) -> list[type[BusError]]:
        return [one for child in kind.__subclasses__() for one in (child, *below(child))]

    for kind in below(BusError):
        assert issubclass(kind, BusTerminalError) != issubclass(kind, BusTransientError), kind
        assert kind.__doc__


def test_the_client_repeats_itself_only_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr("bus.client_log.time.monotonic", lambda: now[0])
    quiet = OnceInAWhile()

    def said(line: str) -> bool:
        return quiet.filter(logging.LogRecord("bus.client", logging.ERROR, "", 0, line, (), None))

    assert said("127.0.0.1:9192: refused (after 0ms)")
    assert not said("127.0.0.1:9192: refused (after 12ms)")
    assert said("fenced")
    now[0] += QUIET
    assert said("127.0.0.1:9192: refused (after 3ms)")
    assert not said("127.0.0.1:9192: refused (after 3ms)")
